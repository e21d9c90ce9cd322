//! A Python environment with grpcio: a gRPC server that shares no code with ours.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{cache, step};

const REQUIREMENTS: &str = "tests/grpcio/requirements.txt";

/// `cargo xtask grpcio`.
pub(crate) fn command() -> Result<(), String> {
    let python = python()?;
    println!("STACKHERD_GRPCIO_PYTHON={}", python.display());
    Ok(())
}

/// The environment's interpreter; the environment is made if it is not there.
pub(crate) fn python() -> Result<PathBuf, String> {
    let requirements = cache::repository().join(REQUIREMENTS);
    let text = fs::read(&requirements)
        .map_err(|fault| format!("cannot read {}: {fault}", requirements.display()))?;
    let base = env::var("PYTHON").ok().filter(|name| !name.is_empty()).unwrap_or_else(|| "python3".into());
    // Wheels are made for one version of Python, so it belongs to the key.
    let version =
        step::output(Command::new(&base).args(["-c", "import sys; print('%d.%d' % sys.version_info[:2])"]))
            .map_err(|fault| {
            format!("{fault}\nthe gRPC interoperability test needs Python 3.9 or later; PYTHON may name it")
        })?;
    let folder = cache::folder()?.join(format!("grpcio-py{version}-{:016x}", fingerprint(&text)));
    let python = folder.join("bin/python");
    if !python.exists() {
        cache::fill(&folder, |part| install(&base, part, &requirements))?;
    }
    Ok(python)
}

fn install(base: &str, folder: &Path, requirements: &Path) -> Result<(), String> {
    step::run("python -m venv", Command::new(base).args(["-m", "venv"]).arg(folder)).map_err(|fault| {
        format!("{fault}\non Debian and Ubuntu the module is in a package of its own: apt-get install python3-venv")
    })?;
    let mut pip = Command::new(folder.join("bin/python"));
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input", "-r"]);
    step::run("pip install", pip.arg(requirements))
}

/// FNV-1a, 64 bits: a name for a content, nothing that anybody would forge.
fn fingerprint(content: &[u8]) -> u64 {
    content.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fingerprint_is_fnv1a() {
        assert_eq!(fingerprint(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fingerprint(b"foobar"), 0x8594_4171_f739_67e8);
    }
}

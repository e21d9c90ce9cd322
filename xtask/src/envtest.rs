//! Builds the API server and etcd that the tests start, from the Go module `tests/envtest`.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{cache, step};

const API_SERVER: &str = "k8s.io/kubernetes";
const ETCD: &str = "go.etcd.io/etcd/server/v3";
const TWO_BINARIES: [&str; 2] = ["etcd", "kube-apiserver"];

/// `cargo xtask envtest`.
pub(crate) fn command() -> Result<(), String> {
    let folder = assets()?;
    println!("KUBEBUILDER_ASSETS={}", folder.display());
    Ok(())
}

/// The folder with both binaries, built if they are not there.
pub(crate) fn assets() -> Result<PathBuf, String> {
    let module = cache::repository().join("tests/envtest");
    let manifest = module.join("go.mod");
    let text = fs::read_to_string(&manifest)
        .map_err(|fault| format!("cannot read {}: {fault}", manifest.display()))?;
    let pinned = Pinned::read(&text)?;
    let folder = cache::folder()?.join(pinned.folder());
    if TWO_BINARIES.iter().all(|name| folder.join(name).is_file()) {
        return Ok(folder);
    }
    go_is_there(&module, &pinned)?;
    eprintln!("building into {}; about 8 minutes on two cores when nothing is cached", folder.display());
    cache::fill(&folder, |part| {
        let stamp = format!("-s -w -X k8s.io/component-base/version.gitVersion={}", pinned.api_server);
        build(&module, part, "etcd", ETCD, "-s -w")?;
        build(&module, part, "kube-apiserver", "k8s.io/kubernetes/cmd/kube-apiserver", &stamp)
    })?;
    Ok(folder)
}

fn build(module: &Path, folder: &Path, name: &str, package: &str, linker: &str) -> Result<(), String> {
    let mut command = Command::new("go");
    command.current_dir(module);
    command.args(["build", "-trimpath", "-ldflags", linker, "-o"]).arg(folder.join(name)).arg(package);
    step::run(&format!("go build {package}"), &mut command)
}

fn go_is_there(module: &Path, pinned: &Pinned) -> Result<(), String> {
    let remedy = format!("the tests' API server is built with Go {} or later: https://go.dev/dl/", pinned.go);
    // Asked in the module's folder: a Go that can fetch the toolchain that go.mod names does so here.
    let version = step::output(Command::new("go").args(["env", "GOVERSION"]).current_dir(module))
        .map_err(|fault| format!("{fault}\n{remedy}"))?;
    if numbers(&version) < numbers(&pinned.go) {
        return Err(format!("{version} is too old\n{remedy}"));
    }
    Ok(())
}

/// `go1.26.8` is [1, 26, 8].
fn numbers(version: &str) -> Vec<u32> {
    let text = version.trim_start_matches("go");
    text.split(['.', '-', ' ', 'r', 'b']).map_while(|part| part.parse().ok()).collect()
}

/// The versions that go.mod pins.
#[derive(Debug, PartialEq, Eq)]
struct Pinned {
    go: String,
    api_server: String,
    etcd: String,
}

impl Pinned {
    fn read(manifest: &str) -> Result<Self, String> {
        let version = |of: &str| {
            manifest
                .lines()
                .map(|line| line.trim().trim_start_matches("require "))
                .find_map(|line| line.strip_prefix(of)?.strip_prefix(' ')?.split_whitespace().next())
                .map(str::to_owned)
                .ok_or_else(|| format!("tests/envtest/go.mod does not say which version of {of}"))
        };
        Ok(Self { go: version("go")?, api_server: version(API_SERVER)?, etcd: version(ETCD)? })
    }

    /// The tests look for this folder too (tests/integration/support/assets.rs).
    fn folder(&self) -> String {
        format!("envtest-k8s-{}-etcd-{}", self.api_server, self.etcd)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_from_go_mod() {
        let manifest = "module x\n\ngo 1.26.0\n\ntool (\n\tgo.etcd.io/etcd/server/v3\n)\n\nrequire (\n\
            \tgo.etcd.io/etcd/server/v3 v3.6.16 // indirect\n\tk8s.io/kubernetes v1.36.1 // indirect\n)\n";
        let pinned = Pinned::read(manifest).unwrap();
        assert_eq!(pinned.go, "1.26.0");
        assert_eq!(pinned.folder(), "envtest-k8s-v1.36.1-etcd-v3.6.16");
    }

    #[test]
    fn go_mod_of_this_repository_can_be_read() {
        let text = fs::read_to_string(cache::repository().join("tests/envtest/go.mod")).unwrap();
        assert!(Pinned::read(&text).is_ok());
    }

    #[test]
    fn go_versions_compare_by_number() {
        assert!(numbers("go1.9.7") < numbers("1.26.0"));
        assert!(numbers("go1.26.8") > numbers("1.26.0"));
        assert!(numbers("go1.26rc1") < numbers("1.26.0"));
        assert!(numbers("go1.27-devel_123") > numbers("1.26.0"));
    }
}

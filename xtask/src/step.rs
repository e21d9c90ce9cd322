//! Commands that are run for their effect, announced beforehand, with their time afterwards.

use std::{env, io::ErrorKind, process::Command, time::Instant};

use crate::cache;

/// The time, for telling how long things took.
#[expect(clippy::disallowed_methods, reason = "nothing is decided by it")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// The cargo that runs us, in the repository.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(cache::repository());
    command
}

/// Runs a command to its end; its output goes where ours goes.
pub(crate) fn run(title: &str, command: &mut Command) -> Result<(), String> {
    eprintln!("==> {title}");
    let start = now();
    let status = command.status().map_err(|fault| absent(command, &fault))?;
    let seconds = start.elapsed().as_secs_f64();
    if status.success() {
        eprintln!("<== {title}: {seconds:.1} s");
        Ok(())
    } else {
        Err(format!("{title}: failed after {seconds:.1} s ({status})"))
    }
}

/// What a command says on stdout.
pub(crate) fn output(command: &mut Command) -> Result<String, String> {
    let output = command.output().map_err(|fault| absent(command, &fault))?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    } else {
        let said = if output.stderr.is_empty() { &output.stdout } else { &output.stderr };
        Err(String::from_utf8_lossy(said).trim().to_owned())
    }
}

fn absent(command: &Command, fault: &std::io::Error) -> String {
    let program = command.get_program().to_string_lossy();
    if fault.kind() == ErrorKind::NotFound {
        format!("`{program}` is not installed, or not on PATH")
    } else {
        format!("cannot run `{program}`: {fault}")
    }
}

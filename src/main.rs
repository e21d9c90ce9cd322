//! The binary: parse, run, exit code.

// They panic where an output cannot be written, and wait where nobody reads it.
#![cfg_attr(not(test), deny(clippy::print_stdout, clippy::print_stderr))]
#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use std::process::ExitCode;

use stackherd::{
    agent,
    config::{CliCommand, LogSettings, ProcessEnvironment, VERSION},
    demo, fatal, output, replay, shutdown, telemetry,
};

fn main() -> ExitCode {
    shutdown::ignore_strays();
    fatal::watch_over(run)
}

fn run() -> ExitCode {
    let command = match CliCommand::parse(std::env::args_os(), &ProcessEnvironment) {
        Ok(command) => command,
        Err(error) => return ExitCode::from(error.tell()),
    };
    match command {
        CliCommand::Version => output::result(format_args!("stackherd {VERSION}\n")),
        CliCommand::Agent(config) => logging(&config.log.clone(), || agent::run(&config)),
        CliCommand::Replay(config) => logging(&config.log.clone(), || replay::run(&config)),
        CliCommand::Demo(config) => logging(&config.log.clone(), || demo::run(&config)),
    }
}

/// Runs with the log up.
fn logging(log: &LogSettings, run: impl FnOnce() -> ExitCode) -> ExitCode {
    match telemetry::start(log) {
        Ok(()) => run(),
        Err(error) => {
            output::complain(format_args!("stackherd: {error}"));
            ExitCode::FAILURE
        }
    }
}

//! The binary: parse, run, exit code.

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use std::process::ExitCode;

use stackherd::{
    agent,
    config::{Command, Log, Process, VERSION},
    demo, replay, telemetry,
};

fn main() -> ExitCode {
    let command = match Command::parse(std::env::args_os(), &Process) {
        Ok(command) => command,
        Err(error) => {
            error.print();
            return ExitCode::from(error.exit_code());
        }
    };
    match command {
        Command::Version => {
            println!("stackherd {VERSION}");
            ExitCode::SUCCESS
        }
        Command::Agent(config) => logging(&config.log.clone(), || agent::run(&config)),
        Command::Replay(config) => logging(&config.log.clone(), || replay::run(&config)),
        Command::Demo(config) => logging(&config.log.clone(), || demo::run(&config)),
    }
}

/// Runs with the log up.
fn logging(log: &Log, run: impl FnOnce() -> ExitCode) -> ExitCode {
    match telemetry::start(log) {
        Ok(()) => run(),
        Err(error) => {
            eprintln!("stackherd: {error}");
            ExitCode::FAILURE
        }
    }
}

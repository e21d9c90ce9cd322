//! To be written.

use std::process::ExitCode;

use crate::config::Config;

/// Runs the agent; the exit code is that of the process.
pub fn run(config: Config) -> ExitCode {
    tracing::error!(?config, "not there yet");
    drop(config);
    ExitCode::FAILURE
}

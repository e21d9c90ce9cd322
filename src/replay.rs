//! To be written.

use std::process::ExitCode;

use crate::config::ReplayConfig;

/// Runs `replay`; the exit code is that of the process.
pub fn run(config: ReplayConfig) -> ExitCode {
    tracing::error!(?config, "not there yet");
    drop(config);
    ExitCode::FAILURE
}

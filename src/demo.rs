//! To be written.

use std::process::ExitCode;

use crate::config::DemoConfig;

/// Runs `demo`; the exit code is that of the process.
pub fn run(config: DemoConfig) -> ExitCode {
    tracing::error!(?config, "not there yet");
    drop(config);
    ExitCode::FAILURE
}

//! stackherd: a sharded agent that herds a fleet of stacks in Kubernetes.
//!
//! `docs/architecture.md` follows one order through these modules.

// They panic where an output cannot be written, and wait where nobody reads it.
#![cfg_attr(not(test), deny(clippy::print_stdout, clippy::print_stderr))]
#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

pub mod agent;
pub mod backoff;
pub mod cluster;
pub mod config;
pub mod demo;
pub mod fatal;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
pub mod log_throttle;
pub mod membership;
pub mod order;
pub mod output;
mod redact;
pub mod replay;
pub mod shutdown;
#[cfg(test)]
mod simulation;
pub mod stack;
pub mod telemetry;
pub mod time;

pub use ::{embedded, net};

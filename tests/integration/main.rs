//! The integration tests: the built binary, and parts of the library, between real or made-up peers.
//!
//! One binary, so that what they share is compiled and linked once: `cargo test --test integration
//! replay::` runs one file of them. What measures takes the machine for itself (`support::machine`).

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]
#![allow(unreachable_pub, reason = "a test is a crate of its own")]

mod absurd_orders;
mod agent;
mod bad_orders;
mod cgroup;
mod cli;
mod cluster_client;
mod conformance;
mod demo;
mod faults;
mod fixtures;
mod flood;
mod floods;
mod grpcio;
mod grpcio_agent;
mod kubeconfigs;
mod late_writes;
mod misbehaving;
mod process;
mod replay;
mod reports;
mod secrets;
mod startup;
mod support;
mod tls;
mod unlistable;
mod watching;

//! Peers that never stop talking take their connection's share of a shard, and those that end their
//! connections in good order cost nothing.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]
#![allow(unreachable_pub, reason = "a test is a crate of its own")]

#[path = "support/e2e.rs"]
mod e2e;
#[path = "floods/goaway.rs"]
mod goaway;
#[path = "floods/noise.rs"]
mod noise;
#[path = "support/support.rs"]
mod support;

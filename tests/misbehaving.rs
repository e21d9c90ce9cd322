//! Peers that never stop talking: what they take is their connection's share of a shard.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]
#![allow(unreachable_pub, reason = "a test is a crate of its own")]

#[path = "support/e2e.rs"]
mod e2e;
#[path = "misbehaving/floods.rs"]
mod floods;
#[path = "misbehaving/goaway.rs"]
mod goaway;
#[path = "support/support.rs"]
mod support;

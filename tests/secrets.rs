//! Secrets, whole and malformed in many ways, go through every place that takes one, with all that the
//! process can log switched on. None of them may be seen in what it writes, in any spelling.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]
#![allow(unreachable_pub, reason = "a test is a crate of its own")]

#[path = "support/e2e.rs"]
mod e2e;
#[path = "secrets/found.rs"]
mod found;
#[path = "secrets/malformed.rs"]
mod malformed;
#[path = "secrets/places.rs"]
mod places;
#[path = "secrets/sent.rs"]
mod sent;
#[path = "support/support.rs"]
mod support;

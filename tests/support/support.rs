//! What the integration tests share. A test takes it in with
//! `#[path = "support/support.rs"] mod support;`.
//!
//! Servers run on loopback, on ports that the kernel picked, and end with the test: when they are
//! dropped, and also when the test process is killed.

#![allow(dead_code, reason = "no test uses everything")]
#![allow(unreachable_pub, reason = "a test is a crate of its own")]
#![allow(missing_docs, reason = "fields and methods that say what they are by their names")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a broken fixture fails the test")]

pub mod api_server;
pub mod assets;
pub mod crds;
pub mod guarded;
pub mod holdback;
pub mod http1;
pub mod kubeconfig;
pub mod metrics;
pub mod relay;
pub mod rest;

use std::{
    thread,
    time::{Duration, Instant},
};

/// The time. Tests wait for things outside, so they do read the clock.
#[allow(clippy::disallowed_methods)]
pub fn now() -> Instant {
    Instant::now()
}

/// Asks again and again until there is an answer, and panics with `what` when that takes too long.
#[track_caller]
pub fn eventually<T>(what: &str, within: Duration, mut ask: impl FnMut() -> Option<T>) -> T {
    let start = now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(start.elapsed() < within, "{what}: not within {within:?}");
        thread::sleep(Duration::from_millis(20));
    }
}

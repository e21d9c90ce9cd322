//! What the integration tests share.
//!
//! Servers run on loopback, on ports that the kernel picked, and end with the test: when they are
//! dropped, and also when the test process is killed.

#![allow(dead_code, reason = "no test uses everything")]
#![allow(clippy::needless_pass_by_value, reason = "JSON is made where it is handed over")]

pub mod agent;
pub mod api_server;
pub mod assets;
pub mod cgroups;
pub mod cluster;
pub mod crds;
pub mod deeds;
pub mod frames;
pub mod grpcio;
pub mod guarded;
pub mod holdback;
pub mod http1;
pub mod incoming;
pub mod kubeconfig;
pub mod lapses;
pub mod machine;
pub mod membership;
pub mod metrics;
pub mod noisy;
pub mod objects;
pub mod orders;
pub mod outgoing;
pub mod playback;
pub mod recorder;
pub mod relay;
pub mod rest;
pub mod shared_servers;
pub mod view;

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

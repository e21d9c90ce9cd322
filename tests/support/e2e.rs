//! What the end-to-end tests share beside `support`: the binary as a process, a membership to
//! order it about, clusters to watch, orders to send. A test takes it in with
//! `#[path = "support/e2e.rs"] mod e2e;`, next to `support`.

#![allow(dead_code, reason = "no test uses everything")]
#![allow(unreachable_pub, reason = "a test is a crate of its own")]
#![allow(missing_docs, reason = "fields and methods that say what they are by their names")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a broken fixture fails the test")]
#![allow(clippy::needless_pass_by_value, reason = "JSON is made where it is handed over")]

pub mod agent;
pub mod cgroups;
pub mod cluster;
pub mod deeds;
pub mod frames;
pub mod grpcio;
pub mod incoming;
pub mod lapses;
pub mod membership;
pub mod noisy;
pub mod objects;
pub mod orders;
pub mod outgoing;
pub mod playback;
pub mod view;

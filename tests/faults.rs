//! Faults between the agent and its two servers, over real sockets: the built agent, a real API
//! server, and networks in between that hold back, cut, swallow, refuse and throttle.
//!
//! Each test begins with the number of the fault that it belongs to, and
//! fails where its fault never fired. Row 8, late writes, is a target of its own.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]
#![allow(unreachable_pub, reason = "a test is a crate of its own")]

#[path = "faults/dead_watches.rs"]
mod dead_watches;
#[path = "support/e2e.rs"]
mod e2e;
#[path = "faults/errors.rs"]
mod errors;
#[path = "faults/fleet.rs"]
mod fleet;
#[path = "faults/form.rs"]
mod form;
#[path = "faults/kills.rs"]
mod kills;
#[path = "faults/orders.rs"]
mod orders;
#[path = "faults/overload.rs"]
mod overload;
#[path = "faults/scene.rs"]
mod scene;
#[path = "faults/slow.rs"]
mod slow;
#[path = "faults/stale.rs"]
mod stale;
#[path = "faults/storm.rs"]
mod storm;
#[path = "support/support.rs"]
mod support;
#[path = "faults/terminating.rs"]
mod terminating;
#[path = "faults/watches.rs"]
mod watches;

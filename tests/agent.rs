//! The agent between a membership and an embedded cluster, over real sockets.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

#[path = "support/e2e.rs"]
mod e2e;
#[path = "agent/joining.rs"]
mod joining;
#[path = "agent/leaving.rs"]
mod leaving;
#[path = "agent/outage.rs"]
mod outage;
#[path = "agent/races.rs"]
mod races;
#[path = "support/support.rs"]
mod support;

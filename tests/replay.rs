//! `stackherd replay` against a real API server: once with this project's own definitions and, where
//! they are at hand, once with those that real clusters have. No operator and no garbage collector
//! run there: what is seen is the agent's work alone.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

#[path = "replay/clashes.rs"]
mod clashes;
#[path = "replay/contract.rs"]
mod contract;
#[path = "support/e2e.rs"]
mod e2e;
#[path = "replay/going_back.rs"]
mod going_back;
#[path = "replay/leftovers.rs"]
mod leftovers;
#[path = "replay/report.rs"]
mod report;
#[path = "support/support.rs"]
mod support;
#[path = "replay/takeover.rs"]
mod takeover;

use e2e::playback::Playback;
use support::{api_server::ApiServer, crds::Crds, rest::Rest};

/// Runs a scenario on each API server there is.
fn on_each_server(scenario: impl Fn(&Rest, &Playback)) {
    for server in [Crds::Ours, Crds::Operators].into_iter().filter_map(ApiServer::shared) {
        scenario(&server.rest(), &Playback::on(server));
    }
}

//! `stackherd replay` against a real API server: once with this project's own definitions and, where
//! they are at hand, once with those that real clusters have. No operator and no garbage collector
//! run there: what is seen is the agent's work alone.

mod clashes;
mod contract;
mod going_back;
mod leftovers;
mod report;
mod takeover;

use crate::support::{api_server::RealApiServer, crds::Crds, playback::Playback, rest::Rest};

/// Runs a scenario on each API server there is.
fn on_each_server(scenario: impl Fn(&Rest, &Playback)) {
    for server in [Crds::Ours, Crds::Operators].into_iter().filter_map(|crds| RealApiServer::shared(crds)) {
        scenario(&server.rest(), &Playback::on(&server));
    }
}

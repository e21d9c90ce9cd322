//! The agent between a membership and an embedded cluster, over real sockets.

mod joining;
mod leaving;
mod outage;
mod races;

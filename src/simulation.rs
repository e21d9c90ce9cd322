//! The whole agent on simulated time, from one seed.
//!
//! What runs is the agent itself: shards, mailboxes, machines, stores, watches, permits, reports and
//! the session, with the engine, the network and membership's stream replaced underneath
//! ([`shards::simulation`]). Around it stand the pure model of a cluster with an operator and others
//! who write to it, and a membership. Everything that may go wrong is in [`faults::Faults`], and what
//! must hold is checked apart from the world: in [`api_server::Limits`]'s guards with each request,
//! and by [`world::World::wrong`] at the end.
//!
//! `docs/testing.md` says how to run it and what it found.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod api_server;
mod faults;
mod membership;
mod rows;
mod swarm;
mod trace;
mod wishes;
mod world;

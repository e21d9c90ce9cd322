//! A cluster in this process: a pure model of the API server's objects, a server over it, and a
//! membership, for the demo, tests and benches.

// They panic where an output cannot be written, and wait where nobody reads it.
#![cfg_attr(not(test), deny(clippy::print_stdout, clippy::print_stderr))]
#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

pub mod cluster;
pub mod crds;
pub mod failure;
pub mod faults;
pub mod garbage;
pub mod kind;
pub mod managed_fields;
pub mod membership;
pub mod merge_patch;
pub mod metadata;
pub mod names;
pub mod object;
pub mod operator;
pub mod reply;
pub mod respond;
pub mod routes;
pub mod schema;
pub mod selector;
pub mod server;
pub mod store;
pub mod validate;
pub mod watch_log;
pub mod watcher;

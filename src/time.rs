//! The only place that reads the clock. Whatever decides is handed `now` instead.

pub use std::time::{Duration, Instant};

pub use shards::engine::{now, unix_seconds};

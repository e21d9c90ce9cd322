//! The only place that reads the clock, and that adds times up. Whatever decides is handed `now`.

pub use shards::time::{Duration, FOREVER, Instant, after, now, seconds, times, unix_seconds};

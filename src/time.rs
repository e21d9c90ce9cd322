//! The clock and sums of times, as `shards::time` has them. Whatever decides is handed `now`.

pub use shards::time::{Duration, FOREVER, Instant, after, now, seconds, times, unix_seconds};

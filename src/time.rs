//! The only place that reads the clock. Whatever decides is handed `now` instead.

pub use std::time::{Duration, Instant};

/// The monotonic clock, now.
#[allow(clippy::disallowed_methods)]
pub fn now() -> Instant {
    Instant::now()
}

/// Wall-clock seconds since the epoch, for comparing with dates that came from outside
/// (a token's expiry). Never used to measure a duration.
#[allow(clippy::disallowed_methods)]
pub fn unix_seconds() -> i64 {
    match std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH) {
        Ok(since) => i64::try_from(since.as_secs()).unwrap_or(i64::MAX),
        Err(_) => 0,
    }
}

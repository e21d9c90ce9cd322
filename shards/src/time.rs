//! The only place of this crate that reads the clock.

pub(crate) use std::time::{Duration, Instant};

/// The monotonic clock, now.
#[allow(clippy::disallowed_methods)]
pub(crate) fn now() -> Instant {
    Instant::now()
}

//! The clock, and sums of times that cannot overflow.
//!
//! `Instant + Duration` and `Duration * n` panic where the result does not fit, and so do
//! `Duration::from_secs_f64` and `mul_f64` with a number that is negative or none. A header, a flag
//! or a token's answer can name any number, and a panic ends the process. So clippy refuses those
//! operators and methods (see `CONTRIBUTING.md`), and what is added up is added up here.

pub use crate::engine::{now, unix_seconds};
pub use std::time::{Duration, Instant};

/// The longest time that anything waits: a century. No clock that has counted for as long as a
/// machine runs overflows by it.
pub const FOREVER: Duration = Duration::from_secs(100 * 365 * 86_400);

/// That much later, [`FOREVER`] at most.
#[must_use]
pub fn after(from: Instant, wait: Duration) -> Instant {
    from.checked_add(wait.min(FOREVER)).unwrap_or(from)
}

/// That many times as long: [`FOREVER`] at most, and nothing where the factor is negative or no
/// number.
#[must_use]
pub fn times(duration: Duration, factor: f64) -> Duration {
    seconds(duration.as_secs_f64() * factor)
}

/// So many seconds: [`FOREVER`] at most, and nothing where that is negative or no number.
#[must_use]
pub fn seconds(seconds: f64) -> Duration {
    match Duration::try_from_secs_f64(seconds) {
        Ok(duration) => duration.min(FOREVER),
        Err(_) if seconds > 0.0 => FOREVER,
        Err(_) => Duration::ZERO,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_wait_is_too_long_to_be_added() {
        let now = now();
        assert_eq!(after(now, Duration::from_secs(1)), now + Duration::from_secs(1));
        for seconds in [99_999_999, i64::MAX as u64, u64::MAX] {
            let then = after(now, Duration::from_secs(seconds));
            assert!(then > now && then <= now + FOREVER, "{seconds}");
        }
        assert!(after(now, Duration::MAX) > now);
        assert!(after(after(now, Duration::MAX), Duration::MAX) > now);
    }

    #[test]
    fn no_factor_is_too_odd_to_be_multiplied_by() {
        let second = Duration::from_secs(1);
        assert_eq!(times(second, 1.25), Duration::from_millis(1250));
        assert_eq!(times(second, 0.0), Duration::ZERO);
        for huge in [1e308, f64::INFINITY, f64::MAX] {
            assert_eq!(times(second, huge), FOREVER, "{huge}");
        }
        for odd in [-1.0, f64::NAN, f64::NEG_INFINITY, -0.0] {
            assert_eq!(times(second, odd), Duration::ZERO, "{odd}");
        }
        assert_eq!(times(Duration::MAX, 2.0), FOREVER);
    }
}

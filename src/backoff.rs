//! Exponential backoff with equal jitter (a delay is drawn from the upper half of its step), as a pure value.

use crate::time::{Duration, times};

/// The delay after `failures` others: it doubles from the first to the longest, and is drawn from the
/// upper half of its step. `random` lies in `0.0..1.0`.
pub fn delay((first, longest): (Duration, Duration), failures: u32, random: f64) -> Duration {
    let step = first.saturating_mul(1 << failures.min(20)).min(longest);
    times(step, 0.5 + random.clamp(0.0, 1.0) / 2.0)
}

/// [Delays](delay) that double from `base` to `max`, drawn so that many who fail together do not come
/// back together.
#[derive(Debug, Clone)]
pub struct Backoff {
    base: Duration,
    max: Duration,
    failures: u32,
}

impl Backoff {
    /// A backoff whose first delay is at most `base` and whose longest is `max`.
    pub fn new(base: Duration, max: Duration) -> Self {
        Self { base, max, failures: 0 }
    }

    /// Counts a failure and says how long to wait. `random` lies in `0.0..1.0`.
    pub fn fail(&mut self, random: f64) -> Duration {
        let wait = delay((self.base, self.max), self.failures, random);
        self.failures = self.failures.saturating_add(1);
        wait
    }

    /// Failures since the last success.
    pub fn failures(&self) -> u32 {
        self.failures
    }

    /// A success: the next failure starts from `base` again.
    pub fn succeed(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_up_to_the_maximum_and_starts_over_after_a_success() {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(1));
        let delays: Vec<u128> = (0..6).map(|_| backoff.fail(1.0).as_millis()).collect();
        assert_eq!(delays, [100, 200, 400, 800, 1000, 1000]);
        backoff.succeed();
        assert_eq!(backoff.fail(0.0), Duration::from_millis(50));
    }

    #[test]
    fn never_overflows() {
        let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(30));
        for _ in 0..1000 {
            assert!(backoff.fail(0.999) <= Duration::from_secs(30));
        }
    }
}

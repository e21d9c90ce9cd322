//! When to join again. Pure.

use std::time::{Duration, Instant};

use crate::backoff::Backoff;

/// First and longest wait before joining again.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(30));

/// A stream that lived this long was a success: the next failure starts from the first wait.
/// Less would let a server that accepts and drops be joined ten times a second for ever.
const STABLE: Duration = Duration::from_secs(5);

/// The history of joins, as far as it matters for the next.
#[derive(Debug)]
pub(super) struct Reconnect {
    backoff: Backoff,
    joined: Option<Instant>,
}

impl Reconnect {
    pub(super) fn new() -> Self {
        Self { backoff: Backoff::new(BACKOFF.0, BACKOFF.1), joined: None }
    }

    /// The server has answered: the stream stands.
    pub(super) fn joined(&mut self, now: Instant) {
        self.joined = Some(now);
    }

    /// Whether that was so since the last stream ended.
    #[cfg(test)]
    pub(super) fn is_joined(&self) -> bool {
        self.joined.is_some()
    }

    /// The stream, or the try at one, has ended: how long to wait. `random` in `0.0..1.0`.
    pub(super) fn ended(&mut self, now: Instant, random: f64) -> Duration {
        let lived = self.joined.take().map(|since| now.saturating_duration_since(since));
        if lived.is_some_and(|lived| lived >= STABLE) {
            self.backoff.succeed();
        }
        self.backoff.fail(random)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time;

    fn seconds(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    #[test]
    fn refusals_and_short_streams_are_retried_ever_more_slowly_up_to_half_a_minute() {
        let mut now = time::now();
        let mut reconnect = Reconnect::new();
        assert_eq!(reconnect.ended(now, 1.0), Duration::from_millis(100));
        reconnect.joined(now);
        now += seconds(1);
        assert_eq!(reconnect.ended(now, 1.0), Duration::from_millis(200));
        let longest = (0..20).map(|_| reconnect.ended(now, 1.0)).max();
        assert_eq!(longest, Some(seconds(30)));
    }

    #[test]
    fn after_a_stream_that_lived_the_first_wait_is_short_again() {
        let mut now = time::now();
        let mut reconnect = Reconnect::new();
        for _ in 0..10 {
            reconnect.ended(now, 1.0);
        }
        reconnect.joined(now);
        now += seconds(60);
        assert_eq!(reconnect.ended(now, 1.0), Duration::from_millis(100));
    }
}

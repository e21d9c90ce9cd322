//! When to join again and when to send a heartbeat. Pure.

use std::time::{Duration, Instant};

use crate::{backoff::Backoff, time::after};

/// First and longest wait before joining again.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(30));

/// A stream that lived this long was a success: the next failure starts from the first wait.
/// Less would let a server that accepts and drops be joined ten times a second for ever.
const STABLE: Duration = Duration::from_secs(5);

/// How often an unasked Pong is sent.
pub(super) const HEARTBEAT: Duration = Duration::from_secs(5);

/// The history of joins, as far as it matters for the next.
#[derive(Debug)]
pub(super) struct Joining {
    backoff: Backoff,
    joined: Option<Instant>,
}

impl Joining {
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

/// The rhythm of heartbeats: a late one moves the later ones, none is made up for.
#[derive(Debug)]
pub(super) struct Heartbeat {
    next: Instant,
}

impl Heartbeat {
    pub(super) fn new(now: Instant) -> Self {
        Self { next: after(now, HEARTBEAT) }
    }

    /// How long until the next one is due.
    pub(super) fn wait(&self, now: Instant) -> Duration {
        self.next.saturating_duration_since(now)
    }

    /// Whether one is due; if so, the next is a whole interval away.
    pub(super) fn due(&mut self, now: Instant) -> bool {
        let due = now >= self.next;
        if due {
            self.next = after(now, HEARTBEAT);
        }
        due
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
        let mut joining = Joining::new();
        assert_eq!(joining.ended(now, 1.0), Duration::from_millis(100));
        joining.joined(now);
        now += seconds(1);
        assert_eq!(joining.ended(now, 1.0), Duration::from_millis(200));
        let longest = (0..20).map(|_| joining.ended(now, 1.0)).max();
        assert_eq!(longest, Some(seconds(30)));
    }

    #[test]
    fn after_a_stream_that_lived_the_first_wait_is_short_again() {
        let mut now = time::now();
        let mut joining = Joining::new();
        for _ in 0..10 {
            joining.ended(now, 1.0);
        }
        joining.joined(now);
        now += seconds(60);
        assert_eq!(joining.ended(now, 1.0), Duration::from_millis(100));
    }

    #[test]
    fn a_heartbeat_is_due_every_five_seconds_and_once_after_a_stall() {
        let mut now = time::now();
        let mut heartbeat = Heartbeat::new(now);
        assert!(!heartbeat.due(now + seconds(4)));
        assert_eq!(heartbeat.wait(now + seconds(4)), seconds(1));
        now += seconds(60);
        assert!(heartbeat.due(now));
        assert!(!heartbeat.due(now));
        assert_eq!(heartbeat.wait(now), seconds(5));
    }
}

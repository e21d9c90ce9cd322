//! How fast requests may go out: a token bucket, pure, with time passed in.

use std::time::{Duration, Instant};

use crate::time::{after, seconds};

/// The longest that one `Retry-After` may hold everything back.
pub const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// A token bucket: `rate` tokens a second, at most `burst` saved up.
///
/// Over any stretch of `t` seconds it grants at most `burst + rate * t`. A pause (the server
/// sent `Retry-After`) grants nothing until it is over and saves nothing up meanwhile, so that
/// no burst follows it.
#[derive(Debug, Clone)]
pub struct TokenBucket {
    rate: f64,
    burst: f64,
    tokens: f64,
    /// What `tokens` is true of. In the future while paused.
    counted_at: Instant,
}

impl TokenBucket {
    /// A full bucket. `rate` 0 (or less) means unlimited; `burst` is at least one, or nothing
    /// would ever be granted.
    pub fn new(rate: f64, burst: u32, now: Instant) -> Self {
        let burst = f64::from(burst.max(1));
        let rate = if rate.is_finite() && rate > 0.0 { rate } else { 0.0 };
        Self { rate, burst, tokens: burst, counted_at: now }
    }

    /// Takes a token, or says from when on there may be one.
    pub fn take(&mut self, now: Instant) -> Result<(), Instant> {
        if now < self.counted_at {
            return Err(self.ready_at());
        }
        if self.rate == 0.0 {
            return Ok(());
        }
        self.refill(now);
        if self.tokens >= 1.0 {
            self.tokens -= 1.0;
            return Ok(());
        }
        Err(self.ready_at())
    }

    /// Puts back a token that was taken and not used.
    pub fn put_back(&mut self) {
        self.tokens = (self.tokens + 1.0).min(self.burst);
    }

    /// Grants nothing for this long (bounded by [`LONGEST_PAUSE`]), and starts slowly afterwards.
    pub fn pause(&mut self, now: Instant, pause: Duration) {
        let until = after(now, pause.min(LONGEST_PAUSE));
        if until > self.counted_at {
            self.refill(now);
            self.counted_at = until;
            self.tokens = self.tokens.min(1.0);
        }
    }

    /// When a pause that lasts will be over.
    pub fn paused_until(&self, now: Instant) -> Option<Instant> {
        Some(self.counted_at).filter(|until| *until > now)
    }

    fn refill(&mut self, now: Instant) {
        if let Some(passed) = now.checked_duration_since(self.counted_at) {
            self.tokens = (self.tokens + passed.as_secs_f64() * self.rate).min(self.burst);
            self.counted_at = now;
        }
    }

    fn ready_at(&self) -> Instant {
        if self.rate == 0.0 || self.tokens >= 1.0 {
            return self.counted_at;
        }
        // A nanosecond more than the division says, so that rounding never wakes anybody early.
        let missing = (1.0 - self.tokens) / self.rate;
        // No shorter wait than a timer is good for, no longer one than an hour (rates near zero).
        after(self.counted_at, seconds(missing.min(3600.0)).saturating_add(Duration::from_nanos(1)))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn start() -> Instant {
        crate::time::now()
    }

    #[test]
    fn grants_the_burst_at_once_and_then_the_rate() {
        let t0 = start();
        let mut bucket = TokenBucket::new(10.0, 3, t0);
        for _ in 0..3 {
            assert_eq!(bucket.take(t0), Ok(()));
        }
        let at = bucket.take(t0).unwrap_err();
        assert!(at > t0 + Duration::from_millis(99) && at < t0 + Duration::from_millis(101));
        assert_eq!(bucket.take(at), Ok(()));
        assert!(bucket.take(at).is_err());
    }

    #[test]
    fn rate_zero_is_unlimited() {
        let t0 = start();
        let mut bucket = TokenBucket::new(0.0, 1, t0);
        assert!((0..10_000).all(|_| bucket.take(t0).is_ok()));
    }

    #[test]
    fn a_burst_of_zero_still_lets_one_through() {
        let t0 = start();
        let mut bucket = TokenBucket::new(5.0, 0, t0);
        assert_eq!(bucket.take(t0), Ok(()));
    }

    #[test]
    fn a_pause_holds_everything_back_and_no_burst_follows_it() {
        let t0 = start();
        let mut bucket = TokenBucket::new(10.0, 100, t0);
        bucket.pause(t0, Duration::from_secs(5));
        assert_eq!(bucket.take(t0 + Duration::from_secs(4)), Err(t0 + Duration::from_secs(5)));
        let after = t0 + Duration::from_secs(5);
        let granted = (0..100).filter(|_| bucket.take(after).is_ok()).count();
        assert_eq!(granted, 1);
    }

    #[test]
    fn a_pause_holds_an_unlimited_bucket_too() {
        let t0 = start();
        let mut bucket = TokenBucket::new(0.0, 1, t0);
        bucket.pause(t0, Duration::from_secs(1));
        assert_eq!(bucket.take(t0), Err(t0 + Duration::from_secs(1)));
        assert_eq!(bucket.take(t0 + Duration::from_secs(1)), Ok(()));
    }

    #[test]
    fn a_shorter_pause_does_not_cut_a_longer_one_and_none_lasts_for_ever() {
        let t0 = start();
        let mut bucket = TokenBucket::new(10.0, 1, t0);
        bucket.pause(t0, Duration::from_secs(86_400));
        bucket.pause(t0, Duration::from_secs(1));
        assert!(bucket.take(t0 + LONGEST_PAUSE - Duration::from_millis(1)).is_err());
        assert_eq!(bucket.take(t0 + LONGEST_PAUSE), Ok(()));
    }

    #[test]
    fn a_pause_of_any_length_is_over_after_a_minute() {
        for pause in [Duration::from_secs(99_999_999), Duration::from_secs(u64::MAX), Duration::MAX] {
            let t0 = start();
            let mut bucket = TokenBucket::new(10.0, 1, t0);
            bucket.pause(t0, pause);
            assert_eq!(bucket.take(t0 + LONGEST_PAUSE), Ok(()), "{pause:?}");
        }
    }

    #[test]
    fn a_rate_of_any_size_is_one() {
        let t0 = start();
        for rate in [f64::MAX, f64::MIN_POSITIVE, f64::INFINITY, f64::NAN, -1.0] {
            let mut bucket = TokenBucket::new(rate, u32::MAX, t0);
            assert_eq!(bucket.take(t0), Ok(()), "{rate}");
            let mut bucket = TokenBucket::new(rate, 1, t0);
            let _ = bucket.take(t0);
            if let Err(at) = bucket.take(t0) {
                assert!(at > t0 && at <= t0 + Duration::from_secs(3601), "{rate}");
                assert!(bucket.take(t0 + Duration::from_secs(86_400)).is_ok() || rate < 1e-6, "{rate}");
            }
        }
    }

    #[test]
    fn an_unused_token_goes_back() {
        let t0 = start();
        let mut bucket = TokenBucket::new(1.0, 1, t0);
        assert_eq!(bucket.take(t0), Ok(()));
        bucket.put_back();
        bucket.put_back();
        assert_eq!(bucket.take(t0), Ok(()));
        assert!(bucket.take(t0).is_err());
    }

    proptest! {
        #[test]
        fn never_grants_more_than_burst_and_rate_allow(
            rate in 0.5f64..500.0,
            burst in 1u32..50,
            steps in prop::collection::vec(0u64..20_000, 1..300),
        ) {
            let t0 = start();
            let mut bucket = TokenBucket::new(rate, burst, t0);
            let (mut now, mut granted) = (t0, 0u32);
            for micros in steps {
                now += Duration::from_micros(micros);
                while bucket.take(now).is_ok() {
                    granted += 1;
                }
                let allowed = f64::from(burst) + rate * (now - t0).as_secs_f64();
                prop_assert!(f64::from(granted) <= allowed + 1e-6);
            }
        }

        #[test]
        fn at_the_time_it_names_there_is_a_token(rate in 0.5f64..500.0, offset in 0u64..5_000) {
            let t0 = start();
            let mut bucket = TokenBucket::new(rate, 1, t0);
            prop_assert!(bucket.take(t0 + Duration::from_micros(offset)).is_ok());
            let at = bucket.take(t0 + Duration::from_micros(offset)).unwrap_err();
            prop_assert!(bucket.take(at).is_ok());
        }
    }
}

//! The same kind of trouble, said a few times and then now and then, with a count. Pure.
//!
//! A log that says the same thing for each of a million orders, warnings or list items helps nobody,
//! fills disks, and costs more than the trouble itself. So whoever logs something that comes from
//! outside asks here first, by its kind.
//!
//! ```
//! # use stackherd::{log_throttle::LogThrottle, time::now};
//! let mut throttle = LogThrottle::new();
//! if let Some(unsaid) = throttle.say(now(), "no order") {
//!     println!("a message is no order{unsaid}");
//! }
//! ```

use std::{collections::HashMap, fmt, hash::Hash};

use crate::time::{Duration, Instant};

/// Lines of one kind that may come at once after a pause.
const AT_ONCE: u32 = 10;
/// After those, one line each.
const PACE: Duration = Duration::from_secs(20);
/// Kinds that are told apart. More share one allowance, so that memory is bounded whatever a kind is
/// made of.
const MOST_KINDS: usize = 256;

/// See the [module](self). `K` is what makes two lines lines of the same kind: for most a
/// `&'static str` will do.
#[derive(Debug)]
pub struct LogThrottle<K> {
    kinds: HashMap<K, ThrottledKind, ahash::RandomState>,
    /// Kinds beyond those that are told apart.
    others: ThrottledKind,
    at_once: u32,
    pace: Duration,
}

/// What one kind may still say.
#[derive(Debug, Clone, Copy, Default)]
struct ThrottledKind {
    /// Lines that were said and not earned back, and since when the next one is being earned.
    spent: u32,
    since: Option<Instant>,
    unsaid: u64,
}

/// How many lines of a kind were not said since the last one that was. Shows as nothing where there
/// were none, so that it can end any line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unsaid(pub u64);

impl fmt::Display for Unsaid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 => Ok(()),
            n => write!(f, " ({n} more of the kind were not logged)"),
        }
    }
}

impl<K: Hash + Eq> Default for LogThrottle<K> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K: Hash + Eq> LogThrottle<K> {
    /// Ten lines of a kind at once, then three a minute.
    pub fn new() -> Self {
        Self::shared_by(1)
    }

    /// The part of one among so many that log the same kinds (the shards of the process): ten lines
    /// at once as well, and after that three a minute together.
    pub fn shared_by(sharers: usize) -> Self {
        let sharers = u32::try_from(sharers).unwrap_or(u32::MAX).max(1);
        Self { pace: PACE.saturating_mul(sharers), ..Self::with(AT_ONCE) }
    }

    /// Lets every line through: for a run that somebody watches.
    pub fn off() -> Self {
        Self::with(u32::MAX)
    }

    fn with(at_once: u32) -> Self {
        Self { kinds: HashMap::default(), others: ThrottledKind::default(), at_once, pace: PACE }
    }

    /// Whether a line of this kind is to be said now, and how many were not since the last one.
    pub fn say(&mut self, now: Instant, kind: K) -> Option<Unsaid> {
        let (at_once, pace) = (self.at_once, self.pace);
        if !self.kinds.contains_key(&kind) && self.kinds.len() >= MOST_KINDS {
            self.kinds.retain(|_, kind| !kind.is_idle(now, pace));
        }
        let room = self.kinds.len() < MOST_KINDS || self.kinds.contains_key(&kind);
        let kind = if room { self.kinds.entry(kind).or_default() } else { &mut self.others };
        kind.say(now, at_once, pace)
    }

    /// Kinds that something was not said of and that may speak again: how many there were. To be
    /// asked now and then, so that a count is told though nothing of the kind follows. `None` stands
    /// for kinds that were not told apart.
    pub fn overdue(&mut self, now: Instant) -> Vec<(Option<K>, u64)>
    where
        K: Clone,
    {
        let (at_once, pace) = (self.at_once, self.pace);
        let named = self.kinds.iter_mut().map(|(name, kind)| (Some(name), kind));
        named
            .chain([(None, &mut self.others)])
            .filter(|(_, kind)| kind.unsaid > 0)
            .filter_map(|(name, kind)| {
                let unsaid = std::mem::take(&mut kind.unsaid);
                match kind.say(now, at_once, pace) {
                    Some(_) => Some((name.cloned(), unsaid)),
                    None => {
                        kind.unsaid = unsaid;
                        None
                    }
                }
            })
            .collect()
    }
}

impl ThrottledKind {
    fn say(&mut self, now: Instant, at_once: u32, pace: Duration) -> Option<Unsaid> {
        self.earn(now, pace);
        if self.spent >= at_once {
            self.unsaid = self.unsaid.saturating_add(1);
            return None;
        }
        self.spent += 1;
        self.since.get_or_insert(now);
        Some(Unsaid(std::mem::take(&mut self.unsaid)))
    }

    /// Gives back what was earned by now.
    fn earn(&mut self, now: Instant, pace: Duration) {
        let Some(since) = self.since else { return };
        let waited = now.saturating_duration_since(since);
        let earned = waited.as_nanos() / pace.as_nanos().max(1);
        if earned >= u128::from(self.spent) {
            (self.spent, self.since) = (0, None);
        } else if let Ok(earned) = u32::try_from(earned) {
            self.spent -= earned;
            self.since = since.checked_add(pace.saturating_mul(earned));
        }
    }

    /// Whether nothing is lost when it is forgotten.
    fn is_idle(&mut self, now: Instant, pace: Duration) -> bool {
        self.earn(now, pace);
        self.spent == 0 && self.unsaid == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::now;

    #[test]
    fn a_flood_of_one_kind_is_a_few_lines_and_a_count() {
        let (mut throttle, start) = (LogThrottle::new(), now());
        let mut said = Vec::new();
        // A million lines within five minutes.
        for n in 0..1_000_000_u32 {
            said.extend(throttle.say(start + Duration::from_micros(300) * n, "flood"));
        }
        assert_eq!(said.len(), 10 + 14, "ten, then one every 20 s");
        let unsaid: u64 = said.iter().map(|unsaid| unsaid.0).sum();
        let left: u64 = throttle.overdue(start + Duration::from_secs(400)).iter().map(|(_, n)| n).sum();
        assert_eq!(said.len() as u64 + unsaid + left, 1_000_000, "each is said or counted");
    }

    #[test]
    fn kinds_do_not_silence_each_other() {
        let (mut throttle, now) = (LogThrottle::new(), now());
        while throttle.say(now, "loud").is_some() {}
        assert_eq!(throttle.say(now, "other"), Some(Unsaid(0)));
    }

    #[test]
    fn what_was_not_said_is_counted_in_the_next_line() {
        let (mut throttle, now) = (LogThrottle::new(), now());
        for _ in 0..15 {
            throttle.say(now, "kind");
        }
        let next = throttle.say(now + PACE, "kind").unwrap();
        assert_eq!(next, Unsaid(5));
        assert_eq!(next.to_string(), " (5 more of the kind were not logged)");
        assert_eq!(Unsaid(0).to_string(), "");
    }

    #[test]
    fn a_count_is_told_though_nothing_of_the_kind_follows_and_only_once() {
        let (mut throttle, now) = (LogThrottle::new(), now());
        for _ in 0..12 {
            throttle.say(now, "kind");
        }
        assert_eq!(throttle.overdue(now), [], "not yet");
        assert_eq!(throttle.overdue(now + PACE), [(Some("kind"), 2)]);
        assert_eq!(throttle.overdue(now + 2 * PACE), []);
    }

    #[test]
    fn memory_is_bounded_whatever_a_kind_is_made_of() {
        let (mut throttle, start) = (LogThrottle::new(), now());
        let said = (0..100_000).filter(|n| throttle.say(start, *n).is_some()).count();
        assert_eq!(said, MOST_KINDS + AT_ONCE as usize);
        assert_eq!(throttle.kinds.len(), MOST_KINDS);
        assert_eq!(throttle.overdue(start + PACE).len(), 1);
        let later = start + Duration::from_secs(3600);
        assert!(throttle.say(later, 200_000).is_some());
        assert_eq!(throttle.kinds.len(), 1, "what is long over is forgotten");
    }

    #[test]
    fn sharers_divide_what_may_be_said() {
        let (mut throttle, now) = (LogThrottle::shared_by(8), now());
        assert_eq!((0..100).filter(|_| throttle.say(now, ()).is_some()).count(), 10);
        assert_eq!(throttle.say(now + 7 * PACE, ()), None);
        assert!(throttle.say(now + 8 * PACE, ()).is_some());
    }

    #[test]
    fn one_that_is_off_lets_every_line_through() {
        let (mut throttle, now) = (LogThrottle::off(), now());
        assert!((0..10_000).all(|_| throttle.say(now, ()) == Some(Unsaid(0))));
    }

    #[test]
    fn a_clock_that_stands_still_or_jumps_does_no_harm() {
        let (mut throttle, start) = (LogThrottle::new(), now());
        assert!(throttle.say(start + Duration::from_secs(1 << 30), ()).is_some());
        for _ in 0..100 {
            throttle.say(start, ());
        }
        assert!(throttle.say(start + Duration::from_secs(1 << 31), ()).is_some());
    }
}

//! What may go wrong, and how often.

use std::{collections::BTreeMap, time::Duration};

use fastrand::Rng;

/// Faults by their rates. Shares of requests, streams and joins are from 0 to 1; what happens every
/// so often happens at random moments that far apart on average.
#[derive(Debug, Clone, Default)]
pub(crate) struct FaultRates {
    /// Requests that do not get onto the network.
    pub(crate) refuse: f64,
    /// Requests that get lost on the way.
    pub(crate) lose: f64,
    /// Requests whose answers get lost.
    pub(crate) lose_answer: f64,
    /// Requests that are held back for up to `hold_for`, whether or not somebody still waits.
    pub(crate) hold: f64,
    pub(crate) hold_for: Duration,
    /// Requests that are answered with 429, 500, 503 or 504 and not carried out.
    pub(crate) error: f64,
    /// Requests that are carried out and answered with 500 or 504.
    pub(crate) deny: f64,
    /// Requests that nobody answers.
    pub(crate) black_hole: f64,
    /// Lists that show how it was up to `stale_for` versions ago.
    pub(crate) stale_list: f64,
    /// Pages after the first that are refused as expired.
    pub(crate) lost_page: f64,
    /// Watches that are cut in the middle of a line after a while.
    pub(crate) watch_cut: f64,
    /// Watches that fall silent after a while.
    pub(crate) watch_silent: f64,
    /// Watches that say something that is no event.
    pub(crate) watch_garbled: f64,
    /// Watches whose events come up to this late.
    pub(crate) watch_lag: Duration,
    /// There are no bookmarks.
    pub(crate) no_bookmarks: bool,
    /// The log of events is forgotten every so often.
    pub(crate) expire_every: Option<Duration>,
    /// The agent's process is killed every so often, and started anew a little later.
    pub(crate) kill_every: Option<Duration>,
    /// The API server is out of reach for up to half a minute every so often.
    pub(crate) outage_every: Option<Duration>,
    /// The stream to membership breaks every so often.
    pub(crate) cut_every: Option<Duration>,
    /// Joins that are refused.
    pub(crate) join_refused: f64,
    /// Orders that come twice.
    pub(crate) repeat: f64,
    /// Messages that are no orders, as many as these for each order.
    pub(crate) junk: f64,
    /// Somebody else writes to an object every so often: fields of his own.
    pub(crate) annotate_every: Option<Duration>,
    /// Somebody else changes or deletes what the agent wrote every so often.
    pub(crate) meddle_every: Option<Duration>,
}

impl FaultRates {
    /// Some of the faults, each at some rate.
    pub(crate) fn swarm(rng: &mut Rng) -> Self {
        // Few at a time or many, so that both what one fault does alone and what they do together
        // is seen.
        let on = [0.15, 0.3, 0.6][rng.usize(..3)];
        let mut faults = Self { hold_for: Duration::from_secs(rng.u64(1..90)), ..Self::default() };
        for (rate, most) in faults.shares() {
            if rng.f64() < on {
                *rate = most * rng.f64().powi(2);
            }
        }
        if rng.f64() < on {
            faults.watch_lag = Duration::from_millis(rng.u64(..8000));
        }
        faults.no_bookmarks = rng.f64() < on / 2.0;
        for (every, least) in faults.events() {
            if rng.f64() < on {
                *every = Some(Duration::from_secs(rng.u64(least..least * 8)));
            }
        }
        faults
    }

    fn shares(&mut self) -> [(&mut f64, f64); 14] {
        [
            (&mut self.refuse, 0.3),
            (&mut self.lose, 0.3),
            (&mut self.lose_answer, 0.3),
            (&mut self.hold, 0.2),
            (&mut self.error, 0.4),
            (&mut self.deny, 0.3),
            (&mut self.black_hole, 0.1),
            (&mut self.stale_list, 0.8),
            (&mut self.lost_page, 0.5),
            (&mut self.watch_cut, 0.8),
            (&mut self.watch_silent, 0.5),
            (&mut self.watch_garbled, 0.5),
            (&mut self.join_refused, 0.5),
            (&mut self.repeat, 0.5),
        ]
    }

    fn events(&mut self) -> [(&mut Option<Duration>, u64); 6] {
        [
            (&mut self.expire_every, 5),
            (&mut self.kill_every, 8),
            (&mut self.outage_every, 15),
            (&mut self.cut_every, 3),
            (&mut self.annotate_every, 1),
            (&mut self.meddle_every, 4),
        ]
    }
}

/// How often each fault struck.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Struck(BTreeMap<&'static str, u64>);

impl Struck {
    pub(crate) fn count(&mut self, fault: &'static str) {
        *self.0.entry(fault).or_default() += 1;
    }

    pub(crate) fn of(&self, fault: &str) -> u64 {
        self.0.get(fault).copied().unwrap_or_default()
    }

    pub(crate) fn add(&mut self, other: &Self) {
        for (fault, count) in &other.0 {
            *self.0.entry(fault).or_default() += count;
        }
    }
}

impl std::fmt::Display for Struck {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let all: Vec<_> = self.0.iter().map(|(fault, count)| format!("{fault} {count}")).collect();
        f.write_str(&all.join(", "))
    }
}

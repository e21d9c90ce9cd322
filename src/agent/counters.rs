//! What the agent has done so far, readable from other threads.

use std::sync::atomic::{
    AtomicU64,
    Ordering::{Acquire, Release},
};

/// One running total.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds to the total.
    pub fn add(&self, n: u64) {
        self.0.fetch_add(n, Release);
    }

    /// The total now.
    pub fn get(&self) -> u64 {
        self.0.load(Acquire)
    }
}

/// Running totals of one process. Every order that was accepted ends in exactly one of
/// `applied`, `superseded` and `failed`; until then it is pending.
#[derive(Debug, Default)]
pub struct Counters {
    /// Orders that came through the door.
    pub accepted: Counter,
    /// Orders that the cluster shows.
    pub applied: Counter,
    /// Orders that a newer one made pointless.
    pub superseded: Counter,
    /// Orders that the API server refuses; they are tried again at a slow pace.
    pub failed: Counter,
    /// Orders of which a part was left out because it cannot be used.
    pub faulty: Counter,
    /// Orders that have all their objects but those of kinds that cannot be listed; they are among
    /// `failed`, and run again once that goes.
    pub incomplete: Counter,
    /// Requests sent to the API server.
    pub requests: Counter,
    /// Writes among them.
    pub writes: Counter,
}

impl Counters {
    /// Orders that have not come to an end yet. Ends are read before beginnings, so that an
    /// order which ends meanwhile counts as pending rather than the other way round.
    pub fn pending(&self) -> u64 {
        let ended = self.applied.get() + self.superseded.get() + self.failed.get();
        self.accepted.get().saturating_sub(ended)
    }
}

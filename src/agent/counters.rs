//! What the agent has done so far, readable from other threads.

use std::sync::atomic::{
    AtomicU64, AtomicUsize,
    Ordering::{AcqRel, Acquire, Release},
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

/// A number that each shard has a part in.
#[derive(Debug, Default)]
pub struct Gauge(AtomicUsize);

impl Gauge {
    /// A shard's part is another one now.
    pub fn change(&self, from: usize, to: usize) {
        // Wraps round where the part has become smaller, which is what comes out right.
        self.0.fetch_add(to.wrapping_sub(from), AcqRel);
    }

    /// A shard's part is one more now, where all of them together are fewer than `most`.
    pub fn admit(&self, most: usize) -> bool {
        self.0.fetch_update(AcqRel, Acquire, |all| (all < most).then_some(all + 1)).is_ok()
    }

    /// All parts together.
    pub fn get(&self) -> usize {
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
    /// Orders that the API server refuses, which are tried again at a slow pace; and those for stacks
    /// beyond the most that the agent knows of, which are not.
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
    /// Stacks of which something is known: an order that waits, or an object.
    pub stacks: Gauge,
}

impl Counters {
    /// Orders that have not come to an end yet. Ends are read before beginnings, so that an
    /// order which ends meanwhile counts as pending rather than the other way round.
    pub fn pending(&self) -> u64 {
        let ended = self.applied.get() + self.superseded.get() + self.failed.get();
        self.accepted.get().saturating_sub(ended)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gauge_is_the_sum_of_its_parts() {
        let gauge = Gauge::default();
        gauge.change(0, 5);
        gauge.change(0, 3);
        gauge.change(5, 1);
        assert_eq!(gauge.get(), 4);
    }
}

//! What the agent has done so far, readable from other threads.

use std::{
    future::poll_fn,
    sync::atomic::{
        AtomicU64, AtomicUsize,
        Ordering::{AcqRel, Acquire, SeqCst},
    },
    task::Poll,
};

use futures::task::AtomicWaker;

/// One running total.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds to the total. All shards see all totals grow in one order: whoever ends the last order knows.
    pub fn add(&self, n: u64) {
        self.0.fetch_add(n, SeqCst);
    }

    /// The total now.
    pub fn get(&self) -> u64 {
        self.0.load(SeqCst)
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
    /// Who waits until no order is pending.
    settled: AtomicWaker,
}

/// How an order ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OrderEnd {
    /// The cluster shows it.
    Applied,
    /// A newer one made it pointless.
    Superseded,
    /// The API server refuses it, or nobody took it.
    Failed,
}

impl Counters {
    /// Orders that have not come to an end yet. Ends are read before beginnings, so that an
    /// order which ends meanwhile counts as pending rather than the other way round.
    pub fn pending(&self) -> u64 {
        let ended = self.applied.get() + self.superseded.get() + self.failed.get();
        self.accepted.get().saturating_sub(ended)
    }

    /// So many orders came to this end.
    pub fn ended(&self, end: OrderEnd, orders: u64) {
        match end {
            OrderEnd::Applied => self.applied.add(orders),
            OrderEnd::Superseded => self.superseded.add(orders),
            OrderEnd::Failed => self.failed.add(orders),
        }
        if self.pending() == 0 {
            self.settled.wake();
        }
    }

    /// Waits until no order is pending; for one task at a time.
    pub async fn none_pending(&self) {
        poll_fn(|cx| {
            self.settled.register(cx.waker());
            if self.pending() == 0 { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
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

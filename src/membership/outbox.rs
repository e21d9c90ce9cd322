//! What one shard has to tell membership, and in which order. Pure.
//!
//! The protocol has no acknowledgements, and a report that was handed to a stream may be lost
//! with it. So what is told is not a log of changes but the present: an outbox keeps *which*
//! objects there is something to say about, and what there is to say is looked up when its turn
//! comes. It is bounded by the number of objects however long membership is away, the newest
//! status wins, and what is told of one object can never go back.
//!
//! Three queues, each after the one before:
//!
//! 1. *changes*: an object's status changed, or it is gone. At once.
//! 2. *again*: a stack had an order applied, so its objects are told of again. Paced.
//! 3. *everything*: after each join, and on every resync period. Paced.
//!
//! A removal cannot be looked up later. So it is remembered once it was told, and told again after
//! a join and with each resync, twice at least and until it has surely arrived; unless its object
//! is back or a newer order for its stack came.

#[cfg(test)]
mod tests;

use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, Instant},
};

use hashlink::LinkedHashMap;

use crate::{
    order::Trace,
    stack::{
        object::ObjectKey,
        report::{Report, ReportBody},
    },
};

/// A removal that was first told less than this long ago may not have arrived: longer than a
/// connection may leave sent data unacknowledged.
const DOUBT: Duration = Duration::from_secs(30);
/// Removals that are remembered after they were told. Those beyond are told once.
const REMEMBERED: usize = 1 << 16;
/// Objects that a sweep looks up at a time.
const SWEPT_TOGETHER: usize = 64;

/// Where what there is to say is looked up.
pub trait Present {
    /// A place in the order of all objects.
    type Cursor;

    /// What there is to say of an object as it stands; `None` where it is gone or says nothing.
    /// `updated` tells a change of Versions from their first sight.
    fn say(&self, key: &ObjectKey, updated: bool) -> Option<ReportBody>;
    /// Whether the object is there, whatever there is to say of it.
    fn stands(&self, key: &ObjectKey) -> bool;
    /// The objects of a stack of which there is something to say.
    fn of_stack(&self, stack: &str) -> Vec<ObjectKey>;
    /// The place to begin a sweep over all objects at.
    fn begin(&self) -> Self::Cursor;
    /// The next objects of which there is something to say, at most `n`; an empty list is the
    /// end. An object that is there all the time is never passed over.
    fn next(&self, cursor: &mut Self::Cursor, n: usize) -> Vec<ObjectKey>;
}

/// How fast what was told before is told again; `take` is asked before each report.
pub trait Pace {
    /// Lets one more report through, or says from when on it will.
    fn take(&mut self, now: Instant) -> Result<(), Instant>;
}

/// What an outbox gave out.
#[derive(Debug, PartialEq)]
pub struct Taken {
    /// In the order in which they are to be sent.
    pub reports: Vec<Report>,
    /// When there will be more, where the pace holds something back.
    pub more_at: Option<Instant>,
}

/// First come, first served, with at most one entry for each key: `replace` keeps its place.
type KeyedQueue<K, V> = LinkedHashMap<K, V, ahash::RandomState>;

/// See the [module](self).
#[derive(Debug)]
pub struct Outbox<C> {
    changes: KeyedQueue<(ObjectKey, Matter), PendingChange>,
    /// Stacks to be told of again, with the trace of the order that asked for it.
    again: KeyedQueue<Arc<str>, Option<Trace>>,
    /// Objects of the paced queue that is being worked on.
    staged: VecDeque<(ObjectKey, Option<Trace>)>,
    sweep: Option<C>,
    /// Removals that were told, the oldest first.
    reported: KeyedQueue<ObjectKey, Reported>,
}

/// What a change is about: of each object at most *gone* and then *status* wait. A status is
/// looked up when its turn comes, so a second one adds nothing; and what goes makes a status
/// that waits pointless.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Matter {
    Gone,
    Status,
}

#[derive(Debug, Clone)]
struct PendingChange {
    trace: Option<Trace>,
    /// Of Versions: they stood before.
    updated: bool,
    /// Of a removal: when it was reported first.
    reported: Option<Instant>,
}

#[derive(Debug, Clone)]
struct Reported {
    first: Instant,
    twice: bool,
    trace: Option<Trace>,
}

impl<C> Default for Outbox<C> {
    fn default() -> Self {
        Self {
            changes: KeyedQueue::default(),
            again: KeyedQueue::default(),
            staged: VecDeque::new(),
            sweep: None,
            reported: KeyedQueue::default(),
        }
    }
}

impl<C> Outbox<C> {
    /// There is something new to say of an object that stands; `updated` where Versions that
    /// stood before have changed.
    pub fn changed(&mut self, key: ObjectKey, updated: bool, trace: Option<Trace>) {
        // It is there: that it was gone is no longer true.
        self.reported.remove(&key);
        let matter = (key, Matter::Status);
        match self.changes.get_mut(&matter) {
            Some(waiting) => {
                // Versions that were not told of yet are still new.
                waiting.updated &= updated;
                waiting.trace = trace.or_else(|| waiting.trace.take());
            }
            None => {
                self.changes.insert(matter, PendingChange { trace, updated, reported: None });
            }
        }
    }

    /// An object is there of which there is nothing to say yet.
    pub fn appeared(&mut self, key: &ObjectKey) {
        self.reported.remove(key);
    }

    /// An object is gone. What was to be said of it before is no longer said.
    pub fn gone(&mut self, key: ObjectKey, trace: Option<Trace>) {
        self.reported.remove(&key);
        self.report_gone(key, trace, None);
    }

    fn report_gone(&mut self, key: ObjectKey, trace: Option<Trace>, reported: Option<Instant>) {
        self.changes.remove(&(key.clone(), Matter::Status));
        self.changes.replace((key, Matter::Gone), PendingChange { trace, updated: false, reported });
    }

    /// An order for a stack was applied: its objects are told of again, since membership may
    /// have missed a report.
    pub fn applied(&mut self, stack: &Arc<str>, trace: Option<Trace>) {
        self.again.replace(Arc::clone(stack), trace);
    }

    /// An order for this Stack came after its removal was told: whether that had arrived no
    /// longer matters, and telling it again could undo what the order wants.
    pub fn order_came(&mut self, stack: &ObjectKey) {
        self.reported.remove(stack);
    }

    /// A stream was opened: everything is told on it, removals that were told before included.
    pub fn joined<P: Present<Cursor = C>>(&mut self, present: &P) {
        while let Some((key, reported)) = self.reported.pop_front() {
            self.report_gone(key, reported.trace, Some(reported.first));
        }
        self.begin_sweep(present);
    }

    /// Everything is told again, and so are removals that may not have arrived.
    pub fn resync<P: Present<Cursor = C>>(&mut self, now: Instant, present: &P) {
        while let Some((key, reported)) = self.reported.pop_front() {
            if !reported.twice || now.saturating_duration_since(reported.first) < DOUBT {
                self.report_gone(key, reported.trace, Some(reported.first));
            }
        }
        if self.sweep.is_none() {
            self.begin_sweep(present);
        }
    }

    fn begin_sweep<P: Present<Cursor = C>>(&mut self, present: &P) {
        self.sweep = Some(present.begin());
    }

    /// Whether there is anything to be told.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty() && self.again.is_empty() && self.staged.is_empty() && self.sweep.is_none()
    }

    /// Takes up to `n` reports, which are about to be handed to a stream.
    pub fn take<P: Present<Cursor = C>>(
        &mut self,
        now: Instant,
        n: usize,
        present: &P,
        pace: &mut impl Pace,
    ) -> Taken {
        let mut reports = self.take_changes(now, n, present);
        let mut more_at = None;
        while reports.len() < n && self.stage(present) {
            if let Err(at) = pace.take(now) {
                more_at = Some(at);
                break;
            }
            let Some((key, trace)) = self.staged.pop_front() else { break };
            reports.extend(present.say(&key, false).map(|body| Report { body, trace }));
        }
        Taken { reports, more_at }
    }

    /// Takes changes alone, at most `n`: for a process that ends and has no time for the rest.
    pub fn take_changes<P: Present<Cursor = C>>(
        &mut self,
        now: Instant,
        n: usize,
        present: &P,
    ) -> Vec<Report> {
        let mut reports = Vec::new();
        while reports.len() < n
            && let Some(((key, matter), PendingChange { trace, updated, reported })) =
                self.changes.pop_front()
        {
            let body = match matter {
                Matter::Status => present.say(&key, updated),
                Matter::Gone => {
                    let body = ReportBody::gone(&key);
                    let (first, twice) = (reported.unwrap_or(now), reported.is_some());
                    // One that is back by now is told of as it stands.
                    if !present.stands(&key) {
                        self.remember(key, Reported { first, twice, trace: trace.clone() });
                    }
                    body
                }
            };
            reports.extend(body.map(|body| Report { body, trace }));
        }
        reports
    }

    fn remember(&mut self, key: ObjectKey, reported: Reported) {
        if self.reported.len() >= REMEMBERED {
            self.reported.pop_front();
        }
        self.reported.replace(key, reported);
    }

    /// Sees to it that an object of a paced queue is next, where there is one.
    fn stage<P: Present<Cursor = C>>(&mut self, present: &P) -> bool {
        while self.staged.is_empty() {
            if let Some((stack, trace)) = self.again.pop_front() {
                let keys = present.of_stack(&stack).into_iter();
                self.staged.extend(keys.map(|key| (key, trace.clone())));
            } else if let Some(cursor) = &mut self.sweep {
                let keys = present.next(cursor, SWEPT_TOGETHER);
                if keys.is_empty() {
                    self.sweep = None;
                }
                self.staged.extend(keys.into_iter().map(|key| (key, None)));
            } else {
                return false;
            }
        }
        true
    }
}

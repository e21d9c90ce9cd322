//! What outlives a machine: kept per stack between its orders, and only as long as needed.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Instant,
};

use super::{notice::Notice, unsettled::Unsettled};
use crate::{
    order::{Change, StackName},
    stack::{failure::FailureClass, object::ObjectKey, view::View},
};

/// What has to be known of a stack between two runs of its machine.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Carryover {
    /// Writes that may still take effect.
    pub(super) unsettled: Unsettled,
    /// The newest ExistingStack or DeletedStack, kept while something is unsettled: what a late
    /// write breaks is mended by it.
    pub(super) newest: Option<Change>,
    /// Failures in a row.
    pub(super) failures: u32,
    /// How far the order that is tried again has come.
    pub(super) trial: Option<Trial>,
    /// What is known of objects that the store does not show yet. The first look at a store that
    /// has caught up clears it.
    pub(super) view: View,
}

impl Carryover {
    /// Whether there is nothing to be kept.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether an event on this object calls for another run of the order that was put off: it
    /// waits for the object to go, or a lost write to the object is not settled.
    pub fn awaits(&self, key: &ObjectKey) -> bool {
        let waiting = |trial: &Trial| trial.progress.waiting.contains(key);
        self.unsettled.contains(key) || self.trial.as_ref().is_some_and(waiting)
    }

    /// Whether an order of the stack was put off for kinds that were out of play.
    pub fn lacks_kinds(&self) -> bool {
        self.trial.as_ref().is_some_and(|trial| trial.progress.incomplete)
    }

    /// The objects whose last write may yet take effect, as a list for people.
    pub fn unsettled(&self) -> Option<String> {
        let keys: Vec<_> = self.unsettled.keys().map(ToString::to_string).collect();
        (!keys.is_empty()).then(|| keys.join(", "))
    }
}

/// One order over several runs.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Trial {
    /// Which order; another one starts afresh.
    pub(super) change: Change,
    pub(super) progress: Progress,
    /// Nothing is sent before this, since something failed.
    pub(super) pause: Option<Pause>,
}

/// A pause after a transient failure.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Pause {
    pub(super) until: Instant,
    /// What others fail with as well; `None` where the cause is this stack's own.
    pub(super) class: Option<FailureClass>,
}

/// What is counted over the runs of one order.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Progress {
    /// What was said already, by its fingerprint: an order of a thousand clients may have as much to
    /// say, and all of it is looked for again with every word.
    pub(super) told: BTreeSet<u64>,
    /// Among it is that the order, or what it asks for, is at fault.
    pub(super) faulty: bool,
    /// Among it is that kinds are out of play.
    pub(super) incomplete: bool,
    /// How often it was parked.
    pub(super) parks: u32,
    /// Objects whose write was refused and is not tried again before `parked_until`; true where
    /// a fence was refused, too.
    pub(super) parked: BTreeMap<ObjectKey, bool>,
    /// A read was refused, and nothing is tried before `parked_until`.
    pub(super) read_refused: bool,
    /// When to try again what was refused.
    pub(super) parked_until: Option<Instant>,
    /// Terminating objects that have to be gone first.
    pub(super) waiting: BTreeSet<ObjectKey>,
    /// Objects that a lost write was about while this was the order. Under a DeletedStack they
    /// are looked after one by one, also once it is known what became of the write.
    pub(super) suspects: BTreeSet<ObjectKey>,
    /// There was a Stack while this was the order.
    pub(super) stack_seen: bool,
    /// The Stack was read by name while this was the order.
    pub(super) looked: bool,
}

impl Progress {
    /// The same order came once more. Whoever sent it may have missed that there is nothing to
    /// delete, and may have mended what was refused.
    pub(super) fn come_anew(&mut self, stack: &StackName) {
        self.told.remove(&Notice::NothingToDelete { stack: stack.clone() }.fingerprint());
        self.stack_seen = false;
        self.looked = false;
        self.unpark();
    }

    /// What was refused is tried again.
    pub(super) fn unpark(&mut self) {
        self.parked.clear();
        self.read_refused = false;
        self.parked_until = None;
    }
}

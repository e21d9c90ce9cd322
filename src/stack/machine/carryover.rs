//! What outlives a run: kept per stack between its orders, and only as long as needed.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Instant,
};

use super::{RunState, notice::Notice};
use crate::{
    order::{Change, StackName},
    stack::{
        in_doubt::InDoubt,
        object::ObjectKey,
        observed::Observed,
        plan::{Absence, Purpose},
    },
};

/// What has to be known of a stack between two runs of its machine.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Carryover {
    /// Writes that may still take effect.
    pub(super) in_doubt: InDoubt,
    /// The newest ExistingStack or DeletedStack, kept while something is in doubt: what a late
    /// write breaks is mended by it.
    pub(super) newest: Option<Change>,
    /// Failures in a row.
    pub(super) failures: u32,
    /// How far the order that is tried again has come; another one starts afresh.
    pub(super) attempt: Option<(Change, OrderAttempt)>,
    /// What is known of objects that the store does not show. The first look at a store that
    /// has caught up clears it.
    pub(super) observed: Observed,
}

impl Carryover {
    /// Whether there is nothing to be kept.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether an event on this object calls for another run of the order that was put off: it
    /// waits for the object to go, or a write to the object is in doubt.
    pub fn awaits(&self, key: &ObjectKey) -> bool {
        self.in_doubt.contains(key) || self.attempt.as_ref().is_some_and(|(_, it)| it.waiting.contains(key))
    }

    /// Whether an order of the stack was put off for kinds that were out of play.
    pub fn lacks_kinds(&self) -> bool {
        self.attempt.as_ref().is_some_and(|(_, attempt)| attempt.incomplete)
    }

    /// The objects whose last write may yet take effect, as a list for people.
    pub fn in_doubt(&self) -> Option<String> {
        let keys: Vec<_> = self.in_doubt.keys().map(ToString::to_string).collect();
        (!keys.is_empty()).then(|| keys.join(", "))
    }
}

/// One order over several runs.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct OrderAttempt {
    pub(super) state: RunState,
    /// What was said already, by its fingerprint: an order of a thousand clients may have as much to
    /// say, and all of it is looked for again with every word.
    pub(super) said: BTreeSet<u64>,
    /// Among it is that the order, or what it asks for, is at fault.
    pub(super) faulty: bool,
    /// Among it is that kinds are out of play.
    pub(super) incomplete: bool,
    /// Objects of which a write was refused and is not tried again before `retry_rejected`.
    pub(super) rejected: BTreeMap<ObjectKey, Purpose>,
    /// When to try again what was refused.
    pub(super) retry_rejected: Option<Instant>,
    /// How often it was put off for that.
    pub(super) rejections: u32,
    /// Terminating objects that have to be gone first.
    pub(super) waiting: BTreeSet<ObjectKey>,
    /// Objects that a lost write was about while this was the order. Under a DeletedStack they
    /// are looked after one by one, also once it is known what became of the write.
    pub(super) once_in_doubt: BTreeSet<ObjectKey>,
    /// There was a Stack while this was the order.
    pub(super) stack_seen: bool,
    /// The Stack was read by name while this was the order.
    pub(super) stack_read: bool,
}

impl OrderAttempt {
    /// Another order, which pauses for what has failed before like any other.
    pub(super) fn afresh(self) -> Self {
        let state = if let RunState::Pausing(_) = self.state { self.state } else { RunState::Converging };
        Self { state, ..Self::default() }
    }

    /// The same order came once more. Whoever sent it may have missed that there is nothing to
    /// delete, and may have mended what was refused.
    pub(super) fn come_anew(&mut self, stack: &StackName) {
        self.said.remove(&Notice::NothingToDelete { stack: stack.clone() }.fingerprint());
        self.stack_seen = false;
        self.stack_read = false;
        self.retry_rejected();
    }

    /// What was refused is tried again.
    pub(super) fn retry_rejected(&mut self) {
        self.rejected.clear();
        self.retry_rejected = None;
        if self.state == RunState::ReadRejected {
            self.state = RunState::Converging;
        }
    }

    /// How well it is known that there is no Stack, where none was observed.
    pub(super) fn absence(&self, change: &Change) -> Absence {
        let was_seen_to_go = self.stack_seen && *change == Change::Deleted;
        if self.stack_read || was_seen_to_go { Absence::Verified } else { Absence::Observed }
    }
}

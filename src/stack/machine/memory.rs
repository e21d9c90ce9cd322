//! What outlives a machine: kept per stack between its orders, and only as long as needed.

use std::{collections::BTreeSet, time::Instant};

use super::{notice::Notice, unsettled::Unsettled};
use crate::{order::Change, stack::object::ObjectKey};

/// What has to be known of a stack between two runs of its machine.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Memory {
    /// Writes that may still take effect.
    pub(super) unsettled: Unsettled,
    /// The newest ExistingStack or DeletedStack, kept while something is unsettled: what a late
    /// write breaks is mended by it.
    pub(super) newest: Option<Change>,
    /// Failures in a row.
    pub(super) failures: u32,
    /// How far the order that is tried again has come.
    pub(super) trial: Option<Trial>,
}

impl Memory {
    /// Whether there is nothing to be kept.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
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
}

/// What is counted over the runs of one order.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Progress {
    /// What was said already.
    pub(super) told: Vec<Notice>,
    /// How often it was parked.
    pub(super) parks: u32,
    /// How often something was waited for.
    pub(super) waits: u32,
    /// Objects that a lost write was about while this was the order. Under a DeletedStack they
    /// are looked after one by one, also once it is known what became of the write.
    pub(super) suspects: BTreeSet<ObjectKey>,
    /// What to look at before running in full again.
    pub(super) peek: Option<Peek>,
}

/// A cheap look before a full run: while these objects are as they were, there is nothing to do.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Peek {
    /// When to look. An order that comes earlier is a new one and runs in full, also where it
    /// says the same.
    pub(super) at: Instant,
    /// When to run in full anyway, since something was refused.
    pub(super) full_at: Option<Instant>,
    /// Terminating objects that have to be gone first.
    pub(super) waiting: Vec<ObjectKey>,
    /// Absent or terminating objects that a lost create may bring back.
    pub(super) watched: Vec<ObjectKey>,
}

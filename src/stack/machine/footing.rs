//! What children are written on: the Stack that they belong to, by the API server's own word.
//!
//! Kinds are watched one by one, and each view may lag behind the others. A Stack that was deleted
//! and made again may be known by its old uid while its new children are known already: they look
//! like what an earlier Stack of this name left behind, and are not. A view may also be old in whole,
//! after a restart. So what follows from the Stack's uid alone (that an object is an orphan, or what
//! owner a new one gets) is done only once the Stack was read by name, or was written in this run.
//! And that there is no Stack is believed only once a read by name says so.

use std::collections::BTreeSet;

use serde_json::Value;

use super::Machine;
use crate::{
    order::Change,
    stack::{
        object::Object,
        plan::Action,
        view::Known,
        write::{Write, WriteAnswer},
    },
};

/// What the API server said of the Stack in this run.
#[derive(Debug, Clone, Default)]
pub(super) struct Footing {
    /// The Stack's uid, from the answer to a read or a write.
    uid: Option<String>,
    /// Children that belong to another Stack, by uid, as known when the Stack was read: since they
    /// were there before, and it is there after them, their own Stack is gone.
    orphans: BTreeSet<String>,
    /// Such children that a read is to decide about.
    asked: BTreeSet<String>,
}

impl Footing {
    /// A write to the Stack was answered.
    pub(super) fn answered(&mut self, answer: &WriteAnswer) {
        let uid = match answer {
            WriteAnswer::Stored(object) => Some(&object.uid),
            _ => None,
        };
        if self.uid.as_ref() != uid {
            self.orphans.clear();
        }
        self.uid = uid.cloned();
    }

    /// The Stack was read by name.
    pub(super) fn read(&mut self, stack: Option<&Object>) {
        self.uid = stack.map(|stack| stack.uid.clone());
        self.orphans = std::mem::take(&mut self.asked);
    }

    /// A write to a child, or that nothing is sure enough for it.
    pub(super) fn firm(&self, action: Action, owner: &Object) -> Action {
        let stands = self.uid.as_ref() == Some(&owner.uid);
        let firm = match &action {
            Action::Write(Write::Create { .. }) => stands,
            Action::Write(Write::Patch { body, .. }) => {
                stands || body["metadata"].get("ownerReferences").is_none_or(Value::is_null)
            }
            Action::Write(Write::Delete { uid, .. }) => stands && self.orphans.contains(uid),
            _ => true,
        };
        if firm { action } else { Action::Doubt }
    }
}

impl Machine {
    /// Whether the Stack has to be read before its children can be written, or before an order can
    /// be given up since it is not there, which makes it unknown.
    pub(super) fn doubts(&mut self) -> bool {
        if self.misses() {
            let stack = self.stack.clone();
            self.view.forget(&stack);
            return true;
        }
        let mut asked = BTreeSet::new();
        let mut doubtful = false;
        let _ = self.each(&mut |key, action| {
            if action == Action::Doubt && !self.progress.parked.contains_key(key) {
                doubtful = true;
                if let Known::Present(child) = self.view.get(key) {
                    asked.insert(child.uid.clone());
                }
            }
            std::ops::ControlFlow::Continue(())
        });
        if doubtful {
            self.footing.asked = asked;
            let stack = self.stack.clone();
            self.view.forget(&stack);
        }
        doubtful
    }

    /// Whether the Stack that the order is about seems not to be there, by a view alone. What
    /// follows could not be taken back: membership is told that it is gone.
    fn misses(&self) -> bool {
        let gives_up = match self.order.change {
            Change::Existing(_) => false,
            Change::Deleted => !self.progress.stack_seen,
            Change::Disabled(_) => true,
        };
        gives_up && !self.progress.looked && self.view.get(&self.stack) == Known::Absent
    }
}

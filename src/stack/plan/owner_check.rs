//! Whether the uid of the Stack that owns the children is vouched for by the API server's own word.
//!
//! Kinds are watched one by one, and each view may lag behind the others. A Stack that was deleted
//! and made again may be known by its old uid while its new children are known already: they look
//! like what an earlier Stack of this name left behind, and are not. A view may also be old in whole,
//! after a restart. So what follows from the Stack's uid alone (that an object is an orphan, or what
//! owner a new one gets) is done only once the Stack was read by name, or was written in this run.

use std::collections::BTreeSet;

use serde_json::Value;

use super::Action;
use crate::stack::{
    object::Object,
    write::{Write, WriteAnswer},
};

/// What the API server said of the Stack in this run.
#[derive(Debug, Clone, Default)]
pub struct OwnerCheck {
    /// The Stack's uid, from the answer to a read or a write.
    uid: Option<String>,
    /// Children that belong to another Stack, by uid, as known when the Stack was read: since they
    /// were there before, and it is there after them, their own Stack is gone.
    orphans: BTreeSet<String>,
    /// Such children that a read is to decide about.
    asked: BTreeSet<String>,
}

impl OwnerCheck {
    /// A write to the Stack was answered.
    pub fn answered(&mut self, answer: &WriteAnswer) {
        let uid = match answer {
            WriteAnswer::Stored(object) => Some(&object.uid),
            _ => None,
        };
        if self.uid.as_ref() != uid {
            self.orphans.clear();
        }
        self.uid = uid.cloned();
    }

    /// The Stack is about to be read by name, which is to decide about children of these uids.
    pub fn ask(&mut self, orphans: BTreeSet<String>) {
        self.asked = orphans;
    }

    /// The Stack was read by name.
    pub fn read(&mut self, stack: Option<&Object>) {
        self.uid = stack.map(|stack| stack.uid.clone());
        self.orphans = std::mem::take(&mut self.asked);
    }

    /// What is to be done about a child of this owner, or that the owner has to be verified first.
    pub(super) fn verified(&self, action: Action, owner: &Object) -> Action {
        let stands = self.uid.as_ref() == Some(&owner.uid);
        let verified = match &action {
            Action::Write(Write::Create { .. }) => stands,
            Action::Write(Write::Patch { body, .. }) => {
                stands || body["metadata"].get("ownerReferences").is_none_or(Value::is_null)
            }
            Action::Write(Write::Delete { uid, .. }) => stands && self.orphans.contains(uid),
            _ => true,
        };
        if verified { action } else { Action::Unverified }
    }
}

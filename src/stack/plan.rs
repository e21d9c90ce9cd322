//! What is to be done for an order, given what was observed: a pure function.

use std::{
    collections::{BTreeMap, BTreeSet},
    iter,
};

use super::{
    desired::Desired,
    in_doubt::InDoubt,
    object::{Object, ObjectKey},
    observed::{Observation, Observed},
    ownership::is_labelled,
    write::Write,
};
use crate::order::Change;

mod action;
mod owner_check;
mod patch;

pub use action::{Action, child, deleted_stack, fence, is_unwanted, stack, toggled, unwanted};
pub use owner_check::OwnerCheck;

/// All that a plan follows from.
#[derive(Debug, Clone, Copy)]
pub struct PlanInputs<'a> {
    /// The order.
    pub change: &'a Change,
    /// The Stack that it is about.
    pub stack: &'a ObjectKey,
    /// What an ExistingStack asks for; `None` for other orders.
    pub desired: Option<&'a Desired>,
    /// The stack's objects as last observed.
    pub observed: &'a Observed,
    /// Writes whose outcome is unknown.
    pub in_doubt: &'a InDoubt,
    /// Objects that such a write was about while this was the order.
    pub once_in_doubt: &'a BTreeSet<ObjectKey>,
    /// What of each object was refused and is not tried again yet.
    pub rejected: &'a BTreeMap<ObjectKey, Purpose>,
    /// What the API server said of the Stack.
    pub owner: &'a OwnerCheck,
    /// That there is no Stack may be believed: there was one, or it was read by name.
    pub absence: Absence,
}

/// How well it is known that there is no Stack, where none was observed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Absence {
    /// By a view that may lag.
    Observed,
    /// By the API server's own word, or since its removal was seen.
    Verified,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Plan {
    /// Missing writes, the Stack's first. Where there are as many as were asked for, the rest of the
    /// plan is left out: it is of no use before these are answered, and another one then.
    pub writes: Vec<PlannedWrite>,
    /// Terminating objects that have to be gone first.
    pub waits: BTreeSet<ObjectKey>,
    /// Wanted objects that are somebody else's, and by what that shows.
    pub clashes: Vec<(ObjectKey, String)>,
    /// Objects that have to be read, since nothing is known of them.
    pub reads: Vec<ObjectKey>,
    /// Why the Stack has to be read although it is known.
    pub verify: Option<Verify>,
}

/// One missing write.
#[derive(Debug, Clone, PartialEq)]
pub struct PlannedWrite {
    /// The write.
    pub write: Write,
    /// What it is for.
    pub purpose: Purpose,
}

/// What a write is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// To have the object as it shall be.
    Order,
    /// To move its resourceVersion, so that a write in doubt can no longer be applied.
    Fence,
}

/// What a read of the Stack is to decide.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verify {
    /// Whether there is none: what follows could not be taken back, since membership is told so.
    Absence,
    /// Whether its children may be written on its uid, and those of these uids are orphans.
    Owner(BTreeSet<String>),
}

impl PlanInputs<'_> {
    /// The plan, with so many writes at most.
    pub fn plan(&self, most: usize) -> Plan {
        let mut plan = Plan::default();
        let mut orphans = None;
        let first = self.stack_action();
        let owner = self.owner(first.as_ref());
        let others = self.children(owner).into_iter().map(|key| (key, self.child_action(key, owner)));
        for (key, action) in iter::once((self.stack, first)).chain(others) {
            let Some(action) = action else { continue };
            let rejected = self.rejected.contains_key(key);
            let planned = match action {
                Action::Write(write) if !rejected => Some(PlannedWrite { write, purpose: Purpose::Order }),
                Action::Write(_) | Action::Nothing => self.fence(key),
                Action::Wait => {
                    plan.waits.insert(key.clone());
                    None
                }
                Action::Clash(reason) => {
                    plan.clashes.push((key.clone(), reason));
                    None
                }
                Action::Unverified => {
                    if !rejected {
                        let uid = self.known(key).flatten().map(|child| child.uid.clone());
                        orphans.get_or_insert_with(BTreeSet::new).extend(uid);
                    }
                    None
                }
            };
            plan.writes.extend(planned);
            if plan.writes.len() >= most {
                return plan;
            }
        }
        plan.reads = self.unknown();
        plan.verify = if self.seems_absent() { Some(Verify::Absence) } else { orphans.map(Verify::Owner) };
        plan
    }

    /// Whether an object needs a write, were it not rejected.
    pub fn needs_write(&self, key: &ObjectKey) -> bool {
        let first = self.stack_action();
        let action =
            if key == self.stack { first } else { self.child_action(key, self.owner(first.as_ref())) };
        matches!(action, Some(Action::Write(_) | Action::Unverified))
    }

    /// What is to be done about the Stack; `None` where nothing is known of it.
    fn stack_action(&self) -> Option<Action> {
        let (name, observed) = (&*self.stack.name, self.known(self.stack)?);
        match (self.change, self.desired) {
            (Change::Existing(_), desired) => Some(stack(name, desired?, observed)),
            (Change::Deleted, _) => Some(deleted_stack(name, observed)),
            (Change::Disabled(disabled), _) => Some(toggled(name, observed, *disabled)),
        }
    }

    /// The Stack of an ExistingStack, where it is as it shall be, or stands and will not be taken any
    /// further: only then are its children looked at.
    fn owner(&self, stack_action: Option<&Action>) -> Option<&Object> {
        let settled = match stack_action? {
            Action::Nothing => true,
            Action::Write(_) => self.rejected.contains_key(self.stack),
            Action::Wait | Action::Clash(_) | Action::Unverified => false,
        };
        self.known(self.stack)?.filter(|_| settled && self.desired.is_some())
    }

    /// What is to be done about another object than the Stack; `None` where nothing is known of it.
    fn child_action(&self, key: &ObjectKey, owner: Option<&Object>) -> Option<Action> {
        let (name, observed) = (&*self.stack.name, self.known(key)?);
        match (self.change, self.desired) {
            (Change::Existing(_), desired) => {
                let (desired, owner) = (desired?, owner?);
                Some(match desired.child(key) {
                    Some(wanted) => {
                        self.owner.verified(child(name, desired, wanted, observed, &owner.uid), owner)
                    }
                    None if is_unwanted(desired, key) => unwanted(name, observed),
                    None => Action::Nothing,
                })
            }
            (Change::Deleted, _) => Some(unwanted(name, observed)),
            (Change::Disabled(_), _) => Some(Action::Nothing),
        }
    }

    /// The other objects that the order is about: what it wants, what it does not want any more, and
    /// what may have to be fenced.
    fn children(&self, owner: Option<&Object>) -> Vec<&ObjectKey> {
        let in_doubt = self.once_in_doubt.iter().filter(|key| *key != self.stack);
        let in_doubt = in_doubt.filter_map(|key| self.known(key)?);
        let Some(desired) = self.desired else {
            let known = self.known(self.stack).is_some();
            return in_doubt.filter(|_| known).map(|object| &object.key).collect();
        };
        if owner.is_none() {
            return Vec::new();
        }
        let is_dropped =
            |object: &&Object| is_labelled(object, &self.stack.name) && is_unwanted(desired, &object.key);
        let others = |object: &&Object| !is_dropped(object) && desired.child(&object.key).is_none();
        let objects = self.observed.present().filter(is_dropped).chain(in_doubt.filter(others));
        desired.children.iter().map(|child| &child.key).chain(objects.map(|object| &object.key)).collect()
    }

    /// The object, or that there is none; `None` where nothing is known.
    fn known(&self, key: &ObjectKey) -> Option<Option<&Object>> {
        match self.observed.get(key) {
            Observation::Present(object) => Some(Some(object)),
            Observation::Absent => Some(None),
            Observation::Unknown => None,
        }
    }

    /// A fence where a lost patch or delete could still take effect and the order needs no write
    /// of its own.
    fn fence(&self, key: &ObjectKey) -> Option<PlannedWrite> {
        let object = self.known(key)??;
        let rejected = self.rejected.get(key) == Some(&Purpose::Fence);
        let needed = !object.terminating && self.in_doubt.may_still_apply(object);
        (needed && !rejected).then(|| PlannedWrite { write: fence(object), purpose: Purpose::Fence })
    }

    /// What has to be read before anything else can be decided.
    fn unknown(&self) -> Vec<ObjectKey> {
        let mut keys: BTreeSet<&ObjectKey> = self.once_in_doubt.iter().chain([self.stack]).collect();
        if let Some(desired) = self.desired {
            keys.extend(self.observed.stale());
            keys.extend(desired.children.iter().map(|child| &child.key));
        }
        let is_unknown = |key: &&ObjectKey| matches!(self.observed.get(key), Observation::Unknown);
        keys.into_iter().filter(is_unknown).cloned().collect()
    }

    /// Whether the Stack that the order is about seems not to be there, and is nothing else to be
    /// believed by.
    fn seems_absent(&self) -> bool {
        !matches!(self.change, Change::Existing(_))
            && self.absence == Absence::Observed
            && self.observed.get(self.stack) == Observation::Absent
    }
}

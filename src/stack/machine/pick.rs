//! Which write comes next.

use std::ops::ControlFlow::{self, Break, Continue};

use super::Machine;
use crate::{
    order::Change,
    stack::{
        object::{Object, ObjectKey},
        plan::{self, Action, standing::is_labelled},
        view::Known,
        write::Write,
    },
};

impl Machine {
    /// The next write and whether it is a fence.
    pub(super) fn pick(&self) -> Option<(Write, bool)> {
        let mut picked = None;
        let _ = self.each(&mut |key, action| {
            picked = match action {
                Action::Write(write) if !self.progress.parked.contains_key(key) => Some((write, false)),
                Action::Write(_) | Action::Nothing => self.fence(key).map(|write| (write, true)),
                Action::Wait | Action::Clash(_) | Action::Doubt => None,
            };
            if picked.is_some() { Break(()) } else { Continue(()) }
        });
        picked
    }

    /// A fence where a lost patch or delete could still take effect and the order needs no write
    /// of its own.
    fn fence(&self, key: &ObjectKey) -> Option<Write> {
        let Known::Present(object) = self.view.get(key) else { return None };
        let refused = self.progress.parked.get(key).copied().unwrap_or_default();
        let needed = !object.terminating && self.unsettled.may_strike(object);
        (needed && !refused).then(|| plan::fence(object))
    }

    /// Visits what is to be done about each object that is known and has no write in flight, the
    /// Stack first. Children are visited only where the Stack is as it shall be, or where it
    /// stands and will not be taken any further.
    pub(super) fn each(
        &self,
        visit: &mut dyn FnMut(&ObjectKey, Action) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        let name = self.order.stack.as_str();
        if self.flies(&self.stack) {
            return Continue(());
        }
        let stack = match self.view.get(&self.stack) {
            Known::Present(object) => Some(object),
            Known::Absent => None,
            Known::Unknown => return Continue(()),
        };
        match (&self.order.change, &self.desired) {
            (Change::Existing(_), Some(desired)) => {
                let action = plan::stack(name, desired, stack);
                let settled = match &action {
                    Action::Nothing => true,
                    Action::Write(_) => self.progress.parked.contains_key(&self.stack),
                    Action::Wait | Action::Clash(_) | Action::Doubt => false,
                };
                visit(&self.stack, action)?;
                match stack {
                    Some(owner) if settled => self.each_child(name, owner, visit),
                    _ => Continue(()),
                }
            }
            (Change::Deleted, _) => {
                visit(&self.stack, plan::deleted_stack(name, stack))?;
                self.each_suspect(visit, &mut |object| Some(plan::unwanted(name, Some(object))))
            }
            (Change::Disabled(disabled), _) => {
                visit(&self.stack, plan::toggled(name, stack, *disabled))?;
                self.each_suspect(visit, &mut |_| Some(Action::Nothing))
            }
            (Change::Existing(_), None) => Continue(()),
        }
    }

    fn each_child(
        &self,
        name: &str,
        owner: &Object,
        visit: &mut dyn FnMut(&ObjectKey, Action) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        let Some(desired) = &self.desired else { return Continue(()) };
        for child in desired.children.iter().filter(|child| !self.flies(&child.key)) {
            let observed = match self.view.get(&child.key) {
                Known::Present(object) => Some(object),
                Known::Absent => None,
                Known::Unknown => continue,
            };
            let action = plan::child(name, desired, child, observed, &owner.uid);
            visit(&child.key, self.footing.firm(action, owner))?;
        }
        let clients = &self.context.catalog.auth_client.plural;
        let mine = |object: &&Object| is_labelled(object, name) && !self.flies(&object.key);
        for object in self.view.present().filter(mine) {
            if plan::is_unwanted(desired, &object.key, clients) {
                visit(&object.key, plan::unwanted(name, Some(object)))?;
            }
        }
        // What this order neither wants nor deletes may still have to be fenced.
        self.each_suspect(visit, &mut |object| {
            let deleted = plan::is_unwanted(desired, &object.key, clients) && is_labelled(object, name);
            let visited = deleted || desired.child(&object.key).is_some();
            (!visited).then_some(Action::Nothing)
        })
    }

    /// Visits the children that lost writes were about and that are there.
    fn each_suspect(
        &self,
        visit: &mut dyn FnMut(&ObjectKey, Action) -> ControlFlow<()>,
        action: &mut dyn FnMut(&Object) -> Option<Action>,
    ) -> ControlFlow<()> {
        for key in self.progress.suspects.iter().filter(|key| **key != self.stack && !self.flies(key)) {
            if let Known::Present(object) = self.view.get(key)
                && let Some(action) = action(object)
            {
                visit(key, action)?;
            }
        }
        Continue(())
    }

    pub(super) fn flies(&self, key: &ObjectKey) -> bool {
        self.flights.iter().any(|flight| flight.write.key() == key)
    }
}

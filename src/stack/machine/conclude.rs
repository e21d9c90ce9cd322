//! The end of a run: nothing to read, nothing to write, nothing in flight.

use std::{collections::BTreeSet, ops::ControlFlow::Continue, time::Instant};

use super::{Machine, MachineStep, Notice};
use crate::{
    order::Change,
    stack::{object::ObjectKey, plan::Action, view::Known},
    time::after,
};

/// What keeps a run from being the last one of its order.
#[derive(Default)]
struct Obstacles {
    waiting: BTreeSet<ObjectKey>,
    refused: bool,
}

impl Machine {
    pub(super) fn conclude(&mut self, now: Instant) -> MachineStep {
        let Obstacles { waiting, refused } = self.obstacles();
        self.tell_end();
        self.failures = 0;
        let fallback = after(now, self.context.options.fallback);
        let parked = refused.then(|| self.park(now));
        let is_waiting = !waiting.is_empty();
        self.progress.waiting = waiting;
        match parked {
            _ if is_waiting => {
                let at = parked.map_or(fallback, |parked| parked.min(fallback));
                MachineStep::Later { at, refused: false }
            }
            Some(at) => MachineStep::Later { at, refused: true },
            None => self.attend(fallback),
        }
    }

    /// When to try again what was refused. Once set, that holds: a run that an event brought on
    /// does not make it sooner, nor later.
    fn park(&mut self, now: Instant) -> Instant {
        if let Some(at) = self.progress.parked_until {
            return at;
        }
        let at = after(now, self.context.delay(self.context.options.park, self.progress.parks));
        self.progress.parks = self.progress.parks.saturating_add(1);
        self.progress.parked_until = Some(at);
        at
    }

    fn attend(&mut self, fallback: Instant) -> MachineStep {
        let options = &self.context.options;
        match self.unsettled.next_expiry(options.create_may_arrive) {
            Some(expiry) => MachineStep::Attend { at: expiry.min(fallback) },
            _ => {
                self.finished = true;
                MachineStep::Done
            }
        }
    }

    fn obstacles(&mut self) -> Obstacles {
        let refused = self.progress.read_refused || !self.progress.parked.is_empty();
        let mut obstacles = Obstacles { refused, ..Obstacles::default() };
        if self.progress.read_refused {
            return obstacles;
        }
        let mut clashes = Vec::new();
        let _ = self.each(&mut |key, action| {
            match action {
                Action::Wait => {
                    obstacles.waiting.insert(key.clone());
                }
                Action::Clash(reason) => clashes.push((key.clone(), reason)),
                Action::Nothing | Action::Write(_) | Action::Doubt => {}
            }
            Continue(())
        });
        obstacles.refused |= !clashes.is_empty();
        // What it needs of kinds that are out of play is missing: whatever replaces it may, and it is run
        // again once they are back.
        if let Some(desired) = self.desired.as_ref().filter(|desired| !desired.withheld.is_empty()) {
            obstacles.refused = true;
            let kinds = desired.withheld.clone();
            self.say(Notice::Incomplete { stack: self.order.stack.clone(), kinds });
        }
        for (key, reason) in clashes {
            self.say(Notice::Clash { stack: self.order.stack.clone(), key, reason });
        }
        obstacles
    }

    /// What the end of an order has to tell besides what kept it from being applied.
    fn tell_end(&mut self) {
        let stack = self.order.stack.clone();
        let notice = match (&self.order.change, self.view.get(&self.stack)) {
            (Change::Deleted, Known::Absent) if !self.progress.stack_seen => {
                Notice::NothingToDelete { stack }
            }
            (Change::Disabled(disabled), Known::Absent) => Notice::NoStack { stack, disabled: *disabled },
            (Change::Disabled(disabled), Known::Present(object)) if object.terminating => {
                Notice::Terminating { stack, disabled: *disabled }
            }
            _ => return,
        };
        self.say(notice);
    }
}

//! The end of a run: nothing to read, nothing to write, nothing in flight.

use std::time::Instant;

use super::{Machine, MachineStep, Notice, State};
use crate::{
    guard::{self, Guard},
    order::Change,
    stack::observed::Observation,
    time::after,
};

impl Machine {
    /// The plan is worked off, but for what it waits for and what is not for the agent to write.
    pub(super) fn finish(&mut self, now: Instant) -> MachineStep {
        let plan = self.plan();
        let (waits, clashes) = (plan.waits.clone(), plan.clashes.clone());
        let mut rejected = !self.attempt.rejected.is_empty() || !clashes.is_empty();
        // What it needs of kinds that are out of play is missing: whatever replaces it may, and it is run
        // again once they are back.
        if let Some(desired) = self.desired.as_ref().filter(|desired| !desired.withheld.is_empty()) {
            rejected = true;
            let kinds = desired.withheld.clone();
            self.say(Notice::Incomplete { stack: self.order.stack.clone(), kinds });
        }
        for (key, reason) in clashes {
            self.say(Notice::Clash { stack: self.order.stack.clone(), key, reason });
        }
        self.say_end();
        self.failures = 0;
        let fallback = after(now, self.context.options.fallback);
        let retry_rejected = rejected.then(|| self.retry_rejected(now));
        self.attempt.waiting = waits;
        match retry_rejected {
            at if !self.attempt.waiting.is_empty() => {
                MachineStep::Retry { at: at.map_or(fallback, |at| at.min(fallback)) }
            }
            Some(at) => MachineStep::Rejected { at },
            None => self.attend(fallback),
        }
    }

    /// Nothing can be decided, since a read was refused.
    pub(super) fn finish_rejected(&mut self, now: Instant) -> MachineStep {
        self.say_end();
        self.failures = 0;
        MachineStep::Rejected { at: self.retry_rejected(now) }
    }

    /// When to try again what was refused. Once set, that holds: a run that an event brought on
    /// does not make it sooner, nor later.
    fn retry_rejected(&mut self, now: Instant) -> Instant {
        if let Some(at) = self.attempt.retry_rejected {
            return at;
        }
        let at = after(now, self.context.delay(self.context.options.rejected, self.attempt.rejections));
        self.attempt.rejections = self.attempt.rejections.saturating_add(1);
        self.attempt.retry_rejected = Some(at);
        at
    }

    fn attend(&mut self, fallback: Instant) -> MachineStep {
        let options = &self.context.options;
        match self.in_doubt.next_expiry(options.create_may_arrive) {
            Some(expiry) if guard::stands(Guard::AwaitCreates) => {
                MachineStep::Attend { at: expiry.min(fallback) }
            }
            _ => {
                self.attempt.state = State::Done;
                MachineStep::Done
            }
        }
    }

    /// What the end of an order has to tell besides what kept it from being applied.
    fn say_end(&mut self) {
        let stack = self.order.stack.clone();
        let notice = match (&self.order.change, self.observed.get(&self.stack)) {
            (Change::Deleted, Observation::Absent) if !self.attempt.stack_seen => {
                Notice::NothingToDelete { stack }
            }
            (Change::Disabled(disabled), Observation::Absent) => {
                Notice::NoStack { stack, disabled: *disabled }
            }
            (Change::Disabled(disabled), Observation::Present(object)) if object.terminating => {
                Notice::Terminating { stack, disabled: *disabled }
            }
            _ => return,
        };
        self.say(notice);
    }
}

//! Where a run stands, and what each state does next.

use std::time::{Duration, Instant};

use super::{Machine, MachineStep, Notice};
use crate::{
    order::Change,
    stack::{
        object::ObjectKey,
        observed::Observation,
        plan::{Plan, PlanInputs, PlannedWrite, Verify},
        write::{FailureClass, Write},
    },
    time::after,
};

/// Where a run stands.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) enum RunState {
    /// The plan is worked off.
    #[default]
    Converging,
    /// A request failed: nothing is sent for a while.
    Pausing(Pause),
    /// A read was refused: nothing is sent before it is tried again.
    ReadRejected,
    /// The cluster shows what the order asks for.
    Done,
}

/// A pause after a transient failure.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Pause {
    pub(super) until: Instant,
    /// What others fail with as well; `None` where the cause is this stack's own.
    pub(super) class: Option<FailureClass>,
}

/// A write whose answer is awaited.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Flight {
    pub(super) planned: PlannedWrite,
    /// Of the order it was computed for.
    pub(super) generation: u32,
}

impl Machine {
    /// What has failed that others fail with as well, while the stack pauses for it.
    pub fn fails_with(&self, now: Instant) -> Option<&FailureClass> {
        self.pause(now)?.class.as_ref()
    }

    /// What the stack pauses for is over.
    pub fn resume(&mut self) {
        if let RunState::Pausing(_) = self.attempt.state {
            self.attempt.state = RunState::Converging;
        }
    }

    /// What to do now. It may be asked again after any step, and after another
    /// [`Machine::refresh`] the answer may be another one.
    pub fn next(&mut self, now: Instant) -> MachineStep {
        self.attempt.waiting.clear();
        self.in_doubt.expire(now, self.context.options.create_may_arrive);
        if self.is_superseding() {
            return MachineStep::Await;
        }
        self.pass_time(now);
        match &self.attempt.state {
            RunState::Converging | RunState::Done => self.converge(now),
            _ if !self.flights.is_empty() => MachineStep::Await,
            RunState::Pausing(pause) => MachineStep::Retry { at: pause.until },
            RunState::ReadRejected => self.finish_rejected(now),
        }
    }

    /// What ends by itself does.
    fn pass_time(&mut self, now: Instant) {
        if self.pause(now).is_some() {
            return;
        }
        self.resume();
        if self.attempt.retry_rejected.is_some_and(|at| at <= now) {
            self.attempt.retry_rejected();
            self.plan = None;
        }
    }

    fn converge(&mut self, now: Instant) -> MachineStep {
        self.attempt.state = RunState::Converging;
        if self.next_write().is_some() {
            return MachineStep::Write;
        }
        if !self.flights.is_empty() {
            return MachineStep::Await;
        }
        let plan = self.plan();
        if !plan.reads.is_empty() {
            return MachineStep::Read(plan.reads.clone());
        }
        match plan.verify.clone() {
            Some(verify) => self.verify(verify),
            None => self.finish(now),
        }
    }

    /// The Stack is read although it is known.
    fn verify(&mut self, verify: Verify) -> MachineStep {
        if let Verify::Owner(orphans) = verify {
            self.owner.ask(orphans);
        }
        self.observed.mark_stale(&self.stack);
        self.plan = None;
        MachineStep::Read(vec![self.stack.clone()])
    }

    /// The next write, decided now; the driver holds a permit. `None`: nothing is left to write.
    pub fn write(&mut self, now: Instant) -> Option<Write> {
        let rejected = self.attempt.state == RunState::ReadRejected;
        if rejected || self.is_superseding() || self.pause(now).is_some() {
            return None;
        }
        let planned = self.next_write()?.clone();
        let write = planned.write.clone();
        self.flights.push(Flight { planned, generation: self.generation });
        Some(write)
    }

    /// The first planned write that may go out beside those in flight.
    fn next_write(&mut self) -> Option<&PlannedWrite> {
        if self.flights.len() >= self.context.options.children_in_flight || self.flies(&self.stack) {
            return None;
        }
        self.plan();
        let planned = &self.plan.as_ref()?.writes;
        planned.iter().find(|planned| !self.flies(planned.write.key()))
    }

    pub(super) fn plan(&mut self) -> &Plan {
        let plan = self.plan.take().unwrap_or_else(|| self.compute_plan());
        #[cfg(test)]
        assert_eq!(plan, self.compute_plan(), "what a plan follows from has changed");
        self.plan.insert(plan)
    }

    fn compute_plan(&self) -> Plan {
        self.plan_inputs().plan(self.context.options.children_in_flight)
    }

    pub(super) fn plan_inputs(&self) -> PlanInputs<'_> {
        PlanInputs {
            change: &self.order.change,
            stack: &self.stack,
            desired: self.desired.as_deref(),
            observed: &self.observed,
            in_doubt: &self.in_doubt,
            once_in_doubt: &self.attempt.once_in_doubt,
            rejected: &self.attempt.rejected,
            owner: &self.owner,
            absence: self.attempt.absence(&self.order.change),
        }
    }

    /// Whether writes of an order before this one are under way.
    pub(super) fn is_superseding(&self) -> bool {
        self.flights.iter().any(|flight| flight.generation != self.generation)
    }

    pub(super) fn flies(&self, key: &ObjectKey) -> bool {
        self.flights.iter().any(|flight| flight.planned.write.key() == key)
    }

    /// The pause that lasts.
    fn pause(&self, now: Instant) -> Option<&Pause> {
        match &self.attempt.state {
            RunState::Pausing(pause) if pause.until > now => Some(pause),
            _ => None,
        }
    }

    /// A transient failure: the whole stack pauses. Failures of writes that were in flight
    /// together count once.
    pub(super) fn pause_for(
        &mut self,
        now: Instant,
        class: Option<FailureClass>,
        retry_after: Option<Duration>,
    ) {
        let retry = self.context.options.retry;
        let pause = match self.pause(now) {
            Some(pause) => pause.clone(),
            None => {
                let delay = self.context.delay(retry, self.failures);
                self.failures = self.failures.saturating_add(1);
                Pause { until: after(now, delay), class }
            }
        };
        // Not sooner than asked for, and not all at once either.
        let asked = retry_after.map(|asked| after(now, asked.saturating_add(self.context.delay(retry, 0))));
        let until = asked.map_or(pause.until, |at| at.max(pause.until));
        self.attempt.state = RunState::Pausing(Pause { until, ..pause });
    }

    /// The plan is worked off, but for what it waits for and what is not for the agent to write.
    fn finish(&mut self, now: Instant) -> MachineStep {
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
    fn finish_rejected(&mut self, now: Instant) -> MachineStep {
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
            Some(expiry) => MachineStep::Attend { at: expiry.min(fallback) },
            None => {
                self.attempt.state = RunState::Done;
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

//! What comes back: reads and answers folded into what is known.

use std::{
    ops::ControlFlow::{Break, Continue},
    time::{Duration, Instant},
};

use super::{Flight, Machine, Notice, memory::Peek};
use crate::stack::{
    object::{Object, ObjectKey},
    plan::Action,
    view::Known,
    write::{Answer, ReadError, Refusal, Scope, Write},
};

impl Machine {
    /// A read that was asked for by the last [`super::Step::Read`] came back.
    pub fn observed(&mut self, now: Instant, scope: &Scope, read: Result<Vec<Object>, ReadError>) {
        match read {
            Ok(objects) => {
                self.fold(scope, objects);
                if let Some(peek) = self.progress.peek.take()
                    && !self.shows_news(&peek)
                {
                    self.progress.peek = Some(peek);
                    self.idle = true;
                }
            }
            Err(ReadError::Failed { subject, cause, retry_after }) => {
                self.fail(now, format!("read {subject}"), cause, retry_after);
            }
            Err(ReadError::Refused { subject, refusal }) => {
                self.progress.peek = None;
                self.read_refused = true;
                self.refuse(format!("read {subject}"), refusal);
            }
        }
    }

    fn fold(&mut self, scope: &Scope, mut objects: Vec<Object>) {
        match scope {
            Scope::Whole(_) => {
                self.view.replace(&self.stack, objects);
                // What a list by label does not show may be there all the same.
                let keys: Vec<ObjectKey> =
                    self.unsettled.keys().filter(|key| self.view.is_known_by_name(key)).cloned().collect();
                keys.iter().for_each(|key| self.settle(key));
            }
            Scope::Stack(_) => self.see(&self.stack.clone(), objects.pop()),
            Scope::Objects(keys) => {
                for key in keys {
                    let at = objects.iter().position(|object| object.key == *key);
                    self.see(key, at.map(|at| objects.swap_remove(at)));
                }
            }
        }
    }

    fn see(&mut self, key: &ObjectKey, object: Option<Object>) {
        self.view.set(key, object);
        self.settle(key);
    }

    /// What is known of the object is newer than its lost writes: it tells which may still strike.
    fn settle(&mut self, key: &ObjectKey) {
        match self.view.get(key) {
            Known::Present(object) => self.unsettled.seen(key, Some(object)),
            Known::Absent => self.unsettled.seen(key, None),
            Known::Unknown => {}
        }
    }

    /// Whether a look at the objects of `peek` calls for a full run.
    fn shows_news(&self, peek: &Peek) -> bool {
        let present = |key: &ObjectKey| match self.view.get(key) {
            Known::Present(object) => Some(object.terminating),
            _ => None,
        };
        peek.waiting.iter().any(|key| present(key) != Some(true))
            || peek.watched.iter().any(|key| present(key) == Some(false))
    }

    /// A write that [`Machine::write`] gave out was answered.
    pub fn answered(&mut self, now: Instant, write: &Write, answer: Answer) {
        let key = write.key().clone();
        let at = self.flights.iter().position(|flight| flight.write == *write);
        let flight = at.map(|at| self.flights.swap_remove(at));
        let subject = format!("{} {key}", write.verb());
        match answer {
            Answer::Stored(object) => self.stored(write, flight.as_ref(), *object),
            Answer::Gone { .. } => self.see(&key, None),
            Answer::AlreadyExists | Answer::Conflict | Answer::NotFound => {
                self.view.forget(&key);
                let conflicts = self.conflicts.entry(key).or_default();
                *conflicts += 1;
                if *conflicts > self.context.options.conflicts_at_once {
                    let cause = "the object keeps moving under the agent's writes".to_owned();
                    self.fail(now, subject, cause, None);
                }
            }
            Answer::Refused(refusal) => {
                if refusal.code == 200 {
                    // Taken, but for something in it: the object is not what was known of it.
                    self.view.forget(&key);
                }
                if flight.as_ref().is_none_or(|flight| flight.generation == self.generation) {
                    self.parked.insert(key, flight.is_some_and(|flight| flight.fence));
                    self.refuse(subject, refusal);
                }
            }
            Answer::NotApplied { cause, retry_after } => self.fail(now, subject, cause, retry_after),
            Answer::Unknown { cause, retry_after } => {
                self.unsettled.lose(now, write);
                self.view.forget(&key);
                self.progress.suspects.insert(key);
                self.fail(now, subject, cause, retry_after);
            }
        }
    }

    fn stored(&mut self, write: &Write, flight: Option<&Flight>, object: Object) {
        let key = write.key();
        let shown = (*key == object.key).then_some(object);
        self.view.set(key, shown);
        if matches!(write, Write::Create { .. }) {
            self.unsettled.created(key);
        }
        self.settle(key);
        self.conflicts.remove(key);
        let own = |flight: &Flight| flight.generation == self.generation && !flight.fence;
        if flight.is_some_and(own) && self.is_unchanged_by(key) {
            self.parked.insert(key.clone(), false);
            let refusal = Refusal {
                code: 200,
                reason: "NotStored".into(),
                message: "it was answered as stored, and the object does not show it".into(),
            };
            self.refuse(format!("{} {key}", write.verb()), refusal);
        }
    }

    /// Whether an object that was just written still needs a write. Without this a field that the
    /// API server drops would be sent for ever.
    fn is_unchanged_by(&self, key: &ObjectKey) -> bool {
        let mut unchanged = false;
        let _ = self.each(&mut |visited, action| {
            if visited != key {
                return Continue(());
            }
            unchanged = matches!(action, Action::Write(_));
            Break(())
        });
        unchanged
    }

    fn refuse(&mut self, subject: String, refusal: Refusal) {
        self.say(Notice::Refused { stack: self.order.stack.clone(), subject, refusal });
    }

    /// A transient failure: the whole stack pauses. Failures of writes that were in flight
    /// together count once.
    fn fail(&mut self, now: Instant, subject: String, cause: String, retry_after: Option<Duration>) {
        let paused = self.pause.is_some_and(|at| at > now);
        if !paused {
            let delay = self.context.delay(self.context.options.retry, self.failures);
            self.failures = self.failures.saturating_add(1);
            self.pause = Some(now + delay);
        }
        if let Some(asked) = retry_after {
            // Not sooner than asked for, and not all at once either.
            let until = now + asked + self.context.delay(self.context.options.retry, 0);
            self.pause = self.pause.max(Some(until));
        }
        let (stack, failures) = (self.order.stack.clone(), self.failures);
        self.notices.push(Notice::Failed { stack, subject, cause, failures });
    }
}

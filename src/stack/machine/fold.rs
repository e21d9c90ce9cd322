//! What comes back: reads and answers folded into what is known.

use std::{
    cmp::Ordering,
    collections::BTreeMap,
    ops::ControlFlow::{Break, Continue},
    time::{Duration, Instant},
};

use super::{Flight, Machine, Notice, Pause};
use crate::{
    stack::{
        failure::FailureClass,
        object::{Object, ObjectKey},
        plan::Action,
        version::compare,
        view::Known,
        write::{ReadError, Refusal, Write, WriteAnswer},
    },
    time::after,
};

/// How a request failed that may go better the next time.
struct Failure {
    /// What others fail with as well; `None` where the cause is this stack's own.
    class: Option<FailureClass>,
    cause: String,
    retry_after: Option<Duration>,
}

impl Machine {
    /// What the store shows of this stack now: all of its objects, whatever their labels. What is
    /// not among them is absent.
    ///
    /// To be called before the first [`Machine::next`], and before each further one and before
    /// [`Machine::write`] where the store has changed or was given an answer since. The store may
    /// lag behind, and forget what it will show again, but it shows nothing older than before, and
    /// what a write was answered with is in it at once.
    pub fn refresh(&mut self, objects: Vec<Object>) {
        self.view.refresh(self.order.stack.as_str(), objects);
        let keys: Vec<ObjectKey> = self.unsettled.keys().cloned().collect();
        keys.iter().for_each(|key| self.settle(key));
        self.sight();
    }

    /// The read of these objects that was asked for by the last [`super::MachineStep::Read`] came back.
    pub fn observed(&mut self, now: Instant, keys: &[ObjectKey], read: Result<Vec<Object>, ReadError>) {
        match read {
            Ok(objects) => {
                let mut objects: BTreeMap<ObjectKey, Object> =
                    objects.into_iter().map(|object| (object.key.clone(), object)).collect();
                for key in keys {
                    let object = objects.remove(key);
                    if *key == self.stack {
                        self.footing.read(object.as_ref());
                        self.progress.looked = true;
                    }
                    self.view.read(key, object);
                    self.settle(key);
                }
                self.sight();
            }
            Err(ReadError::Failed { subject, cause, retry_after }) => {
                let failure = Failure { class: Some(FailureClass::Read), cause, retry_after };
                self.fail(now, format!("read {subject}"), failure);
            }
            Err(ReadError::Refused { subject, refusal }) => {
                self.progress.read_refused = true;
                self.refuse(format!("read {subject}"), refusal);
            }
        }
    }

    /// What is known of the object tells which of its lost writes may still strike. While a write
    /// is in flight the sight may be that write's doing, and says nothing about an older one.
    fn settle(&mut self, key: &ObjectKey) {
        match self.view.get(key) {
            _ if self.flies(key) => {}
            Known::Present(object) => self.unsettled.seen(key, Some(object)),
            Known::Absent => self.unsettled.seen(key, None),
            Known::Unknown => {}
        }
    }

    /// Remembers that there was a Stack.
    pub(super) fn sight(&mut self) {
        self.progress.stack_seen |= matches!(self.view.get(&self.stack), Known::Present(_));
    }

    /// A write that [`Machine::write`] gave out was answered.
    pub fn answered(&mut self, now: Instant, write: &Write, answer: WriteAnswer) {
        let key = write.key().clone();
        let at = self.flights.iter().position(|flight| flight.write == *write);
        let flight = at.map(|at| self.flights.swap_remove(at));
        let subject = format!("{} {key}", write.verb());
        if key == self.stack {
            self.footing.answered(&answer);
        }
        match answer {
            WriteAnswer::Stored(object) => self.stored(write, flight.as_ref(), *object),
            WriteAnswer::Gone { uid } => self.view.removed(&key, &uid),
            WriteAnswer::AlreadyExists | WriteAnswer::Conflict | WriteAnswer::NotFound => {
                if !self.is_explained(write, &answer) {
                    self.view.forget(&key);
                }
                let conflicts = self.conflicts.entry(key.clone()).or_default();
                *conflicts += 1;
                if *conflicts > self.context.options.conflicts_at_once {
                    let cause = "the object keeps moving under the agent's writes".to_owned();
                    self.fail(now, subject, Failure { class: None, cause, retry_after: None });
                }
            }
            WriteAnswer::Refused(refusal) => {
                if refusal.code == 200 {
                    // Taken, but for something in it: the object is not what was known of it.
                    self.view.forget(&key);
                }
                if flight.as_ref().is_none_or(|flight| flight.generation == self.generation) {
                    self.progress.parked.insert(key.clone(), flight.is_some_and(|flight| flight.fence));
                    self.refuse(subject, refusal);
                }
            }
            WriteAnswer::NotApplied { cause, retry_after } => {
                self.fail(now, subject, Failure { class: Some(FailureClass::Any), cause, retry_after });
            }
            WriteAnswer::InDoubt { cause, retry_after } => {
                self.unsettled.lose(now, write);
                if flight.is_none_or(|flight| flight.generation != self.generation) {
                    // Not what the order that now runs would send once more.
                    self.view.forget(&key);
                }
                self.progress.suspects.insert(key.clone());
                let class = Some(FailureClass::of(write));
                self.fail(now, subject, Failure { class, cause, retry_after });
            }
        }
        self.settle(&key);
        self.sight();
    }

    /// Whether the store has shown, while the write was in flight, what it has come up against.
    fn is_explained(&self, write: &Write, answer: &WriteAnswer) -> bool {
        match (write, self.view.get(write.key())) {
            (Write::Create { .. }, Known::Present(_)) => *answer == WriteAnswer::AlreadyExists,
            (Write::Patch { resource_version, .. } | Write::Delete { resource_version, .. }, known) => {
                match known {
                    Known::Present(object) => {
                        let order = compare(&object.resource_version, resource_version);
                        *answer == WriteAnswer::Conflict && order == Ordering::Greater
                    }
                    Known::Absent => true,
                    Known::Unknown => false,
                }
            }
            (Write::Create { .. }, _) => false,
        }
    }

    fn stored(&mut self, write: &Write, flight: Option<&Flight>, object: Object) {
        let key = write.key();
        if *key == object.key {
            self.view.stored(object);
        } else {
            self.view.forget(key);
        }
        if matches!(write, Write::Create { .. }) {
            self.unsettled.created(key);
        }
        self.conflicts.remove(key);
        let own = |flight: &Flight| flight.generation == self.generation && !flight.fence;
        if flight.is_some_and(own) && self.is_unchanged_by(key) {
            self.progress.parked.insert(key.clone(), false);
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
            unchanged = matches!(action, Action::Write(_) | Action::Doubt);
            Break(())
        });
        unchanged
    }

    fn refuse(&mut self, subject: String, refusal: Refusal) {
        self.say(Notice::Refused { stack: self.order.stack.clone(), subject, refusal });
    }

    /// A transient failure: the whole stack pauses. Failures of writes that were in flight
    /// together count once.
    fn fail(&mut self, now: Instant, subject: String, failure: Failure) {
        let Failure { class, cause, retry_after } = failure;
        let pause = match self.pause.take().filter(|pause| pause.until > now) {
            Some(pause) => pause,
            None => {
                let delay = self.context.delay(self.context.options.retry, self.failures);
                self.failures = self.failures.saturating_add(1);
                Pause { until: after(now, delay), class }
            }
        };
        // Not sooner than asked for, and not all at once either.
        let asked = retry_after
            .map(|asked| after(now, asked.saturating_add(self.context.delay(self.context.options.retry, 0))));
        self.pause = Some(Pause { until: asked.map_or(pause.until, |at| at.max(pause.until)), ..pause });
        let (stack, failures) = (self.order.stack.clone(), self.failures);
        self.notices.push(Notice::Failed { stack, subject, cause, failures });
    }
}

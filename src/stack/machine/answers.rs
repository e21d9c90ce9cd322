//! What comes back: the store's word, reads and answers taken into what is known.

use std::{collections::BTreeMap, time::Instant};

use super::{
    Machine, Notice,
    state::{Flight, RunState},
};
use crate::stack::{
    object::{Object, ObjectKey},
    observed::Observation,
    plan::Purpose,
    version::is_newer,
    write::{FailureClass, ReadError, Rejection, Write, WriteAnswer},
};

impl Machine {
    /// What the store shows of this stack now: all of its objects, whatever their labels. What is
    /// not among them is absent.
    ///
    /// To be called before the first [`Machine::next`], and before each further one and before
    /// [`Machine::write`] where the store has changed or was given an answer since. The store may
    /// lag behind, and forget what it will show again; answers and reads are in it at once.
    pub fn refresh(&mut self, objects: Vec<Object>) {
        self.plan = None;
        self.observed.refresh(self.order.stack.as_str(), objects);
        let keys: Vec<ObjectKey> = self.in_doubt.keys().cloned().collect();
        keys.iter().for_each(|key| self.resolve_doubt(key));
        self.note_stack();
    }

    /// The read of these objects that was asked for by the last [`super::MachineStep::Read`] came back.
    pub fn observed(&mut self, now: Instant, keys: &[ObjectKey], read: Result<Vec<Object>, ReadError>) {
        self.plan = None;
        match read {
            Ok(objects) => {
                let mut objects: BTreeMap<ObjectKey, Object> =
                    objects.into_iter().map(|object| (object.key.clone(), object)).collect();
                for key in keys {
                    let object = objects.remove(key);
                    if *key == self.stack {
                        self.owner.read(object.as_ref());
                        self.attempt.stack_read = true;
                    }
                    self.observed.read(key, object);
                    self.resolve_doubt(key);
                }
                self.note_stack();
            }
            Err(ReadError::Failed { subject, cause, retry_after }) => {
                self.pause_for(now, Some(FailureClass::Read), retry_after);
                self.say_failed(format!("read {subject}"), cause);
            }
            Err(ReadError::Refused { subject, refusal }) => {
                self.attempt.state = RunState::ReadRejected;
                self.say_rejected(format!("read {subject}"), Rejection::Refused(refusal));
            }
        }
    }

    /// What is known of the object tells which of its lost writes may still apply. While a write
    /// is in flight the sight may be that write's doing, and says nothing about an older one.
    fn resolve_doubt(&mut self, key: &ObjectKey) {
        match self.observed.get(key) {
            _ if self.flies(key) => {}
            Observation::Present(object) => self.in_doubt.observe(key, Some(object)),
            Observation::Absent => self.in_doubt.observe(key, None),
            Observation::Unknown => {}
        }
    }

    /// A write that [`Machine::write`] gave out was answered.
    pub fn apply_answer(&mut self, now: Instant, write: &Write, answer: WriteAnswer) {
        self.plan = None;
        let key = write.key().clone();
        let at = self.flights.iter().position(|flight| flight.planned.write == *write);
        let flight = at.map(|at| self.flights.swap_remove(at));
        let is_current = flight.as_ref().is_some_and(|flight| flight.generation == self.generation);
        let subject = format!("{} {key}", write.verb());
        if key == self.stack {
            self.owner.answered(&answer);
        }
        match answer {
            WriteAnswer::Stored(object) => self.stored(write, flight.as_ref(), *object),
            WriteAnswer::Gone { uid } => self.observed.removed(&key, &uid),
            WriteAnswer::AlreadyExists | WriteAnswer::Conflict | WriteAnswer::NotFound => {
                if !self.is_explained(write, &answer) {
                    self.observed.mark_stale(&key);
                }
                self.count_conflict(now, &key, subject);
            }
            WriteAnswer::StoredInPart { warning } => {
                // The object is not what was known of it.
                self.observed.mark_stale(&key);
                self.reject(flight.as_ref(), &key, subject, Rejection::StoredInPart { warning });
            }
            WriteAnswer::Refused(refusal) => {
                self.reject(flight.as_ref(), &key, subject, Rejection::Refused(refusal));
            }
            WriteAnswer::NotApplied { cause, retry_after } => {
                self.pause_for(now, Some(FailureClass::Any), retry_after);
                self.say_failed(subject, cause);
            }
            WriteAnswer::InDoubt { cause, retry_after } => {
                self.in_doubt.insert(now, write);
                if !is_current {
                    // Not what the order that now runs would send once more.
                    self.observed.mark_stale(&key);
                }
                self.attempt.once_in_doubt.insert(key.clone());
                self.pause_for(now, Some(FailureClass::of(write)), retry_after);
                self.say_failed(subject, cause);
            }
        }
        self.resolve_doubt(&key);
        self.note_stack();
    }

    /// An object that keeps moving under the agent's writes is left alone for a while.
    fn count_conflict(&mut self, now: Instant, key: &ObjectKey, subject: String) {
        let conflicts = self.conflicts.entry(key.clone()).or_default();
        *conflicts += 1;
        if *conflicts > self.context.options.conflicts_at_once {
            self.pause_for(now, None, None);
            self.say_failed(subject, "the object keeps moving under the agent's writes".to_owned());
        }
    }

    /// Whether the store has shown, while the write was in flight, what it has come up against.
    fn is_explained(&self, write: &Write, answer: &WriteAnswer) -> bool {
        match (write, self.observed.get(write.key())) {
            (Write::Create { .. }, Observation::Present(_)) => *answer == WriteAnswer::AlreadyExists,
            (Write::Create { .. }, _) | (_, Observation::Unknown) => false,
            (
                Write::Patch { resource_version, .. } | Write::Delete { resource_version, .. },
                Observation::Present(object),
            ) => *answer == WriteAnswer::Conflict && is_newer(&object.resource_version, resource_version),
            (Write::Patch { .. } | Write::Delete { .. }, Observation::Absent) => true,
        }
    }

    fn stored(&mut self, write: &Write, flight: Option<&Flight>, object: Object) {
        let key = write.key();
        if *key == object.key {
            self.observed.stored(object);
        } else {
            self.observed.mark_stale(key);
        }
        if matches!(write, Write::Create { .. }) {
            self.in_doubt.created(key);
        }
        self.conflicts.remove(key);
        // Without this a field that the API server drops would be sent for ever.
        let own = |flight: &Flight| {
            flight.generation == self.generation && flight.planned.purpose == Purpose::Order
        };
        if flight.is_some_and(own) && !self.flies(&self.stack) && self.plan_inputs().needs_write(key) {
            self.reject(flight, key, format!("{} {key}", write.verb()), Rejection::NotShown);
        }
    }

    /// The API server will not take what the order says of this object. Nothing follows where another
    /// order has taken over.
    fn reject(&mut self, flight: Option<&Flight>, key: &ObjectKey, subject: String, rejection: Rejection) {
        if flight.is_none_or(|flight| flight.generation == self.generation) {
            let purpose = flight.map_or(Purpose::Order, |flight| flight.planned.purpose);
            self.attempt.rejected.insert(key.clone(), purpose);
            self.say_rejected(subject, rejection);
        }
    }

    fn say_rejected(&mut self, subject: String, rejection: Rejection) {
        self.say(Notice::Rejected { stack: self.order.stack.clone(), subject, rejection });
    }

    fn say_failed(&mut self, subject: String, cause: String) {
        let (stack, failures) = (self.order.stack.clone(), self.failures);
        self.notices.push(Notice::Failed { stack, subject, cause, failures });
    }
}

//! What a shard knows of its stacks, and what it has yet to tell of them.
//!
//! Whatever is learnt (from a watch, an answer, a read) goes into the store; what that changed
//! goes into the outbox.

use std::{cell::RefCell, sync::Arc, time::Duration};

use ahash::AHashMap;
use shards::Wakeup;

use super::mail::Seen;
use crate::{
    cluster::store::{ReportCursor, Store, StoreChange, Sweep},
    membership::outbox::{Outbox, Pace, Present, Taken},
    order::{StackName, Trace},
    stack::{
        object::{Object, ObjectKey, Resource, Role},
        report::{Report, ReportBody},
        write::{Write, WriteAnswer},
    },
    time::{Instant, after, now},
};

/// How long after an order what happens to its stack counts as led to by it.
const LED_TO: Duration = Duration::from_secs(120);
/// Stacks whose orders are remembered for that; beyond it those that are over go first.
const LED_TO_STACKS: usize = 4096;

/// See the [module](self).
pub(super) struct Knowledge {
    store: RefCell<Store>,
    outbox: RefCell<Outbox<ReportCursor>>,
    /// The trace of the last order of a stack, and until when reports carry it.
    traces: RefCell<AHashMap<Arc<str>, (Trace, Instant)>>,
    /// There may be something to tell.
    pub(super) changed: Wakeup,
}

/// The store as the outbox looks things up in it.
struct Looked<'a>(&'a Store);

impl Present for Looked<'_> {
    type Cursor = ReportCursor;

    fn say(&self, key: &ObjectKey, updated: bool) -> Option<ReportBody> {
        if key.resource.role() == Role::Versions {
            let versions = self.0.versions(&key.name)?.clone();
            return Some(ReportBody::Versions { name: Arc::clone(&key.name), updated, versions });
        }
        ReportBody::status(key, self.0.status(key))
    }

    fn stands(&self, key: &ObjectKey) -> bool {
        self.0.stands(key)
    }

    fn of_stack(&self, stack: &str) -> Vec<ObjectKey> {
        self.0.reportable(stack)
    }

    fn begin(&self) -> ReportCursor {
        self.0.begin()
    }

    fn next(&self, cursor: &mut ReportCursor, n: usize) -> Vec<ObjectKey> {
        self.0.next(cursor, n)
    }
}

impl Knowledge {
    pub(super) fn new() -> Self {
        Self {
            store: RefCell::new(Store::new(now())),
            outbox: RefCell::default(),
            traces: RefCell::default(),
            changed: Wakeup::default(),
        }
    }

    /// Takes in what a watch saw. Gives the object, and the stack whose orders it concerns.
    pub(super) fn seen(&self, seen: Seen) -> Option<(ObjectKey, Arc<str>)> {
        let mut store = self.store.borrow_mut();
        let (object, change, first) = match seen {
            Seen::Listed(object, asked) => {
                let first = !store.is_complete(&object.key.resource);
                let change = store.listed(&object, asked);
                (object, change, first)
            }
            Seen::Changed(object, at) => {
                let change = store.changed(&object, at);
                (object, change, false)
            }
            Seen::Removed(object, at) => {
                let change = store.removed(&object, at);
                (object, change, false)
            }
            Seen::Moved(key, stack) => {
                store.moved(&stack, &key);
                return Some((key, stack));
            }
            Seen::Leftover(seen) => return leftover(&mut store, *seen),
        };
        drop(store);
        // What a first list names is told with everything else, once all first lists are complete.
        if !first {
            self.tell(&object.key, change);
        }
        let stack: Arc<str> = object.belongs_to()?.into();
        Some((object.key, stack))
    }

    /// A list of a kind is complete; what it did not name goes slice by slice by [`Self::sweep`].
    pub(super) fn complete(&self, kind: &Arc<Resource>, asked: Instant, version: String) -> Sweep {
        self.store.borrow_mut().complete(kind, asked, version)
    }

    /// Looks at so many stacks of a complete list. Gives what is gone, and whether that was all.
    pub(super) fn sweep(&self, sweep: &mut Sweep, stacks: usize) -> (Vec<ObjectKey>, bool) {
        let (gone, done) = self.store.borrow_mut().sweep(sweep, stacks);
        gone.iter().for_each(|key| self.tell(key, StoreChange::Removed));
        (gone, done)
    }

    /// A kind is no longer in play.
    pub(super) fn forget(&self, kind: &Arc<Resource>) {
        let gone = self.store.borrow_mut().forget(kind);
        gone.iter().for_each(|key| self.tell(key, StoreChange::Removed));
    }

    /// Whether all objects of a kind are known.
    pub(super) fn is_complete(&self, kind: &Resource) -> bool {
        self.store.borrow().is_complete(kind)
    }

    /// An own write was answered.
    pub(super) fn answered(&self, stack: &StackName, write: &Write, answer: &WriteAnswer) {
        let (key, stack, at) = (write.key(), stack.as_str(), now());
        let change = match answer {
            WriteAnswer::Stored(object) if object.belongs_to() == Some(stack) => {
                self.store.borrow_mut().changed(object, at)
            }
            WriteAnswer::Stored(object) if object.is_of(stack) => {
                return self.store.borrow_mut().leftover_changed(object, at);
            }
            WriteAnswer::Gone { uid } => self.store.borrow_mut().gone(stack, key, uid, at),
            _ => return,
        };
        self.tell(key, change);
    }

    /// The uids of objects that are about to be read by name.
    pub(super) fn uids(&self, stack: &StackName, keys: &[ObjectKey]) -> Vec<Option<String>> {
        let store = self.store.borrow();
        keys.iter().map(|key| store.uid(stack.as_str(), key)).collect()
    }

    /// Objects were read by name: those that are not among `objects` are absent, and the uids that
    /// were known of them before gone.
    pub(super) fn read(
        &self,
        stack: &StackName,
        keys: &[ObjectKey],
        uids: Vec<Option<String>>,
        objects: &[Object],
    ) {
        let (stack, at) = (stack.as_str(), now());
        let objects: AHashMap<&ObjectKey, &Object> =
            objects.iter().map(|object| (&object.key, object)).collect();
        for (key, uid) in keys.iter().zip(uids) {
            let change = match objects.get(key) {
                Some(object) if object.belongs_to() == Some(stack) => {
                    self.store.borrow_mut().changed(object, at)
                }
                Some(object) if object.is_of(stack) => {
                    self.store.borrow_mut().leftover_changed(object, at);
                    continue;
                }
                // Of another stack, whose shard hears of it from the watch.
                Some(_) => continue,
                None => match uid {
                    Some(uid) => self.store.borrow_mut().gone(stack, key, &uid, at),
                    None => continue,
                },
            };
            self.tell(key, change);
        }
    }

    /// Whether anything of a stack is there.
    pub(super) fn has(&self, stack: &StackName) -> bool {
        self.store.borrow().has(stack.as_str())
    }

    /// How many stacks something is there of.
    pub(super) fn stacks(&self) -> usize {
        self.store.borrow().stacks()
    }

    /// All objects of a stack.
    pub(super) fn objects(&self, stack: &StackName) -> Vec<Object> {
        self.store.borrow().objects(stack.as_str())
    }

    /// Whether an object is known.
    #[cfg(test)]
    pub(super) fn knows(&self, plural: &str, name: &str) -> bool {
        self.store.borrow().knows(plural, name)
    }

    /// Changes whenever something of the stack does.
    pub(super) fn revision(&self, stack: &StackName) -> u64 {
        self.store.borrow().revision(stack.as_str())
    }

    /// Whether nothing is to be done for an order of this fingerprint.
    pub(super) fn is_settled(&self, stack: &StackName, fingerprint: u64) -> bool {
        self.store.borrow().is_converged(stack.as_str(), fingerprint)
    }

    /// Nothing is to be done for an order of this fingerprint, as long as the stack is as it is.
    pub(super) fn settle(&self, stack: &StackName, fingerprint: u64) {
        self.store.borrow_mut().mark_converged(stack.as_str(), fingerprint);
    }

    /// Other kinds are in play: what was settled may not be.
    pub(super) fn unsettle_all(&self) {
        self.store.borrow_mut().forget_converged();
    }

    /// An order for this Stack has come.
    pub(super) fn order_came(&self, stack: &ObjectKey) {
        self.outbox.borrow_mut().order_came(stack);
    }

    /// What happens to the stack from now on is led to by an order of this trace.
    pub(super) fn trace(&self, stack: &StackName, trace: Option<&Trace>) {
        let mut traces = self.traces.borrow_mut();
        let Some(trace) = trace else {
            traces.remove(stack.as_str());
            return;
        };
        let now = now();
        if traces.len() >= LED_TO_STACKS {
            traces.retain(|_, (_, until)| *until > now);
        }
        if traces.len() < LED_TO_STACKS {
            traces.insert(stack.as_str().into(), (trace.clone(), after(now, LED_TO)));
        }
    }

    /// An order of the stack was applied: its objects are told of again.
    pub(super) fn applied(&self, stack: &StackName) {
        let name: Arc<str> = stack.as_str().into();
        let trace = self.trace_of(&name);
        self.outbox.borrow_mut().applied(&name, trace);
        if self.store.borrow().is_ready(&name) {
            // What the order led to has come to its end.
            self.traces.borrow_mut().remove(&name);
        }
        self.changed.notify();
    }

    /// There is no Stack of this name, which somebody has to be told.
    pub(super) fn nothing_to_delete(&self, stack: &ObjectKey) {
        self.tell(stack, StoreChange::Removed);
    }

    fn tell(&self, key: &ObjectKey, change: StoreChange) {
        let trace = self.trace_of(&key.name);
        let mut outbox = self.outbox.borrow_mut();
        match change {
            StoreChange::Nothing => return,
            StoreChange::Appeared => return outbox.appeared(key),
            StoreChange::Status | StoreChange::Added => outbox.changed(key.clone(), false, trace),
            StoreChange::Updated => outbox.changed(key.clone(), true, trace),
            StoreChange::Removed => outbox.gone(key.clone(), trace),
            StoreChange::Replaced => {
                outbox.gone(key.clone(), trace.clone());
                outbox.changed(key.clone(), false, trace);
            }
        }
        drop(outbox);
        if change == StoreChange::Status && self.store.borrow().is_ready(&key.name) {
            // What the order led to has come to its end.
            self.traces.borrow_mut().remove(&key.name);
        }
        self.changed.notify();
    }

    fn trace_of(&self, stack: &Arc<str>) -> Option<Trace> {
        let traces = self.traces.borrow();
        let (trace, until) = traces.get(stack)?;
        (*until > now()).then(|| trace.clone())
    }

    /// A stream was opened on which everything is to be told.
    pub(super) fn tell_everything(&self) {
        self.outbox.borrow_mut().joined(&Looked(&self.store.borrow()));
        self.changed.notify();
    }

    /// Everything is told again, slowly.
    pub(super) fn resync(&self) {
        self.outbox.borrow_mut().resync(now(), &Looked(&self.store.borrow()));
        self.changed.notify();
    }

    /// Takes up to `n` reports.
    pub(super) fn take(&self, n: usize, pace: &mut impl Pace) -> Taken {
        self.outbox.borrow_mut().take(now(), n, &Looked(&self.store.borrow()), pace)
    }

    /// Takes what changed and was not told yet, at most `n`.
    pub(super) fn take_changes(&self, n: usize) -> Vec<Report> {
        self.outbox.borrow_mut().take_changes(now(), n, &Looked(&self.store.borrow()))
    }

    /// Whether there is nothing to tell.
    pub(super) fn is_told(&self) -> bool {
        self.outbox.borrow().is_empty()
    }
}

/// What was seen of an object that is left over of a stack. Gives it and the stack.
fn leftover(store: &mut Store, seen: Seen) -> Option<(ObjectKey, Arc<str>)> {
    let object = match seen {
        Seen::Listed(object, asked) => {
            store.leftover_listed(&object, asked);
            object
        }
        Seen::Changed(object, at) => {
            store.leftover_changed(&object, at);
            object
        }
        Seen::Removed(object, at) => {
            store.leftover_removed(&object, at);
            object
        }
        Seen::Moved(..) | Seen::Leftover(_) => return None,
    };
    let stack: Arc<str> = object.leftover_of()?.into();
    Some((object.key, stack))
}

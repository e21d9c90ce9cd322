//! One order of one stack, from its first look to its last answer, as a pure state machine.
//!
//! The driver shows the machine what its store holds of the stack ([`Machine::refresh`]), asks
//! [`Machine::next`] what to do and feeds back what came of it. The store is fed by watches, so it
//! may lag; answers are put into it at once. Three rules are kept here, whatever the driver's
//! timing is:
//!
//! 1. *Permit first, then decide.* `next` says only that a write is missing; which one is decided
//!    by [`Machine::write`], called with a permit in hand, from the newest order and the newest
//!    observation. The Stack comes first, since its uid owns the rest; of its children a bounded
//!    number may be in flight together.
//! 2. *No write is left in the air.* A newer order takes effect between writes: what is under way
//!    is awaited and folded in first. A write whose outcome stays unknown is *unsettled*, and no
//!    order is done while an unsettled patch or delete could still take effect: the order's own
//!    write moves the object's resourceVersion, or a fence does. A lost create is watched for.
//! 3. *Errors never destroy.* A failed read or write changes nothing about what is wanted.
//!
//! Reads are asked for only by name, of objects about which neither the store nor an answer tells
//! enough, and only while no write is in flight, so an answer can never be older than what a read
//! overrides.

use std::{
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
    time::Instant,
};

use crate::{
    order::{Change, Order},
    stack::{
        desired::{Desired, desired},
        failure::FailureClass,
        object::ObjectKey,
        view::{Known, View},
        write::Write,
    },
};

mod conclude;
pub mod context;
mod fold;
mod footing;
pub mod memory;
pub mod notice;
mod pick;
mod unsettled;

pub use context::{MachineContext, MachineOptions};
pub use memory::Carryover;
pub use notice::Notice;

use footing::Footing;
use memory::{Pause, Progress, Trial};
use unsettled::Unsettled;

/// What the driver shall do next.
#[derive(Debug, Clone, PartialEq)]
pub enum MachineStep {
    /// Read these objects by name, consistently, and call [`Machine::observed`].
    Read(Vec<ObjectKey>),
    /// A write is missing: get a permit, then call [`Machine::write`].
    Write,
    /// Nothing but to await an answer of a write in flight.
    Await,
    /// The cluster shows what the order asks for.
    Done,
    /// It does, and a lost create may still arrive: run the order again on every event that
    /// [`Carryover::awaits`], and at this time, unless a newer one comes.
    Attend {
        /// When.
        at: Instant,
    },
    /// Give the slot back and run the order again on every event that [`Carryover::awaits`], and at
    /// this time.
    Later {
        /// When.
        at: Instant,
        /// The API server refuses something or an object is somebody else's: any newer order
        /// replaces this one. Otherwise it failed or waits, and stays in line.
        refused: bool,
    },
}

/// A write whose answer is awaited.
#[derive(Debug, Clone, PartialEq)]
struct Flight {
    write: Write,
    /// Of the order it was computed for.
    generation: u32,
    fence: bool,
}

/// One stack's order on its way.
#[derive(Debug, Clone)]
pub struct Machine {
    context: Rc<MachineContext>,
    order: Order,
    /// Counts orders; a write is computed for one of them.
    generation: u32,
    stack: ObjectKey,
    /// What an ExistingStack asks for; `None` for other orders.
    desired: Option<Rc<Desired>>,
    view: View,
    footing: Footing,
    flights: Vec<Flight>,
    unsettled: Unsettled,
    /// Transient failures in a row.
    failures: u32,
    /// Nothing is sent before this.
    pause: Option<Pause>,
    /// Conflicts in a row, per object.
    conflicts: BTreeMap<ObjectKey, u32>,
    progress: Progress,
    /// The last step was that it is done.
    finished: bool,
    notices: Vec<Notice>,
}

impl Machine {
    /// A machine for an order, with what is remembered of its stack. `again`: this run continues
    /// an order that was put off; otherwise it has just arrived, perhaps once more.
    pub fn new(order: Order, memory: Carryover, context: Rc<MachineContext>, again: bool) -> Self {
        let order = overlaid(order, memory.newest.as_ref());
        let trial = memory.trial.filter(|trial| trial.change == order.change);
        let is_new = trial.is_none();
        let (mut progress, pause) = trial.map(|trial| (trial.progress, trial.pause)).unwrap_or_default();
        if !again {
            progress.come_anew(&order.stack);
        }
        let mut machine = Self {
            stack: ObjectKey::new(&context.catalog.stack, order.stack.as_str()),
            generation: 0,
            desired: None,
            view: memory.view,
            footing: Footing::default(),
            flights: Vec::new(),
            unsettled: memory.unsettled,
            failures: memory.failures,
            pause,
            conflicts: BTreeMap::new(),
            progress,
            finished: false,
            notices: Vec::new(),
            context,
            order,
        };
        if is_new {
            machine.look_after();
        }
        machine.consider();
        machine
    }

    /// A newer order takes the place of this one. What is in flight is awaited first.
    pub fn supersede(&mut self, newer: Order) {
        let full = !matches!(self.order.change, Change::Disabled(_));
        let newer = overlaid(newer, full.then_some(&self.order.change));
        if newer.change == self.order.change {
            // A replay of the same order has little new to say.
            let Progress { told, faulty, incomplete, .. } = std::mem::take(&mut self.progress);
            self.progress = Progress { told, faulty, incomplete, ..Progress::default() };
            self.progress.come_anew(&newer.stack);
        } else {
            self.progress = Progress::default();
            self.look_after();
        }
        self.order = newer;
        self.generation += 1;
        self.finished = false;
        self.consider();
        self.sight();
    }

    /// An order that did not send the writes that are unsettled looks what became of them. The one
    /// that did need not: it sends what is missing once more, on the same condition, which tells as
    /// much and mostly is all that is left to do.
    fn look_after(&mut self) {
        self.unsettled.keys().for_each(|key| self.view.forget(key));
    }

    /// What has failed that others fail with as well, while the stack pauses for it.
    pub fn fails_with(&self, now: Instant) -> Option<&FailureClass> {
        self.pause.as_ref().filter(|pause| pause.until > now)?.class.as_ref()
    }

    /// What the stack pauses for is over.
    pub fn resume(&mut self) {
        self.pause = None;
    }

    /// What the order asks for, and what of it cannot be used.
    fn consider(&mut self) {
        self.progress.suspects.extend(self.unsettled.keys().cloned());
        self.desired = match &self.order.change {
            Change::Existing(snapshot) => {
                let context = &self.context;
                Some(Rc::new(desired(&self.order.stack, snapshot, &context.catalog, &context.base_url)))
            }
            Change::Deleted | Change::Disabled(_) => None,
        };
        let faults = self.desired.as_ref().map(|desired| desired.faults.clone()).unwrap_or_default();
        if !faults.is_empty() {
            self.say(Notice::Faults { stack: self.order.stack.clone(), faults });
        }
    }

    /// What to do now. It may be asked again after any step, and after another
    /// [`Machine::refresh`] the answer may be another one.
    pub fn next(&mut self, now: Instant) -> MachineStep {
        self.finished = false;
        self.progress.waiting.clear();
        self.unsettled.expire(now, self.context.options.create_may_arrive);
        if self.flights.iter().any(|flight| flight.generation != self.generation) {
            return MachineStep::Await;
        }
        if let Some(at) = self.pause.as_ref().map(|pause| pause.until).filter(|at| *at > now) {
            return if self.flights.is_empty() {
                MachineStep::Later { at, refused: false }
            } else {
                MachineStep::Await
            };
        }
        self.pause = None;
        if self.progress.parked_until.is_some_and(|at| at <= now) {
            self.progress.unpark();
        }
        let idle = self.progress.read_refused;
        if !idle && self.flights.len() < self.context.options.children_in_flight && self.pick().is_some() {
            return MachineStep::Write;
        }
        if !self.flights.is_empty() {
            return MachineStep::Await;
        }
        let mut needed = self.needed();
        if needed.is_empty() && !idle && self.doubts() {
            needed = self.needed();
        }
        if needed.is_empty() || idle { self.conclude(now) } else { MachineStep::Read(needed) }
    }

    /// The next write, decided now; the driver holds a permit. `None`: nothing is left to write.
    pub fn write(&mut self, now: Instant) -> Option<Write> {
        let busy = self.flights.len() >= self.context.options.children_in_flight
            || self.flights.iter().any(|flight| flight.generation != self.generation)
            || self.pause.as_ref().is_some_and(|pause| pause.until > now);
        if busy || self.progress.read_refused {
            return None;
        }
        let (write, fence) = self.pick()?;
        self.flights.push(Flight { write: write.clone(), generation: self.generation, fence });
        Some(write)
    }

    /// What is to be logged or reported, since the last call.
    pub fn notices(&mut self) -> Vec<Notice> {
        std::mem::take(&mut self.notices)
    }

    /// The order as it now is (the newest; an Enabled or Disabled order may have become a full
    /// one), and what has to be remembered of the stack. Writes still in flight are unsettled
    /// from here on.
    pub fn into_parts(mut self, now: Instant) -> (Order, Carryover) {
        for flight in std::mem::take(&mut self.flights) {
            self.unsettled.lose(now, &flight.write);
            self.view.forget(flight.write.key());
        }
        let change = &self.order.change;
        let keep_order = !self.unsettled.is_empty() && !matches!(change, Change::Disabled(_));
        let memory = Carryover {
            newest: keep_order.then(|| change.clone()),
            trial: (!self.finished).then(|| Trial {
                change: change.clone(),
                progress: self.progress,
                pause: self.pause,
            }),
            failures: self.failures,
            view: self.view.remainder(self.order.stack.as_str(), |key| self.unsettled.contains(key)),
            unsettled: self.unsettled,
        };
        (self.order, memory)
    }

    /// Whether a part of the order could not be used or an object is somebody else's, in this run
    /// or in an earlier one of the same order.
    pub fn is_faulty(&self) -> bool {
        self.progress.faulty
    }

    /// Whether objects are missing for no other reason than that their kinds are out of play.
    pub fn is_incomplete(&self) -> bool {
        self.desired.as_ref().is_some_and(|desired| !desired.withheld.is_empty())
    }

    /// Whether an ExistingStack is done and that follows from nothing but its snapshot and what
    /// the store shows: the same order would find the same end while the store shows the same.
    pub fn is_plain(&self) -> bool {
        self.finished
            && self.desired.is_some()
            && self.unsettled.is_empty()
            && self.progress.parked.is_empty()
            && !self.is_faulty()
            && self.view.is_plain()
    }

    /// The order as it now is.
    pub fn order(&self) -> &Order {
        &self.order
    }

    /// The Stack object that the order is about.
    pub fn stack(&self) -> &ObjectKey {
        &self.stack
    }

    /// What has to be read before anything else can be decided.
    fn needed(&self) -> Vec<ObjectKey> {
        let unknown = |key: &&ObjectKey| matches!(self.view.get(key), Known::Unknown);
        let mut keys: BTreeSet<&ObjectKey> = self.progress.suspects.iter().chain([&self.stack]).collect();
        if let Some(desired) = &self.desired {
            keys.extend(self.view.stale());
            keys.extend(desired.children.iter().map(|child| &child.key));
        }
        keys.into_iter().filter(unknown).cloned().collect()
    }

    /// Says something once per order.
    fn say(&mut self, notice: Notice) {
        if self.progress.told.insert(notice.fingerprint()) {
            self.progress.faulty |= notice.is_faulty();
            self.progress.incomplete |= matches!(notice, Notice::Incomplete { .. });
            self.notices.push(notice);
        }
    }
}

/// An Enabled or Disabled order changes one field of what is remembered of a stack, where a full
/// order is: what a late write may break is mended by the full order.
fn overlaid(order: Order, newest: Option<&Change>) -> Order {
    let change = match (order.change, newest) {
        (Change::Disabled(disabled), Some(Change::Existing(snapshot))) => {
            let mut snapshot = snapshot.clone();
            snapshot.disabled = disabled;
            Change::Existing(snapshot)
        }
        (Change::Disabled(_), Some(Change::Deleted)) => Change::Deleted,
        (change, _) => change,
    };
    Order { stack: order.stack, change }
}

#[cfg(test)]
mod tests;

//! One order of one stack, from its first read to its last answer, as a pure state machine.
//!
//! The driver asks [`Machine::next`] what to do and feeds back what came of it. Three rules are
//! kept here, whatever the driver's timing is:
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
//! Reads are asked for only while no write is in flight, so an answer can never be older than
//! what a read overrides.

use std::{
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
    time::Instant,
};

use crate::{
    order::{Change, Order},
    stack::{
        desired::{Desired, desired},
        object::ObjectKey,
        view::{Known, View},
        write::{Scope, Write},
    },
};

mod conclude;
pub mod context;
mod fold;
pub mod memory;
pub mod notice;
mod pick;
mod unsettled;

pub use context::{Context, Options};
pub use memory::Memory;
pub use notice::Notice;

use memory::{Progress, Trial};
use unsettled::Unsettled;

/// What the driver shall do next.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// Read this and call [`Machine::observed`].
    Read(Scope),
    /// A write is missing: get a permit, then call [`Machine::write`].
    Write,
    /// Nothing but to await an answer of a write in flight.
    Await,
    /// The cluster shows what the order asks for.
    Done,
    /// It does, and a lost create is to be watched for: run the order again at this time, unless
    /// a newer one comes.
    Attend {
        /// When.
        at: Instant,
    },
    /// Give the slot back and run the order again at this time.
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
    context: Rc<Context>,
    order: Order,
    /// Counts orders; a write is computed for one of them.
    generation: u32,
    stack: ObjectKey,
    /// What an ExistingStack asks for; `None` for other orders.
    desired: Option<Rc<Desired>>,
    view: View,
    flights: Vec<Flight>,
    unsettled: Unsettled,
    /// Objects whose write was refused in this run; true where a fence was, too.
    parked: BTreeMap<ObjectKey, bool>,
    read_refused: bool,
    /// Transient failures in a row.
    failures: u32,
    /// Nothing is sent before this.
    pause: Option<Instant>,
    /// Conflicts in a row, per object.
    conflicts: BTreeMap<ObjectKey, u32>,
    progress: Progress,
    /// The look of `progress.peek` was taken and showed nothing new.
    idle: bool,
    started: bool,
    finished: bool,
    notices: Vec<Notice>,
}

impl Machine {
    /// A machine for an order, with what is remembered of its stack.
    pub fn new(order: Order, memory: Memory, context: Rc<Context>) -> Self {
        let order = overlaid(order, memory.newest.as_ref());
        let progress = memory.trial.filter(|trial| trial.change == order.change).map(|trial| trial.progress);
        let mut machine = Self {
            stack: ObjectKey::new(&context.catalog.stack, order.stack.as_str()),
            generation: 0,
            desired: None,
            view: View::default(),
            flights: Vec::new(),
            unsettled: memory.unsettled,
            parked: BTreeMap::new(),
            read_refused: false,
            failures: memory.failures,
            pause: None,
            conflicts: BTreeMap::new(),
            progress: progress.unwrap_or_default(),
            idle: false,
            started: false,
            finished: false,
            notices: Vec::new(),
            context,
            order,
        };
        machine.consider();
        machine
    }

    /// A newer order takes the place of this one. What is in flight is awaited first.
    pub fn supersede(&mut self, newer: Order) {
        let full = !matches!(self.order.change, Change::Disabled(_));
        let newer = overlaid(newer, full.then_some(&self.order.change));
        let told = match newer.change == self.order.change {
            // A replay of the same order has nothing new to say.
            true => std::mem::take(&mut self.progress.told),
            false => Vec::new(),
        };
        self.progress = Progress { told, ..Progress::default() };
        self.order = newer;
        self.generation += 1;
        self.parked.clear();
        self.read_refused = false;
        self.idle = false;
        self.finished = false;
        self.consider();
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
        for fault in self.desired.iter().flat_map(|d| d.faults.clone()).collect::<Vec<_>>() {
            self.say(Notice::Fault { stack: self.order.stack.clone(), fault });
        }
    }

    /// What to do now.
    pub fn next(&mut self, now: Instant) -> Step {
        self.start(now);
        if self.flights.iter().any(|flight| flight.generation != self.generation) {
            return Step::Await;
        }
        if let Some(at) = self.pause.filter(|at| *at > now) {
            return if self.flights.is_empty() { Step::Later { at, refused: false } } else { Step::Await };
        }
        self.pause = None;
        let idle = self.idle || self.read_refused;
        if !idle && self.flights.len() < self.context.options.children_in_flight && self.pick().is_some() {
            return Step::Write;
        }
        if !self.flights.is_empty() {
            return Step::Await;
        }
        match self.needed().filter(|_| !idle) {
            Some(scope) => Step::Read(scope),
            None => self.conclude(now),
        }
    }

    /// The next write, decided now; the driver holds a permit. `None`: nothing is left to write.
    pub fn write(&mut self, now: Instant) -> Option<Write> {
        let busy = self.flights.len() >= self.context.options.children_in_flight
            || self.flights.iter().any(|flight| flight.generation != self.generation)
            || self.pause.is_some_and(|at| at > now);
        if busy || self.idle || self.read_refused {
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
    pub fn into_parts(mut self, now: Instant) -> (Order, Memory) {
        for flight in std::mem::take(&mut self.flights) {
            self.unsettled.lose(now, &flight.write);
        }
        let change = &self.order.change;
        let keep_order = !self.unsettled.is_empty() && !matches!(change, Change::Disabled(_));
        let memory = Memory {
            newest: keep_order.then(|| change.clone()),
            trial: (!self.finished).then(|| Trial { change: change.clone(), progress: self.progress }),
            failures: self.failures,
            unsettled: self.unsettled,
        };
        (self.order, memory)
    }

    /// Whether a part of the order could not be used or an object is somebody else's, in this run
    /// or in an earlier one of the same order.
    pub fn is_faulty(&self) -> bool {
        let faulty = |notice: &Notice| matches!(notice, Notice::Fault { .. } | Notice::Clash { .. });
        self.progress.told.iter().any(faulty)
    }

    /// The order as it now is.
    pub fn order(&self) -> &Order {
        &self.order
    }

    /// The first step decides between a look and a full run.
    fn start(&mut self, now: Instant) {
        if !std::mem::replace(&mut self.started, true) {
            if self.progress.peek.as_ref().is_some_and(|peek| now < peek.at) {
                // Sooner than was asked for: the same order has come once more, since membership
                // may have missed the answer.
                self.progress.told.retain(|notice| !matches!(notice, Notice::Report(_)));
            }
            let due = |peek: &memory::Peek| peek.at <= now && peek.full_at.is_none_or(|at| now < at);
            self.progress.peek.take_if(|peek| !due(peek));
            let nothing_to_look_at = |p: &memory::Peek| p.waiting.is_empty() && p.watched.is_empty();
            self.idle = self.progress.peek.as_ref().is_some_and(nothing_to_look_at);
        }
    }

    /// What has to be read before anything can be decided.
    fn needed(&self) -> Option<Scope> {
        if let Some(peek) = &self.progress.peek {
            return Some(Scope::Objects(peek.waiting.iter().chain(&peek.watched).cloned().collect()));
        }
        if self.desired.is_some() && !self.view.is_listed() {
            return Some(Scope::Whole(self.order.stack.clone()));
        }
        // Of an object with a lost write it has to be known by its own name whether it is there:
        // it may have lost its labels, or never had them.
        let unread = |key: &&ObjectKey| !self.view.is_known_by_name(key);
        let mut keys: BTreeSet<&ObjectKey> = self.progress.suspects.iter().filter(unread).collect();
        if matches!(self.view.get(&self.stack), Known::Unknown) {
            keys.insert(&self.stack);
        }
        if self.desired.is_some() {
            keys.extend(self.view.stale());
        }
        if keys.len() == 1 && keys.contains(&self.stack) {
            return Some(Scope::Stack(self.order.stack.clone()));
        }
        (!keys.is_empty()).then(|| Scope::Objects(keys.into_iter().cloned().collect()))
    }

    /// Says something once per order.
    fn say(&mut self, notice: Notice) {
        if !self.progress.told.contains(&notice) {
            self.progress.told.push(notice.clone());
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

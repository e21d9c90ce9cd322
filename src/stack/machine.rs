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
//!    is awaited and taken in first. A write whose outcome stays unknown is *in doubt*, and no
//!    order is done while a patch or delete in doubt could still take effect: the order's own
//!    write moves the object's resourceVersion, or a fence does. A lost create is watched for.
//! 3. *Errors never destroy.* A failed read or write changes nothing about what is wanted.
//!
//! What is to be done is one [`Plan`], computed once for what is known and again when that changes. The
//! machine works it off:
//!
//! ```text
//!                 ┌── answers, reads, newer orders ──┐
//!                 ▼                                  │
//!            Converging ──write or read, by the plan─┘
//!              │ ▲   │
//!       failed │ │   ├── nothing is left ──▶ Done
//!              ▼ │   │
//!         Pausing    └── a read was refused ──▶ ReadRejected ──later──▶ Converging
//! ```
//!
//! Reads are asked for only by name, of objects about which neither the store nor an answer tells
//! enough, and only while no write is in flight, so an answer can never be older than what a read
//! overrides.

use std::{collections::BTreeMap, rc::Rc, time::Instant};

use super::{
    desired::{Desired, desired},
    in_doubt::InDoubt,
    object::ObjectKey,
    observed::{Observation, Observed},
    plan::{OwnerCheck, Plan},
};
use crate::order::{Change, Order};

mod answers;
pub mod carryover;
pub mod context;
pub mod notice;
mod state;

pub use carryover::Carryover;
pub use context::{MachineContext, MachineOptions};
pub use notice::Notice;

use carryover::OrderAttempt;
use state::{Flight, RunState};

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
    /// Something failed, or is waited for: give the slot back and run the order again on every event
    /// that [`Carryover::awaits`], and at this time. It stays in line.
    Retry {
        /// When.
        at: Instant,
    },
    /// The API server refuses something, or an object is somebody else's: the same, but any newer
    /// order replaces this one.
    Rejected {
        /// When.
        at: Instant,
    },
}

/// Whether a run is the first one of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OrderArrival {
    /// The order has just arrived, perhaps once more.
    New,
    /// It was put off.
    Again,
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
    observed: Observed,
    in_doubt: InDoubt,
    owner: OwnerCheck,
    attempt: OrderAttempt,
    /// Of all the above; `None` where some of it has changed since.
    plan: Option<Plan>,
    flights: Vec<Flight>,
    /// Transient failures in a row.
    failures: u32,
    /// Conflicts in a row, per object.
    conflicts: BTreeMap<ObjectKey, u32>,
    notices: Vec<Notice>,
}

impl Machine {
    /// A machine for an order, with what is remembered of its stack.
    pub fn new(
        order: Order,
        carryover: Carryover,
        context: Rc<MachineContext>,
        arrival: OrderArrival,
    ) -> Self {
        let order = overlaid(order, carryover.newest.as_ref());
        let earlier = carryover.attempt.filter(|(change, _)| *change == order.change);
        let is_new = earlier.is_none();
        let mut attempt = earlier.map(|(_, attempt)| attempt).unwrap_or_default();
        if arrival == OrderArrival::New {
            attempt.come_anew(&order.stack);
        }
        let mut machine = Self {
            stack: ObjectKey::new(&context.catalog.stack, order.stack.as_str()),
            generation: 0,
            desired: None,
            observed: carryover.observed,
            in_doubt: carryover.in_doubt,
            owner: OwnerCheck::default(),
            attempt,
            plan: None,
            flights: Vec::new(),
            failures: carryover.failures,
            conflicts: BTreeMap::new(),
            notices: Vec::new(),
            context,
            order,
        };
        if is_new {
            machine.look_after();
        }
        machine.read_order();
        machine
    }

    /// A newer order takes the place of this one. What is in flight is awaited first.
    pub fn supersede(&mut self, newer: Order) {
        let full = !matches!(self.order.change, Change::Disabled(_));
        let newer = overlaid(newer, full.then_some(&self.order.change));
        let earlier = std::mem::take(&mut self.attempt);
        if newer.change == self.order.change {
            // A replay of the same order has little new to say.
            let (said, faulty, incomplete) = (earlier.said.clone(), earlier.faulty, earlier.incomplete);
            self.attempt = OrderAttempt { said, faulty, incomplete, ..earlier.afresh() };
            self.attempt.come_anew(&newer.stack);
        } else {
            self.attempt = earlier.afresh();
            self.look_after();
        }
        self.order = newer;
        self.generation += 1;
        self.read_order();
        self.note_stack();
    }

    /// An order that did not send the writes that are in doubt looks what became of them. The one
    /// that did need not: it sends what is missing once more, on the same condition, which tells as
    /// much and mostly is all that is left to do.
    fn look_after(&mut self) {
        self.in_doubt.keys().for_each(|key| self.observed.mark_stale(key));
    }

    /// What the order asks for, and what of it cannot be used.
    fn read_order(&mut self) {
        self.plan = None;
        self.attempt.once_in_doubt.extend(self.in_doubt.keys().cloned());
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

    /// What is to be logged or reported, since the last call.
    pub fn notices(&mut self) -> Vec<Notice> {
        std::mem::take(&mut self.notices)
    }

    /// Says something once per order.
    fn say(&mut self, notice: Notice) {
        if self.attempt.said.insert(notice.fingerprint()) {
            self.attempt.faulty |= notice.is_faulty();
            self.attempt.incomplete |= matches!(notice, Notice::Incomplete { .. });
            self.notices.push(notice);
        }
    }

    /// Remembers that there was a Stack.
    fn note_stack(&mut self) {
        self.attempt.stack_seen |= matches!(self.observed.get(&self.stack), Observation::Present(_));
    }

    /// The order as it now is (the newest; an Enabled or Disabled order may have become a full
    /// one), and what has to be remembered of the stack. Writes still in flight are in doubt
    /// from here on.
    pub fn into_parts(mut self, now: Instant) -> (Order, Carryover) {
        for flight in std::mem::take(&mut self.flights) {
            self.in_doubt.insert(now, &flight.planned.write);
            self.observed.mark_stale(flight.planned.write.key());
        }
        let change = &self.order.change;
        let keep_order = !self.in_doubt.is_empty() && !matches!(change, Change::Disabled(_));
        let is_done = self.attempt.state == RunState::Done;
        let carryover = Carryover {
            newest: keep_order.then(|| change.clone()),
            attempt: (!is_done).then(|| (change.clone(), self.attempt)),
            failures: self.failures,
            observed: self
                .observed
                .beyond_store(self.order.stack.as_str(), |key| self.in_doubt.contains(key)),
            in_doubt: self.in_doubt,
        };
        (self.order, carryover)
    }

    /// Whether a part of the order could not be used or an object is somebody else's, in this run
    /// or in an earlier one of the same order.
    pub fn is_faulty(&self) -> bool {
        self.attempt.faulty
    }

    /// Whether objects are missing for no other reason than that their kinds are out of play.
    pub fn is_incomplete(&self) -> bool {
        self.desired.as_ref().is_some_and(|desired| !desired.withheld.is_empty())
    }

    /// Whether an ExistingStack is done and that follows from nothing but its snapshot and what
    /// the store shows: the same order would find the same end while the store shows the same.
    pub fn is_plain(&self) -> bool {
        self.attempt.state == RunState::Done
            && self.desired.is_some()
            && self.in_doubt.is_empty()
            && self.attempt.rejected.is_empty()
            && !self.is_faulty()
            && self.observed.is_in_store()
    }

    /// The order as it now is.
    pub fn order(&self) -> &Order {
        &self.order
    }

    /// The Stack object that the order is about.
    pub fn stack(&self) -> &ObjectKey {
        &self.stack
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

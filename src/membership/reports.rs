//! The outbox as the agent's tasks share it.

use std::{cell::RefCell, rc::Rc, time::Duration};

use crate::{
    membership::{notify::Notify, outbox::Outbox},
    stack::report::Report,
    time,
};

#[derive(Debug)]
struct Shared {
    outbox: RefCell<Outbox>,
    changed: Notify,
}

/// Where reports are put to be sent to membership. Cheap to clone; belongs to one executor.
#[derive(Debug, Clone)]
pub struct Reports(Rc<Shared>);

/// Longer than a connection may leave sent data unacknowledged
/// ([`crate::membership::session::USER_TIMEOUT`]).
const DOUBT: Duration = Duration::from_secs(30);

impl Default for Reports {
    fn default() -> Self {
        Self::new()
    }
}

impl Reports {
    /// None yet.
    pub fn new() -> Self {
        Self(Rc::new(Shared { outbox: RefCell::new(Outbox::new(DOUBT)), changed: Notify::default() }))
    }

    /// Sends a report as soon as a stream stands.
    pub fn push(&self, report: Report) {
        self.0.outbox.borrow_mut().push(report);
        self.0.changed.notify();
    }

    /// How many wait to be handed to a stream.
    pub fn waiting(&self) -> usize {
        self.0.outbox.borrow().len()
    }

    pub(super) async fn not_empty(&self) {
        self.0.changed.until(|| (self.waiting() > 0).then_some(())).await;
    }

    pub(super) fn take(&self) -> Option<Report> {
        self.0.outbox.borrow_mut().take(time::now())
    }

    pub(super) fn settle(&self) {
        self.0.outbox.borrow_mut().settle(time::now());
    }

    pub(super) fn order_came(&self, stack: &str) {
        self.0.outbox.borrow_mut().order_came(stack);
    }

    pub(super) fn broke(&self) {
        self.0.outbox.borrow_mut().broke();
        self.0.changed.notify();
    }
}

//! What is about to go out on the stream, as the agent's tasks share it.
//!
//! Little lies here: whoever fills it has a window, gets room back as reports go out, and fills
//! it for the stream that stands. What was not sent when a stream ends is dropped, since on the
//! next one everything is told anew.

use shards::Wakeup;
use std::{cell::RefCell, collections::VecDeque, rc::Rc};

use crate::stack::report::Report;

/// What whoever fills the queue has to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    /// A stream was opened: everything is to be told on it.
    Opened,
    /// It is over: nothing is wanted until the next one.
    Ended,
    /// A report of this filler's was taken.
    Taken(usize),
}

type Tell = Box<dyn Fn(Flow)>;

struct Shared {
    queue: RefCell<VecDeque<(usize, Report)>>,
    changed: Wakeup,
    tell: Tell,
}

/// Where reports are put to be sent to membership. Cheap to clone; belongs to one executor.
#[derive(Clone)]
pub struct Reports(Rc<Shared>);

impl std::fmt::Debug for Reports {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reports").field("waiting", &self.waiting()).finish_non_exhaustive()
    }
}

impl Reports {
    /// None yet. `tell` is called within the session's task and must not push.
    pub fn new(tell: impl Fn(Flow) + 'static) -> Self {
        Self(Rc::new(Shared { queue: RefCell::default(), changed: Wakeup::default(), tell: Box::new(tell) }))
    }

    /// Sends a report of this filler's as soon as the stream takes it.
    pub fn push(&self, filler: usize, report: Report) {
        self.0.queue.borrow_mut().push_back((filler, report));
        self.0.changed.notify();
    }

    /// How many wait to be handed to a stream.
    pub fn waiting(&self) -> usize {
        self.0.queue.borrow().len()
    }

    pub(super) async fn not_empty(&self) {
        self.0.changed.until(|| (self.waiting() > 0).then_some(())).await;
    }

    pub(super) fn take(&self) -> Option<Report> {
        let (filler, report) = self.0.queue.borrow_mut().pop_front()?;
        (self.0.tell)(Flow::Taken(filler));
        Some(report)
    }

    pub(super) fn opened(&self) {
        // What is left was meant for another stream.
        self.0.queue.borrow_mut().clear();
        (self.0.tell)(Flow::Opened);
    }

    pub(super) fn ended(&self) {
        (self.0.tell)(Flow::Ended);
    }
}

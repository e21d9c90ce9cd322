//! Runs stacks again that an outage kept waiting: the shell around [`Outages`].

use std::{
    cell::{Cell, RefCell},
    pin::pin,
};

use futures::future::select;
use shards::Wakeup;
use tracing::info;

use super::outages::{Ended, Outages};
use crate::{
    net,
    order::StackName,
    stack::write::{FailureClass, Write, WriteAnswer},
    time::{Duration, Instant, now},
};

/// The end of an outage that was shorter is not worth a line.
const TOLD: Duration = Duration::from_secs(2);

/// What a shard's orders tell of failures and successes, and what follows from that.
pub(super) struct Recovery {
    outages: RefCell<Outages>,
    /// Counts what may make somebody due.
    moves: Cell<u64>,
    moved: Wakeup,
}

impl Recovery {
    /// Of a shard that works on so many stacks at a time.
    pub(super) fn new(window: usize) -> Self {
        let outages = RefCell::new(Outages::new(window, fastrand::u64(..)));
        Self { outages, moves: Cell::new(0), moved: Wakeup::default() }
    }

    /// A run of the stack begins. True where it was called: it need not pause any longer.
    pub(super) fn begins(&self, stack: &StackName) -> bool {
        self.outages.borrow_mut().begins(stack)
    }

    /// A run came to an end.
    pub(super) fn ends(&self, stack: &StackName) {
        let was_in_trouble = self.outages.borrow_mut().ends(stack, now());
        if was_in_trouble {
            self.stir();
        }
    }

    /// A run failed with what others fail with as well. Says when the stack is to be run again unless
    /// it is called before.
    pub(super) fn waits(&self, stack: &StackName, class: &FailureClass, at: Instant) -> Instant {
        let at = self.outages.borrow_mut().waits(stack, class, at, now());
        self.stir();
        at
    }

    /// Reads were answered.
    pub(super) fn read(&self) {
        self.succeeded(&FailureClass::Read);
        self.succeeded(&FailureClass::Any);
    }

    /// A write was answered.
    pub(super) fn answered(&self, write: &Write, answer: &WriteAnswer) {
        FailureClass::proved_by(write, answer).iter().for_each(|class| self.succeeded(class));
    }

    fn succeeded(&self, class: &FailureClass) {
        let ended = self.outages.borrow_mut().succeeded(class, now());
        let Some(Ended { lasted, waiting }) = ended else { return };
        if lasted >= TOLD && waiting > 0 {
            info!(%class, waiting, "answered again after {lasted:.1?}; the stacks that wait for that go on");
        }
        self.stir();
    }

    fn stir(&self) {
        self.moves.set(self.moves.get() + 1);
        self.moved.notify();
    }

    /// Calls who is due, for ever. While the API server wants to be left alone, which `paused` says,
    /// nobody is.
    pub(super) async fn run(&self, paused: impl Fn() -> Option<Instant>, call: impl Fn(&StackName)) {
        loop {
            let seen = self.moves.get();
            let pause = paused();
            if pause.is_none() {
                let called = self.outages.borrow_mut().due(now());
                called.iter().for_each(&call);
            }
            let next = self.outages.borrow().next().max(pause);
            let moved = self.moved.until(|| (self.moves.get() != seen).then_some(()));
            match next {
                Some(at) => {
                    let wait = net::sleep(at.saturating_duration_since(now()));
                    select(pin!(wait), pin!(moved)).await;
                }
                None => moved.await,
            }
        }
    }
}

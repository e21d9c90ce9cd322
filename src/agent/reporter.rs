//! Brings what a shard has to tell to the front shard, as far as there is room on the stream.

use std::{
    cell::{Cell, RefCell},
    pin::pin,
    rc::Rc,
    time::Duration,
};

use futures::future::select;
use shards::{CoopBudget, Router, ShardId};
use tracing::debug;

use super::{
    front::ROOM,
    knowledge::Knowledge,
    mail::{FRONT, Mail},
};
use crate::{
    cluster::limiter::TokenBucket,
    membership::outbox::{Pace, Taken},
    net,
    time::{Instant, now},
};

/// Reports in one message to the front.
const BATCH: usize = 64;
/// Repeats that may be saved up, in seconds of their rate.
const BURST_SECONDS: f64 = 0.1;

/// One shard's reporter.
pub(super) struct Reporter {
    id: ShardId,
    router: Router<Mail>,
    knowledge: Rc<Knowledge>,
    pace: RefCell<Repeats>,
    /// The stream that is open, if one is.
    stream: Cell<Option<u64>>,
    /// How many reports may be handed over before the front has given room back.
    room: Cell<usize>,
    /// Everything is known that there is to be told.
    ready: Cell<bool>,
    /// Everything is to be told once it is known.
    everything: Cell<bool>,
    /// The front wants to know when all is told.
    flushing: Cell<bool>,
}

struct Repeats(TokenBucket);

impl Pace for Repeats {
    fn take(&mut self, now: Instant) -> Result<(), Instant> {
        self.0.take(now)
    }
}

impl Reporter {
    /// A reporter that repeats at most `qps` reports a second; 0 is unlimited.
    pub(super) fn new(id: ShardId, router: Router<Mail>, knowledge: Rc<Knowledge>, qps: f64) -> Self {
        let burst = (qps * BURST_SECONDS).clamp(1.0, f64::from(u32::MAX)) as u32;
        Self {
            id,
            router,
            knowledge,
            pace: RefCell::new(Repeats(TokenBucket::new(qps, burst, now()))),
            stream: Cell::new(None),
            room: Cell::new(0),
            ready: Cell::new(false),
            everything: Cell::new(false),
            flushing: Cell::new(false),
        }
    }

    /// A stream was opened.
    pub(super) fn opened(&self, stream: u64, everything: bool) {
        self.stream.set(Some(stream));
        self.room.set(ROOM);
        self.everything.set(everything);
        self.tell_everything();
        self.knowledge.changed.notify();
    }

    /// The stream is over.
    pub(super) fn ended(&self) {
        self.stream.set(None);
        self.knowledge.changed.notify();
    }

    /// Reports of a stream went out.
    pub(super) fn room(&self, stream: u64, reports: usize) {
        if self.stream.get() == Some(stream) {
            self.room.set(self.room.get() + reports);
            self.knowledge.changed.notify();
        }
    }

    /// All objects are known.
    pub(super) fn ready(&self) {
        self.ready.set(true);
        self.tell_everything();
    }

    fn tell_everything(&self) {
        if self.ready.get() && self.stream.get().is_some() && self.everything.take() {
            self.knowledge.tell_everything();
        }
    }

    /// The front is told once there is nothing left to tell.
    pub(super) fn flush(&self) {
        self.flushing.set(true);
        self.knowledge.changed.notify();
    }

    /// Works until it is dropped.
    pub(super) async fn run(self: Rc<Self>) {
        let mut budget = CoopBudget::new();
        loop {
            self.knowledge.changed.until(|| self.may_go_on().then_some(())).await;
            if self.flushing.get() && (self.knowledge.is_told() || self.stream.get().is_none()) {
                self.flushing.set(false);
                self.send(Mail::Flushed).await;
                continue;
            }
            let Taken { reports, more_at } =
                self.knowledge.take(self.room.get().min(BATCH), &mut *self.pace.borrow_mut());
            match (reports.is_empty(), more_at) {
                (false, _) => self.hand_over(reports).await,
                (true, Some(at)) => self.wait(at).await,
                (true, None) => {}
            }
            budget.check().await;
        }
    }

    fn may_go_on(&self) -> bool {
        let told = self.knowledge.is_told();
        let flushed = self.flushing.get() && (told || self.stream.get().is_none());
        flushed || (self.stream.get().is_some() && self.room.get() > 0 && !told)
    }

    async fn hand_over(&self, reports: Vec<crate::stack::report::Report>) {
        let Some(stream) = self.stream.get() else { return };
        self.room.set(self.room.get().saturating_sub(reports.len()));
        self.send(Mail::Reports { from: self.id, stream, reports }).await;
    }

    /// Waits until more may be repeated, or something has changed.
    async fn wait(&self, at: Instant) {
        let mut asked = false;
        let changed = self.knowledge.changed.until(|| std::mem::replace(&mut asked, true).then_some(()));
        select(pin!(changed), pin!(net::sleep(at.saturating_duration_since(now())))).await;
    }

    /// At every `period`, everything is told again.
    pub(super) async fn resync(self: Rc<Self>, period: Duration) {
        loop {
            net::sleep(period).await;
            if self.ready.get() && self.stream.get().is_some() {
                self.knowledge.resync();
            }
        }
    }

    /// Hands over what changed and was not told, whether there is room or not: nothing more comes.
    pub(super) async fn farewell(&self) {
        let Some(stream) = self.stream.get() else { return };
        loop {
            let reports = self.knowledge.take_changes(BATCH);
            if reports.is_empty() {
                return;
            }
            self.send(Mail::Reports { from: self.id, stream, reports }).await;
        }
    }

    async fn send(&self, mail: Mail) {
        if self.router.send(FRONT, mail).await.is_err() {
            debug!(shard = %self.id, "the front shard is gone");
        }
    }
}

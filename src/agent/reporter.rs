//! Brings what a shard has to tell to the coordinator: its reports, as far as there is credit, and what
//! else must not hold up the task that reads the shard's messages.

use std::{
    cell::{Cell, RefCell},
    pin::pin,
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use futures::future::select;
use shards::{CoopBudget, ShardId};

use super::{
    message::{MessageSender, ToCoordinator},
    shard_store::ShardStore,
};
use crate::{
    cluster::limiter::TokenBucket,
    membership::{
        outbox::{Pace, Taken},
        report_channel::{CREDIT, ReportScope, StreamGrant},
    },
    net,
    stack::{object::Catalog, report::Report},
    time::{Instant, now},
};

/// Reports in one message to the coordinator.
const BATCH: usize = 64;
/// Repeats that may be saved up, in seconds of their rate.
const BURST_SECONDS: f64 = 0.1;

/// One shard's reporter.
pub(super) struct Reporter {
    id: ShardId,
    messages: MessageSender,
    store: Rc<ShardStore>,
    pace: RefCell<RepeatPace>,
    /// The stream that is open, if one is.
    stream: Cell<Option<u64>>,
    /// How many reports may be sent.
    credit: Cell<usize>,
    /// Everything is known that there is to be told.
    ready: Cell<bool>,
    /// Everything is to be told once it is known.
    everything: Cell<bool>,
    /// The coordinator wants to know when all is told.
    flushing: Cell<bool>,
    /// The kinds that the shard has activated, where the coordinator does not know yet.
    activated: RefCell<Option<Arc<Catalog>>>,
}

struct RepeatPace(TokenBucket);

impl Pace for RepeatPace {
    fn take(&mut self, now: Instant) -> Result<(), Instant> {
        self.0.take(now)
    }
}

impl Reporter {
    /// A reporter that repeats at most `qps` reports a second; 0 is unlimited.
    pub(super) fn new(id: ShardId, messages: MessageSender, store: Rc<ShardStore>, qps: f64) -> Self {
        let burst = (qps * BURST_SECONDS).clamp(1.0, f64::from(u32::MAX)) as u32;
        Self {
            id,
            messages,
            store,
            pace: RefCell::new(RepeatPace(TokenBucket::new(qps, burst, now()))),
            stream: Cell::default(),
            credit: Cell::default(),
            ready: Cell::default(),
            everything: Cell::default(),
            flushing: Cell::default(),
            activated: RefCell::default(),
        }
    }

    /// Of the stream that reports are for.
    pub(super) fn grant(&self, grant: StreamGrant) {
        match grant {
            StreamGrant::Opened { stream, scope } => {
                self.stream.set(Some(stream));
                self.credit.set(CREDIT);
                self.everything.set(scope == ReportScope::Everything);
                self.report_everything();
            }
            StreamGrant::Credit { stream, reports } if self.stream.get() == Some(stream) => {
                self.credit.set(self.credit.get() + reports);
            }
            StreamGrant::Credit { .. } => {}
            StreamGrant::Ended => self.stream.set(None),
        }
        self.store.changed.notify();
    }

    /// The shard knows all objects of these kinds, and its orders are about them.
    pub(super) fn activated(&self, catalog: Arc<Catalog>) {
        self.ready.set(true);
        self.report_everything();
        self.activated.replace(Some(catalog));
        self.store.changed.notify();
    }

    fn report_everything(&self) {
        if self.ready.get() && self.stream.get().is_some() && self.everything.take() {
            self.store.report_everything();
        }
    }

    /// The coordinator is told once there is nothing left to report.
    pub(super) fn flush(&self) {
        self.flushing.set(true);
        self.store.changed.notify();
    }

    /// Works until it is dropped.
    pub(super) async fn run(self: Rc<Self>) {
        let mut budget = CoopBudget::new();
        loop {
            self.store.changed.until(|| self.has_work().then_some(())).await;
            let activated = self.activated.take();
            if let Some(catalog) = activated {
                self.messages.to_coordinator(ToCoordinator::Activated(catalog)).await;
            } else if self.is_flushed() {
                self.flushing.set(false);
                self.messages.to_coordinator(ToCoordinator::Flushed).await;
            } else {
                self.report().await;
            }
            budget.check().await;
        }
    }

    fn has_work(&self) -> bool {
        let may_report = self.stream.get().is_some() && self.credit.get() > 0 && !self.store.is_reported();
        self.activated.borrow().is_some() || self.is_flushed() || may_report
    }

    /// Whether the coordinator waits for there being nothing to report, which is so.
    fn is_flushed(&self) -> bool {
        self.flushing.get() && (self.store.is_reported() || self.stream.get().is_none())
    }

    async fn report(&self) {
        let batch = self.credit.get().min(BATCH);
        let Taken { reports, more_at } = self.store.take_reports(batch, &mut *self.pace.borrow_mut());
        match (reports.is_empty(), more_at) {
            (false, _) => {
                self.credit.set(self.credit.get().saturating_sub(reports.len()));
                self.send(reports).await;
            }
            (true, Some(at)) => self.wait(at).await,
            (true, None) => {}
        }
    }

    /// Waits until more may be repeated, or something has changed.
    async fn wait(&self, at: Instant) {
        let mut asked = false;
        let changed = self.store.changed.until(|| std::mem::replace(&mut asked, true).then_some(()));
        select(pin!(changed), pin!(net::sleep(at.saturating_duration_since(now())))).await;
    }

    /// At every `period`, everything is told again.
    pub(super) async fn resync(self: Rc<Self>, period: Duration) {
        loop {
            net::sleep(period).await;
            if self.ready.get() && self.stream.get().is_some() {
                self.store.resync();
            }
        }
    }

    /// At the end of the shard: sends what changed and was not told, whether there is credit or not.
    /// That is bounded by the objects that the shard knows.
    pub(super) async fn send_last(&self) {
        while self.stream.get().is_some() {
            let reports = self.store.take_changes(BATCH);
            if reports.is_empty() {
                return;
            }
            self.send(reports).await;
        }
    }

    async fn send(&self, reports: Vec<Report>) {
        if let Some(stream) = self.stream.get() {
            self.messages.to_coordinator(ToCoordinator::Reports { from: self.id, stream, reports }).await;
        }
    }
}

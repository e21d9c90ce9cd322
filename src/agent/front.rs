//! Where a source of orders meets the agent: on the front shard.

use std::{
    cell::{Cell, RefCell},
    pin::pin,
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use futures::{
    StreamExt,
    channel::mpsc,
    future::{LocalBoxFuture, select},
};
use shards::{Router, ShardId, Stop, Wakeup, shard_of};
use tracing::{debug, error};

use super::{
    counters::Counters,
    mail::{Job, Mail},
};
use crate::{
    net,
    order::{Order, Trace},
    stack::{object::Resource, report::Report},
};

/// Reports of one shard that may be on their way to the stream.
pub(super) const ROOM: usize = 256;
/// Room is given back in pieces of this many reports.
const ROOM_STEP: usize = 64;
const _: () = assert!(2 * ROOM_STEP <= ROOM, "a shard must not wait for room that is not given back");

/// Makes the feed on the front shard, once the modules of the cluster are known.
pub type Source = Arc<dyn Fn(Front) -> Feed + Send + Sync>;

/// Takes a report, and the number of the shard that it is from. Each is to be given back by
/// [`Front::sent`] once it is on its way.
pub type Tell = Rc<dyn Fn(usize, Report)>;

/// A source at work.
pub struct Feed {
    /// Submits orders until there are no more, or until [`Front::stop`] is requested. When it
    /// ends by itself, the agent stops; when the agent stops, it is awaited until it ends.
    pub run: LocalBoxFuture<'static, ()>,
    /// Where reports go while a stream is open.
    pub report: Tell,
}

/// The agent as its source sees it. Clones are the same.
#[derive(Clone)]
pub struct Front {
    shared: Rc<Shared>,
    /// Running totals.
    pub counters: Arc<Counters>,
    /// Requested when the agent shall end: submit nothing any more.
    pub stop: Stop,
}

/// The module kinds of a cluster.
#[derive(Debug, Clone, Default)]
pub struct Modules {
    /// Counts up whenever what can be done with modules changed.
    pub edition: u64,
    /// The kinds.
    pub kinds: Vec<Arc<Resource>>,
}

/// What the front shard and its source share.
pub(super) struct Shared {
    router: Router<Mail>,
    shards: usize,
    /// Module kinds of this cluster, and which edition of them this is.
    modules: RefCell<Modules>,
    changed: Wakeup,
    /// Shards that have nothing in flight any more.
    drained: Cell<usize>,
    /// Shards that have yet to say that nothing is left to be told.
    unflushed: Cell<usize>,
    /// The stream that is open, if one is; streams are counted from 1.
    stream: Cell<Option<u64>>,
    streams: Cell<u64>,
    /// By shard: reports that went out and for which no room was given back yet.
    sent: RefCell<Vec<usize>>,
    outbound: mpsc::UnboundedSender<(ShardId, Mail)>,
}

impl Shared {
    /// Starts the task that carries the front's word to the shards, in order.
    pub(super) fn start(router: &Router<Mail>, shards: usize) -> (Rc<Self>, net::Task<()>) {
        let (outbound, mut letters) = mpsc::unbounded();
        let task = net::spawn({
            let router = router.clone();
            async move {
                while let Some((shard, mail)) = letters.next().await {
                    if router.send(shard, mail).await.is_err() {
                        debug!(%shard, "a shard is gone");
                    }
                }
            }
        });
        let shared = Self {
            router: router.clone(),
            shards,
            modules: RefCell::default(),
            changed: Wakeup::default(),
            drained: Cell::new(0),
            unflushed: Cell::new(0),
            stream: Cell::new(None),
            streams: Cell::new(0),
            sent: RefCell::new(vec![0; shards]),
            outbound,
        };
        (Rc::new(shared), task)
    }

    /// Sends to one shard, behind all that was sent before.
    pub(super) fn tell(&self, shard: usize, mail: Mail) {
        // Fails only where the carrier was cancelled, at the end.
        let _ = self.outbound.unbounded_send((ShardId::new(shard), mail));
    }

    /// Sends to every shard.
    pub(super) fn tell_all(&self, mail: impl Fn() -> Mail) {
        (0..self.shards).for_each(|shard| self.tell(shard, mail()));
    }

    /// These are the modules that membership is to know of.
    pub(super) fn set_modules(&self, modules: Vec<Arc<Resource>>) {
        let edition = self.modules.borrow().edition + 1;
        self.modules.replace(Modules { edition, kinds: modules });
        self.changed.notify();
    }

    /// What membership is to know of.
    pub(super) fn modules(&self) -> std::cell::Ref<'_, Vec<Arc<Resource>>> {
        std::cell::Ref::map(self.modules.borrow(), |modules| &modules.kinds)
    }

    /// Whether reports for this stream are still wanted.
    pub(super) fn is_open(&self, stream: u64) -> bool {
        self.stream.get() == Some(stream)
    }

    pub(super) fn drained(&self) {
        self.drained.set(self.drained.get() + 1);
        self.changed.notify();
    }

    pub(super) fn flushed(&self) {
        self.unflushed.set(self.unflushed.get().saturating_sub(1));
        self.changed.notify();
    }

    /// Resolves once no shard has a write in flight any more, or one has failed: that one says
    /// nothing any more.
    pub(super) async fn all_drained(&self, stop: &Stop) {
        let drained = self.changed.until(|| (self.drained.get() >= self.shards).then_some(()));
        select(pin!(drained), pin!(stop.wait_failed())).await;
    }
}

impl Front {
    pub(super) fn new(shared: Rc<Shared>, counters: Arc<Counters>, stop: Stop) -> Self {
        Self { shared, counters, stop }
    }

    /// Hands an order to the shard that owns its stack; waits while that shard is behind.
    pub async fn submit(&self, order: Order, trace: Option<Trace>) {
        let owner = shard_of(order.stack.as_str().as_bytes(), self.shared.shards);
        let job = Job { order, trace, counted: false, again: false };
        self.counters.accepted.add(1);
        if let Err(rejected) = self.shared.router.send(owner, Mail::Order(job)).await {
            // Only while the process is ending: the next start gets the order anew.
            self.counters.failed.add(1);
            error!(shard = %owner, "an order was not taken, its shard is gone: {rejected}");
        }
    }

    /// The module kinds of this cluster.
    pub fn modules(&self) -> Modules {
        self.shared.modules.borrow().clone()
    }

    /// Whether the cluster has a module of this name.
    pub fn is_module(&self, singular: &str) -> bool {
        self.shared.modules.borrow().kinds.iter().any(|kind| kind.singular == singular)
    }

    /// Waits for a newer edition of the modules than this.
    pub async fn modules_after(&self, known: u64) -> Modules {
        let changed = || Some(self.modules()).filter(|modules| modules.edition > known);
        self.shared.changed.until(changed).await
    }

    /// A stream for reports was opened. With `everything` all is told on it, else only what
    /// changes and what orders lead to.
    pub fn opened(&self, everything: bool) {
        let shared = &self.shared;
        let stream = shared.streams.get() + 1;
        shared.streams.set(stream);
        shared.stream.set(Some(stream));
        shared.sent.borrow_mut().fill(0);
        shared.tell_all(|| Mail::Opened { stream, everything });
    }

    /// The stream is over.
    pub fn ended(&self) {
        if self.shared.stream.take().is_some() {
            self.shared.tell_all(|| Mail::Ended);
        }
    }

    /// A report of this shard's is on its way.
    pub fn sent(&self, shard: usize) {
        let Some(stream) = self.shared.stream.get() else { return };
        let mut sent = self.shared.sent.borrow_mut();
        let Some(count) = sent.get_mut(shard) else { return };
        *count += 1;
        if *count >= ROOM_STEP {
            self.shared.tell(shard, Mail::Room { stream, reports: std::mem::take(count) });
        }
    }

    /// Waits until all that there was to report was handed over.
    pub async fn reported(&self) {
        self.shared.unflushed.set(self.shared.shards);
        self.shared.tell_all(|| Mail::Flush);
        self.shared.changed.until(|| (self.shared.unflushed.get() == 0).then_some(())).await;
    }

    /// Resolves once the agent is stopping and no shard has a write in flight any more.
    pub async fn drained(&self) {
        self.stop.wait().await;
        self.shared.all_drained(&self.stop).await;
    }

    /// Waits until every order has come to an end, or the agent is stopping.
    pub async fn settled(&self) {
        while self.counters.pending() > 0 && !self.stop.requested() {
            net::sleep(Duration::from_millis(10)).await;
        }
    }
}

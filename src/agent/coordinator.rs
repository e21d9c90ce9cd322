//! The one place that knows which kinds are in play, the source of orders, and the stream that reports
//! go to: an actor beside the stacks of the first shard.
//!
//! It is told things by [`ToCoordinator`], and decides by [`KindRegistry`]. What shards are to be told
//! is kept as the newest state of each thing until they take it ([`Outbound`]), so that nothing waits
//! for a shard that is behind, and nothing piles up.

mod definitions;
mod source;

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    pin::pin,
    rc::Rc,
    sync::Arc,
};

use futures::future::{Either, join_all, join3, select};
use shards::{ShardId, Stop, Wakeup};
use tracing::{info, warn};

pub use self::source::{ClusterModules, OrderSource, SourceHandle};
use super::{
    Setup,
    counters::Counters,
    kind_registry::{KindAction, KindEvent, KindRegistry},
    message::{MessageSender, ToCoordinator, ToShard},
};
use crate::{
    cluster::KubeClient,
    membership::report_channel::ReportChannel,
    net,
    stack::object::{Catalog, Resource},
    time::now,
};

/// See the [module](self).
pub(super) struct Coordinator {
    registry: RefCell<KindRegistry>,
    /// By shard.
    outbound: RefCell<Vec<Outbound>>,
    messages: MessageSender,
    reports: ReportChannel,
    /// The modules that membership is to know of.
    modules: RefCell<ClusterModules>,
    /// Shards that have nothing in flight any more.
    drained: Cell<usize>,
    /// Shards that have yet to say that nothing is left to be reported.
    unflushed: Cell<usize>,
    /// Anything of the above has changed.
    changed: Rc<Wakeup>,
    client: KubeClient,
    counters: Arc<Counters>,
    stop: Stop,
}

/// What a shard has yet to be told, of each thing the newest.
#[derive(Default)]
struct Outbound {
    /// By plural of the kind: to watch it or not.
    watches: BTreeMap<String, ToShard>,
    catalog: Option<Arc<Catalog>>,
    flush: Option<ToShard>,
}

impl Outbound {
    fn next(&mut self) -> Option<ToShard> {
        let watch = self.watches.pop_first().map(|(_, message)| message);
        watch.or_else(|| self.catalog.take().map(ToShard::Activate)).or_else(|| self.flush.take())
    }
}

impl Coordinator {
    /// Has the kinds watched that are there in any cluster.
    pub(super) fn new(
        messages: MessageSender,
        client: KubeClient,
        counters: Arc<Counters>,
        stop: Stop,
    ) -> Rc<Self> {
        let shards = messages.shards().count();
        let reports = ReportChannel::new(shards);
        let (registry, actions) = KindRegistry::new(shards, now());
        let coordinator = Self {
            registry: RefCell::new(registry),
            outbound: RefCell::new((0..shards).map(|_| Outbound::default()).collect()),
            messages,
            changed: reports.granted(),
            reports,
            modules: RefCell::default(),
            drained: Cell::new(0),
            unflushed: Cell::new(0),
            client,
            counters,
            stop,
        };
        coordinator.perform(actions);
        Rc::new(coordinator)
    }

    /// Takes a message in. Never waits.
    pub(super) fn handle(&self, message: ToCoordinator) {
        match message {
            ToCoordinator::Kind(kind, status) => self.observe(KindEvent::Status(kind, status)),
            ToCoordinator::Activated(catalog) => self.observe(KindEvent::Activated(catalog)),
            ToCoordinator::Reports { from, stream, reports } => {
                self.reports.push(from.index(), stream, reports);
            }
            ToCoordinator::Flushed => {
                self.unflushed.set(self.unflushed.get().saturating_sub(1));
                self.changed.notify();
            }
            ToCoordinator::Drained => {
                self.drained.set(self.drained.get() + 1);
                self.changed.notify();
            }
        }
    }

    /// Carries the source of orders from start to end, once it is known which modules there are.
    pub(super) async fn run(self: Rc<Self>, setup: Arc<Setup>) {
        let work = net::spawn(Rc::clone(&self).work(setup.resync_period));
        if let Either::Left(_) = select(pin!(self.modules_after(0)), pin!(self.stop.wait())).await {
            (setup.source)(SourceHandle::new(Rc::clone(&self))).await;
        }
        // A source that came to its end is the end of the agent.
        self.stop.request();
        self.all_drained().await;
        work.cancel().await;
        self.messages.close();
    }

    /// All that goes on beside the source of orders.
    async fn work(self: Rc<Self>, resync_period: Option<std::time::Duration>) {
        let definitions =
            definitions::follow(self.client.clone(), resync_period, |event| self.observe(event));
        let informing = join_all(self.messages.shards().map(|shard| self.inform(shard)));
        join3(informing, self.keep_time(), definitions).await;
    }

    /// Tells a shard what it has yet to be told, for ever.
    async fn inform(&self, shard: ShardId) {
        let next = || {
            let message = self.outbound.borrow_mut().get_mut(shard.index())?.next();
            message.or_else(|| self.reports.next_grant(shard.index()).map(ToShard::Stream))
        };
        loop {
            let message = self.changed.until(next).await;
            self.messages.to_shard(shard, message).await;
        }
    }

    /// Has the registry look again whenever it is time.
    async fn keep_time(&self) {
        let wake_at = || self.registry.borrow().wake_at();
        loop {
            let planned = wake_at();
            let moved = pin!(self.changed.until(|| (wake_at() != planned).then_some(())));
            let Some(at) = planned else {
                moved.await;
                continue;
            };
            let pause = pin!(net::sleep(at.saturating_duration_since(now())));
            if let Either::Right(_) = select(moved, pause).await {
                let actions = self.registry.borrow_mut().tick(self.counters.incomplete.get(), now());
                self.perform(actions);
            }
        }
    }

    fn observe(&self, event: KindEvent) {
        let actions = self.registry.borrow_mut().handle(event, now());
        self.perform(actions);
    }

    fn perform(&self, actions: Vec<KindAction>) {
        let mut outbound = self.outbound.borrow_mut();
        for action in actions {
            match action {
                KindAction::Watch { kind, shard } => {
                    outbound[shard].watches.insert(kind.plural.clone(), ToShard::Watch(kind));
                }
                KindAction::Unwatch { kind, shard } => {
                    outbound[shard].watches.insert(kind.plural.clone(), ToShard::Unwatch(kind));
                }
                KindAction::Activate(catalog) => {
                    outbound.iter_mut().for_each(|shard| shard.catalog = Some(Arc::clone(&catalog)));
                }
                KindAction::Announce(modules) => self.announce(modules),
                KindAction::Log(log) => log.write(self.client.server()),
            }
        }
        drop(outbound);
        self.changed.notify();
    }

    fn announce(&self, kinds: Vec<Arc<Resource>>) {
        let names: Vec<_> = kinds.iter().map(|module| module.singular.as_str()).collect();
        info!(server = %self.client.server(), modules = names.join(","), "the cluster answers");
        if names.is_empty() {
            warn!(
                "no CRD is labelled formance.com/kind=module: only stacks and auth clients are kept \
                 until the operator's CRDs are installed"
            );
        }
        let generation = self.modules.borrow().generation + 1;
        self.modules.replace(ClusterModules { generation, kinds });
    }

    async fn modules_after(&self, known: u64) -> ClusterModules {
        let newer = || Some(self.modules.borrow().clone()).filter(|modules| modules.generation > known);
        self.changed.until(newer).await
    }

    /// Resolves once no shard has a write in flight any more, or one has failed: that one says nothing
    /// any more.
    async fn all_drained(&self) {
        let shards = self.messages.shards().count();
        let drained = self.changed.until(|| (self.drained.get() >= shards).then_some(()));
        select(pin!(drained), pin!(self.stop.wait_failed())).await;
    }
}

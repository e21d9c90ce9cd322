//! One shard's life: learn what there is, take messages, drain, end.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    sync::Arc,
    time::{Duration, Instant},
};

use shards::{CoopBudget, Dispatcher, Inbox, ShardId, Stop};
use tracing::{debug, warn};

use super::{
    Setup,
    circuit_breaker::BreakerDriver,
    coordinator::Coordinator,
    counters::{Counters, OrderEnd},
    message::{COORDINATOR, Envelope, MessageSender, OrderStage, QueuedOrder, ToCoordinator, ToShard},
    order_handler::OrderHandler,
    order_log::OrderLog,
    reflector_driver::ReflectorDriver,
    reporter::Reporter,
    shard_store::ShardStore,
    stack_limit::StackLimit,
};
use crate::{
    cluster::{ClientLimits, KubeClient},
    config,
    log_throttle::LogThrottle,
    net,
    order::StackName,
    stack::{
        machine::{MachineContext, MachineOptions},
        object::{Catalog, ObjectKey, Resource, Role},
    },
};

/// Stacks that a sweep looks at in one go: some tenths of a millisecond.
const SWEPT_TOGETHER: usize = 500;

/// Stacks without an object that are looked at in one go: some tenths of a millisecond.
const NEWCOMERS: usize = 2_000;

/// How often what changes without a message is looked at: how many stacks are known, and what was not
/// logged.
const UPKEEP_EVERY: Duration = Duration::from_secs(1);

/// Runs one shard until the agent was stopped and what it had in flight has ended.
pub(super) async fn run(context: shards::ShardContext<Envelope>, setup: Arc<Setup>, counters: Arc<Counters>) {
    let shards::ShardContext { id, shards, router, mut inbox, stop, .. } = context;
    let messages = MessageSender::new(router, shards);
    let client = client(&setup, id);
    let shard = Shard::new(id, shards, messages.clone(), stop.clone(), &client, setup, counters);
    #[cfg(test)]
    {
        let shard: Rc<dyn super::simulated::InspectShard> = shard.clone();
        super::simulated::show(Rc::downgrade(&shard));
    }
    let mut helpers = vec![
        net::spawn(Rc::clone(&shard.reporter).run()),
        net::spawn(Rc::clone(&shard).upkeep()),
        net::spawn(Rc::clone(&shard).retry_after_outages(client.clone())),
    ];
    if let Some(period) = shard.setup.resync_period {
        helpers.push(net::spawn(Rc::clone(&shard.reporter).resync(period)));
    }
    let mut tasks = vec![net::spawn(Rc::clone(&shard).leave(messages.clone()))];
    let coordinator = (id == COORDINATOR)
        .then(|| Coordinator::new(messages, client.clone(), Arc::clone(&shard.counters), stop));
    if let Some(coordinator) = &coordinator {
        tasks.push(net::spawn(Rc::clone(coordinator).run(Arc::clone(&shard.setup))));
    }
    shard.take_messages(&mut inbox, coordinator.as_deref()).await;
    for task in tasks {
        task.await;
    }
    for helper in helpers {
        helper.cancel().await;
    }
    let counts = client.counts();
    shard.counters.requests.add(counts.requests);
    shard.counters.writes.add(counts.writes);
}

struct Shard {
    id: ShardId,
    dispatcher: Dispatcher<StackName, QueuedOrder, OrderHandler>,
    store: Rc<ShardStore>,
    breakers: Rc<BreakerDriver>,
    reporter: Rc<Reporter>,
    reflectors: ReflectorDriver,
    /// The kinds that orders are about.
    active: RefCell<Arc<Catalog>>,
    /// The kinds that they will be about once all their objects are known.
    coming: RefCell<Option<Arc<Catalog>>>,
    /// Orders run.
    ready: Cell<bool>,
    /// The kind of Stacks.
    stack: Arc<Resource>,
    limit: StackLimit,
    log: Rc<OrderLog>,
    setup: Arc<Setup>,
    counters: Arc<Counters>,
    stop: Stop,
}

impl Shard {
    /// A shard that knows nothing yet.
    fn new(
        id: ShardId,
        shards: usize,
        messages: MessageSender,
        stop: Stop,
        client: &KubeClient,
        setup: Arc<Setup>,
        counters: Arc<Counters>,
    ) -> Rc<Self> {
        let store = Rc::new(ShardStore::new());
        let nothing = Arc::new(Catalog::new(Vec::new()));
        let throttle = if setup.says_all { LogThrottle::off() } else { LogThrottle::shared_by(shards) };
        let log = Rc::new(OrderLog::new(throttle));
        let engine = setup.engine;
        let slots = config::share(engine.max_in_flight_stacks.get(), id.index(), engine.shards).max(1);
        let breakers = Rc::new(BreakerDriver::new(slots));
        let handler = OrderHandler::new(
            client.clone(),
            Rc::clone(&store),
            Rc::clone(&breakers),
            machines(&setup, &nothing),
            Arc::clone(&counters),
            Rc::clone(&log),
            stop.clone(),
        );
        let dispatcher = Dispatcher::new(handler, slots);
        // Until everything is known that there is, orders wait.
        dispatcher.hold();
        let qps = setup.report_qps / shards as f64;
        Rc::new(Self {
            id,
            dispatcher,
            breakers,
            reporter: Rc::new(Reporter::new(id, messages.clone(), Rc::clone(&store), qps)),
            reflectors: ReflectorDriver::new(client.clone(), messages),
            store,
            active: RefCell::new(nothing),
            coming: RefCell::default(),
            ready: Cell::new(false),
            stack: Catalog::new(Vec::new()).stack,
            limit: StackLimit::new(setup.engine.max_stacks.get(), Arc::clone(&counters)),
            log,
            setup,
            counters,
            stop,
        })
    }

    /// Takes messages until every shard has said that it has nothing more to send. Nothing here may wait
    /// for another shard.
    async fn take_messages(&self, inbox: &mut Inbox<Envelope>, coordinator: Option<&Coordinator>) {
        let mut budget = CoopBudget::new();
        while let Some(envelope) = inbox.recv().await {
            match (envelope, coordinator) {
                (Envelope::Shard(message), _) => self.handle(message).await,
                (Envelope::Coordinator(message), Some(coordinator)) => coordinator.handle(message),
                (Envelope::Coordinator(_), None) => {}
            }
            budget.check().await;
        }
    }

    async fn handle(&self, message: ToShard) {
        match message {
            ToShard::Order(order) => self.take_order(order),
            ToShard::Object(event) => {
                if let Some((key, stack)) = self.store.apply(event) {
                    self.wake(&stack, &key);
                }
            }
            ToShard::Listed { kind, asked, version } => self.sweep(&kind, asked, version).await,
            ToShard::Watch(kind) => self.reflectors.watch(&kind),
            ToShard::Unwatch(kind) => self.reflectors.unwatch(&kind),
            ToShard::Activate(catalog) => {
                self.coming.replace(Some(catalog));
                self.activate();
            }
            ToShard::Stream(grant) => self.reporter.grant(grant),
            ToShard::Flush => self.reporter.flush(),
        }
    }

    fn take_order(&self, order: QueuedOrder) {
        let stack = order.order.stack.clone();
        if !self.admits(&stack) {
            self.counters.ended(OrderEnd::Failed, 1);
            self.log.beyond_limit(&stack, self.setup.engine.max_stacks.get());
            return;
        }
        self.store.order_came(&ObjectKey::new(&self.stack, stack.as_str()));
        let displaced = self.dispatcher.offer(stack, order);
        let uncounted = displaced.into_iter().filter(|order| order.stage != OrderStage::Ended).count();
        if uncounted > 0 {
            self.counters.ended(OrderEnd::Superseded, uncounted as u64);
        }
    }

    /// Whether the stack is known, or there is room for one more.
    fn admits(&self, stack: &StackName) -> bool {
        if self.store.has(stack) || self.has_order(stack) {
            return true;
        }
        self.recount(2);
        if self.limit.admit(stack) {
            return true;
        }
        // Some may have come meanwhile, or have come to nothing.
        self.recount(64);
        self.limit.admit(stack)
    }

    fn has_order(&self, stack: &StackName) -> bool {
        self.dispatcher.has(stack) || self.dispatcher.handler().remembers(stack)
    }

    /// Says how many stacks this shard knows of, after a look at so many newcomers.
    fn recount(&self, newcomers: usize) {
        self.limit
            .recount(newcomers, self.store.stacks(), |stack| !self.store.has(stack) && self.has_order(stack));
    }

    /// Looks now and then at what changes without a message.
    async fn upkeep(self: Rc<Self>) {
        let mut budget = CoopBudget::new();
        loop {
            net::sleep(UPKEEP_EVERY).await;
            for _ in 0..20 {
                self.recount(NEWCOMERS);
                budget.check().await;
            }
            self.log.rest();
        }
    }

    /// Runs stacks again that an outage kept waiting.
    async fn retry_after_outages(self: Rc<Self>, client: KubeClient) {
        self.breakers.run(|| client.paused_until(), |stack| self.dispatcher.wake(stack)).await;
    }

    /// An object is not as it was: an order that was put off for it goes on.
    fn wake(&self, stack: &str, key: &ObjectKey) {
        if let Some(stack) = self.dispatcher.handler().awaiting(stack, key) {
            self.dispatcher.wake(&stack);
        }
    }

    /// What a complete list does not name is gone.
    async fn sweep(&self, kind: &Arc<Resource>, asked: Instant, version: String) {
        let mut sweep = self.store.complete(kind, asked, version);
        let mut budget = CoopBudget::new();
        loop {
            let (gone, done) = self.store.sweep(&mut sweep, SWEPT_TOGETHER);
            // Clients are named after more than their stack; what waits for one looks by itself.
            gone.iter().for_each(|key| self.wake(&key.name, key));
            if done {
                return self.activate();
            }
            budget.check().await;
        }
    }

    /// Goes over to the coming kinds once all their objects are known.
    fn activate(&self) {
        let known = |catalog: &Arc<Catalog>| {
            let kinds = [&catalog.stack, &catalog.auth_client].into_iter().chain(&catalog.modules);
            kinds.into_iter().all(|kind| catalog.withholds(kind) || self.store.is_complete(kind))
        };
        let coming = self.coming.borrow_mut().take_if(|catalog| known(catalog));
        let Some(catalog) = coming else { return };
        let before = self.active.replace(Arc::clone(&catalog));
        let stays = |kind: &Resource| catalog.modules.iter().chain(&catalog.withheld).any(|k| **k == *kind);
        for kind in before.modules.iter().chain(&before.withheld) {
            if kind.role() == Role::Module && !stays(kind) {
                self.store.forget(kind);
            }
        }
        self.store.unmark_converged();
        let handler = self.dispatcher.handler();
        handler.set_context(machines(&self.setup, &catalog));
        // What they lacked may be in play now.
        handler.incomplete().iter().for_each(|stack| self.dispatcher.wake(stack));
        if !self.ready.replace(true) {
            debug!(shard = %self.id, "all objects are known, orders are taken up");
            self.dispatcher.release();
        }
        self.reporter.activated(catalog);
    }

    /// Once the agent is stopping: lets what is in flight end, and says so.
    async fn leave(self: Rc<Self>, messages: MessageSender) {
        self.stop.wait().await;
        self.reflectors.end().await;
        if net::timeout(self.setup.grace_period, self.dispatcher.drain()).await.is_err() {
            self.dispatcher.abort();
            warn!(shard = %self.id, "writes were still in flight after --grace-period; their stacks are put right at the next start");
        }
        self.dispatcher.handler().log_forgotten();
        self.reporter.send_last().await;
        messages.to_coordinator(ToCoordinator::Drained).await;
        if self.id != COORDINATOR {
            messages.close();
        }
    }
}

#[cfg(test)]
impl super::simulated::InspectShard for Shard {
    fn load(&self) -> super::simulated::ShardLoad {
        let (ready, orders) = (self.ready.get(), self.dispatcher.stats());
        super::simulated::ShardLoad { ready, orders, permits: self.reflectors.client().load() }
    }

    fn knows(&self, plural: &str, name: &str) -> bool {
        self.store.knows(plural, name)
    }
}

/// What machines of a shard share while these are the kinds in play.
fn machines(setup: &Setup, catalog: &Arc<Catalog>) -> MachineContext {
    let options = MachineOptions::default();
    MachineContext::new(Catalog::clone(catalog), setup.base_url.clone(), options, fastrand::u64(..))
}

fn client(setup: &Setup, shard: ShardId) -> KubeClient {
    KubeClient::new(&setup.cluster, share(setup, shard)).listing_at_most(setup.max_list_items)
}

/// One shard's part of the process' limits. A rate can be divided into parts of any size.
fn share(setup: &Setup, shard: ShardId) -> ClientLimits {
    let (limits, shards) = (setup.limits, setup.engine.shards);
    let part = |whole| config::share(whole, shard.index(), shards);
    ClientLimits {
        qps: limits.qps / shards.get() as f64,
        burst: part(limits.burst as usize) as u32,
        max_in_flight: part(limits.max_in_flight),
        deadline: limits.deadline,
    }
}

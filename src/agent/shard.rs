//! One shard's life: learn what there is, take mail, drain, end.

mod first;

use std::{
    cell::{Cell, OnceCell, RefCell},
    rc::Rc,
    sync::Arc,
    time::{Duration, Instant},
};

use shards::{CoopBudget, Dispatcher, Inbox, Router, ShardId, Stop};
use tracing::{debug, error, warn};

use self::first::AtFront;
use super::{
    Setup,
    counters::Counters,
    headcount::Headcount,
    knowledge::Knowledge,
    mail::{FRONT, Job, Mail, Seen},
    recovery::Recovery,
    reporter::Reporter,
    watcher::Watcher,
    worker::{Lines, Memories, Worker},
};
use crate::{
    cluster::{ClientLimits, KubeClient},
    config,
    log_throttle::LogThrottle,
    net,
    order::StackName,
    stack::{
        machine,
        object::{Catalog, ObjectKey, Resource, Role},
    },
    time::now,
};

/// Stacks that a sweep looks at in one go: some tenths of a millisecond.
const SWEPT_TOGETHER: usize = 500;

/// Stacks without an object that are looked at in one go: some tenths of a millisecond.
const NEWCOMERS: usize = 2_000;

/// How often what changes without mail is looked at: how many stacks are known, and what was not
/// logged.
const LOOK: Duration = Duration::from_secs(1);

/// Runs one shard until the agent was stopped and what it had in flight has ended.
pub(super) async fn run(context: shards::ShardContext<Mail>, setup: Arc<Setup>, counters: Arc<Counters>) {
    let shards::ShardContext { id, shards, router, mut inbox, stop, .. } = context;
    let client = client(&setup, id);
    let (shard, recovery) = Shard::new(id, shards, router, stop, &client, setup, counters);
    #[cfg(test)]
    {
        let shard: Rc<dyn super::simulated::Look> = shard.clone();
        super::simulated::show(Rc::downgrade(&shard));
    }
    let mut helpers = vec![
        net::spawn(Rc::clone(&shard.reporter).run()),
        net::spawn(Rc::clone(&shard).look()),
        net::spawn(recover(Rc::clone(&shard), recovery, client.clone())),
    ];
    if let Some(period) = shard.setup.resync_period {
        helpers.push(net::spawn(Rc::clone(&shard.reporter).resync(period)));
    }
    let mut tasks = vec![net::spawn(Rc::clone(&shard).leave())];
    if id == FRONT {
        let (carrier, carrying) = shard.begin_front(&client, shards);
        helpers.push(carrier);
        tasks.push(carrying);
    }
    shard.read_mail(&mut inbox).await;
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

/// Runs stacks again that an outage kept waiting.
async fn recover(shard: Rc<Shard>, recovery: Rc<Recovery>, client: KubeClient) {
    recovery.run(|| client.paused_until(), |stack| shard.dispatcher.wake(stack)).await;
}

struct Shard {
    id: ShardId,
    dispatcher: Dispatcher<StackName, Job, Worker>,
    memories: Memories,
    knowledge: Rc<Knowledge>,
    reporter: Rc<Reporter>,
    watcher: Watcher,
    /// The kinds that orders are about.
    catalog: RefCell<Arc<Catalog>>,
    /// The kinds that they will be about once all their objects are known.
    coming: RefCell<Option<Arc<Catalog>>>,
    /// Orders are taken up.
    ready: Cell<bool>,
    /// The kind of Stacks.
    stack: Arc<Resource>,
    /// On the front shard alone.
    front: OnceCell<AtFront>,
    headcount: Headcount,
    lines: Lines,
    setup: Arc<Setup>,
    counters: Arc<Counters>,
    router: Router<Mail>,
    stop: Stop,
}

impl Shard {
    /// A shard that knows nothing yet, and what it runs again after an outage.
    fn new(
        id: ShardId,
        shards: usize,
        router: Router<Mail>,
        stop: Stop,
        client: &KubeClient,
        setup: Arc<Setup>,
        counters: Arc<Counters>,
    ) -> (Rc<Self>, Rc<Recovery>) {
        let knowledge = Rc::new(Knowledge::new());
        let nothing = Arc::new(Catalog::new(Vec::new()));
        let throttle = if setup.says_all { LogThrottle::off() } else { LogThrottle::shared_by(shards) };
        let lines: Lines = Rc::new(RefCell::new(throttle));
        let engine = setup.engine;
        let slots = config::share(engine.max_in_flight_stacks.get(), id.index(), engine.shards).max(1);
        let recovery = Rc::new(Recovery::new(slots));
        let worker = Worker::new(
            client.clone(),
            Rc::clone(&knowledge),
            Rc::clone(&recovery),
            machines(&setup, &nothing),
            Arc::clone(&counters),
            Rc::clone(&lines),
            stop.clone(),
        );
        let memories = worker.memories();
        let dispatcher = Dispatcher::new(worker, slots);
        // Until everything is known that there is, orders wait.
        dispatcher.hold();
        let qps = setup.report_qps / shards as f64;
        let shard = Rc::new(Self {
            id,
            memories,
            dispatcher,
            reporter: Rc::new(Reporter::new(id, router.clone(), Rc::clone(&knowledge), qps)),
            watcher: Watcher::new(client.clone(), router.clone(), shards),
            knowledge,
            catalog: RefCell::new(nothing),
            coming: RefCell::default(),
            ready: Cell::new(false),
            stack: Catalog::new(Vec::new()).stack,
            front: OnceCell::new(),
            headcount: Headcount::new(setup.engine.max_stacks.get(), Arc::clone(&counters)),
            lines,
            setup,
            counters,
            router,
            stop,
        });
        (shard, recovery)
    }

    /// Takes mail until every shard has said that it has nothing more to send.
    async fn read_mail(&self, inbox: &mut Inbox<Mail>) {
        let mut budget = CoopBudget::new();
        while let Some(mail) = inbox.recv().await {
            match mail {
                Mail::Order(job) => self.take_order(job),
                Mail::Seen(seen) => self.see(seen),
                Mail::Complete { kind, asked, version } => self.complete(&kind, asked, version).await,
                Mail::Watch(kind) => self.watcher.watch(&kind),
                Mail::Unwatch(kind) => self.watcher.unwatch(&kind),
                Mail::Catalog(catalog) => {
                    self.coming.replace(Some(catalog));
                    self.take_up();
                }
                Mail::Opened { stream, everything } => self.reporter.opened(stream, everything),
                Mail::Ended => self.reporter.ended(),
                Mail::Room { stream, reports } => self.reporter.room(stream, reports),
                Mail::Flush => self.reporter.flush(),
                mail => match self.front.get() {
                    Some(front) => front.take(mail),
                    None => error!(shard = %self.id, ?mail, "mail for the front came to another shard"),
                },
            }
            budget.check().await;
        }
    }

    fn take_order(&self, job: Job) {
        if !self.admits(&job.order.stack) {
            self.counters.failed.add(1);
            let most = self.setup.engine.max_stacks;
            if let Some(unsaid) = self.lines.borrow_mut().say(now(), "orders beyond --max-stacks") {
                error!(
                    "stack {}: an order is refused, since {most} stacks are known, as many as --max-stacks \
                     allows, and nothing is known of this one; raise it if the fleet is as large{unsaid}",
                    job.order.stack
                );
            }
            return;
        }
        self.knowledge.order_came(&ObjectKey::new(&self.stack, job.order.stack.as_str()));
        let displaced = self.dispatcher.offer(job.order.stack.clone(), job);
        let uncounted = displaced.into_iter().filter(|job| !job.counted).count();
        self.counters.superseded.add(uncounted as u64);
    }

    /// Whether the stack is known, or there is room for one more.
    fn admits(&self, stack: &StackName) -> bool {
        if self.dispatcher.has(stack) || self.knowledge.has(stack) || self.memories.has(stack) {
            return true;
        }
        self.count(2);
        if self.headcount.admit(stack) {
            return true;
        }
        // Some may have come meanwhile, or have come to nothing.
        self.count(64);
        self.headcount.admit(stack)
    }

    /// Says how many stacks this shard knows of, after a look at so many newcomers.
    fn count(&self, newcomers: usize) {
        self.headcount.look(newcomers, self.knowledge.stacks(), |stack| {
            !self.knowledge.has(stack) && (self.dispatcher.has(stack) || self.memories.has(stack))
        });
    }

    /// Looks now and then at what changes without mail.
    async fn look(self: Rc<Self>) {
        let mut budget = CoopBudget::new();
        loop {
            net::sleep(LOOK).await;
            for _ in 0..20 {
                self.count(NEWCOMERS);
                budget.check().await;
            }
            for (kind, unsaid) in self.lines.borrow_mut().overdue(now()) {
                let kind = kind.unwrap_or("others");
                warn!("{unsaid} more lines about {kind} were not logged");
            }
        }
    }

    /// An object is not as it was: an order that was put off for it goes on.
    fn see(&self, seen: Seen) {
        if let Some((key, stack)) = self.knowledge.seen(seen) {
            self.wake(&stack, &key);
        }
    }

    fn wake(&self, stack: &str, key: &ObjectKey) {
        if let Some(stack) = self.memories.awaits(stack, key) {
            self.dispatcher.wake(&stack);
        }
    }

    /// What a complete list does not name is gone.
    async fn complete(&self, kind: &Arc<Resource>, asked: Instant, version: String) {
        let mut sweep = self.knowledge.complete(kind, asked, version);
        let mut budget = CoopBudget::new();
        loop {
            let (gone, done) = self.knowledge.sweep(&mut sweep, SWEPT_TOGETHER);
            // Clients are named after more than their stack; what waits for one looks by itself.
            gone.iter().for_each(|key| self.wake(&key.name, key));
            if done {
                return self.take_up();
            }
            budget.check().await;
        }
    }

    /// Goes over to the coming kinds once all their objects are known.
    fn take_up(&self) {
        let known = |catalog: &Arc<Catalog>| {
            let kinds = [&catalog.stack, &catalog.auth_client].into_iter().chain(&catalog.modules);
            kinds.into_iter().all(|kind| catalog.withholds(kind) || self.knowledge.is_complete(kind))
        };
        let coming = self.coming.borrow_mut().take_if(|catalog| known(catalog));
        let Some(catalog) = coming else { return };
        let before = self.catalog.replace(Arc::clone(&catalog));
        let stays = |kind: &Resource| catalog.modules.iter().chain(&catalog.withheld).any(|k| **k == *kind);
        for kind in before.modules.iter().chain(&before.withheld) {
            if kind.role() == Role::Module && !stays(kind) {
                self.knowledge.forget(kind);
            }
        }
        self.knowledge.unsettle_all();
        self.dispatcher.handler().set_context(machines(&self.setup, &catalog));
        // What they lacked may be in play now.
        self.memories.incomplete().iter().for_each(|stack| self.dispatcher.wake(stack));
        if !self.ready.replace(true) {
            debug!(shard = %self.id, "all objects are known, orders are taken up");
            self.dispatcher.release();
        }
        self.reporter.ready();
        self.post(Mail::TakenUp(catalog));
    }

    /// Sends to the front without waiting.
    fn post(&self, mail: Mail) {
        match self.front.get() {
            Some(front) => front.take(mail),
            None => {
                let (router, id) = (self.router.clone(), self.id);
                net::spawn(async move {
                    if router.send(FRONT, mail).await.is_err() {
                        debug!(shard = %id, "the front shard is gone");
                    }
                })
                .detach();
            }
        }
    }

    /// Once the agent is stopping: lets what is in flight end, and says so.
    async fn leave(self: Rc<Self>) {
        self.stop.wait().await;
        self.watcher.end().await;
        if net::timeout(self.setup.grace_period, self.dispatcher.drain()).await.is_err() {
            self.dispatcher.abort();
            warn!(shard = %self.id, "writes were still in flight after --grace-period; their stacks are put right at the next start");
        }
        self.memories.farewell();
        self.reporter.farewell().await;
        if self.router.send(FRONT, Mail::Drained).await.is_err() {
            debug!(shard = %self.id, "the front shard is gone");
        }
        if self.id != FRONT {
            self.router.close();
        }
    }
}

#[cfg(test)]
impl super::simulated::Look for Shard {
    fn load(&self) -> super::simulated::Load {
        let (ready, orders) = (self.ready.get(), self.dispatcher.stats());
        super::simulated::Load { ready, orders, permits: self.watcher.client().load() }
    }

    fn knows(&self, plural: &str, name: &str) -> bool {
        self.knowledge.knows(plural, name)
    }
}

/// What machines of a shard share while these are the kinds in play.
fn machines(setup: &Setup, catalog: &Arc<Catalog>) -> machine::MachineContext {
    let options = machine::MachineOptions::default();
    machine::MachineContext::new(Catalog::clone(catalog), setup.base_url.clone(), options, fastrand::u64(..))
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

//! One shard's life: learn the kinds, take mail, drain, end.

use std::{
    cell::{Cell, OnceCell},
    pin::pin,
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use futures::future::{Either, select};

use shards::{Context, Inbox, Router, Runner, ShardId, Stop};
use tracing::{debug, error, info, warn};

use super::{
    Setup,
    counters::Counters,
    front::{Feed, Front, Tell},
    mail::{FRONT, Job, Mail},
    worker::{Memories, Worker},
};
use crate::{
    backoff::Backoff,
    cluster::{Client, Limits},
    net::{self, endpoint::Endpoint},
    order::StackName,
    stack::{machine, object::Catalog},
};

/// Runs one shard until the agent was stopped and what it had in flight has ended.
pub(super) async fn run(context: Context<Mail>, setup: Arc<Setup>, counters: Arc<Counters>) {
    let Context { id, shards, router, mut inbox, stop, .. } = context;
    let client = Client::new(&setup.cluster, share(setup.limits, shards));
    let catalog = match id {
        FRONT => discover(&client, &setup, &stop).await,
        _ => first_catalog(&mut inbox, &stop).await,
    };
    let Some(catalog) = catalog else {
        router.close().await;
        while inbox.recv().await.is_some() {}
        return;
    };
    let machines = machine::Context::new(
        Catalog::clone(&catalog),
        setup.base_url.clone(),
        machine::Options::default(),
        fastrand::u64(..),
    );
    let worker =
        Worker::new(client.clone(), Rc::new(machines), Arc::clone(&counters), stop.clone(), router.clone());
    let memories = worker.memories();
    let shard = Rc::new(Shard {
        id,
        shards,
        memories,
        runner: Runner::new(worker, setup.engine.max_in_flight_stacks.get().div_ceil(shards)),
        setup,
        counters,
        router,
        stop,
        drained: Cell::new(0),
        report: OnceCell::new(),
    });
    let mut tasks = vec![net::spawn(Rc::clone(&shard).leave())];
    if id == FRONT {
        tasks.push(net::spawn(Rc::clone(&shard).carry(catalog)));
    }
    shard.read_mail(&mut inbox).await;
    for task in tasks {
        task.await;
    }
    let counts = client.counts();
    shard.counters.requests.add(counts.requests);
    shard.counters.writes.add(counts.writes);
}

struct Shard {
    id: ShardId,
    shards: usize,
    runner: Runner<StackName, Job, Worker>,
    memories: Memories,
    setup: Arc<Setup>,
    counters: Arc<Counters>,
    router: Router<Mail>,
    stop: Stop,
    /// Shards that have nothing in flight any more; counted on the front shard.
    drained: Cell<usize>,
    /// Where reports go; set on the front shard.
    report: OnceCell<Tell>,
}

impl Shard {
    /// Takes mail until every shard has said that it has nothing more to send.
    async fn read_mail(&self, inbox: &mut Inbox<Mail>) {
        while let Some(mail) = inbox.recv().await {
            match mail {
                Mail::Order(job) => {
                    let displaced = self.runner.offer(job.order.stack.clone(), job);
                    let uncounted = displaced.into_iter().filter(|job| !job.counted).count();
                    self.counters.superseded.add(uncounted as u64);
                }
                Mail::Report(report) => match self.report.get() {
                    Some(tell) => tell(&report),
                    None => error!(shard = %self.id, ?report, "a report came to a shard that has no source"),
                },
                Mail::Drained => self.drained.set(self.drained.get() + 1),
                Mail::Catalog(_) => {}
            }
        }
    }

    /// Once the agent is stopping: lets what is in flight end, and says so.
    async fn leave(self: Rc<Self>) {
        self.stop.wait().await;
        if net::timeout(self.setup.grace_period, self.runner.drain()).await.is_err() {
            self.runner.abort();
            warn!(shard = %self.id, "writes were still in flight after --grace-period; their stacks are put right at the next start");
        }
        self.memories.farewell();
        if self.router.send(FRONT, Mail::Drained).await.is_err() {
            debug!(shard = %self.id, "the front shard is gone");
        }
        if self.id != FRONT {
            self.router.close().await;
        }
    }

    /// On the front shard: carries the source of orders from start to end.
    async fn carry(self: Rc<Self>, catalog: Arc<Catalog>) {
        for shard in (0..self.shards).map(ShardId::new).filter(|shard| *shard != FRONT) {
            if self.router.send(shard, Mail::Catalog(Arc::clone(&catalog))).await.is_err() {
                error!(%shard, "a shard is gone before it began");
            }
        }
        let all = self.shards;
        let counting = Rc::clone(&self);
        let front = Front::new(
            self.router.clone(),
            self.shards,
            catalog,
            Arc::clone(&self.counters),
            self.stop.clone(),
            Rc::new(move || counting.drained.get() == all),
        );
        let Feed { run, report } = (self.setup.source)(front);
        if self.report.set(report).is_err() {
            error!("the source was started twice");
        }
        run.await;
        // A source that came to its end is the end of the agent.
        self.stop.request();
        while self.drained.get() < all {
            net::sleep(Duration::from_millis(5)).await;
        }
        self.router.close().await;
    }
}

/// One shard's part of the process' limits.
fn share(limits: Limits, shards: usize) -> Limits {
    let burst = match limits.burst {
        0 => 0,
        burst => burst.div_ceil(u32::try_from(shards).unwrap_or(u32::MAX)),
    };
    Limits {
        qps: limits.qps / shards as f64,
        burst,
        max_in_flight: limits.max_in_flight.div_ceil(shards),
        deadline: limits.deadline,
    }
}

/// Asks the API server for its modules until it answers. `None`: the agent was stopped first.
async fn discover(client: &Client, setup: &Setup, stop: &Stop) -> Option<Arc<Catalog>> {
    let server = &setup.cluster.endpoint;
    let mut backoff = Backoff::new(Duration::from_millis(500), Duration::from_secs(30));
    loop {
        match unless_stopped(stop, client.catalog()).await? {
            Ok(catalog) => {
                tell_modules(server, &catalog);
                return Some(Arc::new(catalog));
            }
            Err(failure) => {
                let pause = backoff.fail(fastrand::f64());
                warn!(%server, "the modules could not be listed, trying again in {pause:.1?}: {failure}");
                unless_stopped(stop, net::sleep(pause)).await?;
            }
        }
    }
}

fn tell_modules(server: &Endpoint, catalog: &Catalog) {
    let modules: Vec<_> = catalog.modules.iter().map(|module| module.singular.as_str()).collect();
    info!(%server, modules = modules.join(","), "the cluster answers");
    if modules.is_empty() {
        warn!(
            "no CRD is labelled formance.com/kind=module: only stacks and auth clients are kept; \
             install the operator's CRDs and restart"
        );
    }
}

/// Waits for the front shard's word. `None`: the agent was stopped first.
async fn first_catalog(inbox: &mut Inbox<Mail>, stop: &Stop) -> Option<Arc<Catalog>> {
    match unless_stopped(stop, inbox.recv()).await?? {
        Mail::Catalog(catalog) => Some(catalog),
        mail => {
            error!(?mail, "mail came before the kinds were known");
            None
        }
    }
}

/// Awaits `future`, or gives it up when the agent is stopped.
async fn unless_stopped<T>(stop: &Stop, future: impl Future<Output = T>) -> Option<T> {
    match select(pin!(future), pin!(stop.wait())).await {
        Either::Left((output, _)) => Some(output),
        Either::Right(_) => None,
    }
}

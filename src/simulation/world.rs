//! Everything that takes part in a run: the agent between membership and the API server, and the
//! others who write there.

mod others;
mod untold;

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    num::NonZeroUsize,
    rc::Rc,
    time::Duration,
};

use fastrand::Rng;
use serde_json::Value;
use shards::simulation::SimGroup;

use super::{
    api_server::{ApiServer, LimitsSeen, wall},
    faults::{FaultRates, Struck},
    membership::Membership,
    trace::RunTrace,
    wishes::Wishes,
};
use crate::{
    agent::{self, Setup, simulated},
    cluster::{self, ClusterConfig},
    config::EngineSettings,
    demo::{BASE_HOST, check, fleet},
    embedded::{cluster::EmbeddedCluster, crds, operator},
    net,
    stack::desired::StackBaseUrl,
    time,
};

/// What a run is made up of.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    pub(crate) seed: u64,
    pub(crate) shards: usize,
    /// Of the agent, over all shards.
    pub(crate) limits: cluster::ClientLimits,
    pub(crate) stacks_in_flight: usize,
    pub(crate) resync_period: Option<Duration>,
    pub(crate) operator: operator::OperatorOptions,
    /// There is an operator at all.
    pub(crate) operated: bool,
    /// Events of each kind that watches can go back.
    pub(crate) window: usize,
    /// Lists come in pages of this many objects at most.
    pub(crate) page: Option<usize>,
    pub(crate) faults: FaultRates,
    /// Keep a trace.
    pub(crate) verbose: bool,
}

impl Options {
    /// A run without faults.
    pub(crate) fn quiet(seed: u64) -> Self {
        Self {
            seed,
            shards: 2,
            limits: cluster::ClientLimits {
                qps: 200.0,
                burst: 50,
                max_in_flight: 32,
                deadline: Duration::from_secs(5),
            },
            stacks_in_flight: 16,
            resync_period: Some(Duration::from_secs(60)),
            operator: operator::OperatorOptions { finalizer: true, ..operator::OperatorOptions::default() },
            operated: true,
            window: 10_000,
            page: None,
            faults: FaultRates::default(),
            verbose: false,
        }
    }

    /// What the API server sees at most.
    pub(crate) fn limits_seen(&self) -> LimitsSeen {
        // Each shard has one at least: outside of here there are no more shards than parts.
        let most = |whole: usize| whole.max(self.shards);
        LimitsSeen {
            qps: self.limits.qps,
            burst: most(self.limits.burst as usize) as f64,
            in_flight: most(self.limits.max_in_flight),
        }
    }
}

/// See the [module](self).
pub(crate) struct World {
    pub(crate) options: Options,
    pub(crate) server: Rc<ApiServer>,
    pub(crate) membership: Rc<Membership>,
    pub(crate) wishes: Rc<Wishes>,
    pub(crate) trace: Rc<RunTrace>,
    pub(crate) struck: RefCell<Struck>,
    rng: RefCell<Rng>,
    /// What is nobody's process.
    nature: SimGroup,
    /// The agent's process.
    process: Cell<Option<SimGroup>>,
    agent: RefCell<Option<simulated::Agent>>,
    /// What others have written and want to find again, by kind and name: uid and annotation.
    notes: RefCell<BTreeMap<(String, String), (String, String)>>,
}

thread_local! {
    static DEFINITIONS: Vec<Value> = crds::manifests()
        .iter()
        .map(|(file, yaml)| serde_saphyr::from_str(yaml).unwrap_or_else(|error| panic!("{file}: {error}")))
        .collect();
}

impl World {
    /// A world in which nothing has happened yet.
    pub(crate) fn new(options: Options) -> Rc<Self> {
        let mut rng = Rng::with_seed(options.seed);
        let mut cluster = EmbeddedCluster::new(rng.u64(..), options.window);
        DEFINITIONS.with(|definitions| {
            for definition in definitions {
                cluster.install(definition, wall()).unwrap_or_else(|error| panic!("a manifest: {error}"));
            }
        });
        let (wishes, trace) = (Rc::new(Wishes::default()), Rc::new(RunTrace::new(options.verbose)));
        let faults = options.faults.clone();
        let server =
            ApiServer::new(cluster, rng.u64(..), faults.clone(), Rc::clone(&wishes), Rc::clone(&trace));
        let membership = Membership::new(rng.u64(..), faults, Rc::clone(&wishes), Rc::clone(&trace));
        server.page.set(options.page);
        cluster::simulated::install(Some(server.clone()));
        crate::membership::simulated::install(Some(membership.clone()));
        let world = Rc::new(Self {
            options,
            server,
            membership,
            wishes,
            trace,
            struck: RefCell::default(),
            rng: RefCell::new(rng),
            nature: SimGroup::new(),
            process: Cell::default(),
            agent: RefCell::default(),
            notes: RefCell::default(),
        });
        if world.options.operated {
            net::spawn(Rc::clone(&world).operate()).detach();
        }
        net::spawn(Rc::clone(&world.membership).ping()).detach();
        world
    }

    /// Time since the beginning.
    pub(crate) fn elapsed(&self) -> Duration {
        self.server.elapsed()
    }

    /// Starts the agent.
    pub(crate) fn start(self: &Rc<Self>) {
        let options = &self.options;
        let (id, url) = ("simulated", format!("https://{BASE_HOST}"));
        let nowhere = std::net::SocketAddr::from(([127, 0, 0, 1], 1));
        let nonzero = |n| NonZeroUsize::new(n).unwrap_or(NonZeroUsize::MIN);
        let setup = Setup {
            engine: EngineSettings {
                shards: nonzero(options.shards),
                max_in_flight_stacks: nonzero(options.stacks_in_flight),
                max_stacks: nonzero(1_000_000),
            },
            cluster: ClusterConfig::plain("http://api.simulated").expect("a URL"),
            limits: options.limits,
            max_list_items: crate::cluster::reflector::MOST_ITEMS,
            base_url: StackBaseUrl { scheme: "https".into(), host: BASE_HOST.into() },
            grace_period: Duration::from_secs(30),
            resync_period: options.resync_period,
            report_qps: 1000.0,
            says_all: false,
            source: agent::membership_at(nowhere, id, &url),
        };
        self.server.begin(options.limits_seen());
        let process = SimGroup::new();
        self.process.set(Some(process));
        let world = Rc::downgrade(self);
        process
            .spawn(async move {
                let agent = simulated::start(setup).await;
                if let Some(world) = world.upgrade() {
                    world.agent.replace(Some(agent));
                }
                untold::forget(&world).await;
            })
            .detach();
        self.trace.say(self.elapsed(), || "the agent starts".to_owned());
    }

    /// Kills the agent's process.
    pub(crate) fn kill(&self) {
        self.trace.say(self.elapsed(), || "the agent is killed".to_owned());
        if let Some(process) = self.process.take() {
            process.kill();
        }
        let agent = self.agent.take();
        drop(agent);
        self.membership.cut(Duration::ZERO);
    }

    /// Kills it a little later.
    pub(crate) fn kill_after(self: &Rc<Self>, pause: Duration) {
        let world = Rc::clone(self);
        self.nature
            .spawn(async move {
                net::sleep(pause).await;
                world.kill();
            })
            .detach();
    }

    /// Whether the agent has an object in view.
    pub(crate) fn agent_knows(&self, plural: &str, name: &str) -> bool {
        simulated::knows(plural, name)
    }

    pub(crate) fn is_running(&self) -> bool {
        self.process.get().is_some()
    }

    /// Asks the agent to end and waits until it has; false where it does not in good time.
    pub(crate) async fn stop(&self) -> bool {
        let Some(agent) = self.agent.take() else { return false };
        agent.stopper.stop();
        let ended = futures::future::join_all(agent.shards);
        let in_time = net::timeout(Duration::from_secs(120), ended).await.is_ok();
        if let Some(process) = self.process.take() {
            process.kill();
        }
        in_time
    }

    /// All faults that struck.
    pub(crate) fn all_struck(&self) -> Struck {
        let mut all = self.struck.borrow().clone();
        all.add(&self.server.struck.borrow());
        all.add(&self.membership.struck.borrow());
        all
    }

    /// No more faults from now on.
    pub(crate) fn calm(&self) {
        self.server.faults.replace(FaultRates::default());
        self.membership.faults.replace(FaultRates::default());
        self.trace.say(self.elapsed(), || "no more faults from now on".to_owned());
    }

    /// Everything that the fleet may have in the cluster.
    pub(crate) fn objects(&self) -> check::Objects {
        let mut objects = check::Objects::new();
        let cluster = self.server.cluster.borrow();
        for plural in fleet::PLURALS {
            let Some(kind) = cluster.kind("formance.com", "v1beta1", plural) else { continue };
            for object in cluster.objects(&kind) {
                objects.insert(((*plural).to_owned(), object.name().to_owned()), object.value().clone());
            }
        }
        objects
    }

    /// What is not as it should be, the first thing of it.
    pub(crate) fn wrong(&self) -> Option<String> {
        let objects = self.objects();
        if let Some((stack, fault)) = check::stale(&self.wishes.now(), &objects).into_iter().next() {
            return Some(format!("stack {stack}: {fault}"));
        }
        if let Some(wrong) = self.misbelief(&objects) {
            return Some(wrong);
        }
        for (key, (uid, note)) in &*self.notes.borrow() {
            let Some(object) = objects.get(key) else { continue };
            let metadata = &object["metadata"];
            if metadata["uid"] == **uid && metadata["annotations"]["example.com/note"] != **note {
                return Some(format!("{}/{} has lost somebody's note {note}", key.0, key.1));
            }
        }
        None
    }

    /// What membership believes that is not so.
    pub(crate) fn misbelief(&self, objects: &check::Objects) -> Option<String> {
        let stale = self.membership.mirror.borrow().stale(objects);
        stale.into_iter().next().map(|(object, fault)| format!("membership's belief of {object}: {fault}"))
    }

    /// Waits until a condition holds; asks every 20 ms.
    pub(crate) async fn until(
        &self,
        what: &str,
        within: Duration,
        condition: impl Fn() -> bool,
    ) -> Result<(), String> {
        let until = time::now() + within;
        while !condition() {
            if time::now() > until {
                return Err(format!("{what}: not within {within:?}"));
            }
            net::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    /// Waits until the agent takes up orders and has joined.
    pub(crate) async fn ready(&self) -> Result<(), String> {
        self.until("the agent is ready", Duration::from_secs(300), || {
            let loads = simulated::loads();
            let ready = loads.len() == self.options.shards && loads.iter().all(|load| load.ready);
            ready && self.membership.is_joined()
        })
        .await
    }

    /// Waits until everything is as it should be.
    pub(crate) async fn converged(&self, within: Duration) -> Result<(), String> {
        let until = time::now() + within;
        // Looking costs more than waiting.
        let mut pause = Duration::from_millis(200);
        loop {
            let Some(wrong) = self.wrong() else { return Ok(()) };
            if time::now() > until {
                return Err(format!("not converged after {within:?}: {wrong}"));
            }
            net::sleep(pause).await;
            pause = (pause * 3 / 2).min(Duration::from_secs(10));
        }
    }

    /// Nothing is written any more, and nothing that was lent out is missing.
    pub(crate) async fn at_rest(&self, settle: Duration, quiet: Duration) -> Result<(), String> {
        net::sleep(settle).await;
        let (_, before) = self.server.counts();
        net::sleep(quiet).await;
        let (_, after) = self.server.counts();
        if after != before {
            return Err(format!("{} writes although all was as it should be", after - before));
        }
        if let Some(wrong) = self.wrong() {
            return Err(format!("right, and later not any more: {wrong}"));
        }
        // A watch may just be opened anew, which takes a permit for a moment.
        let mut unrest = self.unrest();
        for _ in 0..10 {
            if unrest.is_none() {
                break;
            }
            net::sleep(Duration::from_secs(1)).await;
            unrest = self.unrest();
        }
        unrest.map_or(Ok(()), Err)
    }

    /// What the shards have under way.
    fn unrest(&self) -> Option<String> {
        let loads = simulated::loads();
        if loads.len() != self.options.shards {
            return Some(format!("{} shards live", loads.len()));
        }
        loads.iter().enumerate().find_map(|(shard, load)| {
            let simulated::Load { orders, permits, .. } = load;
            let busy = (orders.in_flight, orders.ready, orders.waiting) != (0, 0, 0) || *permits != (0, 0);
            busy.then(|| {
                format!("shard {shard} is not at rest: {orders:?}, permits out and awaited {permits:?}")
            })
        })
    }
}

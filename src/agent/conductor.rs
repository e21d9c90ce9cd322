//! Follows the cluster's definitions, has each kind watched by its shard, and says which kinds
//! are in play: the shell around [`Kinds`], on the front shard.

mod definitions;

use std::{pin::pin, rc::Rc, sync::Arc, time::Duration};

use futures::{StreamExt, channel::mpsc, future::Either, future::select};
use tracing::{info, warn};

use super::{
    Setup,
    counters::Counters,
    front::Shared,
    kinds::{Act, Kinds, Look},
    mail::Mail,
};
use crate::{
    cluster::KubeClient,
    net,
    stack::object::{Catalog, Resource},
    time::{Instant, after, now},
};

/// Modules often come several at a time: membership is told once, when this long nothing came.
const SETTLED: Duration = Duration::from_millis(500);

/// How often kinds that are not in play are looked after.
const TICK: Duration = Duration::from_millis(500);
/// How often it is said how many orders lack kinds.
const COUNTED: Duration = Duration::from_secs(30);

/// What the conductor is told.
#[derive(Debug)]
pub(super) enum Event {
    /// These are all the modules that are defined.
    Defined(Vec<Arc<Resource>>),
    /// Definitions can be listed and not be watched.
    Unwatchable,
    /// Definitions cannot be listed, and were not so far.
    Undefined(String),
    /// Something was seen of a kind.
    Looked(Arc<Resource>, Look),
    /// A shard has taken up the kinds in play.
    TakenUp(Arc<Catalog>),
}

/// See the [module](self).
pub(super) struct Conductor {
    shared: Rc<Shared>,
    client: KubeClient,
    /// How often definitions are listed where they cannot be watched.
    period: Option<Duration>,
    shards: usize,
    kinds: Kinds,
    events: mpsc::UnboundedReceiver<Event>,
    /// Follows the definitions.
    definitions: Option<net::Task<()>>,
    tell: mpsc::UnboundedSender<Event>,
    defined: bool,
    /// Orders are taken up.
    ready: bool,
    published: Option<Arc<Catalog>>,
    /// Shards that have taken up what was published.
    taken_up: usize,
    /// What membership was told of, and when it is to be told anew.
    introduced: Option<(Vec<Arc<Resource>>, Arc<Catalog>)>,
    introduce_at: Option<Instant>,
    /// When kinds are to be looked after.
    tick_at: Option<Instant>,
    counters: Arc<Counters>,
    incomplete: Incomplete,
}

/// Orders that lack kinds, as far as they were told.
#[derive(Debug, Default)]
struct Incomplete {
    told: u64,
    at: Option<Instant>,
}

impl Incomplete {
    /// How many more there are, where that is to be said.
    fn due(&mut self, count: u64, now: Instant) -> Option<u64> {
        let soon = self.at.is_some_and(|at| now.saturating_duration_since(at) < COUNTED);
        let more = Some(count.saturating_sub(self.told)).filter(|more| *more > 0 && !soon)?;
        (self.told, self.at) = (count, Some(now));
        Some(more)
    }
}

impl Conductor {
    /// Begins to watch the kinds that are there in any cluster.
    pub(super) fn new(
        shared: Rc<Shared>,
        client: KubeClient,
        setup: &Setup,
        tell: mpsc::UnboundedSender<Event>,
        events: mpsc::UnboundedReceiver<Event>,
    ) -> Self {
        let shards = setup.engine.shards.get();
        let (kinds, acts) = Kinds::new(shards, now());
        let definitions = net::spawn(definitions::follow(client.clone(), tell.clone()));
        let conductor = Self {
            shared,
            client,
            period: setup.resync_period,
            shards,
            kinds,
            events,
            definitions: Some(definitions),
            tell,
            defined: false,
            ready: false,
            published: None,
            taken_up: 0,
            introduced: None,
            introduce_at: None,
            tick_at: None,
            counters: Arc::default(),
            incomplete: Incomplete::default(),
        };
        conductor.perform(acts);
        conductor
    }

    /// Says how many of these orders lack kinds.
    pub(super) fn counting(self, counters: Arc<Counters>) -> Self {
        Self { counters, ..self }
    }

    /// Waits until it is known which modules there are.
    pub(super) async fn defined(&mut self) {
        while !self.defined {
            self.step().await;
        }
    }

    /// Goes on for as long as the agent does.
    pub(super) async fn run(&mut self) {
        loop {
            self.step().await;
        }
    }

    /// Ends what it started.
    pub(super) async fn end(self) {
        if let Some(task) = self.definitions {
            task.cancel().await;
        }
    }

    async fn step(&mut self) {
        self.tick_at = self.kinds.is_restless().then(|| self.tick_at.unwrap_or_else(|| after(now(), TICK)));
        let until = self.tick_at.into_iter().chain(self.introduce_at).min();
        let event = match until {
            None => self.events.next().await,
            Some(at) => {
                let pause = pin!(net::sleep(at.saturating_duration_since(now())));
                match select(self.events.next(), pause).await {
                    Either::Left((event, _)) => event,
                    Either::Right(_) => return self.time_came(),
                }
            }
        };
        match event {
            Some(event) => self.take_in(event),
            // The sender lives as long as this does.
            None => std::future::pending().await,
        }
    }

    fn time_came(&mut self) {
        if self.introduce_at.is_some_and(|at| at <= now()) {
            return self.introduce();
        }
        self.tick_at = None;
        let acts = self.kinds.tick(now());
        self.carry_out(acts);
        if let Some(more) = self.incomplete.due(self.counters.incomplete.get(), now()) {
            warn!(
                orders = more,
                kinds = self.out(),
                "orders have all their objects but those of kinds that cannot be listed; they are run \
                 again once these can be"
            );
        }
    }

    fn take_in(&mut self, event: Event) {
        let acts = match event {
            Event::Defined(modules) => {
                let acts = self.kinds.define(modules, now());
                if !std::mem::replace(&mut self.defined, true) {
                    self.tell_modules();
                    self.shared.set_modules(self.kinds.modules());
                }
                acts
            }
            Event::Unwatchable => {
                self.list_now_and_then();
                Vec::new()
            }
            Event::Undefined(cause) => {
                self.kinds.undefined(cause, now());
                Vec::new()
            }
            Event::Looked(kind, look) => self.kinds.looked(&kind, look, now()),
            Event::TakenUp(catalog) => {
                self.taken_up += usize::from(self.published.as_ref() == Some(&catalog));
                if self.taken_up == self.shards && !std::mem::replace(&mut self.ready, true) {
                    self.tell_ready();
                }
                Vec::new()
            }
        };
        self.carry_out(acts);
    }

    fn carry_out(&mut self, acts: Vec<Act>) {
        for act in &acts {
            if let Act::Publish(catalog) = act {
                self.published = Some(Arc::clone(catalog));
                self.taken_up = 0;
            }
        }
        self.perform(acts);
        self.plan_introduction();
    }

    fn perform(&self, acts: Vec<Act>) {
        for act in acts {
            match act {
                Act::Watch { kind, shard } => self.shared.tell(shard, Mail::Watch(kind)),
                Act::Unwatch { kind, shard } => self.shared.tell(shard, Mail::Unwatch(kind)),
                Act::Publish(catalog) => self.shared.tell_all(|| Mail::Catalog(Arc::clone(&catalog))),
                Act::Say(saying) => saying.say(),
            }
        }
    }

    /// Membership is told of modules once every shard can do with them what an order asks for.
    fn plan_introduction(&mut self) {
        let Some(published) = self.published.as_ref().filter(|_| self.taken_up == self.shards) else {
            self.introduce_at = None;
            return;
        };
        let modules = self.kinds.modules();
        match &self.introduced {
            // What the session began with.
            None if *self.shared.modules() == modules => {
                self.introduced = Some((modules, Arc::clone(published)));
            }
            Some((known, catalog)) if *known == modules && catalog == published => {}
            _ => self.introduce_at = Some(after(now(), SETTLED)),
        }
    }

    fn introduce(&mut self) {
        self.introduce_at = None;
        if let Some(published) = &self.published {
            let modules = self.kinds.modules();
            self.introduced = Some((modules.clone(), Arc::clone(published)));
            self.tell_modules();
            self.shared.set_modules(modules);
        }
    }

    fn tell_ready(&self) {
        let (server, out) = (self.client.server(), self.out());
        if out.is_empty() {
            info!(%server, "all objects are known, orders are taken up");
        } else {
            warn!(%server, without = out, "all other objects are known, orders are taken up");
        }
    }

    /// The kinds that are out of play.
    fn out(&self) -> String {
        let kinds: Vec<_> = self.kinds.out().into_iter().map(|(kind, _)| kind.plural.clone()).collect();
        kinds.join(",")
    }

    fn tell_modules(&self) {
        let modules = self.kinds.modules();
        let names: Vec<_> = modules.iter().map(|module| module.singular.as_str()).collect();
        info!(server = %self.client.server(), modules = names.join(","), "the cluster answers");
        if names.is_empty() {
            warn!(
                "no CRD is labelled formance.com/kind=module: only stacks and auth clients are kept \
                 until the operator's CRDs are installed"
            );
        }
    }

    /// Definitions may not be watched: they are listed once in a while.
    fn list_now_and_then(&mut self) {
        match self.period {
            Some(period) => warn!(
                "CRDs cannot be watched, so modules that come and go are noticed every {period:?} \
                 (--resync-period) only: grant watch on customresourcedefinitions"
            ),
            None => warn!(
                "CRDs cannot be watched and --resync-period is 0, so modules that come and go are not \
                 noticed: grant watch on customresourcedefinitions"
            ),
        }
        let lister = self
            .period
            .map(|period| net::spawn(definitions::list(self.client.clone(), period, self.tell.clone())));
        self.definitions = lister;
    }
}

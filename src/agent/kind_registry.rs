//! Which kinds there are, which shard watches each, which of them are in play, and what membership is
//! told of modules. Pure.
//!
//! Modules are what the definitions (CRDs) say. A kind is *in play* once its first list is complete.
//! One whose first list is refused, or goes on failing while Stacks are listed well, is *out of play*
//! for the orders that need it, and holds up no others; it comes in as soon as it lists. What was
//! listed once stays in play, whatever becomes of its watch: decisions that are made from an old view
//! carry the version that they were made from, and the API server refuses them.

mod failures;
mod log;
#[cfg(test)]
mod tests;
mod watched_kind;

use std::{collections::BTreeMap, mem::replace, sync::Arc, time::Duration};

use self::{
    failures::KindFailures,
    watched_kind::{FirstLists, KindState, StacksListed, WatchedKind},
};
pub(super) use self::{failures::KindOutage, log::KindLog};
use crate::{
    stack::object::{Catalog, Resource, Role},
    time::{Instant, after},
};

/// Modules often come several at a time: membership is told once, when this long nothing came.
const DEBOUNCE: Duration = Duration::from_millis(500);
/// How often kinds that are not in play are looked after.
const TICK: Duration = Duration::from_millis(500);
/// How often it is logged how many orders lack kinds.
const INCOMPLETE_EVERY: Duration = Duration::from_secs(30);

/// What happens to kinds.
#[derive(Debug)]
pub(super) enum KindEvent {
    /// These are all the modules that are defined, however that was learnt.
    Defined(Vec<Arc<Resource>>),
    /// Definitions could not be listed, and were not so far.
    Undefined(String),
    /// How it goes with the reflector of a kind.
    Status(Arc<Resource>, KindStatus),
    /// A shard has activated these kinds.
    Activated(Arc<Catalog>),
}

/// How it goes with the reflector of a kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum KindStatus {
    /// Its list goes on.
    Listing,
    /// A list of it is complete.
    Listed,
    /// The API server says no; or it may be listed and not watched.
    Refused(String),
    /// An attempt to list or to watch it failed, and is made again.
    Failing(String),
    /// It is watched again.
    Recovered,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum KindAction {
    /// The shard of this index is to watch the kind.
    Watch {
        kind: Arc<Resource>,
        shard: usize,
    },
    /// It shall do so no longer.
    Unwatch {
        kind: Arc<Resource>,
        shard: usize,
    },
    /// These are the kinds in play from now on: every shard is to activate them.
    Activate(Arc<Catalog>),
    /// These are the modules that membership is to know of.
    Announce(Vec<Arc<Resource>>),
    Log(KindLog),
}

/// What membership was told of last.
#[derive(Debug, PartialEq)]
struct AnnouncedModules {
    modules: Vec<Arc<Resource>>,
    /// The kinds that were in play then, if any were.
    catalog: Option<Arc<Catalog>>,
}

/// See the [module](self).
#[derive(Debug)]
pub(super) struct KindRegistry {
    shards: usize,
    /// Watches that were begun, ever; the next is for the next shard.
    begun: usize,
    /// By plural.
    watched: BTreeMap<String, WatchedKind>,
    /// The kinds in play.
    published: Option<Arc<Catalog>>,
    /// Shards that have activated them.
    activated: usize,
    /// All shards have activated kinds once: orders run.
    ready: bool,
    /// The definitions were listed, so that no module is missing.
    defined: bool,
    /// How it goes with the definitions.
    definitions: KindFailures,
    lists: FirstLists,
    /// Kinds in play were told to be out of view, and some are again, after so long at most.
    stale: Option<Duration>,
    announced: Option<AnnouncedModules>,
    announce_at: Option<Instant>,
    tick_at: Option<Instant>,
    /// Orders that lack kinds, as far as they were logged, and when.
    incomplete: (u64, Option<Instant>),
}

impl KindRegistry {
    /// Begins with the kinds that the contract fixes.
    pub(super) fn new(shards: usize, now: Instant) -> (Self, Vec<KindAction>) {
        let mut registry = Self {
            shards,
            begun: 0,
            watched: BTreeMap::new(),
            published: None,
            activated: 0,
            ready: false,
            defined: false,
            definitions: KindFailures::default(),
            lists: FirstLists { began: now, stacks: None, last_at: None },
            stale: None,
            announced: None,
            announce_at: None,
            tick_at: Some(after(now, TICK)),
            incomplete: (0, None),
        };
        let Catalog { stack, auth_client, versions, .. } = Catalog::new(Vec::new());
        let kinds = [stack, auth_client, versions];
        let actions = kinds.into_iter().map(|kind| registry.watch(kind, now)).collect();
        (registry, actions)
    }

    /// Something happened.
    pub(super) fn handle(&mut self, event: KindEvent, now: Instant) -> Vec<KindAction> {
        let mut actions = match event {
            KindEvent::Defined(modules) => self.define(modules, now),
            KindEvent::Undefined(cause) => {
                if !self.defined {
                    self.definitions.fail(cause, now);
                }
                Vec::new()
            }
            KindEvent::Status(kind, status) => self.observe(&kind, status, now),
            KindEvent::Activated(catalog) => self.activated(&catalog),
        };
        actions.extend(self.publish());
        self.plan(now);
        actions
    }

    /// When [`tick`](Self::tick) is to be called, unless something happens before.
    pub(super) fn wake_at(&self) -> Option<Instant> {
        self.tick_at.into_iter().chain(self.announce_at).min()
    }

    /// Time has passed. So many orders lacked kinds so far.
    pub(super) fn tick(&mut self, incomplete: u64, now: Instant) -> Vec<KindAction> {
        let mut actions = Vec::new();
        if self.announce_at.take_if(|at| *at <= now).is_some() {
            let modules = self.modules();
            self.announced =
                Some(AnnouncedModules { modules: modules.clone(), catalog: self.published.clone() });
            actions.push(KindAction::Announce(modules));
        }
        if self.tick_at.take_if(|at| *at <= now).is_some() {
            actions.extend(self.look_after(now));
            actions.extend(self.log_incomplete(incomplete, now));
            self.plan(now);
        }
        actions
    }

    fn define(&mut self, modules: Vec<Arc<Resource>>, now: Instant) -> Vec<KindAction> {
        let mut actions = Vec::new();
        if !replace(&mut self.defined, true) {
            let lasted = self.definitions.recover(now);
            actions.extend(lasted.map(|lasted| KindAction::Log(KindLog::Defined(lasted))));
        }
        let gone =
            |watched: &WatchedKind| watched.kind.role() == Role::Module && !modules.contains(&watched.kind);
        for (_, WatchedKind { kind, shard, .. }) in self.watched.extract_if(.., |_, watched| gone(watched)) {
            actions.push(KindAction::Unwatch { kind, shard });
        }
        for kind in modules {
            if kind.role() == Role::Module && !self.watched.contains_key(&kind.plural) {
                actions.push(self.watch(kind, now));
            }
        }
        if self.announced.is_none() {
            // What the source begins with.
            self.announced = Some(AnnouncedModules { modules: self.modules(), catalog: None });
            actions.push(KindAction::Announce(self.modules()));
        }
        actions
    }

    fn observe(&mut self, kind: &Resource, status: KindStatus, now: Instant) -> Vec<KindAction> {
        let Some(watched) = self.watched.get_mut(&kind.plural).filter(|watched| *watched.kind == *kind)
        else {
            return Vec::new();
        };
        let mut logs = Vec::new();
        match status {
            KindStatus::Listing => watched.heard = now,
            KindStatus::Failing(cause) => watched.failures.fail(cause, now),
            KindStatus::Refused(cause) => {
                watched.failures.fail(cause, now);
                if watched.state == KindState::Pending && watched.may_be_out() {
                    logs.push(watched.leave_out(now));
                }
            }
            KindStatus::Recovered => {
                let told = watched.failures.recover(now).filter(|_| watched.state == KindState::InPlay);
                self.stale = self.stale.max(told);
                let is_stale = |w: &WatchedKind| w.state == KindState::InPlay && w.failures.is_failing();
                if !self.watched.values().any(is_stale) {
                    logs.extend(self.stale.take().map(|lasted| KindLog::Fresh { lasted }));
                }
            }
            KindStatus::Listed => {
                if watched.state == KindState::OutOfPlay {
                    let lasted = watched.failures.lasted(now);
                    watched.failures = KindFailures::default();
                    logs.push(KindLog::Back { kind: Arc::clone(&watched.kind), lasted });
                }
                if replace(&mut watched.state, KindState::InPlay) != KindState::InPlay {
                    self.lists.last_at = Some(now);
                    if watched.is_needed() {
                        let failed = watched.failures.is_failing();
                        self.lists.stacks = Some(StacksListed { at: now, failed });
                    }
                }
            }
        }
        logs.into_iter().map(KindAction::Log).collect()
    }

    fn activated(&mut self, catalog: &Arc<Catalog>) -> Vec<KindAction> {
        let is_latest = |published: &Arc<Catalog>| Arc::ptr_eq(published, catalog);
        self.activated += usize::from(self.published.as_ref().is_some_and(is_latest));
        if self.activated < self.shards || replace(&mut self.ready, true) {
            return Vec::new();
        }
        vec![KindAction::Log(KindLog::Ready {
            without: self.out().map(|watched| watched.kind.clone()).collect(),
        })]
    }

    /// Which kinds are done without from now on, and what is to be logged.
    fn look_after(&mut self, now: Instant) -> Vec<KindAction> {
        let mut actions = Vec::new();
        for watched in self.watched.values_mut() {
            if watched.is_overdue(&self.lists, now) {
                actions.push(KindAction::Log(watched.leave_out(now)));
            }
        }
        actions.extend(self.publish());
        for watched in self.watched.values_mut() {
            let due = match watched.state {
                KindState::OutOfPlay => watched.failures.due_again(now),
                KindState::Pending if !watched.may_be_out() => watched.failures.due(failures::LONG, now),
                KindState::Pending | KindState::InPlay => None,
            };
            actions.extend(due.map(|outage| KindAction::Log(KindLog::of(&watched.kind, outage))));
        }
        actions.extend(self.stale(now).map(KindAction::Log));
        let undefined = self.definitions.due(failures::LONG, now);
        actions.extend(undefined.map(|outage| KindAction::Log(KindLog::Undefined(outage))));
        actions
    }

    /// Kinds in play that are not kept in view: mostly all of them together, in one line.
    fn stale(&mut self, now: Instant) -> Option<KindLog> {
        let is_stale = |w: &&mut WatchedKind| w.state == KindState::InPlay && w.failures.is_failing();
        let mut stale: Vec<&mut WatchedKind> = self.watched.values_mut().filter(is_stale).collect();
        let outage = stale.iter_mut().find_map(|watched| watched.failures.due(failures::STALE, now))?;
        stale.iter_mut().for_each(|watched| watched.failures.logged(now));
        Some(KindLog::Stale {
            kinds: stale.iter().map(|watched| Arc::clone(&watched.kind)).collect(),
            outage,
        })
    }

    fn log_incomplete(&mut self, count: u64, now: Instant) -> Option<KindAction> {
        let (logged, at) = self.incomplete;
        let soon = at.is_some_and(|at| now.saturating_duration_since(at) < INCOMPLETE_EVERY);
        let orders = count.saturating_sub(logged);
        if orders == 0 || soon {
            return None;
        }
        self.incomplete = (count, Some(now));
        let kinds = self.out().map(|watched| Arc::clone(&watched.kind)).collect();
        Some(KindAction::Log(KindLog::Incomplete { orders, kinds }))
    }

    /// The modules that there are, in play or not: what membership is told.
    fn modules(&self) -> Vec<Arc<Resource>> {
        let modules = self.watched.values().filter(|watched| watched.kind.role() == Role::Module);
        modules.map(|watched| Arc::clone(&watched.kind)).collect()
    }

    /// The kinds that are out of play.
    fn out(&self) -> impl Iterator<Item = &WatchedKind> {
        self.watched.values().filter(|watched| watched.state == KindState::OutOfPlay)
    }

    fn watch(&mut self, kind: Arc<Resource>, now: Instant) -> KindAction {
        let shard = self.begun % self.shards;
        self.begun += 1;
        let watched = WatchedKind {
            kind: Arc::clone(&kind),
            shard,
            state: KindState::Pending,
            heard: now,
            failures: KindFailures::default(),
        };
        self.watched.insert(kind.plural.clone(), watched);
        KindAction::Watch { kind, shard }
    }

    /// The kinds in play, where none is pending and they are not as they were.
    fn publish(&mut self) -> Option<KindAction> {
        let complete = self.watched.values().all(|watched| match watched.kind.role() {
            // No order can run without.
            Role::Stack => watched.state == KindState::InPlay,
            Role::Module | Role::AuthClient => watched.state != KindState::Pending,
            Role::Versions => true,
        });
        if !complete || !self.defined {
            return None;
        }
        let with = |state: KindState| {
            let there = self.watched.values().filter(move |watched| watched.state == state);
            there.filter(|watched| watched.may_be_out()).map(|watched| Arc::clone(&watched.kind))
        };
        let modules = with(KindState::InPlay).filter(|kind| kind.role() == Role::Module).collect();
        let catalog = Arc::new(Catalog::new(modules).withholding(with(KindState::OutOfPlay).collect()));
        if self.published.as_ref() == Some(&catalog) {
            return None;
        }
        self.published = Some(Arc::clone(&catalog));
        self.activated = 0;
        Some(KindAction::Activate(catalog))
    }

    /// When to look again. Membership is told of modules once every shard can do with them what an
    /// order asks for.
    fn plan(&mut self, now: Instant) {
        let restless =
            |watched: &WatchedKind| watched.state == KindState::Pending || watched.failures.is_failing();
        let restless = !self.defined || self.watched.values().any(restless);
        self.tick_at = restless.then(|| self.tick_at.unwrap_or_else(|| after(now, TICK)));
        let Some(published) = self.published.as_ref().filter(|_| self.activated == self.shards) else {
            self.announce_at = None;
            return;
        };
        let modules = self.modules();
        match &mut self.announced {
            // What the source began with is in play by now.
            Some(AnnouncedModules { modules: known, catalog: catalog @ None }) if *known == modules => {
                *catalog = Some(Arc::clone(published));
            }
            Some(known) if known.modules == modules && known.catalog.as_ref() == Some(published) => {}
            _ => self.announce_at = Some(after(now, DEBOUNCE)),
        }
    }
}

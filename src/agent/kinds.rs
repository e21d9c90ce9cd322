//! Which kinds there are, which shard watches each, and which of them are in play. Pure.
//!
//! Modules are what the definitions (CRDs) say. A kind is *in play* once its first list is complete.
//! One whose first list is refused, or goes on failing while Stacks are listed well, is *out of play*
//! for the orders that need it, and holds up no others; it comes in as soon as it lists. What was
//! listed once stays in play, whatever becomes of its watch: decisions that are made from an old view
//! carry the version that they were made from, and the API server refuses them.

mod health;
mod saying;
#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use self::health::Health;
pub(super) use self::{health::Trouble, saying::Saying};
use crate::{
    stack::object::{Catalog, Resource, Role},
    time::Instant,
};

/// A first list that failed while Stacks could be listed, and went no further for so long, is done
/// without. That is four attempts or so; the 429s of a definition that was made just now last for one
/// second. A kind that is given up too early costs no more than a second run of the orders that need it.
const PATIENCE: Duration = Duration::from_secs(2);
/// After an outage, every kind has tried again by then (the longest backoff of a list is 30 s).
const NOTICED: Duration = Duration::from_secs(35);
/// A first list that neither fails nor ends is waited for as long as this after the last one of the
/// others, and for [`SLOWER`] times as long as that took: a fleet so large that its lists take minutes
/// is no reason to start without some of them.
const LAST: Duration = Duration::from_secs(60);
/// See [`LAST`].
const SLOWER: u32 = 3;

/// What is to be done.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Act {
    /// A shard is to watch this kind.
    Watch {
        /// The kind.
        kind: Arc<Resource>,
        /// Index of the shard.
        shard: usize,
    },
    /// It shall do so no longer.
    Unwatch {
        /// The kind.
        kind: Arc<Resource>,
        /// Index of the shard.
        shard: usize,
    },
    /// These are the kinds in play from now on.
    Publish(Arc<Catalog>),
    /// Somebody should know.
    Say(Saying),
}

/// What was seen of a kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Look {
    /// Its list goes on.
    Progress,
    /// A list of it is complete.
    Listed,
    /// The API server says no; or it may be listed and not watched.
    Refused(String),
    /// An attempt to list or to watch it failed, and is made again.
    Failing(String),
    /// It is watched again.
    Recovered,
}

/// Where a kind stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Its first list is under way.
    Pending,
    /// It was listed.
    In,
    /// It is done without until it is listed.
    Out,
}

#[derive(Debug)]
struct Watched {
    kind: Arc<Resource>,
    shard: usize,
    place: Place,
    /// When its first list began, or was last seen to go on.
    heard: Instant,
    health: Health,
}

impl Watched {
    /// Whether nothing can be decided without it: Stacks own the rest. Versions are only reported.
    fn is_needed(&self) -> bool {
        self.kind.role() == Role::Stack
    }

    fn may_be_out(&self) -> bool {
        matches!(self.kind.role(), Role::Module | Role::AuthClient)
    }
}

/// The first list of Stacks.
#[derive(Debug, Clone, Copy)]
struct Stacks {
    at: Instant,
    /// It failed before: the API server was away.
    failed: bool,
}

/// See the [module](self).
#[derive(Debug)]
pub(super) struct Kinds {
    shards: usize,
    /// Kinds that were given to a shard, ever; the next goes to the next shard.
    given: usize,
    /// By plural.
    watched: BTreeMap<String, Watched>,
    published: Option<Arc<Catalog>>,
    /// The definitions were listed, so that no module is missing.
    defined: bool,
    /// How it goes with the definitions.
    definitions: Health,
    began: Instant,
    /// Once Stacks were listed.
    stacks: Option<Stacks>,
    /// When a kind was last listed for the first time.
    last_at: Option<Instant>,
    /// Kinds in play were told to be out of view, and some are again, after so long at most.
    stale: Option<Duration>,
}

impl Kinds {
    /// Begins with the kinds that the contract fixes.
    pub(super) fn new(shards: usize, now: Instant) -> (Self, Vec<Act>) {
        let mut kinds = Self {
            shards,
            given: 0,
            watched: BTreeMap::new(),
            published: None,
            defined: false,
            definitions: Health::default(),
            began: now,
            stacks: None,
            last_at: None,
            stale: None,
        };
        let Catalog { stack, auth_client, versions, .. } = Catalog::new(Vec::new());
        let acts = [stack, auth_client, versions].into_iter().map(|kind| kinds.watch(kind, now)).collect();
        (kinds, acts)
    }

    /// These are all the modules that there are, however that was learnt.
    pub(super) fn define(&mut self, modules: Vec<Arc<Resource>>, now: Instant) -> Vec<Act> {
        self.defined = true;
        let mut acts: Vec<Act> =
            self.definitions.recover(now).map(Saying::Defined).map(Act::Say).into_iter().collect();
        let gone: Vec<String> = self
            .watched
            .iter()
            .filter(|(_, w)| w.kind.role() == Role::Module && !modules.contains(&w.kind))
            .map(|(plural, _)| plural.clone())
            .collect();
        for Watched { kind, shard, .. } in gone.iter().filter_map(|plural| self.watched.remove(plural)) {
            acts.push(Act::Unwatch { kind, shard });
        }
        for kind in modules {
            if kind.role() == Role::Module && !self.watched.contains_key(&kind.plural) {
                acts.push(self.watch(kind, now));
            }
        }
        acts.extend(self.publish());
        acts
    }

    /// The definitions could not be listed, and nobody knows which modules there are.
    pub(super) fn undefined(&mut self, cause: String, now: Instant) {
        if !self.defined {
            self.definitions.fail(cause, now);
        }
    }

    /// Something was seen of a kind.
    pub(super) fn looked(&mut self, kind: &Arc<Resource>, look: Look, now: Instant) -> Vec<Act> {
        let Some(watched) = self.watched.get_mut(&kind.plural).filter(|watched| watched.kind == *kind) else {
            return Vec::new();
        };
        let mut acts = Vec::new();
        match look {
            Look::Progress => watched.heard = now,
            Look::Failing(cause) => watched.health.fail(cause, now),
            Look::Refused(cause) => {
                watched.health.fail(cause, now);
                if watched.place == Place::Pending && watched.may_be_out() {
                    acts.push(leave_out(watched, now));
                }
            }
            Look::Recovered => {
                let told = watched.health.recover(now).filter(|_| watched.place == Place::In);
                self.stale = self.stale.max(told);
                if self.watched.values().all(|watched| watched.place != Place::In || !watched.health.is_bad())
                {
                    acts.extend(self.stale.take().map(|lasted| Act::Say(Saying::Fresh { lasted })));
                }
            }
            Look::Listed => {
                if watched.place == Place::Out {
                    let lasted = watched.health.lasted(now);
                    watched.health = Health::default();
                    acts.push(Act::Say(Saying::Back { kind: Arc::clone(kind), lasted }));
                }
                if std::mem::replace(&mut watched.place, Place::In) != Place::In {
                    self.last_at = Some(now);
                    if watched.is_needed() {
                        self.stacks = Some(Stacks { at: now, failed: watched.health.is_bad() });
                    }
                }
            }
        }
        acts.extend(self.publish());
        acts
    }

    /// Time has passed: which kinds are done without from now on, and what is to be said.
    pub(super) fn tick(&mut self, now: Instant) -> Vec<Act> {
        let mut acts = Vec::new();
        for watched in self.watched.values_mut() {
            if overdue(watched, self.began, self.stacks, self.last_at, now) {
                acts.push(leave_out(watched, now));
            }
        }
        acts.extend(self.publish());
        for watched in self.watched.values_mut() {
            let due = match watched.place {
                Place::Out => watched.health.due_again(now),
                Place::Pending if !watched.may_be_out() => watched.health.due(health::LONG, now),
                Place::Pending | Place::In => None,
            };
            acts.extend(due.map(|trouble| Act::Say(Saying::of(&watched.kind, trouble))));
        }
        acts.extend(self.stale(now).map(Act::Say));
        let undefined = self.definitions.due(health::LONG, now);
        acts.extend(undefined.map(|trouble| Act::Say(Saying::Undefined(trouble))));
        acts
    }

    /// Kinds in play that are not kept in view: mostly all of them together, in one line.
    fn stale(&mut self, now: Instant) -> Option<Saying> {
        let mut bad: Vec<&mut Watched> =
            self.watched.values_mut().filter(|w| w.place == Place::In && w.health.is_bad()).collect();
        let trouble = bad.iter_mut().find_map(|watched| watched.health.due(health::STALE, now))?;
        bad.iter_mut().for_each(|watched| watched.health.said(now));
        Some(Saying::Stale { kinds: bad.iter().map(|watched| Arc::clone(&watched.kind)).collect(), trouble })
    }

    /// Whether [`tick`](Self::tick) has something to look after.
    pub(super) fn is_restless(&self) -> bool {
        let restless = |watched: &Watched| watched.place == Place::Pending || watched.health.is_bad();
        !self.defined || self.watched.values().any(restless)
    }

    /// The modules that there are, in play or not: what membership is told.
    pub(super) fn modules(&self) -> Vec<Arc<Resource>> {
        let modules = self.watched.values().filter(|watched| watched.kind.role() == Role::Module);
        modules.map(|watched| Arc::clone(&watched.kind)).collect()
    }

    /// The kinds that are out of play, with what is wrong.
    pub(super) fn out(&self) -> Vec<(Arc<Resource>, Trouble)> {
        let out = self.watched.values().filter(|watched| watched.place == Place::Out);
        out.map(|watched| (Arc::clone(&watched.kind), watched.health.trouble())).collect()
    }

    fn watch(&mut self, kind: Arc<Resource>, now: Instant) -> Act {
        let shard = self.given % self.shards;
        self.given += 1;
        let watched = Watched {
            kind: Arc::clone(&kind),
            shard,
            place: Place::Pending,
            heard: now,
            health: Health::default(),
        };
        self.watched.insert(kind.plural.clone(), watched);
        Act::Watch { kind, shard }
    }

    /// The kinds in play, where they are settled and not as they were.
    fn publish(&mut self) -> Option<Act> {
        let settled = self.watched.values().all(|watched| match watched.kind.role() {
            // There is no herding without.
            Role::Stack => watched.place == Place::In,
            Role::Module | Role::AuthClient => watched.place != Place::Pending,
            Role::Versions => true,
        });
        if !settled || !self.defined {
            return None;
        }
        let at = |place: Place| {
            let there = self.watched.values().filter(move |watched| watched.place == place);
            there.filter(|watched| watched.may_be_out()).map(|watched| Arc::clone(&watched.kind))
        };
        let modules = at(Place::In).filter(|kind| kind.role() == Role::Module).collect();
        let catalog = Arc::new(Catalog::new(modules).withholding(at(Place::Out).collect()));
        if self.published.as_ref() == Some(&catalog) {
            return None;
        }
        self.published = Some(Arc::clone(&catalog));
        Some(Act::Publish(catalog))
    }
}

fn leave_out(watched: &mut Watched, now: Instant) -> Act {
    watched.place = Place::Out;
    watched.health.said(now);
    Act::Say(Saying::Out { kind: Arc::clone(&watched.kind), trouble: watched.health.trouble() })
}

/// Whether a kind's first list is waited for no longer. While Stacks are not listed either, it may be
/// the API server that is away, and nothing can be done in any case.
fn overdue(
    watched: &Watched,
    began: Instant,
    stacks: Option<Stacks>,
    last_at: Option<Instant>,
    now: Instant,
) -> bool {
    let (Some(stacks), Some(last)) = (stacks, last_at) else { return false };
    if watched.place != Place::Pending || !watched.may_be_out() {
        return false;
    }
    let after = |since: Instant| now.saturating_duration_since(since);
    let heard = watched.heard.max(stacks.at);
    // After an outage it may not have noticed yet that the server is back.
    let counts = watched.health.failed_since(heard) || !stacks.failed || after(stacks.at) >= NOTICED;
    let failed = watched.health.is_bad() && counts && after(heard) >= PATIENCE;
    let took = last.saturating_duration_since(began).saturating_mul(SLOWER);
    failed || after(last.max(watched.heard)) >= LAST || after(last) >= LAST.max(took)
}

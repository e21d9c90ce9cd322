//! Which kinds there are, which shard watches each, and when all know them. Pure.
//!
//! Modules are what the definitions (CRDs) say. A kind is *in play* once its first list is
//! complete; one that the API server refuses to list is left out of play, told, and joins when
//! that changes, so that one bad kind does not hold up all stacks.

use std::{collections::BTreeMap, sync::Arc};

use crate::stack::object::{Catalog, Resource, Role};

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
}

/// What is known of a kind's first list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Look {
    Pending,
    Listed,
    Refused,
}

#[derive(Debug)]
struct Watched {
    kind: Arc<Resource>,
    shard: usize,
    look: Look,
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
}

impl Kinds {
    /// Begins with the kinds that the contract fixes.
    pub(super) fn new(shards: usize) -> (Self, Vec<Act>) {
        let mut kinds = Self { shards, given: 0, watched: BTreeMap::new(), published: None, defined: false };
        let Catalog { stack, auth_client, versions, .. } = Catalog::new(Vec::new());
        let acts = [stack, auth_client, versions].into_iter().map(|kind| kinds.watch(kind)).collect();
        (kinds, acts)
    }

    /// These are all the modules that there are, however that was learnt.
    pub(super) fn define(&mut self, modules: Vec<Arc<Resource>>) -> Vec<Act> {
        self.defined = true;
        let gone: Vec<String> = self
            .watched
            .iter()
            .filter(|(_, w)| w.kind.role() == Role::Module && !modules.contains(&w.kind))
            .map(|(plural, _)| plural.clone())
            .collect();
        let mut acts = Vec::new();
        for Watched { kind, shard, .. } in gone.iter().filter_map(|plural| self.watched.remove(plural)) {
            acts.push(Act::Unwatch { kind, shard });
        }
        for kind in modules {
            if kind.role() == Role::Module && !self.watched.contains_key(&kind.plural) {
                acts.push(self.watch(kind));
            }
        }
        acts.extend(self.publish());
        acts
    }

    /// The first list of a kind is complete, or was refused.
    pub(super) fn looked(&mut self, kind: &Arc<Resource>, refused: bool) -> Vec<Act> {
        let Some(watched) = self.watched.get_mut(&kind.plural).filter(|watched| watched.kind == *kind) else {
            return Vec::new();
        };
        match (watched.look, refused) {
            (Look::Listed, _) => {}
            (_, true) => watched.look = Look::Refused,
            (_, false) => watched.look = Look::Listed,
        }
        self.publish().into_iter().collect()
    }

    /// The modules that there are, in play or not: what membership is told.
    pub(super) fn modules(&self) -> Vec<Arc<Resource>> {
        let modules = self.watched.values().filter(|watched| watched.kind.role() == Role::Module);
        modules.map(|watched| Arc::clone(&watched.kind)).collect()
    }

    fn watch(&mut self, kind: Arc<Resource>) -> Act {
        let shard = self.given % self.shards;
        self.given += 1;
        let watched = Watched { kind: Arc::clone(&kind), shard, look: Look::Pending };
        self.watched.insert(kind.plural.clone(), watched);
        Act::Watch { kind, shard }
    }

    /// The kinds in play, where they are settled and not as they were.
    fn publish(&mut self) -> Option<Act> {
        let settled = self.watched.values().all(|watched| match watched.kind.role() {
            // There is no herding without these two.
            Role::Stack | Role::AuthClient => watched.look == Look::Listed,
            Role::Module => watched.look != Look::Pending,
            Role::Versions => true,
        });
        if !settled || !self.defined {
            return None;
        }
        let listed = |watched: &&Watched| watched.look == Look::Listed && watched.kind.role() == Role::Module;
        let modules = self.watched.values().filter(listed).map(|watched| Arc::clone(&watched.kind));
        let catalog = Arc::new(Catalog::new(modules.collect()));
        if self.published.as_ref() == Some(&catalog) {
            return None;
        }
        self.published = Some(Arc::clone(&catalog));
        Some(Act::Publish(catalog))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn module(kind: &str) -> Arc<Resource> {
        Resource::new(kind, &kind.to_lowercase(), &format!("{}s", kind.to_lowercase()))
    }

    fn fixed() -> [Arc<Resource>; 3] {
        let Catalog { stack, auth_client, versions, .. } = Catalog::new(Vec::new());
        [stack, auth_client, versions]
    }

    /// The plurals of the modules that an act publishes.
    fn published(acts: &[Act]) -> Option<Vec<&str>> {
        acts.iter().find_map(|act| match act {
            Act::Publish(catalog) => Some(catalog.modules.iter().map(|m| m.plural.as_str()).collect()),
            _ => None,
        })
    }

    /// Kinds of which the fixed ones were listed.
    fn kinds() -> Kinds {
        let (mut kinds, _) = Kinds::new(2);
        for kind in fixed() {
            assert_eq!(kinds.looked(&kind, false), []);
        }
        kinds
    }

    #[test]
    fn the_kth_kind_is_watched_on_shard_k_mod_n() {
        let (mut kinds, mut acts) = Kinds::new(2);
        acts.extend(kinds.define(vec![module("Ledger"), module("Auth")]));
        let shards: Vec<_> = acts
            .iter()
            .map(|act| match act {
                Act::Watch { kind, shard } => (kind.plural.as_str(), *shard),
                other => panic!("{other:?}"),
            })
            .collect();
        let expected = [("stacks", 0), ("authclients", 1), ("versions", 0), ("ledgers", 1), ("auths", 0)];
        assert_eq!(shards, expected);
    }

    #[test]
    fn kinds_come_into_play_together_when_the_last_was_listed() {
        let mut kinds = kinds();
        let (ledger, auth) = (module("Ledger"), module("Auth"));
        assert_eq!(published(&kinds.define(vec![ledger.clone(), auth.clone()])), None);
        assert_eq!(published(&kinds.looked(&ledger, false)), None);
        assert_eq!(published(&kinds.looked(&auth, false)), Some(vec!["auths", "ledgers"]));
        assert_eq!(kinds.looked(&auth, false), [], "nothing new");
    }

    #[test]
    fn stacks_and_clients_cannot_be_done_without_and_versions_can() {
        let (mut kinds, _) = Kinds::new(1);
        let [stacks, clients, _] = fixed();
        assert_eq!(published(&kinds.define(Vec::new())), None);
        assert_eq!(published(&kinds.looked(&stacks, false)), None);
        assert_eq!(published(&kinds.looked(&clients, true)), None);
        assert_eq!(published(&kinds.looked(&clients, false)), Some(vec![]));
    }

    #[test]
    fn a_module_that_is_refused_holds_up_nothing_and_joins_later() {
        let mut kinds = kinds();
        let (ledger, auth) = (module("Ledger"), module("Auth"));
        kinds.define(vec![ledger.clone(), auth.clone()]);
        kinds.looked(&ledger, true);
        assert_eq!(published(&kinds.looked(&auth, false)), Some(vec!["auths"]));
        assert_eq!(kinds.modules().len(), 2, "membership is told of both");
        assert_eq!(published(&kinds.looked(&ledger, false)), Some(vec!["auths", "ledgers"]));
        assert_eq!(kinds.looked(&ledger, true), [], "what was listed once stays in play");
    }

    #[test]
    fn modules_come_and_go_while_running() {
        let mut kinds = kinds();
        let (ledger, auth) = (module("Ledger"), module("Auth"));
        kinds.define(vec![ledger.clone()]);
        assert_eq!(published(&kinds.looked(&ledger, false)), Some(vec!["ledgers"]));
        let acts = kinds.define(vec![auth.clone()]);
        assert_eq!(acts[0], Act::Unwatch { kind: ledger.clone(), shard: 1 });
        assert_eq!(acts[1], Act::Watch { kind: auth.clone(), shard: 0 });
        assert_eq!(published(&acts), None, "not before the new one is listed");
        assert_eq!(kinds.looked(&ledger, false), [], "of one that is gone");
        assert_eq!(published(&kinds.looked(&auth, false)), Some(vec!["auths"]));
    }

    #[test]
    fn a_module_whose_definition_changed_is_watched_anew() {
        let mut kinds = kinds();
        let before = module("Ledger");
        kinds.define(vec![before.clone()]);
        kinds.looked(&before, false);
        let after = Arc::new(Resource { enterprise: true, ..Resource::clone(&before) });
        let acts = kinds.define(vec![after.clone()]);
        assert!(matches!(&acts[..], [Act::Unwatch { .. }, Act::Watch { .. }]), "{acts:?}");
        assert_eq!(published(&kinds.looked(&after, false)), Some(vec!["ledgers"]));
    }
}

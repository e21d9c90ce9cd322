//! The cluster's definitions (CRDs), from which the kinds of modules follow.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use futures::channel::mpsc;
use tracing::warn;

use super::Event;
use crate::{
    cluster::{KubeClient, ReflectorEvent, WatchTarget, catalog, reflector},
    net,
    stack::object::{Object, Resource},
};

/// Lists definitions again and again.
pub(super) async fn list(client: KubeClient, period: Duration, tell: mpsc::UnboundedSender<Event>) {
    loop {
        net::sleep(period).await;
        match client.catalog().await {
            Ok(catalog) => drop(tell.unbounded_send(Event::Defined(catalog.modules))),
            Err(failure) => warn!(server = %client.server(), "CRDs could not be listed: {failure}"),
        }
    }
}

/// Watches definitions.
pub(super) async fn follow(client: KubeClient, tell: mpsc::UnboundedSender<Event>) {
    let mut definitions = Definitions::default();
    let follow = async |news| {
        if let Some(event) = definitions.take_in(news) {
            let _ = tell.unbounded_send(event);
        }
    };
    reflector::run(client, WatchTarget::definitions(), follow).await;
}

/// The definitions as a watch tells of them. Pure.
#[derive(Debug, Default)]
struct Definitions {
    modules: BTreeMap<Arc<str>, Arc<Resource>>,
    /// Of the list that is under way.
    listed: BTreeMap<Arc<str>, Arc<Resource>>,
    complete: bool,
}

impl Definitions {
    fn take_in(&mut self, news: ReflectorEvent) -> Option<Event> {
        match news {
            ReflectorEvent::Listed { object, .. } => {
                set(&mut self.listed, &object, catalog::module(&object));
                return None;
            }
            ReflectorEvent::Complete { .. } => {
                self.modules = std::mem::take(&mut self.listed);
                self.complete = true;
            }
            ReflectorEvent::Changed { object, .. } => {
                set(&mut self.modules, &object, catalog::module(&object))
            }
            ReflectorEvent::Removed { object, .. } => set(&mut self.modules, &object, None),
            ReflectorEvent::Refused { missing, refusal } => {
                return match self.complete {
                    true => (!missing).then_some(Event::Unwatchable),
                    false => Some(Event::Undefined(refusal.to_string())),
                };
            }
            ReflectorEvent::Failing { cause } => return (!self.complete).then_some(Event::Undefined(cause)),
            ReflectorEvent::Recovered => return None,
        }
        self.complete.then(|| Event::Defined(self.modules.values().cloned().collect()))
    }
}

fn set(modules: &mut BTreeMap<Arc<str>, Arc<Resource>>, crd: &Object, module: Option<Resource>) {
    match module {
        Some(module) => {
            modules.insert(Arc::clone(&crd.key.name), Arc::new(module));
        }
        None => {
            modules.remove(&crd.key.name);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{stack::write::Refusal, time::now};

    fn crd(kind: &str, established: bool) -> Box<Object> {
        let singular = kind.to_lowercase();
        let json = json!({
            "metadata": {"name": format!("{singular}s.formance.com"), "uid": "u", "resourceVersion": "1"},
            "spec": {
                "group": "formance.com", "scope": "Cluster",
                "names": {"kind": kind, "singular": singular, "plural": format!("{singular}s")},
                "versions": [{"name": "v1beta1", "served": true}],
            },
            "status": {"conditions": [{"type": "Established", "status": if established { "True" } else { "False" }}]},
        });
        Box::new(Object::from_json(WatchTarget::definitions().resource(), json).unwrap())
    }

    fn listed(definitions: &mut Definitions, kinds: &[&str]) -> Option<Event> {
        let asked = now();
        for kind in kinds {
            let news = ReflectorEvent::Listed { object: crd(kind, true), asked };
            assert!(definitions.take_in(news).is_none(), "not before the list is complete");
        }
        definitions.take_in(ReflectorEvent::Complete { asked, version: "9".into() })
    }

    fn singulars(event: Option<Event>) -> Vec<String> {
        match event {
            Some(Event::Defined(modules)) => modules.iter().map(|m| m.singular.clone()).collect(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn modules_are_those_of_the_last_complete_list_and_what_came_since() {
        let mut definitions = Definitions::default();
        assert_eq!(singulars(listed(&mut definitions, &["Ledger", "Auth"])), ["auth", "ledger"]);
        let added = ReflectorEvent::Changed { object: crd("Wallet", true), at: now() };
        assert_eq!(singulars(definitions.take_in(added)), ["auth", "ledger", "wallet"]);
        let removed = ReflectorEvent::Removed { object: crd("Auth", true), at: now() };
        assert_eq!(singulars(definitions.take_in(removed)), ["ledger", "wallet"]);
        assert_eq!(singulars(listed(&mut definitions, &["Auth"])), ["auth"]);
    }

    #[test]
    fn a_definition_counts_once_its_kind_is_served() {
        let mut definitions = Definitions::default();
        listed(&mut definitions, &[]);
        let early = ReflectorEvent::Changed { object: crd("Ledger", false), at: now() };
        assert!(singulars(definitions.take_in(early)).is_empty());
        let served = ReflectorEvent::Changed { object: crd("Ledger", true), at: now() };
        assert_eq!(singulars(definitions.take_in(served)), ["ledger"]);
    }

    #[test]
    fn a_refusal_after_a_complete_list_is_that_of_the_watch() {
        let refused = |missing| {
            let refusal = Refusal { code: 403, reason: "Forbidden".into(), message: "no".into() };
            ReflectorEvent::Refused { missing, refusal }
        };
        let mut definitions = Definitions::default();
        assert!(matches!(definitions.take_in(refused(false)), Some(Event::Undefined(_))));
        listed(&mut definitions, &[]);
        assert!(matches!(definitions.take_in(refused(false)), Some(Event::Unwatchable)));
        assert!(definitions.take_in(refused(true)).is_none());
    }
}

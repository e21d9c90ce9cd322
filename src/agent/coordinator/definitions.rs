//! Follows the cluster's definitions (CRDs), from which the kinds of modules follow.

use std::{collections::BTreeMap, pin::pin, sync::Arc, time::Duration};

use futures::{channel::oneshot, future::select};
use tracing::warn;

use crate::{
    agent::kind_registry::KindEvent,
    cluster::{KubeClient, ReflectorEvent, WatchTarget, catalog, reflector},
    net,
    stack::object::{Object, Resource},
};

/// Tells which modules are defined, for ever: by reflector, or where that is refused by listing once in
/// a `period`.
pub(super) async fn follow(client: KubeClient, period: Option<Duration>, tell: impl Fn(KindEvent)) {
    let mut definitions = Definitions::default();
    let (refuse, refused) = oneshot::channel();
    let mut refuse = Some(refuse);
    let follow = async |news| match definitions.handle(news) {
        Some(Learnt::Event(event)) => tell(event),
        Some(Learnt::WatchRefused) => drop(refuse.take().map(|refuse| refuse.send(()))),
        None => {}
    };
    select(pin!(reflector::run(client.clone(), WatchTarget::definitions(), follow)), refused).await;
    let Some(period) = period else {
        warn!(
            "CRDs cannot be watched and --resync-period is 0, so modules that come and go are not \
             noticed: grant watch on customresourcedefinitions"
        );
        return std::future::pending().await;
    };
    warn!(
        "CRDs cannot be watched, so modules that come and go are noticed every {period:?} \
         (--resync-period) only: grant watch on customresourcedefinitions"
    );
    loop {
        net::sleep(period).await;
        match client.catalog().await {
            Ok(catalog) => tell(KindEvent::Defined(catalog.modules)),
            Err(failure) => warn!(server = %client.server(), "CRDs could not be listed: {failure}"),
        }
    }
}

/// What follows from news of definitions.
#[derive(Debug)]
enum Learnt {
    Event(KindEvent),
    /// They can be listed and not be watched.
    WatchRefused,
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
    fn handle(&mut self, news: ReflectorEvent) -> Option<Learnt> {
        let undefined = |cause| Some(Learnt::Event(KindEvent::Undefined(cause)));
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
            ReflectorEvent::Refused { missing, .. } if self.complete => {
                return (!missing).then_some(Learnt::WatchRefused);
            }
            ReflectorEvent::Refused { refusal, .. } => return undefined(refusal.to_string()),
            ReflectorEvent::Failing { cause } if !self.complete => return undefined(cause),
            ReflectorEvent::Failing { .. } | ReflectorEvent::Recovered => return None,
        }
        let modules = self.modules.values().cloned().collect();
        self.complete.then_some(Learnt::Event(KindEvent::Defined(modules)))
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

    fn listed(definitions: &mut Definitions, kinds: &[&str]) -> Option<Learnt> {
        let asked = now();
        for kind in kinds {
            let news = ReflectorEvent::Listed { object: crd(kind, true), asked };
            assert!(definitions.handle(news).is_none(), "not before the list is complete");
        }
        definitions.handle(ReflectorEvent::Complete { asked, version: "9".into() })
    }

    fn singulars(event: Option<Learnt>) -> Vec<String> {
        match event {
            Some(Learnt::Event(KindEvent::Defined(modules))) => {
                modules.iter().map(|m| m.singular.clone()).collect()
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn modules_are_those_of_the_last_complete_list_and_what_came_since() {
        let mut definitions = Definitions::default();
        assert_eq!(singulars(listed(&mut definitions, &["Ledger", "Auth"])), ["auth", "ledger"]);
        let added = ReflectorEvent::Changed { object: crd("Wallet", true), at: now() };
        assert_eq!(singulars(definitions.handle(added)), ["auth", "ledger", "wallet"]);
        let removed = ReflectorEvent::Removed { object: crd("Auth", true), at: now() };
        assert_eq!(singulars(definitions.handle(removed)), ["ledger", "wallet"]);
        assert_eq!(singulars(listed(&mut definitions, &["Auth"])), ["auth"]);
    }

    #[test]
    fn a_definition_counts_once_its_kind_is_served() {
        let mut definitions = Definitions::default();
        listed(&mut definitions, &[]);
        let early = ReflectorEvent::Changed { object: crd("Ledger", false), at: now() };
        assert!(singulars(definitions.handle(early)).is_empty());
        let served = ReflectorEvent::Changed { object: crd("Ledger", true), at: now() };
        assert_eq!(singulars(definitions.handle(served)), ["ledger"]);
    }

    #[test]
    fn a_refusal_after_a_complete_list_is_that_of_the_watch() {
        let refused = |missing| {
            let refusal = Refusal { code: 403, reason: "Forbidden".into(), message: "no".into() };
            ReflectorEvent::Refused { missing, refusal }
        };
        let mut definitions = Definitions::default();
        assert!(matches!(definitions.handle(refused(false)), Some(Learnt::Event(KindEvent::Undefined(_)))));
        listed(&mut definitions, &[]);
        assert!(matches!(definitions.handle(refused(false)), Some(Learnt::WatchRefused)));
        assert!(definitions.handle(refused(true)).is_none());
    }
}

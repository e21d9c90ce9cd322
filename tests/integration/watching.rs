//! List and watch against a real API server, over TLS and HTTP/2.

use std::{cell::RefCell, collections::BTreeSet, rc::Rc, time::Duration};

use serde_json::{Value, json};
use stackherd::{
    cluster::{ClientLimits, ClusterConfig, KubeClient, ReflectorEvent, WatchTarget, catalog, reflector},
    net,
    stack::object::Resource,
};

use crate::support::{
    api_server::RealApiServer, crds::Crds, machine::MachineShare, now, relay::Relay, rest::Rest,
};

const LIMITS: ClientLimits =
    ClientLimits { qps: 0.0, burst: 1, max_in_flight: 32, deadline: Duration::from_secs(20) };
const DEFINITIONS: &str = "apis/apiextensions.k8s.io/v1/customresourcedefinitions";

/// A client that reaches the server over a relay which can be cut.
fn client(server: &RealApiServer, relay: &Relay) -> KubeClient {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("kubeconfig");
    crate::support::kubeconfig::write(&path, &relay.url(), Some(&server.ca_pem), Some(server.token));
    KubeClient::new(&ClusterConfig::load(Some(&path)).unwrap(), LIMITS)
}

/// Runs a test with a client of the shared server; does nothing where there is no server.
fn with_client<Fut: Future<Output = ()>>(test: impl FnOnce(KubeClient, Rc<Relay>, Rest) -> Fut) {
    let _share = MachineShare::take();
    let Some(server) = RealApiServer::shared(Crds::Ours) else { return };
    let relay = Rc::new(Relay::before(&server.url));
    net::block_on(test(client(&server, &relay), Rc::clone(&relay), server.rest())).unwrap();
}

/// What a watch has told so far.
struct WatchView {
    told: Rc<RefCell<Vec<ReflectorEvent>>>,
    _watching: net::Task<()>,
}

impl WatchView {
    fn of(client: &KubeClient, target: WatchTarget) -> Self {
        let told = Rc::new(RefCell::new(Vec::new()));
        let telling = Rc::clone(&told);
        let tell = async move |news| telling.borrow_mut().push(news);
        let _watching = net::spawn(reflector::run(client.clone(), target, tell));
        Self { told, _watching }
    }

    /// Waits until something like this was told (since the last time that this was asked), and
    /// forgets what was told before it.
    async fn tells(&self, what: &str, like: impl Fn(&ReflectorEvent) -> bool) -> ReflectorEvent {
        let start = now();
        loop {
            let at = self.told.borrow().iter().position(&like);
            if let Some(at) = at {
                return self.told.borrow_mut().drain(..=at).next_back().unwrap();
            }
            assert!(start.elapsed() < Duration::from_secs(60), "{what}: {:?}", self.told.borrow());
            net::sleep(Duration::from_millis(10)).await;
        }
    }

    async fn is_complete(&self) {
        self.tells("a complete list", |news| matches!(news, ReflectorEvent::Complete { .. })).await;
    }

    async fn changes(&self, name: &str) {
        self.tells(
            name,
            |news| matches!(news, ReflectorEvent::Changed { object, .. } if &*object.key.name == name),
        )
        .await;
    }

    async fn removes(&self, name: &str) {
        self.tells(
            name,
            |news| matches!(news, ReflectorEvent::Removed { object, .. } if &*object.key.name == name),
        )
        .await;
    }
}

fn path_of(resource: &Resource) -> String {
    format!("{}/{}", crate::support::rest::GROUP_PATH, resource.plural)
}

fn put(rest: &Rest, resource: &Resource, name: &str) {
    let body = json!({"apiVersion": "formance.com/v1beta1", "kind": resource.kind,
        "metadata": {"name": name}, "spec": {"stack": name}});
    rest.post(&path_of(resource), &body).expect(201);
}

fn delete(rest: &Rest, resource: &Resource, name: &str) {
    rest.delete(&format!("{}/{name}", path_of(resource))).expect(200);
}

#[test]
fn many_objects_are_listed_in_compressed_pages() {
    with_client(|client, relay, rest| async move {
        const MANY: usize = 1050;
        let wallets = Resource::new("Wallets", "wallets", "wallets");
        // A few connections at a time, or this takes longer than the rest together.
        std::thread::scope(|scope| {
            for part in 0..6 {
                let (rest, wallets) = (&rest, &wallets);
                scope.spawn(move || {
                    for n in (part..MANY).step_by(6) {
                        put(rest, wallets, &format!("many-{n:04}"));
                    }
                });
            }
        });
        let plain = rest.get(&path_of(&wallets)).expect(200).text.len();
        let before = relay.received();
        let view = WatchView::of(&client, WatchTarget::kind(&wallets));
        let start = now();
        let complete = |news: &ReflectorEvent| matches!(news, ReflectorEvent::Complete { .. });
        while !view.told.borrow().iter().any(complete) {
            assert!(start.elapsed() < Duration::from_secs(60));
            net::sleep(Duration::from_millis(10)).await;
        }
        let name = |news: &ReflectorEvent| match news {
            ReflectorEvent::Listed { object, .. } => Some(object.key.name.to_string()),
            _ => None,
        };
        let listed: Vec<_> = view.told.borrow().iter().filter_map(name).collect();
        let names: BTreeSet<_> = listed.iter().collect();
        assert_eq!((listed.len(), names.len()), (MANY, MANY));
        // Three pages, and a watch that may have been opened by now.
        assert!((3..=4).contains(&client.counts().requests), "{:?}", client.counts());
        let received = relay.received() - before;
        assert!(received * 3 < plain, "{received} bytes for {plain}");
    });
}

#[test]
fn events_come_and_a_cut_connection_loses_none() {
    with_client(|client, relay, rest| async move {
        let ledgers = Resource::new("Ledger", "ledger", "ledgers");
        let view = WatchView::of(&client, WatchTarget::kind(&ledgers));
        view.is_complete().await;
        put(&rest, &ledgers, "told");
        view.changes("told").await;
        let debug = json!({"spec": {"debug": true}});
        rest.patch(&format!("{}/told", path_of(&ledgers)), &debug).expect(200);
        view.changes("told").await;
        relay.cut();
        put(&rest, &ledgers, "meanwhile");
        delete(&rest, &ledgers, "told");
        view.changes("meanwhile").await;
        view.removes("told").await;
        let told = view.told.borrow();
        assert!(
            !told.iter().any(|news| matches!(news, ReflectorEvent::Complete { .. })),
            "it was resumed: {told:?}"
        );
        assert!(relay.connections() >= 2);
    });
}

#[test]
fn a_kind_that_goes_and_comes_back_is_watched_again() {
    with_client(|client, _relay, rest| async move {
        let definition: Value = Crds::Ours
            .manifests()
            .unwrap()
            .into_iter()
            .find(|crd| crd["spec"]["names"]["kind"] == "Webhooks")
            .unwrap();
        let name = definition["metadata"]["name"].as_str().unwrap().to_owned();
        let webhooks = Resource::new("Webhooks", "webhooks", "webhooks");
        let modules = WatchView::of(&client, WatchTarget::definitions());
        let found = |news: &ReflectorEvent| matches!(news, ReflectorEvent::Listed { object, .. } if *object.key.name == *name);
        let ReflectorEvent::Listed { object, .. } = modules.tells("the definition", found).await else {
            panic!()
        };
        let module = catalog::module(&object).unwrap();
        assert_eq!((&*module.kind, &*module.singular), ("Webhooks", "webhooks"));
        modules.is_complete().await;

        put(&rest, &webhooks, "before");
        let view = WatchView::of(&client, WatchTarget::kind(&webhooks));
        view.is_complete().await;
        rest.delete(&format!("{DEFINITIONS}/{name}")).expect(200);
        view.removes("before").await;
        modules.removes(&name).await;
        crate::support::eventually("the definition's end", Duration::from_secs(30), || {
            (rest.get(&format!("{DEFINITIONS}/{name}")).status == 404).then_some(())
        });
        // The server no longer serves the kind: somebody else would wait half a minute now.
        drop(view);
        let missing = WatchView::of(&client, WatchTarget::kind(&webhooks));
        missing
            .tells("a refusal", |news| matches!(news, ReflectorEvent::Refused { missing: true, .. }))
            .await;
        rest.post(DEFINITIONS, &definition).expect(201);
        modules.changes(&name).await;
        let view = WatchView::of(&client, WatchTarget::kind(&webhooks));
        crate::support::eventually("the kind again", Duration::from_secs(30), || {
            (rest.get(&path_of(&webhooks)).status == 200).then_some(())
        });
        put(&rest, &webhooks, "after");
        view.tells("the object", |news| {
            matches!(news, ReflectorEvent::Listed { object, .. } | ReflectorEvent::Changed { object, .. }
                if &*object.key.name == "after")
        })
        .await;
    });
}

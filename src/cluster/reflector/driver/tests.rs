use std::{cell::RefCell, rc::Rc, sync::Arc};

use serde_json::{Value, json};

use super::*;
use crate::{
    cluster::{ClientLimits, ClusterConfig},
    embedded::{
        cluster::{Caller, DeleteOptions, EmbeddedCluster, WriteEndpoint},
        faults::{FaultScript, InjectedFault},
        server::{EmbeddedServer, ServerOptions},
    },
    net::testing::run as on_executor,
    stack::object::{Catalog, Resource},
};

/// What a watch has told so far. Dropped, it ends.
struct ToldEvents {
    told: Rc<RefCell<Vec<ReflectorEvent>>>,
    _watching: net::Task<()>,
}

impl ToldEvents {
    fn of(client: &KubeClient, resource: &Arc<Resource>) -> Self {
        let told = Rc::new(RefCell::new(Vec::new()));
        let telling = Rc::clone(&told);
        let tell = async move |news| telling.borrow_mut().push(news);
        let watching = net::spawn(run(client.clone(), WatchTarget::kind(resource), tell));
        Self { told, _watching: watching }
    }

    /// What was told, in short.
    fn words(&self) -> Vec<String> {
        let word = |news: &ReflectorEvent| {
            Some(match news {
                ReflectorEvent::Listed { object, .. } => format!("listed {}", object.key.name),
                ReflectorEvent::Complete { .. } => "complete".into(),
                ReflectorEvent::Changed { object, .. } => format!("changed {}", object.key.name),
                ReflectorEvent::Removed { object, .. } => format!("removed {}", object.key.name),
                ReflectorEvent::Refused { missing, .. } => format!("refused, missing: {missing}"),
                ReflectorEvent::Failing { .. } | ReflectorEvent::Recovered => return None,
            })
        };
        self.told.borrow().iter().filter_map(word).collect()
    }

    async fn tells(&self, words: &[&str]) {
        for _ in 0..1000 {
            if self.words() == words {
                return;
            }
            net::sleep(Duration::from_millis(10)).await;
        }
        panic!("{words:?} were to be told, and were not: {:?}", self.words());
    }
}

fn server(options: ServerOptions) -> EmbeddedServer {
    EmbeddedServer::start(options).unwrap()
}

fn client(server: &EmbeddedServer) -> KubeClient {
    let limits = ClientLimits { qps: 0.0, burst: 1, max_in_flight: 4, deadline: Duration::from_secs(10) };
    KubeClient::new(&ClusterConfig::plain(&server.url()).unwrap(), limits)
}

fn stacks() -> Arc<Resource> {
    Catalog::new(vec![]).stack
}

fn create(cluster: &mut EmbeddedCluster, name: &str, now: jiff::Timestamp) {
    let kind = cluster.kind("formance.com", "v1beta1", "stacks").unwrap();
    let body = json!({"apiVersion": "formance.com/v1beta1", "kind": "Stack", "metadata": {"name": name}});
    cluster.create(&kind, body, Caller::new("test", now)).unwrap();
}

fn put(server: &EmbeddedServer, name: &'static str) {
    server.with_model(move |cluster, now| create(cluster, name, now));
}

fn patch(server: &EmbeddedServer, name: &'static str, patch: Value) {
    server.with_model(move |cluster, now| {
        let kind = cluster.kind("formance.com", "v1beta1", "stacks").unwrap();
        cluster.patch(&kind, name, WriteEndpoint::Main, &patch, Caller::new("test", now)).unwrap();
    });
}

fn delete(server: &EmbeddedServer, name: &'static str) {
    server.with_model(move |cluster, now| {
        let kind = cluster.kind("formance.com", "v1beta1", "stacks").unwrap();
        cluster.delete(&kind, name, &DeleteOptions::default(), now).unwrap();
    });
}

#[test]
fn objects_are_listed_in_pages_and_then_events_come_in_order() {
    on_executor(async {
        let server = server(ServerOptions::default());
        server.with_model(|cluster, now| {
            for n in 0..1100 {
                create(cluster, &format!("s-{n:04}"), now);
            }
        });
        let view = ToldEvents::of(&client(&server), &stacks());
        let mut words: Vec<String> = (0..1100).map(|n| format!("listed s-{n:04}")).collect();
        words.push("complete".into());
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        view.tells(&words).await;
        put(&server, "new");
        patch(&server, "new", json!({"spec": {"disabled": true}}));
        delete(&server, "new");
        put(&server, "new");
        let more = ["changed new", "changed new", "removed new", "changed new"];
        view.tells(&[words, more.to_vec()].concat()).await;
        let counts = server.counts();
        assert_eq!((counts.verb("list"), counts.verb("watch")), (3, 1));
    });
}

#[test]
fn a_version_that_expired_has_it_list_again() {
    on_executor(async {
        let server = server(ServerOptions::default());
        let view = ToldEvents::of(&client(&server), &stacks());
        view.tells(&["complete"]).await;
        server.with_model(|cluster, now| {
            create(cluster, "a", now);
            cluster.expire();
        });
        view.tells(&["complete", "listed a", "complete"]).await;
        put(&server, "b");
        view.tells(&["complete", "listed a", "complete", "changed b"]).await;
    });
}

#[test]
fn connections_that_break_and_errors_cost_time_and_nothing_else() {
    on_executor(async {
        let mut lists = 0;
        let mut watches = 0;
        let script = move |call: &crate::embedded::faults::RequestInfo<'_>| {
            let nth = match call.verb {
                "list" => &mut lists,
                "watch" => &mut watches,
                _ => return InjectedFault::None,
            };
            *nth += 1;
            match *nth {
                1 => InjectedFault::DropBefore,
                2 => InjectedFault::Refuse { code: 500, retry_after: None },
                _ => InjectedFault::None,
            }
        };
        let server = server(ServerOptions { script: Some(Box::new(script)), ..ServerOptions::default() });
        put(&server, "a");
        let view = ToldEvents::of(&client(&server), &stacks());
        view.tells(&["listed a", "complete"]).await;
        put(&server, "b");
        view.tells(&["listed a", "complete", "changed b"]).await;
        let counts = server.counts();
        assert_eq!((counts.verb("list"), counts.verb("watch")), (3, 3));
        assert_eq!((counts.faults["drop-before"], counts.faults["refuse"]), (2, 2));
    });
}

#[test]
fn a_kind_that_is_not_served_is_told_as_missing() {
    on_executor(async {
        let server = server(ServerOptions::default());
        let nothing = Resource::new("Nothing", "nothing", "nothings");
        let view = ToldEvents::of(&client(&server), &nothing);
        view.tells(&["refused, missing: true"]).await;
        let forbid = |_: &crate::embedded::faults::RequestInfo<'_>| InjectedFault::Refuse {
            code: 403,
            retry_after: None,
        };
        server.handle().set_script(Some(Box::new(forbid)));
        let view = ToldEvents::of(&client(&server), &stacks());
        view.tells(&["refused, missing: false"]).await;
    });
}

#[test]
fn many_watches_leave_requests_their_way() {
    on_executor(async {
        let server = server(ServerOptions::default());
        put(&server, "a");
        let client = client(&server);
        let views: Vec<ToldEvents> = (0..40).map(|_| ToldEvents::of(&client, &stacks())).collect();
        for view in &views {
            view.tells(&["listed a", "complete"]).await;
        }
        let modules = client.catalog().await.unwrap().modules.len();
        assert!(modules > 5, "{modules}");
        put(&server, "b");
        for view in &views {
            view.tells(&["listed a", "complete", "changed b"]).await;
        }
    });
}

#[test]
fn a_consumer_without_room_holds_back_itself_alone_and_loses_nothing() {
    on_executor(async {
        let server = server(ServerOptions::default());
        for name in ["a", "b", "c"] {
            put(&server, name);
        }
        let told = Rc::new(RefCell::new(0));
        let (room, mut given) = futures::channel::mpsc::unbounded::<()>();
        let counting = Rc::clone(&told);
        let tell = async move |_: ReflectorEvent| {
            futures::StreamExt::next(&mut given).await;
            *counting.borrow_mut() += 1;
        };
        let client = client(&server);
        let _watching = net::spawn(run(client.clone(), WatchTarget::kind(&stacks()), tell));
        net::sleep(Duration::from_millis(50)).await;
        let other = ToldEvents::of(&client, &stacks());
        other.tells(&["listed a", "listed b", "listed c", "complete"]).await;
        assert_eq!(*told.borrow(), 0);
        for _ in 0..4 {
            room.unbounded_send(()).unwrap();
        }
        while *told.borrow() < 4 {
            net::sleep(Duration::from_millis(5)).await;
        }
    });
}

#[test]
fn a_watch_that_is_dropped_leaves_nothing_behind() {
    on_executor(async {
        let server = server(ServerOptions::default());
        put(&server, "a");
        let client = client(&server);
        // At whatever it is doing.
        for micros in (0..20_000).step_by(400) {
            let view = ToldEvents::of(&client, &stacks());
            net::sleep(Duration::from_micros(micros)).await;
            drop(view);
        }
        let view = ToldEvents::of(&client, &stacks());
        view.tells(&["listed a", "complete"]).await;
    });
}

#[test]
fn a_list_that_is_not_answered_keeps_no_other_waiting() {
    on_executor(async {
        let script: FaultScript = Box::new(|call| match (call.verb, call.plural) {
            ("list", "authclients") => InjectedFault::Hold(Duration::from_secs(8)),
            _ => InjectedFault::None,
        });
        let server = server(ServerOptions { script: Some(script), ..ServerOptions::default() });
        put(&server, "a");
        let client = client(&server);
        let _slow: Vec<_> =
            (0..3).map(|_| ToldEvents::of(&client, &Catalog::new(vec![]).auth_client)).collect();
        net::sleep(Duration::from_millis(50)).await;
        let begun = crate::time::now();
        ToldEvents::of(&client, &stacks()).tells(&["listed a", "complete"]).await;
        // Each of the three keeps it for half a second at most.
        assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
    });
}

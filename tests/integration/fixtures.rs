//! The fixtures themselves: what the other tests rely on.

use std::{io::Read, time::Duration};

use serde_json::{Value, json};
use stackherd::membership::wire::server::{
    AddedVersion, DeletedStack, Message, ModuleStatusChanged, VersionKind, message::Message as Said,
};

use crate::support::{
    agent::AgentProcess,
    api_server::RealApiServer,
    cluster::TestCluster,
    crds::Crds,
    deeds::{create, delete, hold, let_go, replace_status, set_status},
    eventually,
    holdback::{Holdback, RequestFate},
    membership::TestMembership,
    metrics::Metrics,
    now,
    objects::{find, get},
    orders::deleted,
    rest::{GROUP_PATH, Rest},
    view::{self, Believed},
};

const WITHIN: Duration = Duration::from_secs(30);

const STACKS: &str = "apis/formance.com/v1beta1/stacks";

fn stack(name: &str) -> serde_json::Value {
    json!({ "apiVersion": "formance.com/v1beta1", "kind": "Stack", "metadata": { "name": name }, "spec": {} })
}

/// A proxy before the shared server, and a client of it.
fn proxied() -> Option<(Holdback, Rest)> {
    let proxy = Holdback::before(RealApiServer::shared(Crds::Ours)?.rest());
    let client = Rest::new(&proxy.url(), None, None);
    Some((proxy, client))
}

#[test]
fn a_real_api_server_answers_for_the_operators_kinds() {
    let Some(server) = RealApiServer::start(Crds::Operators) else { return };
    server.rest().get(&format!("{GROUP_PATH}/ledgers")).expect(200);
}

#[test]
fn a_held_request_is_delivered_after_its_sender_gave_up() {
    let Some((proxy, _)) = proxied() else { return };
    let held = proxy.hold(|request| request.is("POST", "/stacks"));
    {
        use std::io::Write;
        let body = stack("held-back").to_string();
        let mut sender = std::net::TcpStream::connect(proxy.url().trim_start_matches("http://")).unwrap();
        let head = format!(
            "POST /{STACKS} HTTP/1.1\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        sender.write_all((head + &body).as_bytes()).unwrap();
    }
    let arrived = held.arrived(Duration::from_secs(5));
    let server = RealApiServer::shared(Crds::Ours).unwrap().rest();
    server.get(&format!("{STACKS}/held-back")).expect(404);
    assert_eq!(arrived.release(), 201);
    server.get(&format!("{STACKS}/held-back")).expect(200);
}

#[test]
fn a_dropped_answer_belongs_to_a_write_that_happened() {
    let Some((proxy, client)) = proxied() else { return };
    let fired = proxy.rule(1, |request| request.is("POST", "/stacks"), RequestFate::DropAnswer);
    let body = stack("unanswered").to_string().into_bytes();
    assert!(client.open("POST", STACKS, &[("content-type", "application/json")], Some(body)).is_err());
    assert_eq!(fired.times(), 1);
    client.get(&format!("{STACKS}/unanswered")).expect(200);
}

#[test]
fn an_answer_can_be_made_up_and_the_server_never_hears_of_it() {
    let Some((proxy, client)) = proxied() else { return };
    let fate = RequestFate::Answer { status: 429, retry_after: Some(7), body: "{}".into() };
    proxy.rule(1, |request| request.method == "POST", fate);
    let refused = client.post(STACKS, &stack("made-up")).expect(429);
    assert_eq!(refused.header("retry-after"), Some("7"));
    client.get(&format!("{STACKS}/made-up")).expect(404);
    assert_eq!(proxy.counts()["POST"], 1);
    assert_eq!(proxy.writes(), 1);
}

#[test]
fn a_watch_passes_through_event_by_event() {
    let Some((_proxy, client)) = proxied() else { return };
    let rv = client.get(STACKS).resource_version().to_owned();
    let mut watch = client.watch("stacks", &format!("resourceVersion={rv}&timeoutSeconds=20"));
    client.post(STACKS, &stack("watched")).expect(201);
    let event = watch.find(|event| event["object"]["metadata"]["name"] == "watched").unwrap();
    assert_eq!(event["type"], "ADDED");
}

#[test]
fn events_of_a_watch_pass_through_at_once() {
    let Some((_proxy, client)) = proxied() else { return };
    let server = RealApiServer::shared(Crds::Ours).unwrap().rest();
    let rv = client.get(STACKS).resource_version().to_owned();
    let mut watch = client.watch("stacks", &format!("resourceVersion={rv}&timeoutSeconds=20"));
    for index in 0..5 {
        let name = format!("at-once-{index}");
        server.post(STACKS, &stack(&name)).expect(201);
        let start = now();
        watch.find(|event| event["object"]["metadata"]["name"] == name.as_str()).unwrap();
        assert!(start.elapsed() < Duration::from_millis(500), "{:?}", start.elapsed());
    }
}

#[test]
fn a_severed_proxy_breaks_what_runs_and_refuses_what_comes_until_it_is_restored() {
    let Some((proxy, client)) = proxied() else { return };
    let watch = client.open("GET", &format!("{STACKS}?watch=true&timeoutSeconds=60"), &[], None).unwrap();
    proxy.sever();
    let start = now();
    let mut rest = Vec::new();
    let _ = watch.into_body().into_reader().read_to_end(&mut rest);
    assert!(start.elapsed() < Duration::from_secs(20), "the watch ended by itself");
    assert!(client.open("GET", STACKS, &[], None).is_err());
    proxy.restore();
    client.get(STACKS).expect(200);
}

#[test]
fn the_api_servers_own_count_goes_by_verb() {
    let Some(server) = RealApiServer::shared(Crds::Ours) else { return };
    let rest = server.rest();
    let before = Metrics::read(&rest);
    rest.post(STACKS, &stack("counted")).expect(201);
    rest.get(&format!("{STACKS}/counted")).expect(200);
    eventually("they are counted", WITHIN, || {
        let grown = Metrics::read(&rest).since(&before);
        (grown.get("POST") >= Some(&1) && grown.get("GET") >= Some(&1)).then_some(())
    });
    assert!(Metrics::read(&rest).but_watches() > before.but_watches());
}

/// An agent that has this membership answered for absent stacks `0`, `1` and `2`.
fn three_messages(cluster: &TestCluster, membership: &mut TestMembership) -> (AgentProcess, Vec<String>) {
    let agent = cluster.agent(membership).start();
    let mut joined = membership.joined(WITHIN);
    for index in 0..3 {
        joined.order(deleted(&index.to_string()));
        eventually("it is answered", WITHIN, || {
            (membership.came() > index || !joined.is_open()).then_some(())
        });
    }
    let names = membership.heard().iter().map(|message| match &message.message {
        Some(Said::StackDeleted(told)) => told.cluster_name.clone(),
        other => panic!("{other:?}"),
    });
    (agent, names.collect())
}

#[test]
fn a_message_gets_lost_and_the_stream_goes_on() {
    let (cluster, mut membership) = (TestCluster::start(), TestMembership::start());
    assert_eq!(three_messages(&cluster, &mut membership).1, ["0", "1", "2"]);
    let mut membership = TestMembership::start();
    membership.lose(2);
    assert_eq!(three_messages(&cluster, &mut membership).1, ["0", "2"]);
    assert_eq!((membership.came(), membership.joins()), (3, 1));
}

#[test]
fn the_connection_is_cut_behind_a_message_that_was_heard() {
    let (cluster, mut membership) = (TestCluster::start(), TestMembership::start());
    membership.cut_after(2);
    let (_agent, heard) = three_messages(&cluster, &mut membership);
    assert_eq!(heard[..2], ["0", "1"]);
    eventually("it joins again", WITHIN, || (membership.joins() == 2).then_some(()));
}

fn said(message: Said) -> Message {
    Message { message: Some(message), ..Message::default() }
}

#[test]
fn a_belief_is_compared_with_the_cluster_both_ways() {
    let vk = Some(VersionKind { version: "v1beta1".into(), kind: "Ledger".into() });
    let status = serde_json::from_value(json!({"ready": true, "conditions": [{"n": 1}]})).unwrap();
    let ledger = ModuleStatusChanged { cluster_name: "a".into(), status: Some(status), vk };
    let version = AddedVersion { name: "v1".into(), ..AddedVersion::default() };
    let mut believed = Believed::of(&[
        said(Said::ModuleStatusChanged(ledger)),
        said(Said::AddedVersion(version)),
        said(Said::StackDeleted(DeletedStack { cluster_name: "gone".into() })),
    ]);
    let ledger =
        |n: u8| json!({"kind": "Ledger", "status": {"ready": true, "conditions": [{"n": n}], "uri": "x"}});
    let with =
        |ledger, version| [("ledgers/a".to_owned(), ledger), ("versions/v1".to_owned(), version)].into();
    let v1 = json!({"kind": "Versions", "spec": {}});
    assert_eq!(believed.differences(&with(ledger(1), v1.clone())), [""; 0]);
    assert_eq!(believed.differences(&with(ledger(2), v1.clone())).len(), 1);
    let changed = json!({"kind": "Versions", "spec": {"ledger": "v1"}});
    assert_eq!(believed.differences(&with(ledger(1), changed)).len(), 1);
    let deprecated =
        json!({"kind": "Versions", "metadata": {"annotations": {"formance.com/deprecated": "true"}}});
    assert_eq!(believed.differences(&with(ledger(1), deprecated)).len(), 1);
    assert_eq!(believed.differences(&[].into()).len(), 2, "both are gone and were not told to be");
    believed.statuses.clear();
    assert_eq!(believed.differences(&with(ledger(1), v1)).len(), 1, "it was not told of");
}

#[test]
fn deeds_are_done_alike_to_the_embedded_cluster_and_a_real_one() {
    let cluster = TestCluster::start();
    let servers = [Some(cluster.rest()), RealApiServer::shared(Crds::Ours).map(|server| server.rest())];
    for rest in servers.into_iter().flatten() {
        create(&rest, "stacks", "Stack", "done-to", &json!({}));
        create(&rest, "versions", "Versions", "done-to", &json!({}));
        set_status(&rest, "stacks", "done-to", &json!({"ready": true, "uri": "x"}));
        set_status(&rest, "stacks", "done-to", &json!({"info": "y"}));
        let told = view::reported(&get(&rest, "stacks", "done-to")["status"]);
        assert_eq!(told, Some(json!({"ready": true, "info": "y"})));
        for status in [json!({"ready": "odd"}), json!({}), Value::Null] {
            replace_status(&rest, "stacks", "done-to", &status);
            assert_eq!(get(&rest, "stacks", "done-to")["status"], status);
        }
        hold(&rest, "stacks", "done-to");
        delete(&rest, "stacks", "done-to");
        assert!(get(&rest, "stacks", "done-to")["metadata"]["deletionTimestamp"].is_string());
        assert!(
            ["stacks/done-to", "versions/done-to"].iter().all(|key| view::objects(&rest).contains_key(*key))
        );
        let_go(&rest, "stacks", "done-to");
        assert_eq!(find(&rest, "stacks", "done-to"), None);
    }
}

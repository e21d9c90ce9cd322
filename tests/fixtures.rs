//! The fixtures themselves: what the other tests rely on.

#[path = "support/support.rs"]
mod support;

use std::time::Duration;

use serde_json::json;
use support::{
    api_server::ApiServer,
    crds::Crds,
    holdback::{Fate, Holdback},
    rest::{GROUP_PATH, Rest},
};

const STACKS: &str = "apis/formance.com/v1beta1/stacks";

fn stack(name: &str) -> serde_json::Value {
    json!({ "apiVersion": "formance.com/v1beta1", "kind": "Stack", "metadata": { "name": name }, "spec": {} })
}

/// A proxy before the shared server, and a client of it.
fn proxied() -> Option<(Holdback, Rest)> {
    let proxy = Holdback::before(ApiServer::shared(Crds::Ours)?.rest());
    let client = Rest::new(&proxy.url(), None, None);
    Some((proxy, client))
}

#[test]
fn a_real_api_server_answers_for_the_operators_kinds() {
    let Some(server) = ApiServer::start(Crds::Operators) else { return };
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
    let server = ApiServer::shared(Crds::Ours).unwrap().rest();
    server.get(&format!("{STACKS}/held-back")).expect(404);
    assert_eq!(arrived.release(), 201);
    server.get(&format!("{STACKS}/held-back")).expect(200);
}

#[test]
fn a_dropped_answer_belongs_to_a_write_that_happened() {
    let Some((proxy, client)) = proxied() else { return };
    let fired = proxy.rule(1, |request| request.is("POST", "/stacks"), Fate::DropAnswer);
    let body = stack("unanswered").to_string().into_bytes();
    assert!(client.open("POST", STACKS, &[("content-type", "application/json")], Some(body)).is_err());
    assert_eq!(fired.times(), 1);
    client.get(&format!("{STACKS}/unanswered")).expect(200);
}

#[test]
fn an_answer_can_be_made_up_and_the_server_never_hears_of_it() {
    let Some((proxy, client)) = proxied() else { return };
    let fate = Fate::Answer { status: 429, retry_after: Some(7), body: "{}".into() };
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

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    time::Duration,
};

use futures::channel::oneshot;
use serde_json::{Value, json};

use super::*;
use crate::faults::InjectedFault;

const STACKS: &str = "/apis/formance.com/v1beta1/stacks";
const MERGE: &str = "application/merge-patch+json";

fn server(options: ServerOptions) -> EmbeddedServer {
    EmbeddedServer::start(options).expect("a server")
}

fn open_request(
    server: &EmbeddedServer,
    method: &str,
    path: &str,
    content_type: &str,
    body: &str,
) -> BufReader<TcpStream> {
    let mut stream = TcpStream::connect(server.address()).expect("connected");
    stream.set_read_timeout(Some(Duration::from_secs(10))).expect("a timeout");
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: embedded\r\nUser-Agent: test/1\r\nAuthorization: Bearer right\r\n\
         Connection: close\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).expect("sent");
    // A refused body may find the connection closed already.
    let _ = stream.write_all(body.as_bytes());
    BufReader::new(stream)
}

/// Status, head, and body of one request; status 0 where the connection broke.
fn send(
    server: &EmbeddedServer,
    method: &str,
    path: &str,
    content_type: &str,
    body: &str,
) -> (u16, String, Value) {
    let mut text = String::new();
    let _ = open_request(server, method, path, content_type, body).read_to_string(&mut text);
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let code = head.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or_default();
    (code, head.to_string(), serde_json::from_str(body).unwrap_or_default())
}

fn stack(name: &str) -> String {
    json!({"apiVersion": "formance.com/v1beta1", "kind": "Stack", "metadata": {"name": name}, "spec": {}})
        .to_string()
}

fn post(server: &EmbeddedServer, name: &str) -> u16 {
    send(server, "POST", STACKS, "application/json", &stack(name)).0
}

fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..200 {
        if holds() {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("never came true: {what}");
}

#[test]
fn a_request_over_a_socket_reaches_the_model() {
    let server = server(ServerOptions::default());
    assert_eq!(post(&server, "a"), 201);
    assert_eq!(server.snapshot("stacks")[0]["metadata"]["name"], "a");
    let counts = server.counts();
    assert_eq!((counts.requests, counts.writes, counts.verb("create")), (1, 1, 1));
    server.stop();
}

#[test]
fn unknown_fields_come_back_as_warning_headers() {
    let server = server(ServerOptions::default());
    post(&server, "a");
    let (code, head, _) = send(&server, "PATCH", &format!("{STACKS}/a"), MERGE, r#"{"spec":{"nope":1}}"#);
    assert_eq!(code, 200);
    assert!(head.contains(r#"warning: 299 - "unknown field \"spec.nope\"""#), "{head}");
}

#[test]
fn a_body_that_is_too_large_is_413() {
    let server = server(ServerOptions::default());
    let (code, ..) = send(&server, "POST", STACKS, "application/json", &"a".repeat((3 << 20) + 1));
    // The connection may close before the client has read the answer, as with the real server.
    assert!(code == 413 || code == 0, "{code}");
    assert_eq!(server.counts().codes.get(&413), Some(&1));
}

#[test]
fn a_wrong_token_is_unauthorized() {
    let right = server(ServerOptions { token: Some("right".into()), ..ServerOptions::default() });
    assert_eq!(post(&right, "a"), 201);
    let wrong = server(ServerOptions { token: Some("other".into()), ..ServerOptions::default() });
    assert_eq!(post(&wrong, "a"), 401);
}

#[test]
fn a_watch_streams_events_until_its_time_is_over() {
    let server = server(ServerOptions::default());
    post(&server, "a");
    let mut watch = open_request(&server, "GET", &format!("{STACKS}?watch=true&timeoutSeconds=1"), "", "");
    let mut events = Vec::new();
    let mut line = String::new();
    while watch.read_line(&mut line).unwrap_or(0) > 0 {
        if let Ok(event) = serde_json::from_str::<Value>(line.trim())
            && event.is_object()
        {
            events.push(format!("{} {}", event["type"], event["object"]["metadata"]["name"]));
            if events.len() == 1 {
                post(&server, "b");
            }
        }
        line.clear();
    }
    assert_eq!(events, [r#""ADDED" "a""#, r#""ADDED" "b""#]);
}

#[test]
fn bookmarks_come_to_an_idle_watch() {
    let server = server(ServerOptions { bookmarks: Duration::from_millis(20), ..ServerOptions::default() });
    let version = server.with_model(|cluster, _| cluster.version()).expect("a version");
    let path =
        format!("{STACKS}?watch=true&resourceVersion={version}&allowWatchBookmarks=true&timeoutSeconds=1");
    let mut text = String::new();
    open_request(&server, "GET", &path, "", "").read_to_string(&mut text).expect("read");
    assert!(text.contains(r#"{"type":"BOOKMARK""#), "{text}");
}

#[test]
fn garbage_is_collected_where_asked_for() {
    let make = |garbage| {
        let server = server(ServerOptions { garbage, ..ServerOptions::default() });
        post(&server, "a");
        let uid = server.snapshot("stacks")[0]["metadata"]["uid"].clone();
        let ledger = json!({"apiVersion": "formance.com/v1beta1", "kind": "Ledger", "metadata": {"name": "a",
            "ownerReferences": [{"apiVersion": "formance.com/v1beta1", "kind": "Stack", "name": "a", "uid": uid}]}});
        let path = "/apis/formance.com/v1beta1/ledgers";
        assert_eq!(send(&server, "POST", path, "application/json", &ledger.to_string()).0, 201);
        assert_eq!(send(&server, "DELETE", &format!("{STACKS}/a"), "", "").0, 200);
        server
    };
    let with = make(Some(Duration::from_millis(5)));
    eventually("the ledger goes", || with.snapshot("ledgers").is_empty());
    let without = make(None);
    std::thread::sleep(Duration::from_millis(50));
    assert_eq!(without.snapshot("ledgers").len(), 1);
}

#[test]
fn a_script_refuses_denies_and_drops() {
    let script: FaultScript = Box::new(|call| match call.name {
        "refused" => InjectedFault::Refuse { code: 429, retry_after: Some(3) },
        "denied" => InjectedFault::Deny { code: 500 },
        "before" => InjectedFault::DropBefore,
        "after" => InjectedFault::DropAfter,
        _ => InjectedFault::None,
    });
    let server = server(ServerOptions { script: Some(script), ..ServerOptions::default() });
    let (code, head, _) = send(&server, "POST", STACKS, "application/json", &stack("refused"));
    assert!(code == 429 && head.contains("retry-after: 3"), "{head}");
    assert_eq!((post(&server, "denied"), post(&server, "before"), post(&server, "after")), (500, 0, 0));
    let names: Vec<Value> = server.snapshot("stacks").iter().map(|s| s["metadata"]["name"].clone()).collect();
    assert_eq!(names, [json!("after"), json!("denied")]);
    let faults = server.counts().faults;
    assert_eq!(faults.values().sum::<u64>(), 4, "{faults:?}");
}

#[test]
fn a_held_request_is_carried_out_although_its_client_left() {
    let (open, gate) = oneshot::channel();
    let mut gate = Some(gate);
    let script: FaultScript = Box::new(move |call| match (call.name, gate.take()) {
        ("held", Some(gate)) => InjectedFault::Until(gate),
        _ => InjectedFault::None,
    });
    let server = server(ServerOptions { script: Some(script), ..ServerOptions::default() });
    drop(open_request(&server, "POST", STACKS, "application/json", &stack("held")));
    eventually("the request is held", || server.counts().faults.contains_key("hold"));
    assert!(server.snapshot("stacks").is_empty());
    let _ = open.send(());
    eventually("it is carried out", || server.snapshot("stacks").len() == 1);
}

#[test]
fn latency_delays_every_answer() {
    let latency = Latency { fixed: Duration::from_millis(50), ..Latency::default() };
    let server = server(ServerOptions { latency, ..ServerOptions::default() });
    let start = shards::time::now();
    post(&server, "a");
    assert!(start.elapsed() >= Duration::from_millis(50));
}

#[test]
fn a_stopped_server_breaks_its_watches() {
    let server = server(ServerOptions::default());
    let mut watch = open_request(&server, "GET", &format!("{STACKS}?watch=true"), "", "");
    let mut line = String::new();
    watch.read_line(&mut line).expect("the status line");
    server.stop();
    let mut rest = Vec::new();
    // A reset is an end, too: what matters is that it does not time out.
    if let Err(error) = watch.read_to_end(&mut rest) {
        assert_ne!(error.kind(), std::io::ErrorKind::WouldBlock);
    }
}

#[test]
fn a_definition_that_is_no_yaml_is_named() {
    let definitions = vec![("bad.yaml".to_string(), "{".to_string())];
    let error = EmbeddedServer::start(ServerOptions { definitions, ..ServerOptions::default() })
        .expect_err("no YAML");
    assert!(error.to_string().contains("bad.yaml"), "{error}");
}

#[test]
fn an_operator_gives_statuses_and_is_no_client() {
    let options =
        operator::OperatorOptions { most: Duration::from_millis(60), ..operator::OperatorOptions::default() };
    let server = server(ServerOptions { operator: Some(options), ..ServerOptions::default() });
    assert_eq!(post(&server, "a"), 201);
    eventually("ready", || server.snapshot("stacks")[0]["status"]["ready"] == true);
    assert_eq!(server.counts().requests, 1);
    server.stop();
}

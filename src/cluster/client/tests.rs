mod reads;
mod server;
mod tls;
mod watches;

use bytes::Bytes;
use serde_json::{Value, json};
use server::{ScriptedServer, ServerAct, ServerProtocol};

use super::*;
use crate::{
    net::{self, testing::run},
    stack::object::{ObjectKey, Resource},
};

/// Of the tests in which a deadline passes.
const SHORT: Duration = Duration::from_millis(700);

/// For tests in which none does, on however busy a machine.
fn limits() -> ClientLimits {
    ClientLimits { qps: 0.0, burst: 1, max_in_flight: 64, deadline: Duration::from_secs(10) }
}

fn hasty() -> ClientLimits {
    ClientLimits { deadline: SHORT, ..limits() }
}

fn key(name: &str) -> ObjectKey {
    ObjectKey::new(&Resource::new("Ledger", "ledger", "ledgers"), name)
}

fn create(name: &str) -> Write {
    Write::Create { key: key(name), body: json!({"metadata": {"name": name}}) }
}

fn an_object(name: &str) -> Value {
    json!({"metadata": {"name": name, "uid": format!("u-{name}"), "resourceVersion": "1"}})
}

fn stored(name: &str) -> ServerAct {
    ServerAct::Reply(201, an_object(name))
}

fn client(server: &ScriptedServer, limits: ClientLimits) -> KubeClient {
    KubeClient::new(&ClusterConfig::plain(&server.url).unwrap(), limits)
}

async fn put(client: &KubeClient, name: &str) -> WriteAnswer {
    let permit = client.permit().await;
    client.write(permit, &create(name)).await
}

fn is_unknown(answer: &WriteAnswer) -> bool {
    matches!(answer, WriteAnswer::InDoubt { .. })
}

fn is_not_applied(answer: &WriteAnswer) -> bool {
    matches!(answer, WriteAnswer::NotApplied { .. })
}

fn is_stored(answer: &WriteAnswer) -> bool {
    matches!(answer, WriteAnswer::Stored(_))
}

#[test]
fn a_write_over_plain_http1_arrives_whole() {
    run(async {
        let server = ScriptedServer::start(ServerProtocol::Plain, |_, _| stored("a"));
        let mut config = ClusterConfig::plain(&format!("{}/k8s/c-1/", server.url)).unwrap();
        config.headers.push((HeaderName::from_static("impersonate-user"), "me".parse().unwrap()));
        let client = KubeClient::new(&config, limits());
        assert!(is_stored(&put(&client, "a").await));
        let seen = server.seen(0);
        assert_eq!(seen.head, "POST /k8s/c-1/apis/formance.com/v1beta1/ledgers");
        assert_eq!(seen.query, "fieldManager=stackherd");
        assert_eq!(seen.headers["host"], server.url.trim_start_matches("http://"));
        assert_eq!(seen.headers["user-agent"], request::USER_AGENT);
        assert_eq!(seen.headers["impersonate-user"], "me");
        assert_eq!(seen.body, br#"{"metadata":{"name":"a"}}"#.as_slice());
        assert_eq!(client.counts(), SentCounts { requests: 1, writes: 1 });
    });
}

#[test]
fn a_connection_serves_one_request_after_the_other() {
    run(async {
        let server = ScriptedServer::start(ServerProtocol::Plain, |_, _| stored("a"));
        let client = client(&server, limits());
        for _ in 0..10 {
            assert!(is_stored(&put(&client, "a").await));
        }
        assert_eq!(server.log.connections.get(), 1);
    });
}

#[test]
fn no_more_connections_than_a_small_pool() {
    run(async {
        let server = ScriptedServer::start(ServerProtocol::Plain, |_, _| {
            ServerAct::Late(Duration::from_millis(5), 201, an_object("a"))
        });
        let client = client(&server, limits());
        let answers = futures::future::join_all((0..60).map(|_| put(&client, "a"))).await;
        assert!(answers.iter().all(is_stored));
        assert!(server.log.connections.get() <= 16, "{}", server.log.connections.get());
    });
}

#[test]
fn a_deadline_leaves_the_outcome_unknown_and_closes_the_connection() {
    run(async {
        let server = ScriptedServer::start(ServerProtocol::Plain, |nth, _| {
            if nth == 0 { ServerAct::Hang } else { stored("a") }
        });
        let client = client(&server, hasty());
        let answer = put(&client, "a").await;
        assert!(is_unknown(&answer), "{answer:?}");
        assert!(is_stored(&put(&client, "a").await));
        assert_eq!(server.log.connections.get(), 2);
    });
}

#[test]
fn a_refused_connection_means_not_applied() {
    run(async {
        let listener = net::listen::Listener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr());
        drop(listener);
        let client = KubeClient::new(&ClusterConfig::plain(&url).unwrap(), limits());
        let answer = put(&client, "a").await;
        assert!(is_not_applied(&answer), "{answer:?}");
        assert_eq!(client.counts(), SentCounts::default());
        let read = client.read(&[key("a")]).await;
        assert!(matches!(read, Err(ReadError::Failed { .. })), "{read:?}");
    });
}

#[test]
fn waiting_for_a_connection_until_the_deadline_means_not_applied() {
    run(async {
        // Listens and never accepts; with TLS, there is no handshake then.
        let listener = net::listen::Listener::bind("127.0.0.1:0").unwrap();
        let mut config = ClusterConfig::plain(&format!("https://{}", listener.local_addr())).unwrap();
        config.trust = net::tls::Trust::Nothing;
        let client = KubeClient::new(&config, hasty());
        let answer = put(&client, "a").await;
        assert!(is_not_applied(&answer), "{answer:?}");
    });
}

#[test]
fn a_server_that_cannot_be_reached_sees_no_storm_of_connections() {
    run(async {
        let listener = net::listen::Listener::bind("127.0.0.1:0").unwrap();
        let mut config = ClusterConfig::plain(&format!("https://{}", listener.local_addr())).unwrap();
        config.trust = net::tls::Trust::Nothing;
        let accepted = Rc::new(Cell::new(0));
        let count = Rc::clone(&accepted);
        let _closing = net::spawn(async move {
            while let Ok(io) = listener.accept().await {
                count.set(count.get() + 1);
                drop(io);
            }
        });
        let client = KubeClient::new(&config, hasty());
        let begun = time::now();
        let insisting = || async {
            while begun.elapsed() < Duration::from_millis(600) {
                assert!(is_not_applied(&put(&client, "a").await));
            }
        };
        futures::future::join_all((0..30).map(|_| insisting())).await;
        assert!((2..=6).contains(&accepted.get()), "{} connections", accepted.get());
    });
}

#[test]
fn an_exchange_that_is_cut_leaves_the_outcome_unknown() {
    run(async {
        for act in [ServerAct::Cut, ServerAct::CutInBody] {
            let server = ScriptedServer::start(ServerProtocol::Plain, move |nth, _| match nth {
                0 => act.clone(),
                _ => stored("a"),
            });
            let client = client(&server, limits());
            let answer = put(&client, "a").await;
            assert!(is_unknown(&answer), "{answer:?}");
            assert!(is_stored(&put(&client, "a").await));
        }
    });
}

#[test]
fn an_answer_that_is_no_http_leaves_the_outcome_unknown() {
    run(async {
        use futures::{AsyncReadExt, AsyncWriteExt};
        let listener = net::listen::Listener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr());
        let _talking = net::spawn(async move {
            let mut io = listener.accept().await.unwrap();
            let mut buffer = [0; 1024];
            let _ = io.read(&mut buffer).await;
            let _ = io.write_all(b"SSH-2.0-OpenSSH_9.6\r\n\r\n").await;
            net::sleep(Duration::from_secs(1)).await;
        });
        let client = KubeClient::new(&ClusterConfig::plain(&url).unwrap(), limits());
        let answer = put(&client, "a").await;
        assert!(is_unknown(&answer), "{answer:?}");
    });
}

#[test]
fn an_idle_connection_that_the_server_closed_is_replaced_unnoticed() {
    run(async {
        let server = ScriptedServer::start(ServerProtocol::Plain, |_, _| stored("a"));
        let client = client(&server, limits());
        for _ in 0..3 {
            assert!(is_stored(&put(&client, "a").await));
            server.drop_connections();
            net::sleep(Duration::from_millis(100)).await;
        }
        assert_eq!(server.log.connections.get(), 3);
    });
}

#[test]
fn retry_after_holds_back_all_requests() {
    run(async {
        let server = ScriptedServer::start(ServerProtocol::Plain, |nth, _| match nth {
            0 => ServerAct::With(429, "retry-after", "1", json!("later")),
            _ => stored("a"),
        });
        let client = client(&server, limits());
        let WriteAnswer::NotApplied { retry_after, .. } = put(&client, "a").await else { panic!() };
        assert_eq!(retry_after, Some(Duration::from_secs(1)));
        assert!(is_stored(&put(&client, "a").await));
        assert!(server.seen(1).at - server.seen(0).at >= Duration::from_secs(1));
    });
}

#[test]
fn no_more_requests_are_on_their_way_than_allowed() {
    run(async {
        let server = ScriptedServer::start(ServerProtocol::Plain, |_, _| {
            ServerAct::Late(Duration::from_millis(5), 201, an_object("a"))
        });
        let client = client(&server, ClientLimits { max_in_flight: 3, ..limits() });
        let answers = futures::future::join_all((0..30).map(|_| put(&client, "a"))).await;
        assert!(answers.iter().all(is_stored));
        assert_eq!(server.log.most_together.get(), 3);
    });
}

#[test]
fn the_rate_is_never_above_the_buckets() {
    run(async {
        let server = ScriptedServer::start(ServerProtocol::Plain, |_, _| stored("a"));
        let client = client(&server, ClientLimits { qps: 100.0, burst: 5, ..limits() });
        let begun = time::now();
        let answers = futures::future::join_all((0..50).map(|_| put(&client, "a"))).await;
        assert!(answers.iter().all(is_stored));
        for (nth, seen) in server.log.seen.borrow().iter().enumerate() {
            let allowed = 5.0 + 100.0 * (seen.at - begun).as_secs_f64();
            assert!((nth + 1) as f64 <= allowed + 1e-3, "request {nth} after {:?}", seen.at - begun);
        }
    });
}

#[test]
fn refused_credentials_are_not_applied_and_the_token_file_is_read_again() {
    run(async {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token");
        std::fs::write(&path, "old").unwrap();
        let server =
            ScriptedServer::start(ServerProtocol::Plain, |_, seen| match seen.authorization.as_deref() {
                Some("Bearer new") => stored("a"),
                _ => ServerAct::Reply(401, json!("Unauthorized")),
            });
        let mut config = ClusterConfig::plain(&server.url).unwrap();
        config.credentials =
            super::super::credentials::CredentialSource::TokenFile { path: path.clone(), until_read: None };
        let client = KubeClient::new(&config, limits());
        assert!(is_not_applied(&put(&client, "a").await));
        std::fs::write(&path, "new").unwrap();
        net::sleep(Duration::from_millis(1050)).await;
        assert!(is_stored(&put(&client, "a").await));
    });
}

#[test]
fn a_missing_token_file_sends_nothing() {
    run(async {
        let server = ScriptedServer::start(ServerProtocol::Plain, |_, _| stored("a"));
        let mut config = ClusterConfig::plain(&server.url).unwrap();
        config.credentials = super::super::credentials::CredentialSource::TokenFile {
            path: "/nowhere/token".into(),
            until_read: None,
        };
        let client = KubeClient::new(&config, limits());
        let WriteAnswer::NotApplied { cause, .. } = put(&client, "a").await else { panic!() };
        assert!(cause.contains("/nowhere/token"), "{cause}");
        assert_eq!(server.requests(), 0);
    });
}

#[test]
fn a_name_that_no_object_can_have_is_refused_without_asking() {
    run(async {
        let server = ScriptedServer::start(ServerProtocol::Plain, |_, _| stored("a"));
        let client = client(&server, limits());
        let answer = put(&client, "../stacks/a").await;
        assert!(matches!(answer, WriteAnswer::Refused(_)), "{answer:?}");
        assert_eq!(server.requests(), 0);
    });
}

#[test]
fn the_endpoint_is_the_configured_one() {
    let config = ClusterConfig::plain("http://one:8001/base").unwrap();
    assert_eq!(config.endpoint, Endpoint::from_url("http://one:8001").unwrap());
    assert_eq!(config.path, "/base");
}

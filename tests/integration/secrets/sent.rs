//! Secrets on their way: in orders, in requests, in the answers of those who were sent one.

use std::{
    fs,
    io::{BufReader, Write},
    net::TcpListener,
    thread,
    time::Duration,
};

use stackherd::membership::wire::server::{AuthConfig, Stack};

use crate::{
    secrets::{
        found::Finder,
        malformed::{TOKEN, WAYS},
        places::written,
    },
    support::{
        agent::Invocation,
        api_server::RealApiServer,
        cluster::TestCluster,
        crds::Crds,
        http1::read_request,
        membership::TestMembership,
        orders::{StackExt, line, stack},
    },
};

const SOON: Duration = Duration::from_secs(30);

fn with_secret(name: &str, secret: &str) -> Stack {
    let auth = AuthConfig {
        client_id: "a-client".into(),
        client_secret: secret.into(),
        issuer: "https://login.example.com".into(),
    };
    Stack { auth_config: Some(auth), ..stack(name).modules(&["auth"]).stargate(true) }
}

#[track_caller]
fn assert_unseen(finder: &Finder, written: &str, what: &str) {
    assert!(!written.is_empty(), "{what}: nothing was written");
    if let Some(line) = finder.find(written) {
        panic!("{what}: seen in {}", line.chars().take(2000).collect::<String>());
    }
}

/// The token of a join and of each request, and what orders carry, over HTTP/2 and TLS to a real API
/// server.
#[test]
fn what_is_sent_to_membership_and_to_the_api_server_is_not_seen() {
    let Some(server) = RealApiServer::shared(Crds::Ours) else { return };
    let membership = TestMembership::start();
    let agent = Invocation::agent(&membership.address(), &server.kubeconfig())
        .args(["--authentication-token", TOKEN])
        .env("RUST_LOG", "trace")
        .start();
    let joined = membership.joined(SOON);
    let mut secrets = vec![TOKEN.as_bytes(), server.token.as_bytes()];
    let secret = TOKEN.replace('h', "H");
    secrets.push(secret.as_bytes());
    joined.order(with_secret("org-secrets", &secret).order());
    let path = "apis/formance.com/v1beta1/auths/org-secrets";
    crate::support::eventually("the Auth", SOON, || (server.rest().get(path).status == 200).then_some(()));
    // A parameter of a wrong kind, so that the server quotes.
    joined.bytes(&[0x12, 3, 0x1a, 1, 0xff]);
    thread::sleep(Duration::from_millis(300));
    assert_unseen(&Finder::new(&secrets), &agent.log(), "over HTTP/2");
}

/// An API server that quotes in its answers what it was sent.
#[test]
fn what_an_api_server_quotes_of_an_order_is_not_seen() {
    let finder = Finder::new(&[TOKEN.as_bytes()]);
    let cluster = TestCluster::start();
    for echo in [422, 500, 400] {
        let proxy = echoing(cluster.address().to_string(), echo);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("kubeconfig");
        crate::support::kubeconfig::write(&path, &format!("http://127.0.0.1:{proxy}"), None, None);
        let membership = TestMembership::start();
        let agent = Invocation::agent(&membership.address(), &path).env("RUST_LOG", "trace").start();
        let joined = membership.joined(SOON);
        joined.order(with_secret("org-quoted", TOKEN).order());
        agent.says(SOON, &["org-quoted", "Invalid value"]);
        assert_unseen(&finder, &agent.log(), &format!("{echo}"));
    }
}

/// Passes requests on to this address, but answers creations with this status and all that they said.
fn echoing(to: String, status: u16) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for client in listener.incoming().map_while(Result::ok) {
            let to = to.clone();
            thread::spawn(move || {
                let mut reader = BufReader::new(client.try_clone().unwrap());
                while let Ok(Some(request)) = read_request(&mut reader) {
                    let secret_kind = request.path.contains("/auths") || request.path.contains("/stargates");
                    if request.method == "POST" && secret_kind {
                        let body = String::from_utf8_lossy(&request.body);
                        let message = format!("Auth \"x\" is invalid: spec: Invalid value: {body:?}: {body}");
                        let answer = serde_json::json!({
                            "kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "Invalid",
                            "message": message, "code": status,
                        })
                        .to_string();
                        let head = format!(
                            "HTTP/1.1 {status} No\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
                            answer.len()
                        );
                        let mut client = &client;
                        if client.write_all((head + &answer).as_bytes()).is_err() {
                            return;
                        }
                        continue;
                    }
                    // The rest is the real one's, on a connection that ends with its answer.
                    let mut server = std::net::TcpStream::connect(&to).unwrap();
                    let mut head =
                        format!("{} {} HTTP/1.1\r\nConnection: close\r\n", request.method, request.path);
                    for (name, value) in &request.headers {
                        if !name.eq_ignore_ascii_case("connection") {
                            head.push_str(&format!("{name}: {value}\r\n"));
                        }
                    }
                    head.push_str("\r\n");
                    if server.write_all(head.as_bytes()).is_err() || server.write_all(&request.body).is_err()
                    {
                        return;
                    }
                    let _ = std::io::copy(&mut server, &mut &client);
                    let _ = client.shutdown(std::net::Shutdown::Both);
                    return;
                }
            });
        }
    });
    port
}

/// An issuer that repeats what it was sent, in every way.
#[test]
fn what_an_issuer_answers_is_not_seen() {
    let finder = Finder::new(&[TOKEN.as_bytes()]);
    let cluster = TestCluster::start();
    for answer in [
        "HTTP/1.1 401 No\r\n\r\n{\"error\":\"invalid_client\",\"error_description\":\"@\"}",
        "HTTP/1.1 400 No\r\n\r\nno client with # and @",
        "HTTP/1.1 200 OK\r\n\r\n\"@\"",
        "HTTP/1.1 200 OK\r\n\r\n{\"access_token\":[\"@\"]}",
        "HTTP/1.1 200 OK\r\n\r\n{\"access_token\":\"@\\n\"}",
        "HTTP/1.1 200 OK\r\n\r\n{\"access_token\":\"@\"}",
    ] {
        let issuer = issuer(answer);
        let agent = Invocation::new()
            .args(["--id", "r", "--base-url", "https://r.example.com", "--server-address", "127.0.0.1:9"])
            .args([
                "--kube-config",
                cluster.kubeconfig().to_str().unwrap(),
                "--authentication-mode",
                "bearer",
            ])
            .args(["--authentication-issuer", &issuer, "--authentication-client-secret", TOKEN]);
        assert_unseen(&finder, &written(agent, false), answer);
    }
}

/// Answers discovery, and the token endpoint with this: `@` is the secret, `#` the header.
fn issuer(answer: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let issuer = url.clone();
    thread::spawn(move || {
        for mut client in listener.incoming().map_while(Result::ok) {
            let Ok(Some(request)) = read_request(&mut BufReader::new(client.try_clone().unwrap())) else {
                continue;
            };
            let answer = match request.method.as_str() {
                "GET" => format!(
                    "HTTP/1.1 200 OK\r\n\r\n{{\"issuer\":\"{issuer}\",\"token_endpoint\":\"{issuer}/token\"}}"
                ),
                _ => answer
                    .replace('@', TOKEN)
                    .replace('#', request.header("authorization").unwrap_or_default()),
            };
            let answer = answer.replacen("\r\n", "\r\nConnection: close\r\n", 1);
            let _ = client.write_all(answer.as_bytes());
        }
    });
    url
}

/// Lines that are no orders, with a secret in them.
#[test]
fn what_replay_cannot_read_is_not_seen() {
    let finder = Finder::new(&[TOKEN.as_bytes()]);
    let cluster = TestCluster::start();
    let good = line(with_secret("org-a", TOKEN).order());
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("orders");
    let mut lines: Vec<Vec<u8>> = WAYS.iter().map(|(_, malform)| malform(&good)).collect();
    for (from, to) in [
        ("\"clientSecret\":\"", "\"clientSecret\":[\""),
        ("\"clientSecret\":\"", "\"clientSecret\":"),
        ("\"authConfig\":{", "\"authConfig\":\"Kq7hush9Zt4rQw2eLm8sXv5bNc3dFg6j\",\"x\":{"),
        ("\"clientSecret\":\"", "\"disabled\":\""),
        ("\"clientSecret\":\"", "\"clientSecret\":\"\\ud800"),
    ] {
        assert!(good.contains(from), "{good}");
        lines.push(good.replace(from, to).into());
    }
    lines.push(format!("{{\"existingStack\":{{\"disabled\":\"{TOKEN}\"}}}}").into());
    lines.push(format!("{{\"existingStack\":{{\"{TOKEN}\":1}}}}").into());
    lines.push(format!("{{\"existingStack\":{{\"staticClients\":[\"{TOKEN}\"]}}}}").into());
    fs::write(&file, lines.join(&b'\n')).unwrap();
    let replay = Invocation::new()
        .args(["replay", "--kube-config", cluster.kubeconfig().to_str().unwrap()])
        .arg(&file)
        .env("RUST_LOG", "trace");
    let outcome = replay.run(Duration::from_secs(60));
    assert!(outcome.stderr.contains("no order in proto3 JSON"), "{outcome:#?}");
    assert_unseen(&finder, &format!("{}{}", outcome.stdout, outcome.stderr), "replay");
}

use std::rc::Rc;

use futures::{AsyncReadExt, AsyncWriteExt};

use super::*;
use crate::{
    listen::{Listener, accept_tls},
    spawn,
    testing::run,
    tls::{Identity, Trust, client_config, server_config},
};

fn connector(trust: Option<&Trust>, alpn: &[&[u8]]) -> Connector {
    Connector {
        tls: trust.map(|trust| client_config(trust, None, alpn).unwrap()),
        proxy: Proxy::none(),
        connect_timeout: Duration::from_secs(5),
        user_timeout: Some(Duration::from_secs(20)),
    }
}

fn identity() -> Identity {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
    Identity::new(made.cert.pem(), made.signing_key.serialize_pem())
}

/// Accepts connections and sends back what comes in; over TLS where there is an identity.
fn echo(identity: Option<&Identity>, alpn: &[&[u8]]) -> u16 {
    let listener = Listener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().port();
    let config = identity.map(|identity| server_config(identity, alpn).unwrap());
    spawn(async move {
        loop {
            let mut io = listener.accept().await.unwrap();
            let config = config.clone();
            spawn(async move {
                if let Some(config) = config {
                    let Ok(secured) = accept_tls(config, io).await else { return };
                    io = secured;
                }
                let mut buf = vec![0; 16 << 10];
                while let Ok(n @ 1..) = io.read(&mut buf).await {
                    io.write_all(&buf[..n]).await.unwrap();
                    io.flush().await.unwrap();
                }
            })
            .detach();
        }
    })
    .detach();
    port
}

async fn echoes(mut io: Io) {
    let sent: Vec<u8> = (0..200_000_u32).map(|i| i as u8).collect();
    let mut back = vec![0; sent.len()];
    // In chunks, so that neither side fills the other's buffers and waits.
    for (sent, back) in sent.chunks(10_000).zip(back.chunks_mut(10_000)) {
        io.write_all(sent).await.unwrap();
        io.flush().await.unwrap();
        io.read_exact(back).await.unwrap();
    }
    assert_eq!(sent, back);
}

#[test]
fn plain_bytes_go_both_ways() {
    run(async {
        let port = echo(None, &[]);
        let endpoint = Endpoint::new(false, "localhost", port);
        let connection = connector(None, &[]).connect(&endpoint).await.unwrap();
        assert_eq!(connection.protocol, Protocol::Http1);
        echoes(connection.io).await;
    });
}

#[test]
fn tls_with_an_own_authority_agrees_on_a_protocol() {
    run(async {
        let identity = identity();
        let trust = Trust::Pem(identity.certificates.clone());
        let port = echo(Some(&identity), &[tls::H2, tls::HTTP1]);
        for host in ["localhost", "127.0.0.1"] {
            let endpoint = Endpoint::new(true, host, port);
            let connector = connector(Some(&trust), &[tls::H2, tls::HTTP1]);
            let connection = connector.connect(&endpoint).await.unwrap();
            assert_eq!(connection.protocol, Protocol::Http2);
            echoes(connection.io).await;
        }
    });
}

#[test]
fn a_server_without_h2_gets_http1() {
    run(async {
        let identity = identity();
        let port = echo(Some(&identity), &[tls::HTTP1]);
        let endpoint = Endpoint::new(true, "localhost", port);
        let connector = connector(Some(&Trust::Nothing), &[tls::H2, tls::HTTP1]);
        assert_eq!(connector.connect(&endpoint).await.unwrap().protocol, Protocol::Http1);
    });
}

#[test]
fn another_authoritys_certificate_is_refused_unless_verification_is_off() {
    run(async {
        let port = echo(Some(&identity()), &[]);
        let endpoint = Endpoint::new(true, "localhost", port);
        let other = Trust::Pem(identity().certificates);
        let error = connector(Some(&other), &[]).connect(&endpoint).await.unwrap_err();
        assert!(matches!(error.cause, ConnectCause::Tls(_)), "{error}");
        connector(Some(&Trust::Nothing), &[]).connect(&endpoint).await.unwrap();
    });
}

#[test]
fn where_nobody_listens_the_error_names_the_address() {
    run(async {
        let refused = {
            let listener = Listener::bind("127.0.0.1:0").unwrap();
            listener.local_addr().port()
        };
        let endpoint = Endpoint::new(false, "127.0.0.1", refused);
        let error = connector(None, &[]).connect(&endpoint).await.unwrap_err();
        assert!(matches!(error.cause, ConnectCause::Tcp { .. }));
        assert!(error.to_string().contains(&format!("http://127.0.0.1:{refused}")), "{error}");
    });
}

#[test]
fn a_server_that_never_answers_the_handshake_runs_into_the_deadline() {
    run(async {
        let listener = Listener::bind("127.0.0.1:0").unwrap();
        let endpoint = Endpoint::new(true, "127.0.0.1", listener.local_addr().port());
        let mut connector = connector(Some(&Trust::Nothing), &[]);
        connector.connect_timeout = Duration::from_millis(50);
        let error = connector.connect(&endpoint).await.unwrap_err();
        assert!(matches!(error.cause, ConnectCause::Timeout { step: ConnectStep::Tls, .. }), "{error}");
        assert!(error.to_string().ends_with("did not finish the TLS handshake"), "{error}");
    });
}

#[test]
fn a_proxy_that_says_nothing_is_named_when_time_is_up() {
    run(async {
        let listener = Listener::bind("127.0.0.1:0").unwrap();
        let proxy = format!("http://{}", listener.local_addr());
        let mut connector = connector(Some(&Trust::Nothing), &[]);
        connector.proxy = Proxy::read(|name| (name == "HTTPS_PROXY").then(|| proxy.clone()));
        connector.connect_timeout = Duration::from_millis(50);
        let endpoint = Endpoint::new(true, "membership.example.com", 443);
        let error = connector.connect(&endpoint).await.unwrap_err();
        let ConnectCause::Timeout { step: ConnectStep::Proxy(named), .. } = &error.cause else {
            panic!("{error}")
        };
        assert!(proxy.contains(named.as_str()), "{named}");
    });
}

/// A proxy that takes one CONNECT and connects to `port` here, whatever was asked for.
fn proxy(answer: &'static str, port: u16) -> (u16, Rc<std::cell::RefCell<String>>) {
    let listener = Listener::bind("127.0.0.1:0").unwrap();
    let at = listener.local_addr().port();
    let head = Rc::new(std::cell::RefCell::new(String::new()));
    let seen = head.clone();
    spawn(async move {
        let mut client = listener.accept().await.unwrap();
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            client.read_exact(&mut byte).await.unwrap();
            request.push(byte[0]);
        }
        seen.replace(String::from_utf8(request).unwrap());
        client.write_all(answer.as_bytes()).await.unwrap();
        let there = Endpoint::new(false, "127.0.0.1", port);
        let Ok(server) = connector(None, &[]).connect(&there).await else { return };
        let server = server.io;
        let (from_client, mut to_client) = client.split();
        let (from_server, mut to_server) = server.split();
        let up = futures::io::copy(from_client, &mut to_server);
        let down = futures::io::copy(from_server, &mut to_client);
        let _ = futures::join!(up, down);
    })
    .detach();
    (at, head)
}

fn through(port: u16, trust: &Trust) -> Connector {
    let url = format!("http://user:secret@127.0.0.1:{port}");
    let proxy = Proxy::read(|name| (name == "https_proxy").then(|| url.clone()));
    Connector { proxy, ..connector(Some(trust), &[tls::H2]) }
}

#[test]
fn tls_goes_through_a_proxys_tunnel() {
    run(async {
        let made = rcgen::generate_simple_self_signed(["api.example.com".to_owned()]).unwrap();
        let identity = Identity::new(made.cert.pem(), made.signing_key.serialize_pem());
        let server = echo(Some(&identity), &[tls::H2]);
        let (port, head) = proxy("HTTP/1.1 200 Connection established\r\nX-Y: z\r\n\r\n", server);
        let connector = through(port, &Trust::Pem(identity.certificates.clone()));
        let endpoint = Endpoint::from_url("https://api.example.com").unwrap();
        let connection = connector.connect(&endpoint).await.unwrap();
        echoes(connection.io).await;
        assert!(head.borrow().starts_with("CONNECT api.example.com:443 HTTP/1.1\r\n"), "{head:?}");
        assert!(head.borrow().contains("Proxy-Authorization: Basic "), "{head:?}");
    });
}

#[test]
fn a_proxy_that_refuses_is_named_with_its_answer() {
    run(async {
        let (port, _) = proxy("HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", 1);
        let endpoint = Endpoint::from_url("https://api.example.com").unwrap();
        let error = through(port, &Trust::Nothing).connect(&endpoint).await.unwrap_err().to_string();
        assert!(error.contains("407") && error.contains(&port.to_string()), "{error}");
    });
}

/// A SOCKS proxy that wants a log-in and connects to `port` here, whatever was asked for; and what it
/// was told, byte by byte.
fn socks_proxy(result: u8, port: u16) -> (u16, Rc<std::cell::RefCell<Vec<u8>>>) {
    let listener = Listener::bind("127.0.0.1:0").unwrap();
    let at = listener.local_addr().port();
    let told = Rc::new(std::cell::RefCell::new(Vec::new()));
    let seen = told.clone();
    spawn(async move {
        let mut client = listener.accept().await.unwrap();
        // Greeting, log-in with "user" and "secret", and CONNECT to api.example.com.
        let talk: [(usize, &[u8]); 3] = [
            (4, &[5, 2]),
            (1 + 1 + 4 + 1 + 6, &[1, 0]),
            (4 + 1 + 15 + 2, &[5, result, 0, 1, 127, 0, 0, 1, 0, 9]),
        ];
        for (length, answer) in talk {
            let mut part = vec![0; length];
            client.read_exact(&mut part).await.unwrap();
            seen.borrow_mut().extend(part);
            client.write_all(answer).await.unwrap();
            client.flush().await.unwrap();
        }
        let there = Endpoint::new(false, "127.0.0.1", port);
        let Ok(server) = connector(None, &[]).connect(&there).await else { return };
        let (from_client, mut to_client) = client.split();
        let (from_server, mut to_server) = server.io.split();
        let up = futures::io::copy(from_client, &mut to_server);
        let down = futures::io::copy(from_server, &mut to_client);
        let _ = futures::join!(up, down);
    })
    .detach();
    (at, told)
}

#[test]
fn tls_goes_through_a_socks_proxy_which_resolves_the_name() {
    run(async {
        let made = rcgen::generate_simple_self_signed(["api.example.com".to_owned()]).unwrap();
        let identity = Identity::new(made.cert.pem(), made.signing_key.serialize_pem());
        let server = echo(Some(&identity), &[tls::H2]);
        for scheme in ["socks5", "socks5h"] {
            let (port, told) = socks_proxy(0, server);
            let proxy = Proxy::explicit(&format!("{scheme}://user:secret@127.0.0.1:{port}")).unwrap();
            let trust = Trust::Pem(identity.certificates.clone());
            let connector = Connector { proxy, ..connector(Some(&trust), &[tls::H2]) };
            let endpoint = Endpoint::from_url("https://api.example.com").unwrap();
            echoes(connector.connect(&endpoint).await.unwrap().io).await;
            let expected =
                b"\x05\x02\x00\x02\x01\x04user\x06secret\x05\x01\x00\x03\x0fapi.example.com\x01\xbb";
            assert_eq!(told.borrow().as_slice(), expected);
        }
    });
}

#[test]
fn a_socks_proxy_that_refuses_is_named_with_its_reason_and_without_the_password() {
    run(async {
        let (port, _) = socks_proxy(2, 1);
        let proxy = Proxy::explicit(&format!("socks5://user:secret@127.0.0.1:{port}")).unwrap();
        let connector = Connector { proxy, ..connector(Some(&Trust::Nothing), &[]) };
        let endpoint = Endpoint::from_url("https://api.example.com").unwrap();
        let error = connector.connect(&endpoint).await.unwrap_err().to_string();
        assert!(
            error.contains(&format!("socks5://127.0.0.1:{port}: did not connect: not allowed")),
            "{error}"
        );
        assert!(!error.contains("secret"), "{error}");
    });
}

#[test]
fn an_explicit_proxy_stands_before_this_host_as_well() {
    run(async {
        let direct = echo(None, &[]);
        let (port, _) = proxy("HTTP/1.1 403 Forbidden\r\n\r\n", 1);
        let proxy = Proxy::explicit(&format!("http://127.0.0.1:{port}")).unwrap();
        let connector = Connector { proxy, ..connector(None, &[]) };
        let error = connector.connect(&Endpoint::new(false, "127.0.0.1", direct)).await.unwrap_err();
        assert!(error.to_string().contains("403"), "{error}");
    });
}

#[test]
fn an_unusable_proxy_of_the_environment_is_an_error_for_those_it_holds_for() {
    run(async {
        let proxy = Proxy::read(|name| (name == "https_proxy").then(|| "ftp://u:secret@p".into()));
        let server = echo(Some(&identity()), &[]);
        let connector = Connector { proxy, ..connector(Some(&Trust::Nothing), &[]) };
        connector.connect(&Endpoint::new(true, "127.0.0.1", server)).await.unwrap();
        let there = Endpoint::from_url("https://api.example.com").unwrap();
        let error = connector.connect(&there).await.unwrap_err().to_string();
        assert!(error.contains("https_proxy cannot be used") && !error.contains("secret"), "{error}");
    });
}

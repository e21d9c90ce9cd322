//! What answers a join and is no membership, or one that behaves in its own way.

use std::{cell::RefCell, rc::Rc};

use futures::{AsyncReadExt, AsyncWriteExt};
use tonic::Code;

use super::*;
use crate::net::{listen::Listener, testing::run, timeout};

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;
const END_STREAM: u8 = 1;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

fn goaway(last: u32) -> Vec<u8> {
    frame(GOAWAY, 0, 0, &[last.to_be_bytes(), [0; 4]].concat())
}

/// A head: its status and its headers, each of which is short.
fn answer(status: &str, headers: &[(&str, &str)], ends: bool) -> Vec<u8> {
    let short = |text: &str| u8::try_from(text.len()).unwrap();
    let mut block = vec![8, short(status)];
    block.extend(status.as_bytes());
    for (name, value) in headers {
        block.extend([0, short(name)]);
        block.extend(name.as_bytes());
        block.push(short(value));
        block.extend(value.as_bytes());
    }
    frame(HEADERS, 4 | u8::from(ends), 1, &block)
}

const GRPC: (&str, &str) = ("content-type", "application/grpc");

/// Kind and flags of each frame of a client.
type CameFrames = Rc<RefCell<Vec<(u8, u8)>>>;

/// A peer that says `greeting` at once and `answer` once a request came. Its port, and what it hears.
fn peer(greeting: Vec<u8>, answer: Vec<u8>) -> (u16, CameFrames) {
    let listener = Listener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().port();
    let came = CameFrames::default();
    let hears = Rc::clone(&came);
    spawn(async move {
        let mut io = listener.accept().await.unwrap();
        let _ = io.write_all(&greeting).await;
        let (mut bytes, mut buf, mut answer) = (Vec::new(), [0; 4096], Some(answer));
        while let Ok(n @ 1..) = io.read(&mut buf).await {
            bytes.extend_from_slice(&buf[..n]);
            hears.replace(frames(&bytes));
            let asked = hears.borrow().iter().any(|(kind, _)| *kind == HEADERS);
            if let Some(answer) = answer.take_if(|_| asked) {
                let _ = io.write_all(&answer).await;
            }
        }
    })
    .detach();
    (port, came)
}

fn frames(came: &[u8]) -> Vec<(u8, u8)> {
    let (mut frames, mut left) = (Vec::new(), came.get(24..).unwrap_or_default());
    while let [a, b, c, kind, flags, _, _, _, _, rest @ ..] = left {
        let length = usize::from(*a) << 16 | usize::from(*b) << 8 | usize::from(*c);
        let Some(rest) = rest.get(length..) else { break };
        frames.push((*kind, *flags));
        left = rest;
    }
    frames
}

/// How one try at a stream with this peer ends, how many orders it brought, and whether it counted as
/// joined.
async fn attempt(port: u16) -> (StreamError, usize, bool) {
    let config = SessionConfig {
        endpoint: Endpoint::new(false, "127.0.0.1", port),
        connector: Connector {
            tls: None,
            proxy: Proxy::none(),
            connect_timeout: SOON,
            user_timeout: Some(USER_TIMEOUT),
        },
        auth: MembershipAuth::Token("a-secret-token".into()),
        id: "r1".into(),
    };
    let metadata = CurrentMetadata::new(&join_metadata(&[])).unwrap();
    let mut session = Session::new(config, metadata, ReportChannel::new(1));
    let (mut orders, closer) = (0, SessionCloser::new());
    let closing = closer.signal();
    let ended = {
        let mut count = async |_| orders += 1;
        timeout(Duration::from_secs(30), session.attempt(&mut count, &closing)).await.unwrap()
    };
    (ended.unwrap_err(), orders, session.reconnect.is_joined())
}

fn settings() -> Vec<u8> {
    frame(SETTINGS, 0, 0, &[])
}

#[test]
fn what_a_proxy_says_is_no_join_and_is_told_with_status_and_content_type() {
    run(async {
        for (status, content_type, expected, refused) in [
            ("502", "text/html", Code::Unavailable, false),
            ("503", "text/plain", Code::Unavailable, false),
            ("403", "text/html; charset=utf-8", Code::PermissionDenied, true),
            ("401", "application/json", Code::Unauthenticated, true),
            ("200", "text/html", Code::Unknown, false),
        ] {
            let page = frame(DATA, END_STREAM, 1, b"<h1>a-secret-token</h1>\r\nmade by a balancer");
            let said = [answer(status, &[("content-type", content_type)], false), page].concat();
            let (ended, orders, joined) = attempt(peer(settings(), said).0).await;
            let text = ended.to_string();
            let StreamError::Status(told) = &ended else { panic!("{ended}") };
            assert_eq!((told.code(), is_refused(told.code())), (expected, refused), "{text}");
            for part in [status, content_type, "made by a balancer"] {
                assert!(text.contains(part), "{part:?} in {text}");
            }
            assert!(!text.contains("a-secret-token"), "{text}");
            assert_eq!((orders, joined), (0, false), "{text}");
        }
    });
}

#[test]
fn a_refusal_in_the_head_alone_is_what_it_says() {
    run(async {
        let said = answer("200", &[GRPC, ("grpc-status", "16"), ("grpc-message", "who are you")], true);
        let (ended, _, joined) = attempt(peer(settings(), said).0).await;
        assert_eq!(ended.to_string(), "Unauthenticated: who are you");
        assert!(!joined);
    });
}

#[test]
fn a_balancer_that_takes_the_connection_and_stays_silent_is_named_within_twenty_seconds() {
    run(async {
        let began = time::now();
        let (port, _) = peer(Vec::new(), Vec::new());
        let (ended, _, _) = attempt(port).await;
        let text = ended.to_string();
        assert!(text.contains("SETTINGS") && text.contains(&format!("127.0.0.1:{port}")), "{text}");
        assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    });
}

#[test]
fn a_server_of_http1_is_quoted() {
    run(async {
        let (port, _) = peer(b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec(), Vec::new());
        let (ended, _, _) = attempt(port).await;
        assert!(ended.to_string().contains("\"HTTP/1.1 400 Bad Request\""), "{ended}");
    });
}

#[test]
fn a_goaway_in_good_order_is_followed_by_a_goodbye_and_no_error() {
    run(async {
        let order = frame(DATA, 0, 1, &framed(&prost::Message::encode_to_vec(&deleted("a"))));
        // The stream may go on, may not exist, or may come to an end with the connection.
        for last in [1, u32::MAX >> 1, 0] {
            let said = [answer("200", &[GRPC], false), order.clone(), goaway(last)].concat();
            let (port, came) = peer(settings(), said);
            let (ended, orders, _) = attempt(port).await;
            assert!(matches!(ended, StreamError::Dismissed), "{last}: {ended}");
            if last > 0 {
                assert_eq!(orders, 1, "{last}");
                let said_goodbye = |came: &[(u8, u8)]| came.contains(&(DATA, END_STREAM));
                assert!(said_goodbye(&came.borrow()), "{:?}", came.borrow());
            }
        }
    });
}

#[test]
fn a_status_that_the_server_gives_behind_a_goaway_is_not_passed_over() {
    run(async {
        let trailers = answer("200", &[GRPC, ("grpc-status", "7"), ("grpc-message", "no")], true);
        let (ended, _, _) = attempt(peer(settings(), [goaway(1), trailers].concat()).0).await;
        assert_eq!(ended.to_string(), "PermissionDenied: no");
    });
}

#[test]
fn an_answer_with_hundreds_of_headers_is_read() {
    run(async {
        let value = "x".repeat(120);
        let names: Vec<String> = (0..120).map(|number| format!("x-{number}")).collect();
        let mut headers = vec![GRPC];
        headers.extend(names.iter().map(|name| (name.as_str(), value.as_str())));
        let order = frame(DATA, 0, 1, &framed(&prost::Message::encode_to_vec(&deleted("a"))));
        // As many as fit into one frame. h2 counts 32 bytes more for each of them; by itself it takes
        // no more than 16 KiB.
        let said = [answer("200", &headers, false), order, goaway(1)].concat();
        let (ended, orders, joined) = attempt(peer(settings(), said).0).await;
        assert_eq!((orders, joined), (1, true), "{ended}");
    });
}

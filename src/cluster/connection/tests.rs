use futures::{AsyncReadExt, AsyncWriteExt};

use super::*;
use crate::net::{connect::Connector, io::Io, listen::Listener, proxy::Proxy, testing::run};

fn head() -> Request<()> {
    Request::get("/apis/formance.com/v1beta1/stacks?limit=5").header("accept", "a").body(()).unwrap()
}

#[test]
fn http1_has_the_path_and_a_host_header() {
    let endpoint = Endpoint::from_url("http://API.example:8001").unwrap();
    let request = addressed(&head(), Bytes::new(), &endpoint, "/k8s/c-1", Protocol::Http1).unwrap();
    assert_eq!(request.uri(), "/k8s/c-1/apis/formance.com/v1beta1/stacks?limit=5");
    assert_eq!(request.headers()["host"], "API.example:8001");
    assert_eq!(request.headers()["accept"], "a");
}

#[test]
fn http2_has_the_whole_uri() {
    let endpoint = Endpoint::from_url("https://[::1]:6443").unwrap();
    let request = addressed(&head(), Bytes::new(), &endpoint, "", Protocol::Http2).unwrap();
    assert_eq!(request.uri(), "https://[::1]:6443/apis/formance.com/v1beta1/stacks?limit=5");
    assert!(!request.headers().contains_key("host"));
}

const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;
const CONTINUATION: u8 = 9;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

fn goaway(last: u32, code: u32) -> Vec<u8> {
    frame(GOAWAY, 0, 0, &[last.to_be_bytes(), code.to_be_bytes()].concat())
}

/// The frames that a client has sent whole, behind its preface.
fn kinds(came: &[u8]) -> Vec<u8> {
    let (mut kinds, mut left) = (Vec::new(), came.get(24..).unwrap_or_default());
    while let [a, b, c, kind, _, _, _, _, _, rest @ ..] = left {
        let length = usize::from(*a) << 16 | usize::from(*b) << 8 | usize::from(*c);
        let Some(rest) = rest.get(length..) else { break };
        kinds.push(*kind);
        left = rest;
    }
    kinds
}

async fn connect(port: u16, protocol: Protocol) -> connect::OpenConnection {
    let connector = Connector {
        tls: None,
        proxy: Proxy::none(),
        connect_timeout: Duration::from_secs(5),
        user_timeout: None,
    };
    let connection = connector.connect(&Endpoint::new(false, "127.0.0.1", port)).await.unwrap();
    connect::OpenConnection { protocol, ..connection }
}

/// A server that says this once a request has come, and keeps the connection unless it is told to
/// close it.
async fn server(answer: Vec<u8>, closes: bool, protocol: Protocol) -> HttpConnection {
    let listener = Listener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().port();
    net::spawn(async move {
        let mut io: Io = listener.accept().await.unwrap();
        let mut came = Vec::new();
        if protocol == Protocol::Http2 {
            io.write_all(&frame(SETTINGS, 0, 0, &[])).await.unwrap();
        }
        let mut buf = [0; 4096];
        let is_there = |came: &[u8]| match protocol {
            Protocol::Http2 => kinds(came).contains(&HEADERS),
            Protocol::Http1 => came.ends_with(b"\r\n\r\n"),
        };
        while !is_there(&came) {
            let n = io.read(&mut buf).await.unwrap();
            came.extend_from_slice(&buf[..n]);
        }
        io.write_all(&answer).await.unwrap();
        if !closes {
            while let Ok(1..) = io.read(&mut buf).await {}
        }
    })
    .detach();
    HttpConnection::start(connect(port, protocol).await, None).await.unwrap()
}

/// What becomes of a request that is answered with this, and whether it still counts as sent.
async fn fate(answer: Vec<u8>, closes: bool) -> (Result<Parts, SendError>, bool) {
    let connection = server(answer, closes, Protocol::Http2).await;
    let endpoint = Endpoint::new(false, "127.0.0.1", 80);
    let body = Bytes::from_static(b"{}");
    let request = addressed(&head(), body, &endpoint, "/somewhere", Protocol::Http2).unwrap();
    let progress = SendProgress::default();
    let begun = net::timeout(Duration::from_secs(10), connection.begin(request, &progress)).await.unwrap();
    (begun.map(|begun| begun.head), progress.sent.get().is_some())
}

#[test]
fn a_stream_that_was_refused_or_lies_above_a_goaway_was_not_applied() {
    run(async {
        let refused = frame(RST_STREAM, 0, 1, &7_u32.to_be_bytes());
        for answer in [refused, goaway(0, 0), goaway(0, 11)] {
            let (sent, counts) = fate(answer, false).await;
            assert!(matches!(sent, Err(SendError::GivenBack(_))), "{sent:?}");
            assert!(!counts);
        }
    });
}

#[test]
fn a_stream_that_ended_in_any_other_way_may_have_been_applied() {
    run(async {
        let cancel = frame(RST_STREAM, 0, 1, &8_u32.to_be_bytes());
        let no_error = frame(RST_STREAM, 0, 1, &0_u32.to_be_bytes());
        for (answer, closes) in [
            (cancel, false),
            (no_error, false),
            // It is among those that may yet be answered, and is not.
            (goaway(1, 0), true),
            (goaway(1, 2), true),
            (goaway(u32::MAX >> 1, 0), true),
            (Vec::new(), true),
        ] {
            let (sent, counts) = fate(answer, closes).await;
            assert!(matches!(sent, Err(SendError::Broke(_))), "{sent:?}");
            assert!(counts);
        }
    });
}

#[test]
fn a_goaway_above_a_stream_leaves_it_its_answer_and_takes_no_further_request() {
    run(async {
        let answer = [goaway(1, 0), frame(HEADERS, 4 | 1, 1, &[0x88])].concat();
        let connection = server(answer, false, Protocol::Http2).await;
        let endpoint = Endpoint::new(false, "127.0.0.1", 80);
        let request = addressed(&head(), Bytes::new(), &endpoint, "/somewhere", Protocol::Http2).unwrap();
        let begun = connection.begin(request, &SendProgress::default()).await.unwrap();
        assert_eq!(begun.head.status, 200);
        assert!(!connection.serves(None, time::now()));
    });
}

/// A header that enters no table; its value is longer than a frame.
fn literal(name: &str, length: usize) -> Vec<u8> {
    let mut block = vec![0, u8::try_from(name.len()).unwrap()];
    block.extend_from_slice(name.as_bytes());
    // RFC 7541, section 5.1.
    block.push(127);
    let mut left = length - 127;
    while left >= 128 {
        block.push(u8::try_from(left % 128).unwrap() | 128);
        left /= 128;
    }
    block.push(u8::try_from(left).unwrap());
    block.extend(vec![b'x'; length]);
    block
}

#[test]
fn headers_far_beyond_what_servers_send_are_read() {
    run(async {
        for length in [24 << 10, 900 << 10] {
            let block = [vec![0x88], literal("x-long", length)].concat();
            let mut parts = block.chunks(16_000);
            let mut answer = frame(HEADERS, 0, 1, parts.next().unwrap());
            for part in parts {
                answer.extend(frame(CONTINUATION, 0, 1, part));
            }
            answer.extend(frame(CONTINUATION, 4, 1, &[]));
            let (sent, _) = fate(answer, false).await;
            assert_eq!(sent.unwrap().headers["x-long"].len(), length);
        }
        let mut answer = format!("HTTP/1.1 200 OK\r\nx-long: {}\r\n", "x".repeat(24 << 10));
        (0..500).for_each(|number| answer.push_str(&format!("x-{number}: y\r\n")));
        answer.push_str("content-length: 0\r\n\r\n");
        let connection = server(answer.into(), false, Protocol::Http1).await;
        let endpoint = Endpoint::new(false, "127.0.0.1", 80);
        let request = addressed(&head(), Bytes::new(), &endpoint, "", Protocol::Http1).unwrap();
        let begun = connection.begin(request, &SendProgress::default()).await.unwrap();
        assert_eq!(begun.head.headers["x-long"].len(), 24 << 10);
    });
}

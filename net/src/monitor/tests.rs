use bytes::Bytes;
use futures::{AsyncReadExt, AsyncWriteExt, future::join};
use http_body_util::Full;
use hyper::client::conn::{http1, http2};

use super::*;
use crate::{
    chain, connect::Connector, endpoint::Endpoint, executor::LocalExecutor, listen::Listener, proxy::Proxy,
    spawn, testing::run,
};

const SETTINGS: [u8; 9] = [0, 0, 0, 4, 0, 0, 0, 0, 0];

/// Connects to a peer that says this once it was spoken to, and then `more` again and again.
async fn peer(first: &'static [u8], more: Vec<u8>) -> Io {
    let listener = Listener::bind("127.0.0.1:0").unwrap();
    let endpoint = Endpoint::new(false, "127.0.0.1", listener.local_addr().port());
    spawn(async move {
        let (mut reader, mut writer) = listener.accept().await.unwrap().split();
        let mut buf = [0; 4096];
        let _ = reader.read(&mut buf).await;
        let _ = writer.write_all(first).await;
        let flood = async { while !more.is_empty() && writer.write_all(&more).await.is_ok() {} };
        // What else is said to it is of no interest, and the connection stays open. It is read, or what answers
        // pings would wait for room in the sockets, and the flood for the reader.
        let deaf = async { while let Ok(1..) = reader.read(&mut buf).await {} };
        join(flood, deaf).await;
    })
    .detach();
    let connector = Connector {
        tls: None,
        proxy: Proxy::none(),
        connect_timeout: Duration::from_secs(5),
        user_timeout: None,
    };
    connector.connect(&endpoint).await.unwrap().io
}

/// Sends a request over HTTP/2 and waits for the connection's end, which is the request's.
async fn http2_failure(first: &'static [u8], more: Vec<u8>) -> (Result<(), PrefaceError>, String) {
    let (io, monitor) = MonitoredIo::new(peer(first, more).await, Protocol::Http2);
    let (mut sender, connection) = http2::Builder::new(LocalExecutor).handshake(io).await.unwrap();
    let _owner = spawn(connection);
    let preface = monitor.preface(Duration::from_secs(5)).await;
    let request = Request::get("http://localhost/").body(Full::new(Bytes::new())).unwrap();
    sender.send_request(request).await.unwrap_err();
    (preface, monitor.abuse().unwrap().to_string())
}

async fn http1_failure(more: Vec<u8>) -> Result<(), String> {
    let (io, monitor) = MonitoredIo::new(peer(b"", more).await, Protocol::Http1);
    let (mut sender, connection) = http1::handshake(io).await.unwrap();
    let _owner = spawn(connection);
    let mut request = Request::get("/").body(Full::new(Bytes::new())).unwrap();
    monitor.count_informational(&mut request);
    match sender.send_request(request).await {
        Ok(_) => monitor.check_informational().map_err(|error| error.to_string()),
        Err(error) => Err(chain(&error)),
    }
}

fn frame(kind: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    // Headers are complete.
    let flags = if kind == 1 { 4 } else { 0 };
    [&length[1..], &[kind, flags, 0, 0, 0, stream], payload].concat()
}

#[test]
fn a_peer_that_takes_the_connection_and_says_nothing_is_found_out() {
    run(async {
        let (io, monitor) = MonitoredIo::new(peer(b"", Vec::new()).await, Protocol::Http2);
        let (_sender, connection) =
            http2::Builder::new(LocalExecutor).handshake::<_, Full<Bytes>>(io).await.unwrap();
        let _owner = spawn(connection);
        let limit = Duration::from_millis(100);
        let error = monitor.preface(limit).await.unwrap_err();
        assert_eq!(error, PrefaceError::Silent(limit));
        assert!(error.to_string().contains("SETTINGS"), "{error}");
    });
}

#[test]
fn what_speaks_something_else_is_quoted() {
    run(async {
        let answer = b"HTTP/1.1 400 Bad Request\r\nServer: balancer\r\n\r\n<html>";
        let (preface, error) = http2_failure(answer, Vec::new()).await;
        let preface = preface.unwrap_err().to_string();
        for error in [&preface, &error] {
            assert!(error.contains("does not speak HTTP/2"), "{error}");
            assert!(error.contains("\"HTTP/1.1 400 Bad Request\""), "{error}");
        }
    });
}

#[test]
fn a_flood_of_frames_that_say_nothing_ends_the_connection() {
    run(async {
        for kind in [0xbe, 6] {
            let flood = frame(kind, 0, &[0; 8]).repeat(1000);
            let (preface, error) = http2_failure(&SETTINGS, flood).await;
            assert_eq!(preface, Ok(()));
            assert!(error.contains("frames that are no answer"), "{error}");
        }
    });
}

#[test]
fn interim_answers_without_end_end_the_connection_on_http2() {
    run(async {
        // `:status: 103`, neither indexed nor compressed.
        let interim = frame(1, 1, b"\x08\x03103").repeat(50);
        let (_, error) = http2_failure(&SETTINGS, interim).await;
        assert!(error.contains("interim answers (1xx)"), "{error}");
    });
}

#[test]
fn interim_answers_without_end_end_the_connection_on_http1() {
    run(async {
        let error = http1_failure(b"HTTP/1.1 100 Continue\r\n\r\n".repeat(50)).await.unwrap_err();
        assert!(error.contains("interim answers (1xx)"), "{error}");
    });
}

#[test]
fn an_answer_behind_a_hundred_interim_ones_is_taken_on_http1_and_behind_more_it_is_not() {
    run(async {
        for (interim, taken) in [(0, true), (1, true), (100, true), (101, false), (2000, false)] {
            let mut answer = b"HTTP/1.1 103 Early Hints\r\n\r\n".repeat(interim);
            answer.extend(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
            assert_eq!(http1_failure(answer).await.is_ok(), taken, "{interim}");
        }
    });
}

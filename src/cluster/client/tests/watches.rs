//! Lists in pages, streams, and what they leave to the others.

use std::{cell::RefCell, io::Write as _};

use flate2::{Compression, write::GzEncoder};

use super::{
    server::{ReceivedRequest, feed, tls},
    *,
};
use crate::{
    cluster::{ReflectorEvent, WatchTarget, body::BodyError, transport::Opened, transport::ResponseStream},
    net::tls::{H2, Trust},
};

const PLAIN: &str = "identity";
const LIFETIME: Duration = Duration::from_secs(300);

fn ledgers() -> WatchTarget {
    WatchTarget::kind(&Resource::new("Ledger", "ledger", "ledgers"))
}

fn is_watch(seen: &ReceivedRequest) -> bool {
    seen.query.contains("watch=true")
}

async fn open(client: &KubeClient) -> Result<Opened, String> {
    let opened = client.open(client.permit().await, &ledgers(), "5", LIFETIME).await;
    opened.map_err(|error| error.to_string())
}

async fn opened(client: &KubeClient) -> Box<ResponseStream> {
    match open(client).await {
        Ok(Opened::Stream(stream)) => stream,
        other => panic!("{other:?}"),
    }
}

/// A page, whole.
async fn page(client: &KubeClient) -> Result<ApiResponse, String> {
    let listed = client.page(client.permit().await, &ledgers(), None).await;
    let mut pieces = match listed.map_err(|error| error.to_string())? {
        Listed::Reply(reply) => return Ok(reply),
        Listed::Page(pieces) => pieces,
    };
    let mut body = Vec::new();
    while let Some(piece) = pieces.next().await.map_err(|error| error.to_string())? {
        assert!(piece.len() <= 1 << 20, "{} bytes at once", piece.len());
        body.extend_from_slice(&piece);
    }
    Ok(ApiResponse { status: StatusCode::OK, headers: http::HeaderMap::new(), body: body.into() })
}

/// The ways to speak that differ: HTTP/1.1, where a stream has its connection to itself, and HTTP/2.
fn speeches() -> [(ServerProtocol, Trust); 2] {
    [(ServerProtocol::Plain, Trust::Nothing), tls(&[H2])]
}

fn trusting(server: &ScriptedServer, trust: Trust, limits: ClientLimits) -> KubeClient {
    let mut config = ClusterConfig::plain(&server.url).unwrap();
    config.trust = trust;
    KubeClient::new(&config, limits)
}

async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..500 {
        if holds() {
            return;
        }
        net::sleep(Duration::from_millis(10)).await;
    }
    panic!("never came true: {what}");
}

#[test]
fn a_watch_gives_its_permit_back_once_it_has_begun() {
    run(async {
        for (speech, trust) in speeches() {
            let (_feeding, fed) = feed();
            let server = ScriptedServer::start(speech, move |_, seen| match is_watch(seen) {
                true => ServerAct::Stream(PLAIN, Rc::clone(&fed)),
                false => stored("a"),
            });
            let client = trusting(&server, trust, ClientLimits { max_in_flight: 1, ..limits() });
            let _stream = opened(&client).await;
            assert!(is_stored(&put(&client, "a").await));
            assert_eq!(client.counts(), SentCounts { requests: 2, writes: 1 });
        }
    });
}

#[test]
fn watches_on_http1_take_no_place_in_the_pool() {
    run(async {
        let feeds: Vec<_> = (0..40).map(|_| feed()).collect();
        let left = RefCell::new(feeds.iter().map(|(_, fed)| Rc::clone(fed)).collect::<Vec<_>>());
        let server = ScriptedServer::start(ServerProtocol::Plain, move |_, seen| match is_watch(seen) {
            true => ServerAct::Stream(PLAIN, left.borrow_mut().pop().unwrap()),
            false => stored("a"),
        });
        let client = client(&server, limits());
        let streams: Vec<_> = futures::future::join_all((0..40).map(|_| opened(&client))).await;
        let answers = futures::future::join_all((0..60).map(|_| put(&client, "a"))).await;
        assert!(answers.iter().all(is_stored));
        assert!((41..=56).contains(&server.log.connections.get()), "{}", server.log.connections.get());
        drop(streams);
    });
}

#[test]
fn a_watch_that_is_dropped_ends_at_the_server_and_alone() {
    run(async {
        for (speech, trust) in speeches() {
            let http2 = matches!(speech, ServerProtocol::Tls(_));
            let (feeding, fed) = feed();
            let server = ScriptedServer::start(speech, move |_, seen| match is_watch(seen) {
                true => ServerAct::Stream(PLAIN, Rc::clone(&fed)),
                false => stored("a"),
            });
            let client = trusting(&server, trust, limits());
            let mut stream = opened(&client).await;
            feeding.unbounded_send(Ok("{}\n".into())).unwrap();
            assert_eq!(stream.chunk().await, Ok(Some("{}\n".into())));
            assert!(is_stored(&put(&client, "a").await));
            assert!(!feeding.is_closed());
            drop(stream);
            // HTTP/1.1 servers notice when they have something to say.
            eventually("the end", || feeding.unbounded_send(Ok("{}\n".into())).is_err()).await;
            assert!(is_stored(&put(&client, "a").await));
            assert_eq!(server.log.connections.get(), if http2 { 1 } else { 2 });
        }
    });
}

#[test]
fn a_watch_outlives_the_deadline_that_its_beginning_had() {
    run(async {
        for (speech, trust) in speeches() {
            let (feeding, fed) = feed();
            let server = ScriptedServer::start(speech, move |_, _| ServerAct::Stream(PLAIN, Rc::clone(&fed)));
            let client = trusting(&server, trust, hasty());
            let mut stream = opened(&client).await;
            net::sleep(SHORT + SHORT / 4).await;
            feeding.unbounded_send(Ok("{}\n".into())).unwrap();
            assert_eq!(stream.chunk().await, Ok(Some("{}\n".into())));
            drop(feeding);
            assert_eq!(stream.chunk().await, Ok(None));
            assert_eq!(stream.chunk().await, Ok(None));
        }
    });
}

#[test]
fn a_watch_that_does_not_begin_or_breaks_off_says_so() {
    run(async {
        for (speech, trust) in speeches() {
            let (feeding, fed) = feed();
            let server = ScriptedServer::start(speech, move |nth, _| match nth {
                0 => ServerAct::Hang,
                _ => ServerAct::Stream(PLAIN, Rc::clone(&fed)),
            });
            let client = trusting(&server, trust, hasty());
            let hung = open(&client).await;
            assert!(matches!(&hung, Err(cause) if cause.contains("no answer within")), "{hung:?}");
            let mut stream = opened(&client).await;
            feeding.unbounded_send(Err(io_error())).unwrap();
            assert!(matches!(stream.chunk().await, Err(BodyError::Broken(_))));
        }
    });
}

fn io_error() -> std::io::Error {
    std::io::Error::other("on purpose")
}

#[test]
fn another_answer_to_a_watch_is_read_whole() {
    run(async {
        let server = ScriptedServer::start(ServerProtocol::Plain, |_, _| {
            ServerAct::Reply(410, json!({"kind": "Status"}))
        });
        let client = client(&server, limits());
        for _ in 0..3 {
            let Ok(Opened::Reply(reply)) = open(&client).await else { panic!() };
            assert_eq!((reply.status.as_u16(), &*reply.body), (410, br#"{"kind":"Status"}"#.as_slice()));
        }
    });
}

#[test]
fn a_busy_list_does_not_hold_back_the_others() {
    run(async {
        let server =
            ScriptedServer::start(ServerProtocol::Plain, |_, seen| match seen.head.starts_with("GET") {
                true => ServerAct::With(429, "retry-after", "30", json!("storage is (re)initializing")),
                false => stored("a"),
            });
        let client = client(&server, limits());
        assert_eq!(page(&client).await.unwrap().retry_after(), Some(Duration::from_secs(30)));
        let Ok(Opened::Reply(reply)) = open(&client).await else { panic!() };
        assert_eq!(reply.status.as_u16(), 429);
        assert!(is_stored(&put(&client, "a").await));
    });
}

fn member(text: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn a_list_may_come_compressed_and_in_several_members() {
    run(async {
        let text = "{\"items\":[]}".repeat(10_000);
        let (one, two) = text.as_bytes().split_at(77_777);
        let body = Bytes::from([member(one), member(two)].concat());
        for (speech, trust) in speeches() {
            let body = body.clone();
            let server = ScriptedServer::start(speech, move |_, _| ServerAct::Encoded("gzip", body.clone()));
            let client = trusting(&server, trust, limits());
            let reply = page(&client).await.unwrap();
            assert_eq!(reply.body, text);
            assert_eq!(server.seen(0).headers["accept-encoding"], "gzip");
        }
    });
}

#[test]
fn what_cannot_be_decoded_is_no_answer() {
    run(async {
        let whole = member(b"{\"items\":[]}");
        for (encoding, body, word) in [
            ("gzip", &whole[..whole.len() - 3], "gzip"),
            ("gzip", b"{\"items\":[]}", "gzip"),
            ("br", b"{\"items\":[]}", "br"),
        ] {
            let body = Bytes::copy_from_slice(body);
            let server = ScriptedServer::start(ServerProtocol::Plain, move |_, _| {
                ServerAct::Encoded(encoding, body.clone())
            });
            let cause = page(&client(&server, limits())).await.unwrap_err();
            assert!(cause.contains(word), "{cause}");
        }
    });
}

#[test]
fn pages_leave_their_connection_to_the_next() {
    run(async {
        let server =
            ScriptedServer::start(ServerProtocol::Plain, |_, _| ServerAct::Reply(200, json!({"items": []})));
        let client = client(&server, limits());
        for _ in 0..3 {
            page(&client).await.unwrap();
        }
        assert_eq!(server.log.connections.get(), 1);
    });
}

#[test]
fn a_page_that_stops_coming_is_given_up() {
    run(async {
        for (speech, trust) in speeches() {
            let (feeding, fed) = feed();
            let server = ScriptedServer::start(speech, move |_, _| ServerAct::Stream(PLAIN, Rc::clone(&fed)));
            let client = trusting(&server, trust, hasty());
            feeding.unbounded_send(Ok("{\"items\":[".into())).unwrap();
            let cause = page(&client).await.unwrap_err();
            assert!(cause.contains("stopped coming"), "{cause}");
        }
    });
}

#[test]
fn events_come_as_they_are_sent_compressed_or_not() {
    run(async {
        for (speech, trust) in speeches() {
            let (feeding, fed) = feed();
            let server =
                ScriptedServer::start(speech, move |_, _| ServerAct::Stream("gzip", Rc::clone(&fed)));
            let client = trusting(&server, trust, limits());
            let mut stream = opened(&client).await;
            let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
            for event in ["{\"type\":\"ADDED\"}\n", "{\"type\":\"BOOKMARK\"}\n"] {
                encoder.write_all(event.as_bytes()).unwrap();
                encoder.flush().unwrap();
                feeding.unbounded_send(Ok(std::mem::take(encoder.get_mut()).into())).unwrap();
                let mut text = Vec::new();
                while text.len() < event.len() {
                    text.extend_from_slice(&stream.chunk().await.unwrap().unwrap());
                }
                assert_eq!(text, event.as_bytes());
            }
            drop(feeding);
            assert!(matches!(stream.chunk().await, Err(BodyError::Unusable(_))), "it has no end");
        }
    });
}

#[test]
fn a_watch_that_breaks_is_taken_up_where_it_was() {
    run(async {
        let (feeding, fed) = feed();
        let (_silence, second) = feed();
        let server = ScriptedServer::start(ServerProtocol::Plain, move |nth, _| match nth {
            0 => ServerAct::Reply(
                200,
                json!({"metadata": {"resourceVersion": "5"}, "items": [an_object("a")]}),
            ),
            1 => ServerAct::Stream(PLAIN, Rc::clone(&fed)),
            _ => ServerAct::Stream(PLAIN, Rc::clone(&second)),
        });
        let told = Rc::new(Cell::new(0));
        let counting = Rc::clone(&told);
        let _watching = net::spawn(crate::cluster::reflector::run(
            client(&server, limits()),
            ledgers(),
            async move |news: ReflectorEvent| {
                assert!(!matches!(news, ReflectorEvent::Refused { .. }));
                let of_objects = !matches!(news, ReflectorEvent::Failing { .. } | ReflectorEvent::Recovered);
                counting.set(counting.get() + usize::from(of_objects));
            },
        ));
        eventually("the list", || told.get() == 2).await;
        // An event in two pieces, and the beginning of one that never ends.
        let event = json!({"type": "ADDED", "object": {
            "metadata": {"name": "b", "uid": "u-b", "resourceVersion": "7"}}});
        let text = format!("{event}\n{event}");
        for piece in [&text[..20], &text[20..text.len() - 20]] {
            feeding.unbounded_send(Ok(Bytes::copy_from_slice(piece.as_bytes()))).unwrap();
        }
        eventually("the event", || told.get() == 3).await;
        feeding.unbounded_send(Err(io_error())).unwrap();
        eventually("the next watch", || server.requests() == 3).await;
        assert!(server.seen(1).query.contains("resourceVersion=5"), "{:?}", server.seen(1));
        assert!(server.seen(2).query.contains("resourceVersion=7"), "{:?}", server.seen(2));
        assert_eq!(told.get(), 3);
    });
}

use std::{collections::HashMap, sync::mpsc as sync_mpsc};

use futures::{StreamExt, channel::mpsc};
use prost::Message as _;
use tonic::Status;

use super::*;
use crate::{
    embedded::membership::{EmbeddedMembership, MembershipEvent, MembershipOptions},
    membership::{
        close::SessionCloser,
        join_metadata::JoinMetadata,
        wire::server::{self, order::Message},
    },
    net::{Thread, proxy::Proxy, spawn, start_thread},
};

const SOON: Duration = Duration::from_secs(10);

/// How long an EnabledStack is not taken: as where a queue behind the session is full.
const STALL: Duration = Duration::from_secs(4);

/// What a test tells its agent.
enum SessionDeed {
    Report(&'static str),
    StopOrders,
    Close,
    /// The cluster has this module now.
    Module(&'static str),
}

fn join_metadata(modules: &[&str]) -> JoinMetadata {
    JoinMetadata {
        id: "r1".into(),
        base_url: "http://Base:80".into(),
        modules: modules.iter().map(|name| (*name).to_owned()).collect(),
        ..JoinMetadata::default()
    }
}

/// A session on a thread of its own; the test's thread talks to it as membership does.
struct JoiningAgent {
    orders: sync_mpsc::Receiver<server::Order>,
    tell: mpsc::UnboundedSender<SessionDeed>,
    thread: Thread<SessionEnd>,
}

impl JoiningAgent {
    fn start(port: u16, token: &str) -> Self {
        let config = SessionConfig {
            endpoint: Endpoint::new(false, "127.0.0.1", port),
            connector: Connector {
                tls: None,
                proxy: Proxy::none(),
                connect_timeout: SOON,
                user_timeout: Some(USER_TIMEOUT),
            },
            auth: MembershipAuth::Token(token.into()),
            id: "r1".into(),
        };
        let (tell, told) = mpsc::unbounded();
        let (to_test, orders) = sync_mpsc::channel();
        let thread = start_thread("agent", move || async move {
            let reports = ReportChannel::new(1);
            let closer = SessionCloser::new();
            let metadata = CurrentMetadata::new(&join_metadata(&[])).unwrap();
            let session = Session::new(config, metadata.clone(), reports.clone());
            let closing = closer.signal();
            let _control = spawn(shards::feed(told, reports, closer, metadata));
            let orders = async move |inbound: Inbound| {
                // What is too long comes as a word, and what is no order as it is.
                let Inbound::Message(bytes) = inbound else { return };
                let Ok(order) = server::Order::decode(bytes) else { return };
                if matches!(order.message, Some(Message::EnabledStack(_))) {
                    sleep(STALL).await;
                }
                let _ = to_test.send(order);
            };
            session.run(orders, closing).await
        });
        Self { orders, tell, thread: thread.unwrap() }
    }

    fn joined() -> (EmbeddedMembership, Self) {
        let membership = EmbeddedMembership::start(MembershipOptions::default()).unwrap();
        let agent = Self::start(membership.address().port(), "t");
        membership.wait_joined(SOON).unwrap();
        (membership, agent)
    }

    fn tell(&self, what: SessionDeed) {
        self.tell.unbounded_send(what).unwrap();
    }

    fn leave(self) -> SessionEnd {
        self.tell(SessionDeed::Close);
        self.thread.join().unwrap()
    }
}

fn deleted(name: &str) -> server::Order {
    let stack = server::DeletedStack { cluster_name: name.into() };
    server::Order { message: Some(Message::DeletedStack(stack)), metadata: HashMap::new() }
}

fn reported(membership: &EmbeddedMembership, within: Duration) -> Option<(String, HashMap<String, String>)> {
    membership.wait_for(within, |event| match event {
        MembershipEvent::Message { message, .. } => match message.message? {
            server::message::Message::StackDeleted(stack) => Some((stack.cluster_name, message.metadata)),
            _ => None,
        },
        _ => None,
    })
}

fn pong(membership: &EmbeddedMembership) -> Option<Duration> {
    membership.ping();
    membership.wait_for(SOON, |event| match event {
        MembershipEvent::Pong { after } => Some(after),
        _ => None,
    })
}

#[test]
fn joins_with_its_metadata_and_takes_orders_in_their_order() {
    let membership = EmbeddedMembership::start(MembershipOptions::default()).unwrap();
    let agent = JoiningAgent::start(membership.address().port(), "secret");
    let join = membership.wait_joined(SOON).unwrap();
    assert_eq!(join.all("id"), ["r1"]);
    assert_eq!(join.all("token"), ["secret"]);
    assert_eq!(join.all("baseurl"), ["http://Base:80"]);
    assert_eq!(join.all("capabilities"), ["EE", "MODULE_LIST"]);
    for name in ["a", "b", "c"] {
        membership.send(deleted(name));
    }
    let taken: Vec<_> = (0..3).map(|_| agent.orders.recv_timeout(SOON).unwrap()).collect();
    assert_eq!(taken, [deleted("a"), deleted("b"), deleted("c")]);
    agent.leave();
}

#[test]
fn a_ping_is_answered_at_once_with_an_empty_trace_context() {
    let (membership, agent) = JoiningAgent::joined();
    membership.ping();
    let pong = membership.wait_for(SOON, |event| match event {
        MembershipEvent::Message { message, .. } => Some(message),
        _ => None,
    });
    let pong = pong.unwrap();
    assert_eq!(pong.message, Some(server::message::Message::Pong(server::Pong {})));
    assert_eq!(pong.metadata, HashMap::from([("_otelCtx".into(), "{}".into())]));
    agent.leave();
}

#[test]
fn an_unasked_pong_comes_every_five_seconds() {
    let (membership, agent) = JoiningAgent::joined();
    let begun = time::now();
    let message = membership.wait_for(SOON, |event| match event {
        MembershipEvent::Message { message, .. } => message.message,
        _ => None,
    });
    assert!(matches!(message, Some(server::message::Message::Pong(_))));
    let waited = begun.elapsed();
    assert!((Duration::from_secs(4)..Duration::from_secs(7)).contains(&waited), "{waited:?}");
    agent.leave();
}

#[test]
fn a_dropped_connection_and_an_ended_stream_are_joined_again() {
    let (membership, agent) = JoiningAgent::joined();
    membership.kill();
    membership.wait_joined(SOON).unwrap();
    membership.end(Status::unavailable("going down"));
    membership.wait_joined(SOON).unwrap();
    membership.send(deleted("a"));
    assert_eq!(agent.orders.recv_timeout(SOON).unwrap(), deleted("a"));
    agent.leave();
}

#[test]
fn a_report_reaches_membership_also_where_it_was_away() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let nobody = listener.local_addr().unwrap().port();
    drop(listener);
    let away = JoiningAgent::start(nobody, "t");
    std::thread::sleep(Duration::from_millis(50));
    assert_eq!(away.leave(), SessionEnd { graceful: true, unsent: 0 });

    let (membership, agent) = JoiningAgent::joined();
    membership.kill();
    agent.tell(SessionDeed::Report("a"));
    let (name, metadata) = reported(&membership, SOON).unwrap();
    assert_eq!((&*name, metadata["_otelCtx"].as_str()), ("a", "{}"));
    agent.leave();
}

#[test]
fn a_report_that_a_break_may_have_swallowed_is_sent_again() {
    let (membership, agent) = JoiningAgent::joined();
    agent.tell(SessionDeed::Report("a"));
    assert_eq!(reported(&membership, SOON).unwrap().0, "a");
    membership.kill();
    assert_eq!(reported(&membership, SOON).unwrap().0, "a");
    agent.leave();
}

#[test]
fn a_refused_token_is_tried_again() {
    let options = MembershipOptions {
        credential: Some(("token".into(), "right".into())),
        ..MembershipOptions::default()
    };
    let membership = EmbeddedMembership::start(options).unwrap();
    let agent = JoiningAgent::start(membership.address().port(), "wrong");
    for _ in 0..3 {
        let refused = membership.wait_for(SOON, |event| match event {
            MembershipEvent::Refused { reason, .. } => Some(reason),
            _ => None,
        });
        assert_eq!(refused.unwrap(), "wrong credential");
    }
    agent.leave();
}

#[test]
fn what_changes_about_the_agent_is_said_by_joining_again_at_once() {
    let (membership, agent) = JoiningAgent::joined();
    agent.tell(SessionDeed::Module("ledger"));
    let mut graceful = None;
    let join = membership.wait_for(SOON, |event| match event {
        MembershipEvent::Left { graceful: how, .. } => {
            graceful = Some(how);
            None
        }
        MembershipEvent::Joined(join) => Some(join),
        _ => None,
    });
    assert_eq!(join.unwrap().all("module_list"), ["ledger"]);
    assert_eq!(graceful, Some(true), "the old stream was left in order first");
    membership.send(deleted("a"));
    assert_eq!(agent.orders.recv_timeout(SOON).unwrap(), deleted("a"));
    agent.leave();
}

#[test]
fn a_second_agent_with_the_same_id_waits_until_the_first_has_left() {
    let (membership, first) = JoiningAgent::joined();
    let second = JoiningAgent::start(membership.address().port(), "t");
    let refused =
        membership.wait_for(SOON, |event| matches!(event, MembershipEvent::Refused { .. }).then_some(()));
    refused.unwrap();
    first.leave();
    membership.wait_joined(SOON).unwrap();
    second.leave();
}

#[test]
fn leaving_takes_no_more_orders_but_answers_and_reports_until_it_closes() {
    let (membership, agent) = JoiningAgent::joined();
    agent.tell(SessionDeed::StopOrders);
    std::thread::sleep(Duration::from_millis(50));
    membership.send(deleted("late"));
    assert!(pong(&membership).unwrap() < Duration::from_secs(1));
    agent.tell(SessionDeed::Report("a"));
    assert_eq!(reported(&membership, SOON).unwrap().0, "a");
    assert!(agent.orders.try_recv().is_err());

    // What is reported last goes out before the stream is closed.
    agent.tell(SessionDeed::Report("b"));
    assert_eq!(agent.leave(), SessionEnd { graceful: true, unsent: 0 });
    assert_eq!(reported(&membership, SOON).unwrap().0, "b");
    let left = membership.wait_for(SOON, |event| match event {
        MembershipEvent::Left { graceful, .. } => Some(graceful),
        _ => None,
    });
    assert_eq!(left, Some(true));
}

#[test]
fn two_hundred_thousand_orders_in_a_frame_each_do_not_break_the_stream() {
    let (membership, agent) = JoiningAgent::joined();
    for number in 0..200_000 {
        membership.send(deleted(&format!("stack-{number}")));
    }
    for number in 0..200_000 {
        let order = agent.orders.recv_timeout(Duration::from_secs(60)).unwrap();
        assert_eq!(order, deleted(&format!("stack-{number}")));
    }
    assert!(pong(&membership).unwrap() < Duration::from_secs(1));
    agent.leave();
}

#[test]
fn the_smallest_orders_may_pile_up_unread() {
    let (membership, agent) = JoiningAgent::joined();
    let stall = server::EnabledStack { cluster_name: "stall".into() };
    membership.send(server::Order { message: Some(Message::EnabledStack(stall)), ..Default::default() });
    let smallest = server::Order {
        message: Some(Message::DisabledStack(server::DisabledStack::default())),
        ..Default::default()
    };
    for _ in 0..100_000 {
        membership.send(smallest.clone());
    }
    let taken = (0..100_001).map_while(|_| agent.orders.recv_timeout(SOON).ok()).count();
    assert_eq!(taken, 100_001);
    agent.leave();
}

#[test]
fn an_order_of_megabytes_is_taken_and_one_beyond_the_limit_passed_over() {
    let (membership, agent) = JoiningAgent::joined();
    let large = deleted(&"x".repeat(LONGEST - 100));
    membership.send(deleted(&"x".repeat(LONGEST)));
    membership.send(large.clone());
    assert_eq!(agent.orders.recv_timeout(SOON).unwrap(), large);
    agent.leave();
}

/// A gRPC server that answers one join with these bytes and then goes on.
fn raw_membership(body: Vec<u8>) -> u16 {
    use bytes::Bytes;
    use futures::stream;
    use http_body::Frame;
    use http_body_util::StreamBody;

    let (bound, port) = sync_mpsc::channel();
    let serve = move || async move {
        let listener = crate::net::listen::Listener::bind("127.0.0.1:0").unwrap();
        bound.send(listener.local_addr().port()).unwrap();
        let io = listener.accept().await.unwrap();
        let service = hyper::service::service_fn(move |_| {
            let first = Ok::<_, std::convert::Infallible>(Frame::data(Bytes::from(body.clone())));
            let body = StreamBody::new(stream::iter([first]).chain(stream::pending()));
            let response = http::Response::builder().header("content-type", "application/grpc");
            std::future::ready(response.body(body))
        });
        let http = hyper::server::conn::http2::Builder::new(crate::net::executor::LocalExecutor);
        let _ = http.serve_connection(io, service).await;
    };
    // Ends when the agent hangs up.
    drop(start_thread("raw-membership", serve).unwrap());
    port.recv().unwrap()
}

fn framed(message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).unwrap().to_be_bytes();
    [&[0], &length[..], message].concat()
}

#[test]
fn a_message_that_is_no_order_is_left_out_and_the_next_one_taken() {
    let garbage = [framed(&[0xff; 40]), framed(b"\x12\x7ftoo short"), framed(&[])].concat();
    let good = framed(&deleted("good").encode_to_vec());
    let agent = JoiningAgent::start(raw_membership([garbage, good].concat()), "t");
    // No bytes at all are an order, one that says nothing.
    assert_eq!(agent.orders.recv_timeout(SOON).unwrap(), server::Order::default());
    assert_eq!(agent.orders.recv_timeout(SOON).unwrap(), deleted("good"));
    agent.leave();
}

#[test]
fn bytes_that_are_no_grpc_at_all_end_the_stream_but_not_the_session() {
    let agent = JoiningAgent::start(raw_membership(b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec()), "t");
    assert!(agent.orders.recv_timeout(Duration::from_millis(500)).is_err());
    assert_eq!(agent.leave().unsent, 0);
}

mod peers;
mod shards;

//! One joined stream, from the request to its end.

mod answer;
mod end;
mod http2;
#[cfg(test)]
pub(crate) mod simulated;
mod uplink;

use std::{
    cell::Cell,
    pin::pin,
    rc::Rc,
    time::{Duration, Instant},
};

use futures::{
    channel::mpsc,
    future::{Either, select},
};
use http::uri::PathAndQuery;
use hyper::client::conn::http2::SendRequest;
use tonic::{Status, body::Body, client::Grpc, metadata::MetadataMap};
use tracing::{debug, info, warn};

pub(super) use self::end::{Broken, Parting};
use self::{
    http2::{Answer, Http2},
    uplink::{Uplink, heartbeats, pump, uplink},
};

use crate::{
    membership::{
        codec::ReportCodec,
        inbound::{Downlink, Inbound},
        joining::Joining,
        leave::{Leave, Stage},
        report_channel::{ReportChannel, ReportScope},
        wire::{self, server::Message},
    },
    net::{
        self, Task,
        connect::Protocol,
        endpoint::Endpoint,
        executor::LocalExecutor,
        io::Io,
        line::{Line, Tapped},
        sleep, spawn, timeout,
        timer::HyperTimer,
    },
    time,
};

/// Flow control windows. The stream's bounds what may lie here unread.
const STREAM_WINDOW: u32 = 512 << 10;
/// No memory (there is one stream), but leave: h2 closes a connection when the unread frames'
/// shortfall from 256 bytes each exceeds half of this window, as a guard against floods of tiny
/// frames. A gRPC server may well send each order in a frame of its own.
const CONNECTION_WINDOW: u32 = 64 << 20;
/// The smallest gRPC message there is: its header.
const SMALLEST: u32 = 5;
const _: () = assert!(
    STREAM_WINDOW / SMALLEST * (256 - SMALLEST) < CONNECTION_WINDOW / 2,
    "a stream window full of the smallest orders must not look like an attack to h2"
);

/// gRPC servers refuse HTTP/2 pings that come more often than every five minutes. These find a
/// peer that acknowledges bytes and does nothing else; one that is gone shows sooner, by
/// TCP_USER_TIMEOUT.
const PING_INTERVAL: Duration = Duration::from_secs(330);
const PING_TIMEOUT: Duration = Duration::from_secs(30);

/// How long an order after the other is handed on without letting other tasks run.
const SLICE: Duration = Duration::from_micros(500);

/// How long the server may take to end its half once ours is closed.
const FAREWELL: Duration = Duration::from_secs(2);

/// How long a slow server may take to take what is left to send before that.
const FLUSH: Duration = Duration::from_secs(5);

/// How long the server may take to show that it speaks HTTP/2, once it took the connection. With the
/// time for connecting this is what Go's gRPC grants.
const GREETING: Duration = Duration::from_secs(10);

/// The headers of an answer, in bytes.
const MAX_HEADERS: u32 = 1 << 20;

/// How long a join may go unanswered before that is said. It is no failure: a gRPC server may send its
/// headers with its first message, and membership sends none until it has something to say.
const PATIENCE: Duration = Duration::from_secs(20);

/// How long at most. Membership pings now and then; where not even a Ping comes, something in between
/// took the join and keeps it.
const LONGEST_SILENCE: Duration = Duration::from_secs(600);

/// A stream that was asked for and not yet answered.
pub(super) struct Stream {
    call: Call,
    /// Ends by itself once nothing uses it any more.
    connection: Option<Task<Result<(), hyper::Error>>>,
    line: Option<Rc<Line>>,
    pongs: mpsc::Sender<()>,
    messages: mpsc::Sender<Message>,
}

/// The call that is the stream.
enum Call {
    Grpc {
        requests: SendRequest<Body>,
        request: tonic::Request<Uplink>,
        origin: http::Uri,
        /// The longest message that is taken, in bytes.
        longest: usize,
    },
    #[cfg(test)]
    Simulated(std::rc::Rc<dyn simulated::Peer>, simulated::Join),
}

/// What comes in on it.
#[cfg_attr(test, allow(clippy::large_enum_variant, reason = "the large one is the one there is"))]
enum Incoming {
    /// With the connection's handle, which keeps it open.
    Grpc(Downlink<hyper::body::Incoming>, #[allow(dead_code, reason = "held")] Grpc<Http2>),
    #[cfg(test)]
    Simulated(simulated::Downlink),
}

impl Call {
    /// Sends the request. The answer comes with the server's first message, which may be long in
    /// coming; what we send does not wait for it.
    async fn answered(self) -> Result<Incoming, Broken> {
        match self {
            Self::Grpc { requests, request, origin, longest } => {
                let answer = Answer::default();
                let mut grpc = Grpc::with_origin(Http2(requests, Rc::clone(&answer)), origin);
                grpc.ready().await.map_err(|error| Broken::Status(Status::from_error(error)))?;
                let path = PathAndQuery::from_static("/server.Server/Join");
                grpc.streaming(request, path, ReportCodec).await.map_err(Broken::Status)?;
                // tonic has seen the headers alone: see `Downlink`.
                let (body, encoding) = answer.take().ok_or(Broken::Ended)?;
                Ok(Incoming::Grpc(Downlink::new(body, longest).encoded(encoding), grpc))
            }
            #[cfg(test)]
            Self::Simulated(peer, join) => {
                peer.join(join).await.map(Incoming::Simulated).map_err(Broken::Status)
            }
        }
    }
}

impl Incoming {
    async fn message(&mut self) -> Result<Option<Inbound>, Status> {
        match self {
            Self::Grpc(downlink, _) => downlink.message().await,
            #[cfg(test)]
            Self::Simulated(downlink) => simulated::message(downlink).await,
        }
    }
}

impl Stream {
    /// Shakes hands over `io`. The request itself goes out in [`Stream::stay`]. Messages of more than
    /// `longest` bytes are passed over.
    pub(super) async fn open(
        io: Io,
        endpoint: &Endpoint,
        metadata: MetadataMap,
        longest: usize,
    ) -> Result<Self, Broken> {
        let (io, line) = Tapped::new(io, Protocol::Http2);
        let (requests, connection) = hyper::client::conn::http2::Builder::new(LocalExecutor)
            .timer(HyperTimer)
            .max_header_list_size(MAX_HEADERS)
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .keep_alive_interval(PING_INTERVAL)
            .keep_alive_timeout(PING_TIMEOUT)
            .handshake(io)
            .await?;
        let connection = Some(spawn(connection));
        line.greeted(GREETING).await.map_err(|cause| {
            line.cut();
            Broken::NoGreeting { endpoint: endpoint.clone(), cause }
        })?;
        let (pongs, messages, uplink) = uplink();
        let mut request = tonic::Request::new(uplink);
        *request.metadata_mut() = metadata;
        let call = Call::Grpc { requests, request, origin: origin(endpoint), longest };
        Ok(Self { call, connection, line: Some(line), pongs, messages })
    }

    #[cfg(test)]
    pub(super) fn simulated(peer: std::rc::Rc<dyn simulated::Peer>, metadata: MetadataMap) -> Self {
        let (pongs, messages, uplink) = uplink();
        let join = simulated::Join { metadata, uplink: Box::pin(uplink) };
        Self { call: Call::Simulated(peer, join), connection: None, line: None, pongs, messages }
    }

    /// Joins and stays until the stream breaks, until asked to leave, or until `outdated`
    /// resolves: then what was joined under is no longer true.
    pub(super) async fn stay(
        self,
        joining: &mut Joining,
        reports: &ReportChannel,
        orders: &mut impl AsyncFnMut(Inbound),
        leave: &Leave,
        outdated: impl Future<Output = ()>,
    ) -> Result<Parting, Broken> {
        let Self { call, connection, line, pongs, messages } = self;
        reports.open(ReportScope::Everything);
        let _heartbeats = spawn(heartbeats(pongs.clone()));
        let pump = spawn(pump(messages, reports.clone(), leave.clone()));
        let parting = Cell::new(None);
        let ended = {
            let listening = pin!(listen(call, joining, pongs, orders, leave));
            let leaving = pin!(async {
                let (outdated, dismissed) = (pin!(outdated), pin!(dismissed(line.as_deref())));
                match select(pin!(leave.reached(Stage::Close)), select(outdated, dismissed)).await {
                    Either::Left(_) => {
                        parting.set(Some(Parting::Left { graceful: false }));
                        let _ = timeout(FLUSH, pump).await;
                    }
                    Either::Right((why, _)) => {
                        let outdated = matches!(why, Either::Left(_));
                        parting.set(Some(if outdated { Parting::Outdated } else { Parting::Dismissed }));
                        pump.cancel().await;
                    }
                }
                sleep(FAREWELL).await;
            });
            match select(listening, leaving).await {
                Either::Left((broken, _)) => Some(broken),
                Either::Right(_) => None,
            }
        };
        let parting = match (parting.get(), ended) {
            (None, Some(broken)) => return Err(told_by(line.as_deref(), broken)),
            // A refusal may well come behind the announcement.
            (Some(Parting::Dismissed), Some(broken @ Broken::Status(_))) if says_why(&broken) => {
                return Err(broken);
            }
            (Some(Parting::Left { .. }), Some(Broken::Ended)) => Parting::Left { graceful: true },
            (how, _) => how.unwrap_or(Parting::Left { graceful: false }),
        };
        if parting != (Parting::Left { graceful: false })
            && let Some(connection) = connection
        {
            // With the last handle gone the connection says goodbye and ends by itself.
            let _ = timeout(FAREWELL, connection).await;
        }
        Ok(parting)
    }
}

/// HTTP/2's code for an end in good order.
const NO_ERROR: u32 = 0;

/// Waits until the server announces, in good order, that the connection takes no more requests. The
/// stream could go on; but who announces that waits for it to end, and may lose patience.
async fn dismissed(line: Option<&Line>) {
    match line {
        Some(line) if line.goes_away().await == NO_ERROR => {}
        _ => std::future::pending().await,
    }
}

/// Why a stream broke, where its connection knows better.
fn told_by(line: Option<&Line>, broken: Broken) -> Broken {
    let Some(line) = line else { return broken };
    match line.offence() {
        Some(offence) => Broken::Offence(offence),
        None if line.going_away() == Some(NO_ERROR) && !says_why(&broken) => Broken::Dismissed,
        None => broken,
    }
}

/// A status that the server itself gave, not one that stands for a broken connection.
fn says_why(broken: &Broken) -> bool {
    matches!(broken, Broken::Status(status) if std::error::Error::source(status).is_none())
}

fn origin(endpoint: &Endpoint) -> http::Uri {
    // An endpoint's authority was parsed as one, so this cannot fail; without an origin tonic
    // would send a request that servers refuse, which is then what the log says.
    endpoint.to_string().parse().unwrap_or_default()
}

/// Sends the request and reads orders until there are no more.
async fn listen(
    call: Call,
    joining: &mut Joining,
    mut pongs: mpsc::Sender<()>,
    orders: &mut impl AsyncFnMut(Inbound),
    leave: &Leave,
) -> Broken {
    let mut incoming = match patiently(call.answered()).await {
        Ok(incoming) => incoming,
        Err(broken) => return broken,
    };
    joining.joined(time::now());
    info!("joined membership");
    let mut slice = Slice::new(time::now());
    loop {
        match incoming.message().await {
            Ok(Some(received)) => receive(received, &mut pongs, orders, leave).await,
            Ok(None) => return Broken::Ended,
            Err(status) => return Broken::Status(status),
        }
        if slice.over(time::now()) {
            net::yield_now().await;
            slice = Slice::new(time::now());
        }
    }
}

/// Waits for the answer to a join, and says so where that takes long.
async fn patiently(answer: impl Future<Output = Result<Incoming, Broken>>) -> Result<Incoming, Broken> {
    let answer = pin!(answer);
    match select(answer, pin!(sleep(PATIENCE))).await {
        Either::Left((answered, _)) => answered,
        Either::Right(((), answer)) => {
            warn!(
                "membership took the join and has not answered it for {PATIENCE:?}: it has nothing to say yet, or what is in between keeps the join to itself"
            );
            timeout(LONGEST_SILENCE.saturating_sub(PATIENCE), answer).await.unwrap_or(Err(Broken::Unanswered))
        }
    }
}

/// Answers or hands on one message of the server's.
async fn receive(
    received: Inbound,
    pongs: &mut mpsc::Sender<()>,
    orders: &mut impl AsyncFnMut(Inbound),
    leave: &Leave,
) {
    let kind = match &received {
        Inbound::Message(bytes) => wire::kind(bytes),
        Inbound::TooLong { .. } => wire::Kind::Other,
    };
    match kind {
        // Fails only where as many Pongs are already waiting.
        wire::Kind::Ping => drop(pongs.try_send(())),
        wire::Kind::Connected => debug!("membership says connected"),
        wire::Kind::Other if leave.stage() > Stage::Stay => debug!("leaving: an order was not taken"),
        wire::Kind::Other => {
            // Where the receiver is stuck, leaving must not be.
            let _ = select(pin!(orders(received)), pin!(leave.reached(Stage::Close))).await;
        }
    }
}

/// A task's share of the executor. Pure.
struct Slice {
    end: Instant,
}

impl Slice {
    fn new(now: Instant) -> Self {
        Self { end: time::after(now, SLICE) }
    }

    fn over(&self, now: Instant) -> bool {
        now >= self.end
    }
}

//! One joined stream, from the request to its end.

mod answer;
mod call;
#[cfg(test)]
pub(crate) mod simulated;
mod uplink;

use std::{cell::Cell, pin::pin, rc::Rc, time::Duration};

use futures::{
    channel::mpsc,
    future::{Either, select},
};
use shards::CoopBudget;
use tonic::{Status, metadata::MetadataMap};
use tracing::{debug, info, warn};

use self::{
    call::{JoinAnswer, JoinCall},
    uplink::{heartbeats, pump, uplink},
};

use crate::{
    membership::{
        auth::AuthError,
        close::{CloseSignal, CloseStage},
        downlink::Inbound,
        reconnect::Reconnect,
        report_channel::{ReportChannel, ReportScope},
        wire::{self, server::Message},
    },
    net::{
        Task,
        connect::{ConnectError, Protocol},
        endpoint::Endpoint,
        executor::LocalExecutor,
        io::Io,
        monitor::{ConnectionMonitor, MonitoredIo, PeerAbuse, PrefaceError},
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

/// How long the server may take to end its half once ours is closed.
const FAREWELL: Duration = Duration::from_secs(2);

/// How long a slow server may take to take what is left to send before that.
const FLUSH: Duration = Duration::from_secs(5);

/// How long the server may take to show that it speaks HTTP/2, once it took the connection. With the
/// time for connecting this is what Go's gRPC grants.
const PREFACE: Duration = Duration::from_secs(10);

/// The headers of an answer, in bytes.
const MAX_HEADERS: u32 = 1 << 20;

/// How long a join may go unanswered before that is said. It is no failure: a gRPC server may send its
/// headers with its first message, and membership sends none until it has something to say.
const PATIENCE: Duration = Duration::from_secs(20);

/// How long at most. Membership pings now and then; where not even a Ping comes, something in between
/// took the join and keeps it.
const LONGEST_SILENCE: Duration = Duration::from_secs(600);

/// Why a stream is no more, or never was.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StreamError {
    #[error(transparent)]
    Auth(#[from] AuthError),
    #[error(transparent)]
    Connect(#[from] ConnectError),
    #[error("{}", with_causes(.0))]
    Status(Status),
    #[error("membership ended the stream")]
    Ended,
    /// In good order: it announced that this connection takes no more requests.
    #[error("membership asked for another connection")]
    Dismissed,
    #[error("HTTP/2: {0}")]
    Http(#[from] hyper::Error),
    #[error("{endpoint}: {cause}")]
    NoPreface { endpoint: Endpoint, cause: PrefaceError },
    #[error("membership took the join and did not answer it within {LONGEST_SILENCE:?}")]
    Unanswered,
    /// What the peer did is not to be borne.
    #[error("{0}")]
    Abuse(PeerAbuse),
}

/// How a stream was left that did not break.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StreamEnd {
    /// It was asked to leave.
    Closed {
        /// The server ended its half, too.
        graceful: bool,
    },
    /// What was joined under is no longer true.
    Outdated,
    /// Membership wants to be joined over another connection.
    Dismissed,
}

/// A status with its cause: tonic's text for a broken connection alone says nothing.
fn with_causes(status: &Status) -> String {
    let mut text = format!("{:?}: {}", status.code(), status.message());
    let mut cause = std::error::Error::source(status);
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    text
}

/// A stream that was asked for and not yet answered.
pub(super) struct JoinStream {
    call: JoinCall,
    /// Ends by itself once nothing uses it any more.
    connection: Option<Task<Result<(), hyper::Error>>>,
    monitor: Option<Rc<ConnectionMonitor>>,
    pongs: mpsc::Sender<()>,
    messages: mpsc::Sender<Message>,
}

impl JoinStream {
    /// Shakes hands over `io`. The request itself goes out in [`JoinStream::stay`]. Messages of more than
    /// `longest` bytes are passed over.
    pub(super) async fn open(
        io: Io,
        endpoint: &Endpoint,
        metadata: MetadataMap,
        longest: usize,
    ) -> Result<Self, StreamError> {
        let (io, monitor) = MonitoredIo::new(io, Protocol::Http2);
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
        monitor.preface(PREFACE).await.map_err(|cause| {
            monitor.cut();
            StreamError::NoPreface { endpoint: endpoint.clone(), cause }
        })?;
        let (pongs, messages, uplink) = uplink();
        let mut request = tonic::Request::new(uplink);
        *request.metadata_mut() = metadata;
        let call = JoinCall::Grpc { requests, request, origin: origin(endpoint), longest };
        Ok(Self { call, connection, monitor: Some(monitor), pongs, messages })
    }

    #[cfg(test)]
    pub(super) fn simulated(peer: std::rc::Rc<dyn simulated::SimulatedPeer>, metadata: MetadataMap) -> Self {
        let (pongs, messages, uplink) = uplink();
        let join = simulated::SimulatedJoin { metadata, uplink: Box::pin(uplink) };
        Self { call: JoinCall::Simulated(peer, join), connection: None, monitor: None, pongs, messages }
    }

    /// Joins and stays until the stream breaks, until asked to leave, or until `outdated`
    /// resolves: then what was joined under is no longer true.
    pub(super) async fn stay(
        self,
        reconnect: &mut Reconnect,
        reports: &ReportChannel,
        orders: &mut impl AsyncFnMut(Inbound),
        closing: &CloseSignal,
        outdated: impl Future<Output = ()>,
    ) -> Result<StreamEnd, StreamError> {
        let Self { call, connection, monitor, pongs, messages } = self;
        reports.open(ReportScope::Everything);
        let _heartbeats = spawn(heartbeats(pongs.clone()));
        let pump = spawn(pump(messages, reports.clone(), closing.clone()));
        let parting = Cell::new(None);
        let ended = {
            let listening = pin!(listen(call, reconnect, pongs, orders, closing));
            let leaving = pin!(async {
                let (outdated, dismissed) = (pin!(outdated), pin!(dismissed(monitor.as_deref())));
                match select(pin!(closing.reached(CloseStage::Close)), select(outdated, dismissed)).await {
                    Either::Left(_) => {
                        parting.set(Some(StreamEnd::Closed { graceful: false }));
                        let _ = timeout(FLUSH, pump).await;
                    }
                    Either::Right((why, _)) => {
                        let outdated = matches!(why, Either::Left(_));
                        parting.set(Some(if outdated { StreamEnd::Outdated } else { StreamEnd::Dismissed }));
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
            (None, Some(broken)) => return Err(refined_by(monitor.as_deref(), broken)),
            // A refusal may well come behind the announcement.
            (Some(StreamEnd::Dismissed), Some(broken @ StreamError::Status(_))) if says_why(&broken) => {
                return Err(broken);
            }
            (Some(StreamEnd::Closed { .. }), Some(StreamError::Ended)) => {
                StreamEnd::Closed { graceful: true }
            }
            (how, _) => how.unwrap_or(StreamEnd::Closed { graceful: false }),
        };
        if parting != (StreamEnd::Closed { graceful: false })
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
async fn dismissed(monitor: Option<&ConnectionMonitor>) {
    match monitor {
        Some(monitor) if monitor.goes_away().await == NO_ERROR => {}
        _ => std::future::pending().await,
    }
}

/// Why a stream broke, where its connection knows better.
fn refined_by(monitor: Option<&ConnectionMonitor>, broken: StreamError) -> StreamError {
    let Some(monitor) = monitor else { return broken };
    match monitor.abuse() {
        Some(abuse) => StreamError::Abuse(abuse),
        None if monitor.going_away() == Some(NO_ERROR) && !says_why(&broken) => StreamError::Dismissed,
        None => broken,
    }
}

/// A status that the server itself gave, not one that stands for a broken connection.
fn says_why(broken: &StreamError) -> bool {
    matches!(broken, StreamError::Status(status) if std::error::Error::source(status).is_none())
}

fn origin(endpoint: &Endpoint) -> http::Uri {
    // An endpoint's authority was parsed as one, so this cannot fail; without an origin tonic
    // would send a request that servers refuse, which is then what the log says.
    endpoint.to_string().parse().unwrap_or_default()
}

/// Sends the request and reads orders until there are no more.
async fn listen(
    call: JoinCall,
    reconnect: &mut Reconnect,
    mut pongs: mpsc::Sender<()>,
    orders: &mut impl AsyncFnMut(Inbound),
    closing: &CloseSignal,
) -> StreamError {
    let mut incoming = match patiently(call.answered()).await {
        Ok(incoming) => incoming,
        Err(broken) => return broken,
    };
    reconnect.joined(time::now());
    info!("joined membership");
    let mut budget = CoopBudget::new();
    loop {
        match incoming.message().await {
            Ok(Some(received)) => receive(received, &mut pongs, orders, closing).await,
            Ok(None) => return StreamError::Ended,
            Err(status) => return StreamError::Status(status),
        }
        budget.check().await;
    }
}

/// Waits for the answer to a join, and says so where that takes long.
async fn patiently(
    answer: impl Future<Output = Result<JoinAnswer, StreamError>>,
) -> Result<JoinAnswer, StreamError> {
    let answer = pin!(answer);
    match select(answer, pin!(sleep(PATIENCE))).await {
        Either::Left((answered, _)) => answered,
        Either::Right(((), answer)) => {
            warn!(
                "membership took the join and has not answered it for {PATIENCE:?}: it has nothing to say yet, or what is in between keeps the join to itself"
            );
            timeout(LONGEST_SILENCE.saturating_sub(PATIENCE), answer)
                .await
                .unwrap_or(Err(StreamError::Unanswered))
        }
    }
}

/// Answers or hands on one message of the server's.
async fn receive(
    received: Inbound,
    pongs: &mut mpsc::Sender<()>,
    orders: &mut impl AsyncFnMut(Inbound),
    closing: &CloseSignal,
) {
    let kind = match &received {
        Inbound::Message(bytes) => wire::message_kind(bytes),
        Inbound::TooLong { .. } => wire::MessageKind::Other,
    };
    match kind {
        // Fails only where as many Pongs are already waiting.
        wire::MessageKind::Ping => drop(pongs.try_send(())),
        wire::MessageKind::Connected => debug!("membership says connected"),
        wire::MessageKind::Other if closing.stage() > CloseStage::Open => {
            debug!("leaving: an order was not taken")
        }
        wire::MessageKind::Other => {
            // Where the receiver is stuck, leaving must not be.
            let _ = select(pin!(orders(received)), pin!(closing.reached(CloseStage::Close))).await;
        }
    }
}

//! One connection to the API server, HTTP/1.1 or HTTP/2, and its owner task.

use std::{
    cell::{Cell, RefCell},
    error::Error,
    rc::Rc,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, Uri, header, response::Parts};
use http_body_util::Full;
use hyper::{
    body::Incoming,
    client::conn::{http1, http2},
};

use super::{
    body::{BodyError, LargeBodies, ResponseBody},
    response::ApiResponse,
    send_error::SendError,
};
use crate::{
    net::{
        self, chain,
        connect::{self, Protocol},
        endpoint::Endpoint,
        executor::LocalExecutor,
        monitor::{ConnectionMonitor, MonitoredIo, PrefaceError},
        timer::HyperTimer,
        tls::Identity,
    },
    time,
};

/// Small unread frames may pile up to these without h2 closing the connection.
const STREAM_WINDOW: u32 = 512 << 10;
const CONNECTION_WINDOW: u32 = 16 << 20;
/// Pings find out that an idle HTTP/2 connection is dead before a write has to: after so long
/// without a word, and how long to wait for the answer. API servers expect this of clients.
const PING: (Duration, Duration) = (Duration::from_secs(30), Duration::from_secs(15));
/// An idle HTTP/1.1 connection is given up before the server does so (API servers: 90 s).
const MAX_IDLE: Duration = Duration::from_secs(30);
/// How long the server may take to show that it speaks HTTP/2, once it took the connection.
const GREETING: Duration = Duration::from_secs(10);
/// The headers of an answer, in bytes. On HTTP/1.1 hyper's own bound holds (400 KiB).
const MAX_HEADERS: u32 = 1 << 20;
/// Their number on HTTP/1.1.
const MAX_HEADER_COUNT: usize = 1024;

type Sending = Full<Bytes>;

/// A connection that is open, as far as is known.
#[derive(Debug)]
pub(super) struct HttpConnection {
    sender: RequestSender,
    monitor: Rc<ConnectionMonitor>,
    /// Whose certificate it was made with.
    identity: Option<Arc<Identity>>,
    used: Cell<Instant>,
    /// The connection itself runs in here and ends with it.
    _owner: net::Task<()>,
}

#[derive(Debug)]
enum RequestSender {
    /// Out of its cell while a request is on its way; not put back after a failure.
    Http1(RefCell<Option<http1::SendRequest<Sending>>>),
    Http2(http2::SendRequest<Sending>),
}

/// An answer whose head has come.
#[derive(Debug)]
pub(super) struct PendingResponse {
    pub(super) head: Parts,
    pub(super) body: ResponseBody,
    /// Of an HTTP/1.1 connection, which serves this answer alone while it lasts.
    sender: Option<http1::SendRequest<Sending>>,
}

/// How far a request got, kept outside the future so that it survives a deadline.
#[derive(Default)]
pub(super) struct SendProgress {
    /// When it was handed to a connection that could have written any of it.
    pub(super) sent: Cell<Option<Instant>>,
    /// The connection it went over.
    pub(super) monitor: Cell<Option<Rc<ConnectionMonitor>>>,
}

/// Why HTTP could not begin on a connection.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HandshakeError {
    #[error(transparent)]
    Http(#[from] hyper::Error),
    #[error(transparent)]
    Preface(#[from] PrefaceError),
}

impl HttpConnection {
    /// Starts HTTP on a fresh connection.
    pub(super) async fn start(
        connection: connect::OpenConnection,
        identity: Option<Arc<Identity>>,
    ) -> Result<Self, HandshakeError> {
        let (io, monitor) = MonitoredIo::new(connection.io, connection.protocol);
        let used = Cell::new(time::now());
        Ok(match connection.protocol {
            Protocol::Http1 => {
                let (sender, connection) =
                    http1::Builder::new().max_headers(MAX_HEADER_COUNT).handshake(io).await?;
                let watched = Rc::clone(&monitor);
                let owner = net::spawn(async move { ended(connection.await, &watched) });
                Self {
                    sender: RequestSender::Http1(RefCell::new(Some(sender))),
                    monitor,
                    identity,
                    used,
                    _owner: owner,
                }
            }
            Protocol::Http2 => {
                let (sender, connection) = http2::Builder::new(LocalExecutor)
                    .timer(HyperTimer)
                    .initial_stream_window_size(STREAM_WINDOW)
                    .initial_connection_window_size(CONNECTION_WINDOW)
                    .max_header_list_size(MAX_HEADERS)
                    .keep_alive_interval(PING.0)
                    .keep_alive_timeout(PING.1)
                    .keep_alive_while_idle(true)
                    .handshake(io)
                    .await?;
                let watched = Rc::clone(&monitor);
                let owner = net::spawn(async move { ended(connection.await, &watched) });
                let started =
                    Self { sender: RequestSender::Http2(sender), monitor, identity, used, _owner: owner };
                // Dropped with it, the line is cut.
                started.monitor.preface(GREETING).await?;
                started
            }
        })
    }

    pub(super) fn protocol(&self) -> Protocol {
        match &self.sender {
            RequestSender::Http1(_) => Protocol::Http1,
            RequestSender::Http2(_) => Protocol::Http2,
        }
    }

    /// Whether no answer holds it.
    pub(super) fn is_free(&self) -> bool {
        match &self.sender {
            RequestSender::Http1(sender) => sender.borrow().is_some(),
            RequestSender::Http2(_) => true,
        }
    }

    /// Whether a request of this identity may still be sent on it.
    pub(super) fn serves(&self, identity: Option<&Arc<Identity>>, now: Instant) -> bool {
        let same = match (&self.identity, identity) {
            (Some(mine), Some(other)) => Arc::ptr_eq(mine, other),
            (None, None) => true,
            _ => false,
        };
        same && match &self.sender {
            RequestSender::Http1(sender) => {
                sender.borrow().as_ref().is_some_and(|sender| !sender.is_closed())
                    && now.saturating_duration_since(self.used.get()) < MAX_IDLE
            }
            RequestSender::Http2(sender) => !sender.is_closed() && self.monitor.going_away().is_none(),
        }
    }

    /// Sends a request and waits for the head of the answer.
    ///
    /// On HTTP/2 many may do so at a time. On HTTP/1.1 one at a time: after a failure, where the
    /// future is dropped, and until the answer was [read whole](Self::finish), the connection
    /// serves no other.
    pub(super) async fn begin(
        &self,
        mut request: Request<Sending>,
        progress: &SendProgress,
    ) -> Result<PendingResponse, SendError> {
        progress.monitor.set(Some(Rc::clone(&self.monitor)));
        let (response, sender) = match &self.sender {
            RequestSender::Http1(cell) => {
                let taken = cell.borrow_mut().take();
                let mut sender = taken.ok_or_else(|| SendError::GivenBack("connection in use".into()))?;
                sender.ready().await.map_err(|error| SendError::GivenBack(chain(&error)))?;
                progress.sent.set(Some(time::now()));
                self.monitor.count_informational(&mut request);
                let response = self.answer(sender.try_send_request(request).await, progress)?;
                self.monitor.check_informational().map_err(|error| SendError::Broke(error.to_string()))?;
                (response, Some(sender))
            }
            RequestSender::Http2(sender) => {
                let mut sender = sender.clone();
                progress.sent.set(Some(time::now()));
                (self.answer(sender.try_send_request(request).await, progress)?, None)
            }
        };
        let (head, incoming) = response.into_parts();
        let body = ResponseBody::new(&head.headers, incoming)?;
        Ok(PendingResponse { head, body, sender })
    }

    /// Reads the rest of an answer that began on this connection, as far as it is of use; see
    /// [`ResponseBody::read`].
    pub(super) async fn finish(
        &self,
        mut begun: PendingResponse,
        room: &LargeBodies,
    ) -> Result<ApiResponse, BodyError> {
        let status = begun.head.status;
        let abuse = |error| match self.monitor.abuse() {
            Some(abuse) => BodyError::Broken(abuse.to_string()),
            None => error,
        };
        let body = begun.body.read(status, room).await.map_err(abuse)?;
        let headers = std::mem::take(&mut begun.head.headers);
        self.release(begun);
        Ok(ApiResponse { status, headers, body })
    }

    /// Lets go of an answer. Where it was read to its end, the connection is free for another; where
    /// not, HTTP/2 has its stream reset, and an HTTP/1.1 connection is of no more use.
    pub(super) fn release(&self, begun: PendingResponse) {
        if let (RequestSender::Http1(cell), Some(sender), true) =
            (&self.sender, begun.sender, begun.body.has_ended())
        {
            cell.borrow_mut().replace(sender);
        }
        self.used.set(time::now());
    }

    /// The response; or whether the request was given back untouched, by hyper or by the server.
    fn answer(&self, sent: Sent, progress: &SendProgress) -> Result<Response<Incoming>, SendError> {
        sent.map_err(|mut error| {
            let given_back = error.take_message().is_some();
            let error = error.into_error();
            let abuse = self.monitor.abuse().map(|abuse| abuse.to_string());
            let cause = abuse.unwrap_or_else(|| chain(&error));
            if given_back || is_not_applied(&error) {
                progress.sent.set(None);
                return SendError::GivenBack(cause);
            }
            SendError::Broke(cause)
        })
    }
}

impl Drop for HttpConnection {
    fn drop(&mut self) {
        self.monitor.cut();
    }
}

type Sent = Result<Response<Incoming>, hyper::client::conn::TrySendError<Request<Sending>>>;

/// The server says itself that it did nothing with a request: it reset the stream with
/// REFUSED_STREAM, or its GOAWAY named a last stream before this one (RFC 9113, sections 8.7 and
/// 6.8). To the streams up to the last one h2 tells no GOAWAY of the server's: where they end
/// without an answer, it is the connection's end that they are told.
fn is_not_applied(error: &hyper::Error) -> bool {
    let mut source = error.source();
    while let Some(cause) = source {
        if let Some(error) = cause.downcast_ref::<h2::Error>() {
            let refused = error.is_reset() && error.reason() == Some(h2::Reason::REFUSED_STREAM);
            return error.is_remote() && (refused || error.is_go_away());
        }
        source = cause.source();
    }
    false
}

/// How often it is said that a connection was given up: a server that misbehaves on one does so on
/// the next.
const SAID_EVERY: Duration = Duration::from_secs(30);

thread_local! {
    static SAID: Cell<Option<Instant>> = const { Cell::new(None) };
}

fn ended(result: Result<(), hyper::Error>, monitor: &ConnectionMonitor) {
    if let Some(abuse) = monitor.abuse() {
        let now = time::now();
        let quiet = SAID.get().is_some_and(|at| now.saturating_duration_since(at) < SAID_EVERY);
        if !quiet {
            SAID.set(Some(now));
            tracing::warn!("a connection to the API server was closed: {abuse}");
        }
    }
    if let Err(error) = result {
        tracing::debug!(error = %chain(&error), "a connection to the API server ended");
    }
}

/// A request does not fit the server's URL.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RequestUriError {
    #[error(transparent)]
    Host(#[from] http::header::InvalidHeaderValue),
    #[error("{uri:?}: {source}")]
    Uri { uri: String, source: http::uri::InvalidUri },
}

/// The request as it goes over the wire: HTTP/2 wants the whole URI, HTTP/1.1 path and `Host`.
pub(super) fn addressed(
    head: &Request<()>,
    body: Bytes,
    endpoint: &Endpoint,
    path: &str,
    protocol: Protocol,
) -> Result<Request<Sending>, RequestUriError> {
    let local = head.uri().path_and_query().map_or("/", |local| local.as_str());
    let mut request = Request::new(Full::new(body));
    *request.method_mut() = head.method().clone();
    *request.headers_mut() = head.headers().clone();
    let uri = match protocol {
        Protocol::Http1 => {
            let host = HeaderValue::from_str(endpoint.authority())?;
            request.headers_mut().insert(header::HOST, host);
            format!("{path}{local}")
        }
        Protocol::Http2 => {
            format!("{}://{}{path}{local}", endpoint.scheme(), endpoint.authority())
        }
    };
    *request.uri_mut() = uri.parse::<Uri>().map_err(|source| RequestUriError::Uri { uri, source })?;
    Ok(request)
}

#[cfg(test)]
mod tests;

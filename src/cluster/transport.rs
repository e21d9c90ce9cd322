//! From a request to a reply, or to the stream that it opens.

mod leases;
#[cfg(test)]
pub(crate) mod simulated;

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures::lock::Mutex;
use http::{HeaderMap, Request};
use rustls::ClientConfig;

use leases::Lease;

use super::{
    answer::Reply,
    body::{BodyError, Room},
    config::ClusterConfig,
    connection::{Begun, Connection, Progress, SendError, addressed},
    limiter::TokenBucket,
    permit::Permits,
    reload::OneAtATime,
};
use crate::{
    backoff::Backoff,
    net::{
        self,
        connect::Protocol,
        endpoint::Endpoint,
        tls::{Identity, Trust},
    },
    time,
};

/// HTTP/1.1 connections at most, per client; those that streams have to themselves do not count.
const HTTP1_CONNECTIONS: usize = 16;
const BACKOFF: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(1));
/// How often a request that was surely not applied is sent on another connection.
const ATTEMPTS: usize = 4;

/// Why there is no reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Failure {
    /// Nothing of the request left this process, or the server says that it did nothing with it.
    NotSent(String),
    /// Something of it may have.
    Lost(String),
}

/// One shard's connections to one API server.
pub(super) struct Transport {
    config: ClusterConfig,
    /// What the server spoke last; plain servers speak HTTP/1.1.
    protocol: Cell<Option<Protocol>>,
    /// The one HTTP/2 connection, shared by all.
    shared: RefCell<Option<Rc<Connection>>>,
    /// HTTP/1.1 connections without a request, the last used one last.
    idle: RefCell<Vec<Connection>>,
    /// The right to hold an HTTP/1.1 connection.
    places: Permits,
    dialing: Mutex<()>,
    dial: RefCell<Dial>,
    tls: RefCell<Option<Tls>>,
    /// The reading of the CA file.
    trust_file: Mutex<OneAtATime<std::io::Result<Vec<u8>>>>,
    room: Room,
    #[cfg(test)]
    simulated: Option<Rc<dyn simulated::Network>>,
}

/// How connecting has been going.
struct Dial {
    backoff: Backoff,
    not_before: Option<Instant>,
    /// Connections that could not be made.
    failures: u64,
    last: String,
}

/// A TLS configuration and what it was made of.
struct Tls {
    trust: Trust,
    identity: Option<Arc<Identity>>,
    config: Arc<ClientConfig>,
}

/// A request as it goes out.
#[derive(Debug, Clone, Copy)]
pub(super) struct Outgoing<'a> {
    pub(super) head: &'a Request<()>,
    pub(super) body: &'a Bytes,
    /// Whose connection it has to go over.
    pub(super) identity: Option<&'a Arc<Identity>>,
}

/// What came of asking for a stream.
#[derive(Debug)]
pub(super) enum Opened {
    /// 2xx: this follows.
    Stream(Box<Stream>),
    /// Anything else, read whole.
    Reply(Reply),
}

/// A body that lasts as long as it likes, with the connection that it comes over. Dropping it ends
/// it: on HTTP/2 the stream alone, on HTTP/1.1 the connection, which is nobody else's.
#[derive(Debug)]
pub(super) struct Stream(StreamBody);

#[derive(Debug)]
#[cfg_attr(test, allow(clippy::large_enum_variant, reason = "the large one is the one there is"))]
enum StreamBody {
    Real(Begun, #[allow(dead_code, reason = "kept while the body lasts")] Lease),
    #[cfg(test)]
    Simulated(simulated::Chunks),
}

impl Stream {
    /// See [`Body::chunk`](super::body::Body::chunk).
    pub(super) async fn chunk(&mut self) -> Result<Option<Bytes>, BodyError> {
        match &mut self.0 {
            StreamBody::Real(begun, _) => begun.body.chunk().await,
            #[cfg(test)]
            StreamBody::Simulated(chunks) => chunks.next().await,
        }
    }

    /// What it was announced with.
    pub(super) fn headers(&self) -> Option<&HeaderMap> {
        match &self.0 {
            StreamBody::Real(begun, _) => Some(&begun.head.headers),
            #[cfg(test)]
            StreamBody::Simulated(_) => None,
        }
    }
}

impl Transport {
    pub(super) fn new(config: ClusterConfig) -> Self {
        let protocol = (!config.endpoint.secure).then_some(Protocol::Http1);
        Self {
            config,
            protocol: Cell::new(protocol),
            shared: RefCell::default(),
            idle: RefCell::default(),
            places: Permits::new(TokenBucket::new(0.0, 1, time::now()), HTTP1_CONNECTIONS),
            dialing: Mutex::new(()),
            dial: RefCell::new(Dial {
                backoff: Backoff::new(BACKOFF.0, BACKOFF.1),
                not_before: None,
                failures: 0,
                last: String::new(),
            }),
            tls: RefCell::default(),
            trust_file: Mutex::default(),
            room: Room::new(),
            #[cfg(test)]
            simulated: simulated::installed(),
        }
    }

    /// Where the server is.
    pub(super) fn endpoint(&self) -> &Endpoint {
        &self.config.endpoint
    }

    /// Sends a request and reads its whole reply, within `deadline` from now.
    pub(super) async fn exchange(
        &self,
        outgoing: Outgoing<'_>,
        deadline: Duration,
    ) -> Result<Reply, Failure> {
        #[cfg(test)]
        if let Some(network) = &self.simulated {
            return simulated::exchange(network, outgoing, deadline).await;
        }
        let progress = Progress::default();
        let exchange = async {
            let (begun, lease) = self.begin(outgoing, false, &progress).await?;
            self.finish(begun, lease).await
        };
        self.within(deadline, &progress, exchange).await
    }

    /// Sends a request whose answer is a stream. The deadline holds until that begins, or for the
    /// whole of another answer. What `lasts` gets an HTTP/1.1 connection of its own.
    pub(super) async fn open(
        &self,
        outgoing: Outgoing<'_>,
        lasts: bool,
        deadline: Duration,
    ) -> Result<Opened, Failure> {
        #[cfg(test)]
        if let Some(network) = &self.simulated {
            return simulated::open(network, outgoing, deadline).await;
        }
        let progress = Progress::default();
        let opening = async {
            let (begun, lease) = self.begin(outgoing, lasts, &progress).await?;
            if begun.head.status.is_success() {
                self.succeeded();
                return Ok(Opened::Stream(Box::new(Stream(StreamBody::Real(begun, lease)))));
            }
            self.finish(begun, lease).await.map(Opened::Reply)
        };
        self.within(deadline, &progress, opening).await
    }

    /// Takes back the connection of a stream that has ended, where others can use it.
    pub(super) fn close(&self, stream: Stream) {
        match stream.0 {
            StreamBody::Real(begun, lease) => {
                lease.connection().release(begun);
                self.give_back(lease);
            }
            #[cfg(test)]
            StreamBody::Simulated(_) => {}
        }
    }

    async fn within<T>(
        &self,
        deadline: Duration,
        progress: &Progress,
        sending: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        if let Ok(result) = net::timeout(deadline, sending).await {
            return result;
        }
        let Some(sent) = progress.sent.get() else {
            let last = self.dial.borrow().last.clone();
            let last = if last.is_empty() { last } else { format!(" (last failure: {last})") };
            return Err(Failure::NotSent(format!("no connection within {deadline:?}{last}")));
        };
        if let Some(monitor) = progress.monitor.take() {
            // Not a word for a whole deadline: whatever else is on that connection waits in vain.
            if monitor.heard() < sent {
                monitor.cut();
                self.failed("the connection fell silent");
            }
        }
        Err(Failure::Lost(format!("no answer within {deadline:?}")))
    }

    /// Sends until the head of an answer is there. What `lasts` gets an HTTP/1.1 connection of its own.
    async fn begin(
        &self,
        outgoing: Outgoing<'_>,
        lasts: bool,
        progress: &Progress,
    ) -> Result<(Begun, Lease), Failure> {
        let Outgoing { head, body, identity } = outgoing;
        let mut last = String::new();
        for attempt in 0..ATTEMPTS {
            let lease = self.lease(identity, lasts).await.map_err(Failure::NotSent)?;
            let connection = lease.connection();
            let endpoint = &self.config.endpoint;
            let request = addressed(head, body.clone(), endpoint, &self.config.path, connection.protocol())
                .map_err(Failure::NotSent)?;
            match connection.begin(request, progress).await {
                Ok(begun) => return Ok((begun, lease)),
                Err(SendError::Unsent(cause)) => {
                    match &lease {
                        Lease::Shared(connection) => self.retire(connection),
                        // Where one was closed while it lay idle, the others were as well.
                        Lease::Pooled(..) => self.idle.borrow_mut().clear(),
                        Lease::Own(_) => {}
                    }
                    if attempt > 0 {
                        // At once on another connection; from there on at the pace of failures.
                        self.failed(&cause);
                    }
                    last = cause;
                }
                Err(SendError::Lost(cause)) => {
                    self.failed(&cause);
                    return Err(Failure::Lost(cause));
                }
            }
        }
        Err(Failure::NotSent(format!("none of {ATTEMPTS} connections took it: {last}")))
    }

    /// Reads the rest of an answer.
    async fn finish(&self, begun: Begun, lease: Lease) -> Result<Reply, Failure> {
        match lease.connection().finish(begun, &self.room).await {
            Ok(reply) => {
                self.succeeded();
                self.give_back(lease);
                Ok(reply)
            }
            // The connection did what it is for.
            Err(BodyError::Unusable(cause)) => {
                self.succeeded();
                Err(Failure::Lost(cause))
            }
            Err(BodyError::Broken(cause)) => {
                self.failed(&cause);
                Err(Failure::Lost(cause))
            }
        }
    }

    fn succeeded(&self) {
        let mut dial = self.dial.borrow_mut();
        dial.backoff.succeed();
        dial.not_before = None;
        dial.last.clear();
    }

    /// What fails while the wait after a failure lasts is the same failure: one connection that
    /// breaks under many requests must not cost many steps of the backoff.
    fn failed(&self, cause: &str) {
        let now = time::now();
        let mut dial = self.dial.borrow_mut();
        if dial.not_before.is_none_or(|at| at <= now) {
            let wait = dial.backoff.fail(fastrand::f64());
            dial.not_before = Some(time::after(now, wait));
        }
        cause.clone_into(&mut dial.last);
    }

    fn not_connected(&self, cause: &str) {
        self.failed(cause);
        self.dial.borrow_mut().failures += 1;
    }
}

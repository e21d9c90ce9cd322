//! One shard's connections to one API server: found, made, shared and given up.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    sync::Arc,
    time::{Duration, Instant},
};

use futures::lock::Mutex;
use rustls::ClientConfig;

use super::{
    config::ClusterConfig,
    connection::{HandshakeError, HttpConnection},
    limiter::{Permit, Permits, TokenBucket},
    reload::{self, OneAtATime},
};
use crate::{
    backoff::Backoff,
    net::{
        self, BlockingError, chain,
        connect::{ConnectError, Connector, Protocol},
        endpoint::Endpoint,
        tls::{self, Identity, TlsError, Trust},
    },
    time,
};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// A peer that acknowledges nothing for this long is dead (`TCP_USER_TIMEOUT`).
const USER_TIMEOUT: Duration = Duration::from_secs(20);
/// HTTP/1.1 connections at most, per client; those that streams have to themselves do not count.
const HTTP1_CONNECTIONS: usize = 16;
const BACKOFF: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(1));

/// See the [module](self).
pub(super) struct ConnectionPool {
    pub(super) config: ClusterConfig,
    /// What the server spoke last; plain servers speak HTTP/1.1.
    protocol: Cell<Option<Protocol>>,
    /// The one HTTP/2 connection, shared by all.
    shared: RefCell<Option<Rc<HttpConnection>>>,
    /// HTTP/1.1 connections without a request, the last used one last.
    idle: RefCell<Vec<HttpConnection>>,
    /// The right to hold an HTTP/1.1 connection.
    places: Permits,
    dialing: Mutex<()>,
    dial: RefCell<DialHistory>,
    tls: RefCell<Option<TlsSetup>>,
    /// The reading of the CA file.
    trust_file: Mutex<OneAtATime<std::io::Result<Vec<u8>>>>,
}

/// How connecting has been going.
struct DialHistory {
    backoff: Backoff,
    not_before: Option<Instant>,
    /// Connections that could not be made.
    failures: u64,
    /// Why the last attempt failed; empty after a success.
    last: String,
}

/// A TLS configuration and what it was made of.
struct TlsSetup {
    trust: Trust,
    identity: Option<Arc<Identity>>,
    config: Arc<ClientConfig>,
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DialError {
    /// Nobody answers, or not as the server should.
    #[error("{}", chain(.0))]
    Connect(#[from] ConnectError),
    /// HTTP does not begin.
    #[error("{endpoint}: {}", chain(.source))]
    Handshake { endpoint: Endpoint, source: HandshakeError },
    /// Certificates or keys that cannot be used.
    #[error("{}", chain(.0))]
    Tls(#[from] TlsError),
    #[error("{}", chain(.0))]
    Blocking(#[from] BlockingError),
    /// An attempt of somebody else's failed while this one waited for it.
    #[error("{0}")]
    SameAsLast(String),
}

/// How a connection is used: HTTP/1.1 can serve one answer at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ConnectionUse {
    /// For one answer, and then by others.
    Brief,
    /// For a stream that lasts, so on HTTP/1.1 by nobody else.
    Lasting,
}

/// A connection to send one request on.
#[derive(Debug)]
pub(super) enum PooledConnection {
    /// HTTP/2: everybody's.
    Shared(Rc<HttpConnection>),
    /// HTTP/1.1, from the pool and back to it, with its place there.
    Pooled(HttpConnection, Permit),
    /// HTTP/1.1, made for one stream and ended with it. It takes no place: as many streams as
    /// there are kinds must not starve the requests.
    Own(HttpConnection),
}

impl PooledConnection {
    pub(super) fn connection(&self) -> &HttpConnection {
        match self {
            PooledConnection::Shared(connection) => connection,
            PooledConnection::Pooled(connection, _) | PooledConnection::Own(connection) => connection,
        }
    }
}

impl ConnectionPool {
    /// An empty one.
    pub(super) fn new(config: ClusterConfig) -> Self {
        let protocol = (!config.endpoint.secure).then_some(Protocol::Http1);
        Self {
            config,
            protocol: Cell::new(protocol),
            shared: RefCell::default(),
            idle: RefCell::default(),
            places: Permits::new(TokenBucket::new(0.0, 1, time::now()), HTTP1_CONNECTIONS),
            dialing: Mutex::new(()),
            dial: RefCell::new(DialHistory {
                backoff: Backoff::new(BACKOFF.0, BACKOFF.1),
                not_before: None,
                failures: 0,
                last: String::new(),
            }),
            tls: RefCell::default(),
            trust_file: Mutex::default(),
        }
    }

    /// A connection to send on: a shared or idle one, or a new one.
    pub(super) async fn acquire(
        &self,
        identity: Option<&Arc<Identity>>,
        used: ConnectionUse,
    ) -> Result<PooledConnection, DialError> {
        loop {
            if self.protocol.get() == Some(Protocol::Http1) {
                if let Some(connection) = self.acquire_http1(identity, used).await? {
                    return Ok(connection);
                }
                continue;
            }
            if let Some(connection) = self.shared(identity) {
                return Ok(PooledConnection::Shared(connection));
            }
            let failures = self.dial.borrow().failures;
            let _dialing = self.dialing.lock().await;
            if self.shared(identity).is_some() || self.protocol.get() == Some(Protocol::Http1) {
                continue;
            }
            let connection = self.connect(identity, failures).await?;
            match connection.protocol() {
                Protocol::Http1 => {
                    self.protocol.set(Some(Protocol::Http1));
                    self.idle.borrow_mut().push(connection);
                }
                Protocol::Http2 => self.share(connection),
            }
        }
    }

    /// `None` where the server turned out to speak HTTP/2 by now.
    async fn acquire_http1(
        &self,
        identity: Option<&Arc<Identity>>,
        used: ConnectionUse,
    ) -> Result<Option<PooledConnection>, DialError> {
        let mut place = None;
        if used == ConnectionUse::Brief {
            let mut taken = self.places.acquire().await;
            taken.spend();
            if let Some(connection) = self.pop_idle(identity) {
                return Ok(Some(PooledConnection::Pooled(connection, taken)));
            }
            place = Some(taken);
        }
        let failures = self.dial.borrow().failures;
        let _dialing = self.dialing.lock().await;
        let connection = self.connect(identity, failures).await?;
        if connection.protocol() == Protocol::Http2 {
            self.share(connection);
            return Ok(None);
        }
        Ok(Some(match place {
            Some(place) => PooledConnection::Pooled(connection, place),
            None => PooledConnection::Own(connection),
        }))
    }

    /// Makes a connection; one at a time, since the lock is held. `failures` is what had failed
    /// when the caller came: a failure since then is the caller's as well.
    async fn connect(
        &self,
        identity: Option<&Arc<Identity>>,
        failures: u64,
    ) -> Result<HttpConnection, DialError> {
        let not_before = {
            let dial = self.dial.borrow();
            if dial.failures != failures {
                return Err(DialError::SameAsLast(dial.last.clone()));
            }
            dial.not_before
        };
        if let Some(at) = not_before {
            net::sleep(at.saturating_duration_since(time::now())).await;
        }
        let attempt = DialAttempt(self);
        let result = self.make(identity).await;
        std::mem::forget(attempt);
        if let Err(cause) = &result {
            self.not_connected(&cause.to_string());
        }
        result
    }

    async fn make(&self, identity: Option<&Arc<Identity>>) -> Result<HttpConnection, DialError> {
        let tls = match self.config.endpoint.secure {
            true => Some(self.tls(identity).await?),
            false => None,
        };
        let connector = Connector {
            tls,
            proxy: self.config.proxy.clone(),
            connect_timeout: CONNECT_TIMEOUT,
            user_timeout: Some(USER_TIMEOUT),
        };
        let endpoint = &self.config.endpoint;
        let connection = connector.connect(endpoint).await?;
        let started = HttpConnection::start(connection, identity.cloned()).await;
        started.map_err(|source| DialError::Handshake { endpoint: endpoint.clone(), source })
    }

    /// The TLS configuration, made anew when the CA file or our certificate has changed. A CA file that
    /// cannot be used now, being written just then, leaves the authorities in use that were read before.
    async fn tls(&self, identity: Option<&Arc<Identity>>) -> Result<Arc<ClientConfig>, DialError> {
        let known_trust = || match self.tls.borrow().as_ref() {
            Some(known) => known.trust.clone(),
            None => self.config.trust.clone(),
        };
        let trust = self.read_trust().await.unwrap_or_else(known_trust);
        match self.tls_with(trust.clone(), identity).await {
            Err(problem) if self.config.trust_file.is_some() && trust != known_trust() => {
                tracing::warn!("going on with the CA that was read before: {problem}");
                self.tls_with(known_trust(), identity).await
            }
            made => made,
        }
    }

    async fn tls_with(
        &self,
        trust: Trust,
        identity: Option<&Arc<Identity>>,
    ) -> Result<Arc<ClientConfig>, DialError> {
        let same = |known: &&TlsSetup| {
            known.trust == trust && known.identity.as_ref().map(Arc::as_ptr) == identity.map(Arc::as_ptr)
        };
        if let Some(known) = self.tls.borrow().as_ref().filter(same) {
            return Ok(Arc::clone(&known.config));
        }
        let (trusted, presented) = (trust.clone(), identity.cloned());
        // Reading the system's trust store takes its time.
        let made =
            net::blocking(move || tls::client_config(&trusted, presented.as_deref(), &[tls::H2, tls::HTTP1]));
        let config = made.await??;
        let made = TlsSetup { trust, identity: identity.cloned(), config: Arc::clone(&config) };
        self.tls.replace(Some(made));
        Ok(config)
    }

    /// What the CA file says now, if it says anything.
    async fn read_trust(&self) -> Option<Trust> {
        let file = self.config.trust_file.clone()?;
        let read = move || reload::read(&file, reload::MAX_FILE, reload::PIPE_DEADLINE);
        match self.trust_file.lock().await.run(read, reload::PATIENCE).await {
            Ok(Ok(pem)) if !pem.is_empty() => Some(Trust::Pem(pem)),
            _ => None,
        }
    }

    fn shared(&self, identity: Option<&Arc<Identity>>) -> Option<Rc<HttpConnection>> {
        let mut shared = self.shared.borrow_mut();
        if !shared.as_ref()?.serves(identity, time::now()) {
            // Streams that are open on it go on: their requests hold it as well.
            *shared = None;
        }
        shared.clone()
    }

    fn share(&self, connection: HttpConnection) {
        self.protocol.set(Some(Protocol::Http2));
        *self.shared.borrow_mut() = Some(Rc::new(connection));
    }

    /// One that takes no more requests.
    pub(super) fn give_up(&self, connection: &PooledConnection) {
        match connection {
            PooledConnection::Shared(connection) => {
                let mut shared = self.shared.borrow_mut();
                if shared.as_ref().is_some_and(|current| Rc::ptr_eq(current, connection)) {
                    *shared = None;
                }
            }
            // Where one was closed while it lay idle, the others were as well.
            PooledConnection::Pooled(..) => self.idle.borrow_mut().clear(),
            PooledConnection::Own(_) => {}
        }
    }

    fn pop_idle(&self, identity: Option<&Arc<Identity>>) -> Option<HttpConnection> {
        let now = time::now();
        let mut idle = self.idle.borrow_mut();
        idle.retain(|connection| connection.serves(identity, now));
        idle.pop()
    }

    pub(super) fn give_back(&self, connection: PooledConnection) {
        if let PooledConnection::Pooled(connection, place) = connection {
            // One with an answer that was not read to its end is of no more use.
            if connection.is_free() {
                self.idle.borrow_mut().push(connection);
            }
            // Only now, so that who gets the place finds the connection.
            drop(place);
        }
    }

    /// An answer came.
    pub(super) fn succeeded(&self) {
        let mut dial = self.dial.borrow_mut();
        dial.backoff.succeed();
        dial.not_before = None;
        dial.last.clear();
    }

    /// What fails while the wait after a failure lasts is the same failure: one connection that
    /// breaks under many requests must not cost many steps of the backoff.
    pub(super) fn failed(&self, cause: &str) {
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

    /// Why the last attempt to connect or to be answered failed.
    pub(super) fn last_failure(&self) -> Option<String> {
        Some(self.dial.borrow().last.clone()).filter(|last| !last.is_empty())
    }
}

/// Connecting that is given up at a request's deadline is a failure, too.
struct DialAttempt<'a>(&'a ConnectionPool);

impl Drop for DialAttempt<'_> {
    fn drop(&mut self) {
        self.0.not_connected("connecting took longer than the request had time");
    }
}

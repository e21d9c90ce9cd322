//! From a request to a reply: connections found, made, shared and given up.

use std::{
    cell::{Cell, RefCell},
    path::PathBuf,
    rc::Rc,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures::lock::Mutex;
use http::Request;
use rustls::ClientConfig;

use super::{
    answer::Reply,
    config::ClusterConfig,
    connection::{Connection, Progress, SendError, addressed, chain},
    limiter::TokenBucket,
    permit::{Permit, Permits},
};
use crate::{
    backoff::Backoff,
    net::{
        self,
        connect::{Connector, Protocol},
        tls::{self, Identity, Trust},
    },
    time,
};

/// HTTP/1.1 connections at most, per client.
const HTTP1_CONNECTIONS: usize = 16;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// A peer that acknowledges nothing for this long is dead (`TCP_USER_TIMEOUT`).
const USER_TIMEOUT: Duration = Duration::from_secs(20);
const BACKOFF: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(10));
/// How often a request that was given back unsent is tried on another connection.
const ATTEMPTS: usize = 4;

/// Why there is no reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Failure {
    /// Nothing of the request left this process.
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

/// A connection to send one request on.
enum Lease {
    Shared(Rc<Connection>),
    Own(Connection, Permit),
}

impl Lease {
    fn connection(&self) -> &Connection {
        match self {
            Lease::Shared(connection) => connection,
            Lease::Own(connection, _) => connection,
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
        }
    }

    /// Sends a request and reads its whole reply, within `deadline` from now.
    pub(super) async fn exchange(
        &self,
        head: &Request<()>,
        body: &Bytes,
        identity: Option<&Arc<Identity>>,
        deadline: Duration,
    ) -> Result<Reply, Failure> {
        let progress = Progress::default();
        let attempts = self.attempts(head, body, identity, &progress);
        if let Ok(result) = net::timeout(deadline, attempts).await {
            return result;
        }
        let Some(sent) = progress.sent.get() else {
            let last = self.dial.borrow().last.clone();
            let last = if last.is_empty() { last } else { format!(" (last failure: {last})") };
            return Err(Failure::NotSent(format!("no connection within {deadline:?}{last}")));
        };
        if let Some(line) = progress.line.take() {
            // Not a word for a whole deadline: whatever else is on that connection waits in vain.
            if line.heard() < sent {
                line.cut();
                self.failed("the connection fell silent");
            }
        }
        Err(Failure::Lost(format!("no answer within {deadline:?}")))
    }

    async fn attempts(
        &self,
        head: &Request<()>,
        body: &Bytes,
        identity: Option<&Arc<Identity>>,
        progress: &Progress,
    ) -> Result<Reply, Failure> {
        let mut last = String::new();
        for _ in 0..ATTEMPTS {
            let lease = self.lease(identity).await.map_err(Failure::NotSent)?;
            let connection = lease.connection();
            let endpoint = &self.config.endpoint;
            let request = addressed(head, body.clone(), endpoint, &self.config.path, connection.protocol())
                .map_err(Failure::NotSent)?;
            match connection.send(request, progress).await {
                Ok(reply) => {
                    self.succeeded();
                    self.give_back(lease);
                    return Ok(reply);
                }
                Err(SendError::Unsent(cause)) => {
                    match &lease {
                        Lease::Shared(connection) => self.retire(connection),
                        // Where one was closed while it lay idle, the others were as well.
                        Lease::Own(..) => self.idle.borrow_mut().clear(),
                    }
                    last = cause;
                }
                Err(SendError::Lost(cause)) => {
                    self.failed(&cause);
                    return Err(Failure::Lost(cause));
                }
            }
        }
        self.failed(&last);
        Err(Failure::NotSent(format!("each of {ATTEMPTS} connections closed before it was sent: {last}")))
    }

    /// A connection to send on: a shared or idle one, or a new one.
    async fn lease(&self, identity: Option<&Arc<Identity>>) -> Result<Lease, String> {
        loop {
            if self.protocol.get() == Some(Protocol::Http1) {
                let mut place = self.places.acquire().await;
                place.spend();
                if let Some(connection) = self.pop_idle(identity) {
                    return Ok(Lease::Own(connection, place));
                }
                let failures = self.dial.borrow().failures;
                let _dialing = self.dialing.lock().await;
                let connection = self.connect(identity, failures).await?;
                if connection.protocol() == Protocol::Http1 {
                    return Ok(Lease::Own(connection, place));
                }
                self.share(connection);
                continue;
            }
            if let Some(connection) = self.shared(identity) {
                return Ok(Lease::Shared(connection));
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

    /// Makes a connection; one at a time, since the lock is held. `failures` is what had failed
    /// when the caller came: a failure since then is the caller's as well.
    async fn connect(&self, identity: Option<&Arc<Identity>>, failures: u64) -> Result<Connection, String> {
        let not_before = {
            let dial = self.dial.borrow();
            if dial.failures != failures {
                return Err(dial.last.clone());
            }
            dial.not_before
        };
        if let Some(at) = not_before {
            net::sleep(at.saturating_duration_since(time::now())).await;
        }
        let attempt = Attempt(self);
        let result = self.open(identity).await;
        std::mem::forget(attempt);
        if let Err(cause) = &result {
            self.not_connected(cause);
        }
        result
    }

    async fn open(&self, identity: Option<&Arc<Identity>>) -> Result<Connection, String> {
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
        let connection = connector.connect(&self.config.endpoint).await.map_err(|error| chain(&error))?;
        let endpoint = &self.config.endpoint;
        Connection::start(connection, identity.cloned())
            .await
            .map_err(|error| format!("{endpoint}: {}", chain(&error)))
    }

    /// The TLS configuration, made anew when the CA file or our certificate has changed.
    async fn tls(&self, identity: Option<&Arc<Identity>>) -> Result<Arc<ClientConfig>, String> {
        let trust = match &self.config.trust_file {
            Some(file) => read_trust(file.clone()).await.unwrap_or_else(|| self.config.trust.clone()),
            None => self.config.trust.clone(),
        };
        let same = |known: &&Tls| {
            known.trust == trust && known.identity.as_ref().map(Arc::as_ptr) == identity.map(Arc::as_ptr)
        };
        if let Some(known) = self.tls.borrow().as_ref().filter(same) {
            return Ok(Arc::clone(&known.config));
        }
        let own = self.config.identity.clone();
        let (trusted, presented) = (trust.clone(), identity.cloned());
        // Reading the system's trust store takes its time.
        let made = net::blocking(move || {
            let identity = presented.as_deref().or(own.as_ref());
            tls::client_config(&trusted, identity, &[tls::H2, tls::HTTP1])
        });
        let config = made.await.map_err(|error| chain(&error))?.map_err(|error| chain(&error))?;
        let made = Tls { trust, identity: identity.cloned(), config: Arc::clone(&config) };
        self.tls.replace(Some(made));
        Ok(config)
    }

    fn shared(&self, identity: Option<&Arc<Identity>>) -> Option<Rc<Connection>> {
        let mut shared = self.shared.borrow_mut();
        if !shared.as_ref()?.serves(identity, time::now()) {
            // Streams that are open on it go on: their requests hold it as well.
            *shared = None;
        }
        shared.clone()
    }

    fn share(&self, connection: Connection) {
        self.protocol.set(Some(Protocol::Http2));
        *self.shared.borrow_mut() = Some(Rc::new(connection));
    }

    fn retire(&self, connection: &Rc<Connection>) {
        let mut shared = self.shared.borrow_mut();
        if shared.as_ref().is_some_and(|current| Rc::ptr_eq(current, connection)) {
            *shared = None;
        }
    }

    fn pop_idle(&self, identity: Option<&Arc<Identity>>) -> Option<Connection> {
        let now = time::now();
        let mut idle = self.idle.borrow_mut();
        idle.retain(|connection| connection.serves(identity, now));
        idle.pop()
    }

    fn give_back(&self, lease: Lease) {
        if let Lease::Own(connection, place) = lease {
            self.idle.borrow_mut().push(connection);
            // Only now, so that who gets the place finds the connection.
            drop(place);
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
            dial.not_before = Some(now + wait);
        }
        cause.clone_into(&mut dial.last);
    }

    fn not_connected(&self, cause: &str) {
        self.failed(cause);
        self.dial.borrow_mut().failures += 1;
    }
}

/// Connecting that is given up at a request's deadline is a failure, too.
struct Attempt<'a>(&'a Transport);

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        self.0.not_connected("connecting took longer than the request had time");
    }
}

async fn read_trust(file: PathBuf) -> Option<Trust> {
    match net::blocking(move || std::fs::read_to_string(file)).await {
        Ok(Ok(pem)) => Some(Trust::Pem(pem)),
        _ => None,
    }
}

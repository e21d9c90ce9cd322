//! Connections found, made, shared and given up.

use std::{rc::Rc, sync::Arc, time::Duration};

use rustls::ClientConfig;

use super::{Tls, Transport};
use crate::{
    cluster::{
        connection::{HttpConnection, chain},
        permit::Permit,
        reload,
    },
    net::{
        self,
        connect::{Connector, Protocol},
        tls::{self, Identity, Trust},
    },
    time,
};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// A peer that acknowledges nothing for this long is dead (`TCP_USER_TIMEOUT`).
const USER_TIMEOUT: Duration = Duration::from_secs(20);

/// A connection to send one request on.
#[derive(Debug)]
pub(super) enum Lease {
    /// HTTP/2: everybody's.
    Shared(Rc<HttpConnection>),
    /// HTTP/1.1, from the pool and back to it, with its place there.
    Pooled(HttpConnection, Permit),
    /// HTTP/1.1, made for one stream and ended with it. It takes no place: as many streams as
    /// there are kinds must not starve the requests.
    Own(HttpConnection),
}

impl Lease {
    pub(super) fn connection(&self) -> &HttpConnection {
        match self {
            Lease::Shared(connection) => connection,
            Lease::Pooled(connection, _) | Lease::Own(connection) => connection,
        }
    }
}

impl Transport {
    /// A connection to send on: a shared or idle one, or a new one.
    pub(super) async fn lease(&self, identity: Option<&Arc<Identity>>, lasts: bool) -> Result<Lease, String> {
        loop {
            if self.protocol.get() == Some(Protocol::Http1) {
                if let Some(lease) = self.lease_http1(identity, lasts).await? {
                    return Ok(lease);
                }
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

    /// `None` where the server turned out to speak HTTP/2 by now.
    async fn lease_http1(
        &self,
        identity: Option<&Arc<Identity>>,
        lasts: bool,
    ) -> Result<Option<Lease>, String> {
        let mut place = None;
        if !lasts {
            let mut taken = self.places.acquire().await;
            taken.spend();
            if let Some(connection) = self.pop_idle(identity) {
                return Ok(Some(Lease::Pooled(connection, taken)));
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
            Some(place) => Lease::Pooled(connection, place),
            None => Lease::Own(connection),
        }))
    }

    /// Makes a connection; one at a time, since the lock is held. `failures` is what had failed
    /// when the caller came: a failure since then is the caller's as well.
    async fn connect(
        &self,
        identity: Option<&Arc<Identity>>,
        failures: u64,
    ) -> Result<HttpConnection, String> {
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
        let result = self.make(identity).await;
        std::mem::forget(attempt);
        if let Err(cause) = &result {
            self.not_connected(cause);
        }
        result
    }

    async fn make(&self, identity: Option<&Arc<Identity>>) -> Result<HttpConnection, String> {
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
        HttpConnection::start(connection, identity.cloned())
            .await
            .map_err(|error| format!("{endpoint}: {}", chain(&error)))
    }

    /// The TLS configuration, made anew when the CA file or our certificate has changed. A CA file that
    /// cannot be used now, being written just then, leaves the authorities in use that were read before.
    async fn tls(&self, identity: Option<&Arc<Identity>>) -> Result<Arc<ClientConfig>, String> {
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
    ) -> Result<Arc<ClientConfig>, String> {
        let same = |known: &&Tls| {
            known.trust == trust && known.identity.as_ref().map(Arc::as_ptr) == identity.map(Arc::as_ptr)
        };
        if let Some(known) = self.tls.borrow().as_ref().filter(same) {
            return Ok(Arc::clone(&known.config));
        }
        let (trusted, presented) = (trust.clone(), identity.cloned());
        // Reading the system's trust store takes its time.
        let made =
            net::blocking(move || tls::client_config(&trusted, presented.as_deref(), &[tls::H2, tls::HTTP1]));
        let config = made.await.map_err(|error| chain(&error))?.map_err(|error| chain(&error))?;
        let made = Tls { trust, identity: identity.cloned(), config: Arc::clone(&config) };
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

    pub(super) fn retire(&self, connection: &Rc<HttpConnection>) {
        let mut shared = self.shared.borrow_mut();
        if shared.as_ref().is_some_and(|current| Rc::ptr_eq(current, connection)) {
            *shared = None;
        }
    }

    fn pop_idle(&self, identity: Option<&Arc<Identity>>) -> Option<HttpConnection> {
        let now = time::now();
        let mut idle = self.idle.borrow_mut();
        idle.retain(|connection| connection.serves(identity, now));
        idle.pop()
    }

    pub(super) fn give_back(&self, lease: Lease) {
        if let Lease::Pooled(connection, place) = lease {
            // One with an answer that was not read to its end is of no more use.
            if connection.is_free() {
                self.idle.borrow_mut().push(connection);
            }
            // Only now, so that who gets the place finds the connection.
            drop(place);
        }
    }
}

/// Connecting that is given up at a request's deadline is a failure, too.
struct Attempt<'a>(&'a Transport);

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        self.0.not_connected("connecting took longer than the request had time");
    }
}

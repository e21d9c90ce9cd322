//! Making connections: resolve, try each address, through a proxy where there is one, TLS.

mod tunnel;

use std::{cell::RefCell, fmt, io, net::SocketAddr, sync::Arc, time::Duration};

use futures_rustls::TlsConnector;
use glommio::net::TcpStream;
use rustls::{
    ClientConfig,
    pki_types::{InvalidDnsNameError, ServerName},
};

pub use self::tunnel::TunnelError;
use crate::{
    dns::{self, DnsError},
    endpoint::Endpoint,
    io::Io,
    proxy::{Proxy, ProxyError},
    time,
    timer::timeout,
    tls::{self, trouble::TlsPeer},
};

/// How connections are made.
#[derive(Debug, Clone)]
pub struct Connector {
    /// For endpoints that are `secure`; without it they cannot be reached.
    pub tls: Option<Arc<ClientConfig>>,
    /// Which of them go through a proxy.
    pub proxy: Proxy,
    /// Bound on all of it, from the name to the end of the TLS handshake.
    pub connect_timeout: Duration,
    /// How long sent data may stay unacknowledged before the connection counts as dead.
    pub user_timeout: Option<Duration>,
}

/// A connection that is ready to use.
#[derive(Debug)]
pub struct OpenConnection {
    /// The stream.
    pub io: Io,
    /// What the TLS handshake agreed on; `Http1` without one, where the caller may know better.
    pub protocol: Protocol,
}

/// What is spoken over a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.1.
    Http1,
    /// HTTP/2.
    Http2,
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
#[error("cannot connect to {endpoint}: {cause}")]
pub struct ConnectError {
    /// Where to.
    pub endpoint: Endpoint,
    /// Why not.
    #[source]
    pub cause: ConnectCause,
}

/// The causes of a [`ConnectError`].
#[derive(Debug, thiserror::Error)]
pub enum ConnectCause {
    /// The name, or the proxy's, does not resolve.
    #[error(transparent)]
    Dns(#[from] DnsError),
    /// No address took the connection; this is what the last one said.
    #[error("{address}: {source}")]
    Tcp {
        /// The address.
        address: SocketAddr,
        /// Its answer.
        source: io::Error,
    },
    /// The proxy on the way cannot be used.
    #[error(transparent)]
    UnusableProxy(#[from] ProxyError),
    /// The proxy did not make a tunnel.
    #[error("proxy {proxy}: {source}")]
    Proxy {
        /// Which proxy.
        proxy: String,
        /// Why not.
        source: TunnelError,
    },
    /// The TLS handshake failed: among others, a certificate that is not trusted. The words are
    /// those of `tls::trouble`.
    #[error("TLS: {0}")]
    Tls(#[source] io::Error),
    /// TLS is wanted and there is no configuration.
    #[error("TLS is not possible: it is not configured")]
    NoTls,
    /// TLS is wanted and the host is no name for a certificate.
    #[error("TLS is not possible: {host:?}: {source}")]
    ServerName {
        /// The host.
        host: String,
        /// Why not.
        source: InvalidDnsNameError,
    },
    /// It took too long.
    #[error("no connection within {limit:?}: {step}")]
    Timeout {
        /// How long it had.
        limit: Duration,
        /// What it was waiting for.
        step: ConnectStep,
    },
}

/// What a connection waits for on its way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConnectStep {
    /// The addresses of this host.
    Resolve(String),
    /// This address.
    Dial(SocketAddr),
    /// This proxy's answer.
    Proxy(String),
    /// The TLS handshake.
    Tls,
}

impl fmt::Display for ConnectStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Resolve(host) => write!(f, "the name {host:?} was not resolved"),
            Self::Dial(address) => write!(f, "{address} did not take it"),
            Self::Proxy(proxy) => write!(f, "proxy {proxy} made no tunnel"),
            Self::Tls => f.write_str("the peer took it and did not finish the TLS handshake"),
        }
    }
}

impl Connector {
    /// Connects, within `connect_timeout`.
    pub async fn connect(&self, endpoint: &Endpoint) -> Result<OpenConnection, ConnectError> {
        let step = RefCell::new(ConnectStep::Resolve(endpoint.host.clone()));
        let cause = match timeout(self.connect_timeout, self.attempt(endpoint, &step)).await {
            Ok(Ok(connection)) => return Ok(connection),
            Ok(Err(cause)) => cause,
            Err(elapsed) => ConnectCause::Timeout { limit: elapsed.0, step: step.into_inner() },
        };
        Err(ConnectError { endpoint: endpoint.clone(), cause })
    }

    /// `step` says at any time what is waited for.
    async fn attempt(
        &self,
        endpoint: &Endpoint,
        step: &RefCell<ConnectStep>,
    ) -> Result<OpenConnection, ConnectCause> {
        let io = match self.proxy.on_the_way_to(endpoint)? {
            None => self.reach(&endpoint.host, endpoint.port, step).await?,
            Some(proxy) => {
                let io = self.reach(&proxy.endpoint.host, proxy.endpoint.port, step).await?;
                step.replace(ConnectStep::Proxy(proxy.to_string()));
                tunnel::through(io, proxy, endpoint).await?
            }
        };
        if !endpoint.secure {
            return Ok(OpenConnection { io, protocol: Protocol::Http1 });
        }
        let config = self.tls.clone().ok_or(ConnectCause::NoTls)?;
        step.replace(ConnectStep::Tls);
        let io = secured(io, config, endpoint).await?;
        let protocol = if io.alpn() == Some(tls::H2) { Protocol::Http2 } else { Protocol::Http1 };
        Ok(OpenConnection { io, protocol })
    }

    /// Tries one address after the other, each for its share of the time that is left: the
    /// first may be one that drops packets (an IPv6 address without a route, often).
    async fn reach(&self, host: &str, port: u16, step: &RefCell<ConnectStep>) -> Result<Io, ConnectCause> {
        step.replace(ConnectStep::Resolve(host.into()));
        let deadline = time::after(time::now(), self.connect_timeout);
        let addresses = dns::resolve(host, port).await?;
        let mut last = ConnectCause::Dns(DnsError::NoAddress(host.into()));
        for (at, &address) in addresses.iter().enumerate() {
            let left = deadline.saturating_duration_since(time::now());
            let share = left / u32::try_from(addresses.len() - at).unwrap_or(u32::MAX);
            step.replace(ConnectStep::Dial(address));
            let connected = timeout(share, TcpStream::connect(address)).await;
            let result = match connected {
                Ok(Ok(stream)) => Io::tcp(stream, self.user_timeout),
                Ok(Err(error)) => Err(io::Error::from(error)),
                Err(elapsed) => Err(io::Error::new(io::ErrorKind::TimedOut, elapsed)),
            };
            match result {
                Ok(io) => return Ok(io),
                Err(source) => last = ConnectCause::Tcp { address, source },
            }
        }
        Err(last)
    }
}

/// TLS over a stream, to the peer that `endpoint` names.
async fn secured(io: Io, config: Arc<ClientConfig>, endpoint: &Endpoint) -> Result<Io, ConnectCause> {
    let name = ServerName::try_from(endpoint.server_name().to_owned())
        .map_err(|source| ConnectCause::ServerName { host: endpoint.server_name().to_owned(), source })?;
    let peer = TlsPeer {
        name: endpoint.host_port().into(),
        identified: config.client_auth_cert_resolver.has_certs(),
    };
    match TlsConnector::from(config).connect(name, io).await {
        Ok(stream) => Ok(Io::client(stream, peer)),
        Err(error) => Err(ConnectCause::Tls(peer.explain_handshake(error))),
    }
}

#[cfg(test)]
mod tests;

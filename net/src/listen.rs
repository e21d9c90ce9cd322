//! The accepting side, for embedded servers and tests.

use std::{
    io,
    net::{SocketAddr, ToSocketAddrs},
    sync::Arc,
};

use futures_rustls::TlsAcceptor;
use glommio::net::TcpListener;
use rustls::ServerConfig;

use crate::io::Io;

/// A bound TCP socket.
pub struct Listener {
    inner: TcpListener,
    address: SocketAddr,
}

impl std::fmt::Debug for Listener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Listener").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Listener {
    /// Binds to an address such as `127.0.0.1:0`; a name would be resolved on the executor.
    pub fn bind(address: impl ToSocketAddrs) -> io::Result<Self> {
        let no_address = || io::Error::new(io::ErrorKind::InvalidInput, "no address to bind to");
        let address = address.to_socket_addrs()?.next().ok_or_else(no_address)?;
        let inner = TcpListener::bind(address).map_err(io::Error::from)?;
        let address = inner.local_addr().map_err(io::Error::from)?;
        Ok(Self { inner, address })
    }

    /// Where it listens, the port filled in.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Waits for a connection.
    pub async fn accept(&self) -> io::Result<Io> {
        let stream = self.inner.accept().await.map_err(io::Error::from)?;
        Io::tcp(stream, None)
    }
}

/// The server's half of a TLS handshake. Do it in the connection's own task: a peer may take
/// its time.
pub async fn accept_tls(config: Arc<ServerConfig>, io: Io) -> io::Result<Io> {
    Ok(Io::server(TlsAcceptor::from(config).accept(io).await?))
}

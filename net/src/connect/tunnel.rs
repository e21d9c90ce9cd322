//! A tunnel through an HTTP or SOCKS proxy to the peer that is meant.

use std::io;

use futures::{AsyncReadExt, AsyncWriteExt};

use super::{ConnectCause, secured};
use crate::{
    BlockingError, blocking,
    endpoint::Endpoint,
    io::Io,
    proxy::{ProxyProtocol, ProxyServer},
    socks::{SocksError, SocksHandshake, SocksStep},
    tls::{self, TlsError, Trust},
};

/// Longest answer of a proxy that is read.
const MAX_ANSWER: usize = 8 << 10;

/// Why a proxy made no tunnel. Continues "proxy ...:".
#[derive(Debug, thiserror::Error)]
pub enum TunnelError {
    /// The connection to it broke.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// It went away.
    #[error("closed the connection")]
    Closed,
    /// It says more than an answer has.
    #[error("its answer is too long")]
    TooLong,
    /// It answered with this line.
    #[error("answered {0:?}")]
    Refused(String),
    /// It speaks SOCKS, and made no connection.
    #[error(transparent)]
    Socks(#[from] SocksError),
    /// The trust store for its certificate could not be read.
    #[error(transparent)]
    TrustStore(#[from] BlockingError),
    /// There is no TLS to it.
    #[error(transparent)]
    TlsConfig(#[from] TlsError),
    /// TLS to it failed.
    #[error(transparent)]
    Tls(Box<ConnectCause>),
}

/// A connection to a proxy becomes one to `endpoint`.
pub(super) async fn through(io: Io, proxy: &ProxyServer, endpoint: &Endpoint) -> Result<Io, ConnectCause> {
    let failed = |source| ConnectCause::Proxy { proxy: proxy.to_string(), source };
    match proxy.protocol {
        ProxyProtocol::Socks5 => socks(io, proxy, endpoint).await.map_err(failed),
        ProxyProtocol::Http => {
            let io = if proxy.endpoint.secure { own_tls(io, proxy).await.map_err(failed)? } else { io };
            connect(io, proxy, endpoint).await.map_err(failed)
        }
    }
}

/// TLS to the proxy itself, over the system's trust store: what the user trusts for the endpoint is
/// the endpoint's alone.
async fn own_tls(io: Io, proxy: &ProxyServer) -> Result<Io, TunnelError> {
    let config = blocking(|| tls::client_config(&Trust::System, None, &[tls::HTTP1])).await??;
    secured(io, config, &proxy.endpoint).await.map_err(|error| TunnelError::Tls(Box::new(error)))
}

/// Asks a proxy for a tunnel. The answer is read byte by byte: what follows it belongs to the
/// endpoint behind, which may speak first.
async fn connect(mut io: Io, proxy: &ProxyServer, endpoint: &Endpoint) -> Result<Io, TunnelError> {
    let target = endpoint.host_port();
    let mut request = format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n");
    if let Some(authorization) = proxy.authorization() {
        request.push_str(&format!("Proxy-Authorization: {authorization}\r\n"));
    }
    request.push_str("\r\n");
    send(&mut io, request.as_bytes()).await?;

    let mut answer = Vec::with_capacity(256);
    while !answer.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        match io.read(&mut byte).await {
            Ok(0) => return Err(TunnelError::Closed),
            Ok(_) if answer.len() < MAX_ANSWER => answer.push(byte[0]),
            Ok(_) => return Err(TunnelError::TooLong),
            Err(error) => return Err(error.into()),
        }
    }
    let answer = String::from_utf8_lossy(&answer);
    let status = answer.lines().next().unwrap_or_default();
    let code = status.split(' ').nth(1).unwrap_or_default();
    if status.starts_with("HTTP/1.") && code.len() == 3 && code.starts_with('2') {
        return Ok(io);
    }
    Err(TunnelError::Refused(status.to_owned()))
}

async fn socks(mut io: Io, proxy: &ProxyServer, endpoint: &Endpoint) -> Result<Io, TunnelError> {
    let mut talk = SocksHandshake::new(&endpoint.host, endpoint.port, proxy.user.clone())?;
    let mut step = talk.begin();
    while let SocksStep::Exchange { send: bytes, read } = step {
        send(&mut io, &bytes).await?;
        let mut answer = vec![0; read];
        io.read_exact(&mut answer).await.map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => TunnelError::Closed,
            _ => error.into(),
        })?;
        step = talk.next(&answer)?;
    }
    Ok(io)
}

async fn send(io: &mut Io, bytes: &[u8]) -> Result<(), TunnelError> {
    io.write_all(bytes).await?;
    Ok(io.flush().await?)
}

//! Through a proxy to somebody else.

use futures::{AsyncReadExt, AsyncWriteExt};

use super::{ConnectCause, secured};
use crate::{
    blocking,
    endpoint::Endpoint,
    io::Io,
    proxy::{Server, Speech},
    socks::{Negotiation, Step},
    tls::{self, Trust},
};

/// Longest answer of a proxy that is read.
const MAX_ANSWER: usize = 8 << 10;

/// A connection to a proxy becomes one to `endpoint`.
pub(super) async fn through(io: Io, proxy: &Server, endpoint: &Endpoint) -> Result<Io, ConnectCause> {
    let failed = |reason: String| ConnectCause::Proxy { proxy: proxy.to_string(), reason };
    match proxy.speech {
        Speech::Socks5 => socks(io, proxy, endpoint).await.map_err(failed),
        Speech::Http => {
            let io = if proxy.endpoint.secure { own_tls(io, proxy).await.map_err(failed)? } else { io };
            connect(io, proxy, endpoint).await.map_err(failed)
        }
    }
}

/// TLS to the proxy itself, over the system's trust store: what the user trusts for the endpoint is
/// the endpoint's alone.
async fn own_tls(io: Io, proxy: &Server) -> Result<Io, String> {
    let made = blocking(|| tls::client_config(&Trust::System, None, &[tls::HTTP1])).await;
    let config = made.map_err(|error| error.to_string())?.map_err(|error| error.to_string())?;
    secured(io, config, &proxy.endpoint).await.map_err(|error| error.to_string())
}

/// Asks a proxy for a tunnel. The answer is read byte by byte: what follows it belongs to the
/// endpoint behind, which may speak first.
async fn connect(mut io: Io, proxy: &Server, endpoint: &Endpoint) -> Result<Io, String> {
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
            Ok(0) => return Err("closed the connection".into()),
            Ok(_) if answer.len() < MAX_ANSWER => answer.push(byte[0]),
            Ok(_) => return Err("its answer is too long".into()),
            Err(error) => return Err(error.to_string()),
        }
    }
    let answer = String::from_utf8_lossy(&answer);
    let status = answer.lines().next().unwrap_or_default();
    let code = status.split(' ').nth(1).unwrap_or_default();
    if status.starts_with("HTTP/1.") && code.len() == 3 && code.starts_with('2') {
        return Ok(io);
    }
    Err(format!("answered {status:?}"))
}

async fn socks(mut io: Io, proxy: &Server, endpoint: &Endpoint) -> Result<Io, String> {
    let talk = Negotiation::new(&endpoint.host, endpoint.port, proxy.user.clone());
    let mut talk = talk.map_err(|error| error.to_string())?;
    let mut step = talk.begin();
    while let Step::Exchange { send: bytes, read } = step {
        send(&mut io, &bytes).await?;
        let mut answer = vec![0; read];
        io.read_exact(&mut answer).await.map_err(|error| match error.kind() {
            std::io::ErrorKind::UnexpectedEof => "closed the connection".to_owned(),
            _ => error.to_string(),
        })?;
        step = talk.next(&answer).map_err(|error| error.to_string())?;
    }
    Ok(io)
}

async fn send(io: &mut Io, bytes: &[u8]) -> Result<(), String> {
    io.write_all(bytes).await.map_err(|error| error.to_string())?;
    io.flush().await.map_err(|error| error.to_string())
}

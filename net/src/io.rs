//! A byte stream: TCP or TLS over it, for hyper and for rustls.

use std::{
    cell::RefCell,
    io::{ErrorKind, Result},
    os::fd::{AsRawFd, BorrowedFd},
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use futures::{AsyncRead, AsyncWrite};
use glommio::net::TcpStream;
use hyper::rt::ReadBufCursor;
use shards::CoopBudget;

use super::tls::trouble::TlsPeer;

/// What a peer may send over TLS without a byte of content in it: records that are empty, tickets,
/// new keys. The handshake has a deadline besides.
const MOST_BARREN: usize = 4 << 20;

/// A connected byte stream, bound to this thread's executor.
///
/// Whoever reads it without ever having to wait is told after half a millisecond that there is
/// nothing, so that a peer that never stops sending takes no more than its share of the executor.
#[derive(Debug)]
pub struct Io(Layer);

#[derive(Debug)]
enum Layer {
    Tcp(Box<Socket>),
    Client(Box<futures_rustls::client::TlsStream<Io>>, TlsPeer),
    Server(Box<futures_rustls::server::TlsStream<Io>>),
}

impl Io {
    /// Takes a connected socket and sets what every connection of ours wants.
    pub(super) fn tcp(stream: TcpStream, user_timeout: Option<Duration>) -> Result<Self> {
        set_options(&stream, user_timeout)?;
        let socket = Socket { stream, budget: CoopBudget::new(), barren: None };
        Ok(Self(Layer::Tcp(Box::new(socket))))
    }

    /// `peer`: whose it is, for errors on it.
    pub(super) fn client(mut stream: futures_rustls::client::TlsStream<Io>, peer: TlsPeer) -> Self {
        stream.get_mut().0.fruitful();
        Self(Layer::Client(Box::new(stream), peer))
    }

    pub(super) fn server(stream: futures_rustls::server::TlsStream<Io>) -> Self {
        Self(Layer::Server(Box::new(stream)))
    }

    /// The protocol that the TLS handshake agreed on.
    pub(super) fn alpn(&self) -> Option<&[u8]> {
        match &self.0 {
            Layer::Tcp(_) => None,
            Layer::Client(tls, _) => tls.get_ref().1.alpn_protocol(),
            Layer::Server(tls) => tls.get_ref().1.alpn_protocol(),
        }
    }

    /// What lies under TLS has brought content.
    fn fruitful(&mut self) {
        if let Layer::Tcp(socket) = &mut self.0 {
            socket.barren = Some(0);
        }
    }

    /// Reads for hyper, and shows what was read; nothing at the end.
    pub(super) fn poll_read_seen(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut buf: ReadBufCursor<'_>,
        seen: impl FnOnce(&[u8]) -> Result<()>,
    ) -> Poll<Result<()>> {
        READ_BUFFER.with_borrow_mut(|scratch| {
            let room = buf.remaining().min(SCRATCH);
            let read = ready!(AsyncRead::poll_read(self, cx, &mut scratch[..room]))?;
            seen(&scratch[..read])?;
            buf.put_slice(&scratch[..read]);
            Poll::Ready(Ok(()))
        })
    }
}

/// A TCP socket that is read within a budget.
#[derive(Debug)]
struct Socket {
    stream: TcpStream,
    budget: CoopBudget,
    /// Under TLS: bytes since there was last content in them.
    barren: Option<usize>,
}

impl Socket {
    fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<Result<usize>> {
        if self.barren.is_some_and(|bytes| bytes > MOST_BARREN) {
            let most = MOST_BARREN >> 20;
            let text = format!("the peer sent more than {most} MiB of TLS records without content");
            return Poll::Ready(Err(std::io::Error::new(ErrorKind::InvalidData, text)));
        }
        ready!(self.budget.poll_check(cx));
        let polled = Pin::new(&mut self.stream).poll_read(cx, buf);
        match &polled {
            Poll::Pending => self.budget.renew(),
            Poll::Ready(read) => {
                let read = read.as_ref().copied().unwrap_or_default();
                self.barren = self.barren.map(|bytes| bytes.saturating_add(read));
            }
        }
        polled
    }
}

/// No waiting for more to send, and an end to connections whose peer no longer acknowledges.
fn set_options(stream: &TcpStream, user_timeout: Option<Duration>) -> Result<()> {
    // SAFETY: `stream` owns the descriptor and outlives this borrow of it.
    #[allow(unsafe_code)]
    let fd = unsafe { BorrowedFd::borrow_raw(stream.as_raw_fd()) };
    rustix::net::sockopt::set_tcp_nodelay(fd, true)?;
    if let Some(timeout) = user_timeout {
        let millis = u32::try_from(timeout.as_millis()).unwrap_or(u32::MAX);
        rustix::net::sockopt::set_tcp_user_timeout(fd, millis)?;
    }
    Ok(())
}

impl AsyncRead for Io {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<Result<usize>> {
        match &mut self.0 {
            Layer::Tcp(io) => io.poll_read(cx, buf),
            Layer::Client(io, peer) => {
                let polled = Pin::new(&mut *io).poll_read(cx, buf);
                if polled.is_ready() {
                    io.get_mut().0.fruitful();
                }
                polled.map_err(|error| peer.explain(error))
            }
            Layer::Server(io) => Pin::new(io).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Io {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<Result<usize>> {
        match &mut self.0 {
            Layer::Tcp(io) => Pin::new(&mut io.stream).poll_write(cx, buf),
            Layer::Client(io, peer) => Pin::new(io).poll_write(cx, buf).map_err(|error| peer.explain(error)),
            Layer::Server(io) => Pin::new(io).poll_write(cx, buf),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        match &mut self.0 {
            Layer::Tcp(io) => Pin::new(&mut io.stream).poll_flush(cx),
            Layer::Client(io, peer) => Pin::new(io).poll_flush(cx).map_err(|error| peer.explain(error)),
            Layer::Server(io) => Pin::new(io).poll_flush(cx),
        }
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        match &mut self.0 {
            // A peer that was faster has already ended what is to be closed here.
            Layer::Tcp(io) => Pin::new(&mut io.stream).poll_close(cx).map(|closed| match closed {
                Err(error) if error.kind() == ErrorKind::NotConnected => Ok(()),
                other => other,
            }),
            Layer::Client(io, _) => Pin::new(io).poll_close(cx),
            Layer::Server(io) => Pin::new(io).poll_close(cx),
        }
    }
}

/// Most that one read takes from a socket.
const SCRATCH: usize = 64 << 10;

thread_local! {
    /// hyper hands out uninitialised memory, which only unsafe code may read into. One copy
    /// through a buffer of the thread's own costs less than an unsafe block does.
    static READ_BUFFER: RefCell<Box<[u8]>> = RefCell::new(vec![0; SCRATCH].into_boxed_slice());
}

impl hyper::rt::Read for Io {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: ReadBufCursor<'_>) -> Poll<Result<()>> {
        self.poll_read_seen(cx, buf, |_| Ok(()))
    }
}

impl hyper::rt::Write for Io {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<Result<usize>> {
        AsyncWrite::poll_write(self, cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        AsyncWrite::poll_flush(self, cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        AsyncWrite::poll_close(self, cx)
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use bytes::Bytes;
    use http::{Request, Response};
    use http_body_util::{BodyExt, Full};
    use hyper::service::service_fn;

    use crate::{
        connect::Connector, endpoint::Endpoint, executor::LocalExecutor, listen::Listener, proxy::Proxy,
        spawn, testing::run, timer::HyperTimer,
    };

    #[test]
    fn hyper_speaks_http2_over_it() {
        run(async {
            let listener = Listener::bind("127.0.0.1:0").unwrap();
            let endpoint = Endpoint::new(false, "127.0.0.1", listener.local_addr().port());
            let server = spawn(async move {
                let io = listener.accept().await.unwrap();
                let echo = service_fn(|request: Request<hyper::body::Incoming>| async {
                    let body = request.into_body().collect().await.unwrap().to_bytes();
                    Ok::<_, Infallible>(Response::new(Full::new(body)))
                });
                let mut http = hyper::server::conn::http2::Builder::new(LocalExecutor);
                http.timer(HyperTimer).serve_connection(io, echo).await.unwrap();
            });
            let connector = Connector {
                tls: None,
                proxy: Proxy::none(),
                connect_timeout: std::time::Duration::from_secs(5),
                user_timeout: None,
            };
            let io = connector.connect(&endpoint).await.unwrap().io;
            let mut http = hyper::client::conn::http2::Builder::new(LocalExecutor);
            let (mut requests, connection) = http.timer(HyperTimer).handshake(io).await.unwrap();
            let driver = spawn(connection);
            let body = Bytes::from(vec![7; 300_000]);
            let request = Request::post("http://localhost/").body(Full::new(body.clone())).unwrap();
            let response = requests.send_request(request).await.unwrap();
            assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), body);
            drop(requests);
            driver.await.unwrap();
            server.await;
        });
    }
}

//! A connection as it is watched from under hyper: when the peer was last heard, whether it abuses the
//! connection, and a way to cut it.

pub mod abuse;

use std::{
    cell::{Cell, RefCell},
    io::{self, ErrorKind},
    pin::Pin,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use http::Request;
use hyper::rt::{Read, ReadBufCursor, Write};

use self::abuse::{Abuse, AbuseDetector, MOST_INFORMATIONAL};
use crate::{
    connect::Protocol,
    http2_frames::{Http2Frames, PREFACE},
    io::Io,
    timer::timeout,
};
use shards::{Wakeup, time};

/// Most of what a peer says in another protocol that is quoted.
const EXCERPT: usize = 60;

/// What is known of a connection from outside hyper.
///
/// hyper runs an HTTP/2 connection in a task of its own that outlives its handles while streams
/// are open. A peer that fell silent is got rid of by [`cut`](Self::cut).
#[derive(Debug)]
pub struct ConnectionMonitor {
    heard: Cell<Instant>,
    cut: Cell<bool>,
    reader: RefCell<Option<Waker>>,
    writer: RefCell<Option<Waker>>,
    http2: Option<RefCell<Http2Traffic>>,
    /// HTTP/1.1: interim answers to the request that is under way. hyper counts them for us, in a
    /// callback that it wants `Send`.
    informational: Arc<AtomicU32>,
    ended: RefCell<Option<ConnectionEnd>>,
    abuse: RefCell<Option<PeerAbuse>>,
    /// The peer sent its preface, goes away, or is gone.
    changed: Wakeup,
}

#[derive(Debug)]
struct Http2Traffic {
    incoming: Http2Frames,
    outgoing: Http2Frames,
    detector: AbuseDetector,
    begun: bool,
}

/// An [`Io`] with a [`ConnectionMonitor`] attached.
#[derive(Debug)]
pub struct MonitoredIo {
    io: Io,
    monitor: Rc<ConnectionMonitor>,
}

/// A peer that took the connection does not speak HTTP/2 on it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PrefaceError {
    /// Nothing came.
    #[error("it took the connection and sent no HTTP/2 SETTINGS within {0:?}")]
    Silent(Duration),
    /// The connection broke or was closed, or what came was something else.
    #[error("no HTTP/2 SETTINGS: {0}")]
    Ended(ConnectionEnd),
}

/// Why no more comes on a connection.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConnectionEnd {
    /// The peer closed it.
    #[error("it closed the connection")]
    Closed,
    /// It broke; the error itself is hyper's.
    #[error("{0}")]
    Broken(String),
}

/// What the peer did so that the connection was given up.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("given up on a peer that misbehaves: {abuse}{}", quoted(said.as_deref()))]
pub struct PeerAbuse {
    abuse: Abuse,
    /// The beginning of what is no HTTP/2.
    said: Option<String>,
}

fn quoted(said: Option<&str>) -> String {
    said.map(|said| format!(" but says {said:?}")).unwrap_or_default()
}

impl From<PeerAbuse> for io::Error {
    fn from(abuse: PeerAbuse) -> Self {
        Self::new(ErrorKind::InvalidData, abuse)
    }
}

impl ConnectionMonitor {
    fn new(protocol: Protocol) -> Self {
        let now = time::now();
        let http2 = || Http2Traffic {
            incoming: Http2Frames::after(0),
            outgoing: Http2Frames::after(PREFACE),
            detector: AbuseDetector::new(now),
            begun: false,
        };
        Self {
            heard: Cell::new(now),
            cut: Cell::new(false),
            reader: RefCell::default(),
            writer: RefCell::default(),
            http2: (protocol == Protocol::Http2).then(|| RefCell::new(http2())),
            informational: Arc::default(),
            ended: RefCell::default(),
            abuse: RefCell::default(),
            changed: Wakeup::default(),
        }
    }

    /// When the peer last sent anything.
    pub fn heard(&self) -> Instant {
        self.heard.get()
    }

    /// Ends the connection: its next read and write fail, and hyper lets go of the socket.
    pub fn cut(&self) {
        self.cut.set(true);
        for waker in [&self.reader, &self.writer] {
            let waker = waker.borrow_mut().take();
            if let Some(waker) = waker {
                waker.wake();
            }
        }
    }

    /// Waits until the peer has shown that it speaks HTTP/2, at most for `limit`. What takes
    /// connections and says nothing (a load balancer without a backend) is found out by this.
    pub async fn preface(&self, limit: Duration) -> Result<(), PrefaceError> {
        let preface = self.changed.until(|| match self.ask(AbuseDetector::has_preface) {
            Some(true) => Some(Ok(())),
            _ => self.ended.borrow().clone().map(|why| Err(PrefaceError::Ended(why))),
        });
        timeout(limit, preface).await.unwrap_or(Err(PrefaceError::Silent(limit)))
    }

    /// The HTTP/2 error code with which the peer announced that it takes no more requests on this
    /// connection; 0 where nothing is wrong but that.
    pub fn going_away(&self) -> Option<u32> {
        self.ask(AbuseDetector::going_away).flatten()
    }

    /// Waits for such an announcement.
    pub async fn goes_away(&self) -> u32 {
        self.changed.until(|| self.going_away()).await
    }

    /// What the peer did so that the connection was given up: hyper does not say it to the requests
    /// that go down with it.
    pub fn abuse(&self) -> Option<PeerAbuse> {
        self.abuse.borrow().clone()
    }

    /// Prepares a request on HTTP/1.1 so that interim answers to it are counted.
    pub fn count_informational<B>(&self, request: &mut Request<B>) {
        self.informational.store(0, Ordering::Relaxed);
        let count = Arc::clone(&self.informational);
        hyper::ext::on_informational(request, move |_| {
            count.fetch_add(1, Ordering::Relaxed);
        });
    }

    /// Fails where more interim answers came on HTTP/1.1 than any server has reason to send.
    pub fn check_informational(&self) -> Result<(), PeerAbuse> {
        match self.informational.load(Ordering::Relaxed) > MOST_INFORMATIONAL {
            true => Err(self.give_up(PeerAbuse { abuse: Abuse::Informational, said: None })),
            false => Ok(()),
        }
    }

    fn ask<T>(&self, ask: impl Fn(&AbuseDetector) -> T) -> Option<T> {
        self.http2.as_ref().map(|http2| ask(&http2.borrow().detector))
    }

    /// Fails once the connection is cut, else remembers whom to wake then.
    fn check(&self, waker: &RefCell<Option<Waker>>, cx: &Context<'_>) -> io::Result<()> {
        if self.cut.get() {
            return Err(io::Error::new(ErrorKind::ConnectionAborted, "given up by this side"));
        }
        let mut waker = waker.borrow_mut();
        if !waker.as_ref().is_some_and(|known| known.will_wake(cx.waker())) {
            *waker = Some(cx.waker().clone());
        }
        Ok(())
    }

    /// Looks at what came before hyper does.
    fn received(&self, bytes: &[u8]) -> Result<(), PeerAbuse> {
        let now = time::now();
        self.heard.set(now);
        let Some(http2) = &self.http2 else { return self.check_informational() };
        let (changed, result) = {
            let Http2Traffic { incoming, detector, begun, .. } = &mut *http2.borrow_mut();
            let before = (detector.has_preface(), detector.going_away());
            let result = incoming.feed(bytes, |frame| detector.received(&frame, now));
            let first = !std::mem::replace(begun, true);
            let result = result.map_err(|abuse| PeerAbuse {
                abuse,
                said: (first && abuse == Abuse::NoSettings).then(|| excerpt(bytes)),
            });
            (before != (detector.has_preface(), detector.going_away()), result)
        };
        if changed {
            self.changed.notify();
        }
        result.map_err(|abuse| self.give_up(abuse))
    }

    fn sent(&self, bytes: &[u8]) {
        let Some(http2) = &self.http2 else { return };
        let Http2Traffic { outgoing, detector, .. } = &mut *http2.borrow_mut();
        let _ = outgoing.feed(bytes, |frame| {
            detector.sent(&frame);
            Ok::<_, Abuse>(())
        });
    }

    fn give_up(&self, abuse: PeerAbuse) -> PeerAbuse {
        self.abuse.replace(Some(abuse.clone()));
        abuse
    }

    fn over(&self, why: ConnectionEnd) {
        self.ended.borrow_mut().get_or_insert(why);
        self.changed.notify();
    }
}

/// The first line of a text, as far as it can be shown.
fn excerpt(bytes: &[u8]) -> String {
    let line = bytes.split(|byte| matches!(byte, b'\r' | b'\n')).next().unwrap_or_default();
    line.iter()
        .take(EXCERPT)
        .map(|&byte| if (b' '..=b'~').contains(&byte) { char::from(byte) } else { '.' })
        .collect()
}

impl MonitoredIo {
    /// Watches a connection on which this protocol is spoken.
    pub fn new(io: Io, protocol: Protocol) -> (Self, Rc<ConnectionMonitor>) {
        let monitor = Rc::new(ConnectionMonitor::new(protocol));
        (Self { io, monitor: Rc::clone(&monitor) }, monitor)
    }
}

impl Read for MonitoredIo {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        self.monitor.check(&self.monitor.reader, cx)?;
        let monitor = Rc::clone(&self.monitor);
        let polled = Pin::new(&mut self.io).poll_read_seen(cx, buf, |bytes| match bytes {
            [] => {
                monitor.over(ConnectionEnd::Closed);
                Ok(())
            }
            bytes => Ok(monitor.received(bytes)?),
        });
        if let Poll::Ready(Err(error)) = &polled {
            self.monitor.over(ConnectionEnd::Broken(error.to_string()));
        }
        polled
    }
}

impl Write for MonitoredIo {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.monitor.check(&self.monitor.writer, cx)?;
        let polled = Write::poll_write(Pin::new(&mut self.io), cx, buf);
        if let Poll::Ready(Ok(written)) = &polled {
            self.monitor.sent(buf.get(..*written).unwrap_or_default());
        }
        polled
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.monitor.check(&self.monitor.writer, cx)?;
        Write::poll_flush(Pin::new(&mut self.io), cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.monitor.check(&self.monitor.writer, cx)?;
        Write::poll_shutdown(Pin::new(&mut self.io), cx)
    }
}

#[cfg(test)]
mod tests;

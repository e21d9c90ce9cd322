//! The wire under hyper: what was heard on it, how the peer behaves, and a way to cut it.

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

use super::{
    conduct::{Conduct, MOST_INFORMATIONAL, Offence},
    connect::Protocol,
    frames::{Frames, PREFACE},
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
pub struct Line {
    heard: Cell<Instant>,
    cut: Cell<bool>,
    reader: RefCell<Option<Waker>>,
    writer: RefCell<Option<Waker>>,
    /// HTTP/2: what goes over it, frame by frame.
    http2: Option<RefCell<Http2>>,
    /// HTTP/1.1: interim answers to the request that is under way. hyper counts them for us, in a
    /// callback that it wants `Send`.
    informational: Arc<AtomicU32>,
    /// Why no more comes.
    ended: RefCell<Option<String>>,
    /// What the peer did so that no more is read.
    offence: RefCell<Option<String>>,
    /// The peer greeted, goes away, or is gone.
    news: Wakeup,
}

#[derive(Debug)]
struct Http2 {
    incoming: Frames,
    outgoing: Frames,
    conduct: Conduct,
    begun: bool,
}

/// An [`Io`] with a [`Line`] attached.
#[derive(Debug)]
pub struct Tapped {
    io: Io,
    line: Rc<Line>,
}

/// A peer that took the connection does not speak HTTP/2 on it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoGreeting {
    /// Nothing came.
    #[error("it took the connection and sent no HTTP/2 SETTINGS within {0:?}")]
    Silent(Duration),
    /// The connection broke or was closed, or what came was something else.
    #[error("no HTTP/2 SETTINGS: {0}")]
    Ended(String),
}

impl Line {
    fn new(protocol: Protocol) -> Self {
        let now = time::now();
        let http2 = || Http2 {
            incoming: Frames::after(0),
            outgoing: Frames::after(PREFACE),
            conduct: Conduct::new(now),
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
            offence: RefCell::default(),
            news: Wakeup::default(),
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
    pub async fn greeted(&self, limit: Duration) -> Result<(), NoGreeting> {
        let greeted = self.news.until(|| match self.conduct(Conduct::speaks_http2) {
            Some(true) => Some(Ok(())),
            _ => self.ended.borrow().clone().map(|why| Err(NoGreeting::Ended(why))),
        });
        timeout(limit, greeted).await.unwrap_or(Err(NoGreeting::Silent(limit)))
    }

    /// The HTTP/2 error code with which the peer announced that it takes no more requests on this
    /// connection; 0 where nothing is wrong but that.
    pub fn going_away(&self) -> Option<u32> {
        self.conduct(Conduct::going_away).flatten()
    }

    /// Waits for such an announcement.
    pub async fn goes_away(&self) -> u32 {
        self.news.until(|| self.going_away()).await
    }

    /// What the peer did so that the connection was given up: hyper does not say it to the requests
    /// that go down with it.
    pub fn offence(&self) -> Option<String> {
        self.offence.borrow().clone()
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
    pub fn check_informational(&self) -> io::Result<()> {
        match self.informational.load(Ordering::Relaxed) > MOST_INFORMATIONAL {
            true => Err(self.offended(&Offence::Informational.to_string())),
            false => Ok(()),
        }
    }

    fn conduct<T>(&self, ask: impl Fn(&Conduct) -> T) -> Option<T> {
        self.http2.as_ref().map(|http2| ask(&http2.borrow().conduct))
    }

    /// Fails once the line is cut, else remembers whom to wake then.
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
    fn received(&self, bytes: &[u8]) -> io::Result<()> {
        let now = time::now();
        self.heard.set(now);
        let Some(http2) = &self.http2 else { return self.check_informational() };
        let (told, result) = {
            let Http2 { incoming, conduct, begun, .. } = &mut *http2.borrow_mut();
            let before = (conduct.speaks_http2(), conduct.going_away());
            let result = incoming.feed(bytes, |frame| conduct.received(&frame, now));
            let first = !std::mem::replace(begun, true);
            let result = result.map_err(|offence| match offence {
                Offence::NoSettings if first => format!("{offence} but says {:?}", excerpt(bytes)),
                _ => offence.to_string(),
            });
            (before != (conduct.speaks_http2(), conduct.going_away()), result)
        };
        if told {
            self.news.notify();
        }
        result.map_err(|why| self.offended(&why))
    }

    fn sent(&self, bytes: &[u8]) {
        let Some(http2) = &self.http2 else { return };
        let Http2 { outgoing, conduct, .. } = &mut *http2.borrow_mut();
        let _ = outgoing.feed(bytes, |frame| {
            conduct.sent(&frame);
            Ok::<_, Offence>(())
        });
    }

    fn offended(&self, why: &str) -> io::Error {
        let text = format!("given up on a peer that misbehaves: {why}");
        self.offence.replace(Some(text.clone()));
        io::Error::new(ErrorKind::InvalidData, text)
    }

    fn over(&self, why: String) {
        self.ended.borrow_mut().get_or_insert(why);
        self.news.notify();
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

impl Tapped {
    /// Taps a connection on which this protocol is spoken.
    pub fn new(io: Io, protocol: Protocol) -> (Self, Rc<Line>) {
        let line = Rc::new(Line::new(protocol));
        (Self { io, line: Rc::clone(&line) }, line)
    }
}

impl Read for Tapped {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        self.line.check(&self.line.reader, cx)?;
        let line = Rc::clone(&self.line);
        let polled = Pin::new(&mut self.io).poll_read_seen(cx, buf, |bytes| match bytes {
            [] => {
                line.over("it closed the connection".into());
                Ok(())
            }
            bytes => line.received(bytes),
        });
        if let Poll::Ready(Err(error)) = &polled {
            self.line.over(error.to_string());
        }
        polled
    }
}

impl Write for Tapped {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.line.check(&self.line.writer, cx)?;
        let polled = Write::poll_write(Pin::new(&mut self.io), cx, buf);
        if let Poll::Ready(Ok(written)) = &polled {
            self.line.sent(buf.get(..*written).unwrap_or_default());
        }
        polled
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.line.check(&self.line.writer, cx)?;
        Write::poll_flush(Pin::new(&mut self.io), cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.line.check(&self.line.writer, cx)?;
        Write::poll_shutdown(Pin::new(&mut self.io), cx)
    }
}

#[cfg(test)]
mod tests;

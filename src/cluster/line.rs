//! The wire under hyper: when something was last heard on it, and a way to cut it.

use std::{
    cell::{Cell, RefCell},
    io,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, Waker},
    time::Instant,
};

use hyper::rt::{Read, ReadBufCursor, Write};

use crate::{net::io::Io, time};

/// What is known of a connection from outside hyper.
///
/// hyper runs an HTTP/2 connection in a task of its own that outlives its handles while streams
/// are open. A peer that fell silent is got rid of by [`cut`](Self::cut).
#[derive(Debug)]
pub(super) struct Line {
    heard: Cell<Instant>,
    cut: Cell<bool>,
    reader: RefCell<Option<Waker>>,
    writer: RefCell<Option<Waker>>,
}

/// An [`Io`] with a [`Line`] attached.
#[derive(Debug)]
pub(super) struct Tapped {
    io: Io,
    line: Rc<Line>,
}

impl Line {
    /// When the peer last sent anything.
    pub(super) fn heard(&self) -> Instant {
        self.heard.get()
    }

    /// Ends the connection: its next read and write fail, and hyper lets go of the socket.
    pub(super) fn cut(&self) {
        self.cut.set(true);
        for waker in [&self.reader, &self.writer] {
            let waker = waker.borrow_mut().take();
            if let Some(waker) = waker {
                waker.wake();
            }
        }
    }

    /// Fails once the line is cut, else remembers whom to wake then.
    fn check(&self, waker: &RefCell<Option<Waker>>, cx: &Context<'_>) -> io::Result<()> {
        if self.cut.get() {
            return Err(io::Error::new(io::ErrorKind::ConnectionAborted, "given up by this side"));
        }
        let mut waker = waker.borrow_mut();
        if !waker.as_ref().is_some_and(|known| known.will_wake(cx.waker())) {
            *waker = Some(cx.waker().clone());
        }
        Ok(())
    }
}

impl Tapped {
    pub(super) fn new(io: Io) -> (Self, Rc<Line>) {
        let line = Rc::new(Line {
            heard: Cell::new(time::now()),
            cut: Cell::new(false),
            reader: RefCell::default(),
            writer: RefCell::default(),
        });
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
        let polled = Pin::new(&mut self.io).poll_read(cx, buf);
        if polled.is_ready() {
            self.line.heard.set(time::now());
        }
        polled
    }
}

impl Write for Tapped {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.line.check(&self.line.writer, cx)?;
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.line.check(&self.line.writer, cx)?;
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.line.check(&self.line.writer, cx)?;
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

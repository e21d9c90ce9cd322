//! One client's connection to a proxy, request after request.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::TcpStream,
    sync::mpsc::{self, Sender},
    thread,
    time::Duration,
};

use ureq::{Body, http::Response};

use super::{
    Http1Request, LineFate, RequestFate,
    desk::{Arrival, HoldbackAct, ToDesk},
};
use crate::support::{http1, rest::Rest};

/// Whether a client may connect.
pub(super) fn admitted(number: usize, stream: &TcpStream, desk: &Sender<ToDesk>) -> bool {
    let (tell, admitted) = mpsc::channel();
    let Ok(stream) = stream.try_clone() else { return false };
    desk.send(ToDesk::Opened(number, stream, tell)).is_ok() && admitted.recv().unwrap_or(false)
}

/// Serves until the client goes, or its connection shall break.
pub(super) fn serve(stream: &TcpStream, server: &Rest, desk: &Sender<ToDesk>) -> io::Result<()> {
    let mut from = BufReader::new(stream.try_clone()?);
    stream.set_nodelay(true)?;
    while let Some(request) = http1::read_request(&mut from)? {
        let (tell, act) = mpsc::channel();
        let asked = desk.send(ToDesk::Ask(request.clone(), tell));
        let Some((number, act)) = asked.ok().and_then(|()| act.recv().ok()) else { return Ok(()) };
        let exchange = ProxiedExchange { number, request: &request, client: stream, server, desk };
        if !exchange.perform(act)? {
            break;
        }
    }
    Ok(())
}

struct ProxiedExchange<'a> {
    number: usize,
    request: &'a Http1Request,
    client: &'a TcpStream,
    server: &'a Rest,
    desk: &'a Sender<ToDesk>,
}

impl ProxiedExchange<'_> {
    /// Whether the connection goes on.
    fn perform(&self, act: HoldbackAct) -> io::Result<bool> {
        match act {
            HoldbackAct::Fate(fate) => self.meet(fate),
            HoldbackAct::Hold(arrivals) => {
                let (go, released) = mpsc::channel();
                if arrivals.send(Arrival { request: self.request.clone(), go }).is_err() {
                    return Ok(false);
                }
                let Ok(tell) = released.recv() else { return Ok(false) };
                let answer = self.forward(&self.request.path)?;
                let _ = tell.send(answer.status().as_u16());
                self.relay(answer)
            }
        }
    }

    fn meet(&self, fate: RequestFate) -> io::Result<bool> {
        let path = &self.request.path;
        match fate {
            RequestFate::Pass => self.relay(self.forward(path)?),
            RequestFate::Delay(time) => {
                thread::sleep(time);
                self.relay(self.forward(path)?)
            }
            RequestFate::Elsewhere(to) => self.relay(self.forward(&(to.0)(self.request))?),
            RequestFate::DropAnswer => {
                // Read to its end: the write has surely happened when the connection breaks.
                let _ = self.forward(path)?.body_mut().read_to_vec();
                Ok(false)
            }
            RequestFate::Lose => Ok(false),
            RequestFate::Reset => {
                rustix::net::sockopt::set_socket_linger(self.client, Some(Duration::ZERO))?;
                Ok(false)
            }
            RequestFate::Swallow => self.linger(),
            RequestFate::Mute => {
                self.head(&self.forward(path)?)?;
                self.linger()
            }
            RequestFate::Cut(after) => {
                let answer = self.forward(path)?;
                self.head(&answer)?;
                let mut body = answer.into_body().into_reader().take(after as u64);
                self.pieces(&mut body, after.max(1), Duration::ZERO).map(|()| false)
            }
            RequestFate::Throttle(rate) => {
                let answer = self.forward(path)?;
                self.head(&answer)?;
                // A tenth of a second's worth at a time.
                let piece = (rate / 10).max(1);
                let mut body = answer.into_body().into_reader();
                self.pieces(&mut body, piece, Duration::from_millis(100))?;
                http1::write_chunk(self.client, b"").map(|()| true)
            }
            RequestFate::Lines(tamper) => {
                let answer = self.forward(path)?;
                self.head(&answer)?;
                self.lines(answer, |line| (tamper.0)(line))
            }
            RequestFate::Says(speech) => {
                let mut client = self.client;
                (speech.0)(self.request, &mut client).map(|()| false)
            }
            RequestFate::Answer { status, retry_after, body } => {
                let mut headers = vec![("content-type".to_owned(), "application/json".to_owned())];
                headers.extend(retry_after.map(|seconds| ("retry-after".to_owned(), seconds.to_string())));
                http1::write_head(self.client, status, &headers)?;
                http1::write_chunk(self.client, body.as_bytes())?;
                http1::write_chunk(self.client, b"").map(|()| true)
            }
        }
    }

    fn forward(&self, path: &str) -> io::Result<Response<Body>> {
        let keep = |name: &str| self.request.header(name).unwrap_or_default();
        let headers = ["content-type", "accept", "user-agent"].map(|name| (name, keep(name)));
        let body = (!self.request.body.is_empty()).then(|| self.request.body.clone());
        let path = path.trim_start_matches('/');
        let answer =
            self.server.open(&self.request.method, path, &headers, body).map_err(io::Error::other)?;
        let _ = self.desk.send(ToDesk::Answered(self.number, answer.status().as_u16()));
        Ok(answer)
    }

    /// Says nothing more until the client goes.
    fn linger(&self) -> io::Result<bool> {
        let mut client = self.client;
        io::copy(&mut client, &mut io::sink()).map(|_| false)
    }

    fn head(&self, answer: &Response<Body>) -> io::Result<()> {
        let hop = ["connection", "content-length", "transfer-encoding", "keep-alive"];
        let headers: Vec<(String, String)> = answer
            .headers()
            .iter()
            .filter(|(name, _)| !hop.contains(&name.as_str()))
            .map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
            .collect();
        http1::write_head(self.client, answer.status().as_u16(), &headers)
    }

    /// Passes an answer on piece by piece as it comes, since it may be a watch.
    fn relay(&self, answer: Response<Body>) -> io::Result<bool> {
        self.head(&answer)?;
        self.pieces(&mut answer.into_body().into_reader(), 64 << 10, Duration::ZERO)?;
        http1::write_chunk(self.client, b"").map(|()| true)
    }

    fn pieces(&self, body: &mut impl Read, size: usize, pause: Duration) -> io::Result<()> {
        let (mut to, mut piece) = (self.client, vec![0; size]);
        loop {
            let length = body.read(&mut piece)?;
            if length == 0 {
                return Ok(());
            }
            http1::write_chunk(to, &piece[..length])?;
            to.flush()?;
            thread::sleep(pause);
        }
    }

    /// Whether the client has closed its connection.
    fn is_gone(&self) -> io::Result<bool> {
        self.client.set_nonblocking(true)?;
        let peeked = self.client.peek(&mut [0]);
        self.client.set_nonblocking(false)?;
        Ok(match peeked {
            Ok(length) => length == 0,
            Err(fault) => fault.kind() != io::ErrorKind::WouldBlock,
        })
    }

    fn lines(&self, answer: Response<Body>, tamper: impl Fn(&str) -> LineFate) -> io::Result<bool> {
        let mut body = BufReader::new(answer.into_body().into_reader());
        let mut line = String::new();
        while body.read_line(&mut line)? > 0 {
            // What nobody listens to any more must not count as done to somebody.
            if self.is_gone()? {
                return Ok(false);
            }
            match tamper(line.trim_end_matches('\n')) {
                LineFate::Pass => http1::write_chunk(self.client, line.as_bytes())?,
                LineFate::Drop => {}
                LineFate::Instead(text) => http1::write_chunk(self.client, text.as_bytes())?,
                LineFate::Cut(after) => {
                    http1::write_chunk(self.client, &line.as_bytes()[..after.min(line.len())])?;
                    return Ok(false);
                }
            }
            line.clear();
        }
        http1::write_chunk(self.client, b"").map(|()| true)
    }
}

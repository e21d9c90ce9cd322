//! A membership for tests, at the level of HTTP/2 frames: it sends what no gRPC library would (bytes
//! that are no message, every order in a frame of its own, a stream that breaks off) and shares no
//! code with the agent but the generated messages. One stream per connection, as agents open it.

use std::{
    io::{BufReader, BufWriter, Read},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
        mpsc::{self, Receiver, Sender},
    },
    thread,
    time::{Duration, Instant},
};

use prost::Message as _;
use stackherd::membership::wire::server::{Message, Order, message, order};

pub use super::incoming::UplinkEnd;
use super::{
    frames::{self, PREFACE, TestFrame},
    incoming::{OpenStream, StreamItem},
    lapses::Lapses,
    outgoing::{self, OutgoingItem},
};
use crate::support::{machine::MachineShare, now};

/// gRPC status code.
pub const UNAUTHENTICATED: u32 = 16;

/// The server. It stops listening when it is dropped; streams end with their [`Joined`].
pub struct TestMembership {
    address: SocketAddr,
    joined: Receiver<Joined>,
    joins: Arc<AtomicUsize>,
    refuse: Arc<AtomicUsize>,
    stopped: Arc<AtomicBool>,
    lapses: Lapses,
    ears: Receiver<Message>,
    heard: Vec<Message>,
    _share: MachineShare,
}

impl TestMembership {
    pub fn start() -> Self {
        let share = MachineShare::take();
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("bound");
        let (tell, joined) = mpsc::channel();
        let (hears, ears) = mpsc::channel();
        let (joins, refuse) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let stopped = Arc::new(AtomicBool::new(false));
        let lapses = Lapses::default();
        let (shared, less) = (Arc::clone(&joins), Arc::clone(&refuse));
        let host = Host { tell, joins: shared, refuse: less, lapses: lapses.clone(), hears };
        let stop = Arc::clone(&stopped);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if stop.load(Ordering::Acquire) {
                    break;
                }
                let host = host.clone();
                thread::spawn(move || host.serve(&stream));
            }
        });
        Self { address, joined, joins, refuse, stopped, lapses, ears, heard: Vec::new(), _share: share }
    }

    /// `127.0.0.1:<port>`
    pub fn address(&self) -> String {
        self.address.to_string()
    }

    /// How often an agent asked to join, refusals included.
    pub fn joins(&self) -> usize {
        self.joins.load(Ordering::Acquire)
    }

    /// The next `times` joins are refused for their token.
    pub fn refuse(&self, times: usize) {
        self.refuse.store(times, Ordering::Release);
    }

    /// Cuts the connection right behind the `nth` message (from 1 on, over all streams, Pongs aside).
    pub fn cut_after(&self, nth: usize) {
        self.lapses.cut_after(nth);
    }

    /// Drops the `nth` message as if it had never come.
    pub fn lose(&self, nth: usize) {
        self.lapses.lose(nth);
    }

    /// How many messages came so far, Pongs aside, and the lost one included.
    pub fn came(&self) -> usize {
        self.lapses.came()
    }

    /// Everything but Pongs that came so far on any stream, in the order of its coming.
    pub fn heard(&mut self) -> &[Message] {
        self.heard.extend(self.ears.try_iter());
        &self.heard
    }

    /// Waits for the next agent that joins (refused ones do not count).
    #[track_caller]
    pub fn joined(&self, within: Duration) -> Joined {
        self.joined.recv_timeout(within).expect("no agent joined")
    }

    /// The same where perhaps none joins.
    pub fn try_joined(&self, within: Duration) -> Option<Joined> {
        self.joined.recv_timeout(within).ok()
    }
}

impl Drop for TestMembership {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::Release);
        // Wakes the listener.
        let _ = TcpStream::connect(self.address);
    }
}

/// A stream that an agent opened. Dropped, its connection is cut.
pub struct Joined {
    out: Sender<OutgoingItem>,
    connection: TcpStream,
    pongs: Arc<AtomicUsize>,
    came: Receiver<StreamItem>,
    reports: Vec<Message>,
    end: Option<UplinkEnd>,
}

impl Joined {
    /// Sends an order, in a DATA frame of its own.
    pub fn order(&self, order: order::Message) {
        self.order_with(order, &[]);
    }

    /// The same with metadata.
    pub fn order_with(&self, order: order::Message, metadata: &[(&str, &str)]) {
        self.bytes(&encoded(order, metadata));
    }

    /// Sends all of an order but its last byte, and ends the connection behind it.
    pub fn torn(&self, order: order::Message) {
        let mut bytes = frames::prefixed(&encoded(order, &[]));
        bytes.pop();
        let _ = self.out.send(OutgoingItem::Last(bytes));
    }

    /// Sends these bytes as a gRPC message, whatever they are.
    pub fn bytes(&self, message: &[u8]) {
        // The agent may be gone: that shows in what the test waits for.
        let _ = self.out.send(OutgoingItem::Message(frames::prefixed(message)));
    }

    /// How many Pongs came.
    pub fn pongs(&self) -> usize {
        self.pongs.load(Ordering::Acquire)
    }

    /// Sends a Ping and says how long it took until one more Pong had come (a heartbeat counts, too).
    #[track_caller]
    pub fn ping(&self, within: Duration) -> Duration {
        let (start, before) = (now(), self.pongs());
        self.order(order::Message::Ping(Default::default()));
        self.await_pongs(before + 1, start, within);
        start.elapsed()
    }

    /// Sends so many Pings and waits for as many more Pongs: everything sent before was read then.
    #[track_caller]
    pub fn pings(&self, times: usize, within: Duration) {
        let (start, before) = (now(), self.pongs());
        for _ in 0..times {
            self.order(order::Message::Ping(Default::default()));
        }
        self.await_pongs(before + times, start, within);
    }

    #[track_caller]
    fn await_pongs(&self, pongs: usize, start: Instant, within: Duration) {
        while self.pongs() < pongs {
            assert!(start.elapsed() < within, "{} Pongs of {pongs} within {within:?}", self.pongs());
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// Everything but Pongs that came so far.
    pub fn reports(&mut self) -> &[Message] {
        while let Ok(came) = self.came.try_recv() {
            self.note(came);
        }
        &self.reports
    }

    /// Whether this stack was reported as deleted.
    pub fn told_deleted(&mut self, stack: &str) -> bool {
        self.reports().iter().any(|report| match &report.message {
            Some(message::Message::StackDeleted(deleted)) => deleted.cluster_name == stack,
            _ => false,
        })
    }

    /// Waits for the agent's side to end.
    #[track_caller]
    pub fn ended(&mut self, within: Duration) -> UplinkEnd {
        let start = now();
        loop {
            if let Some(end) = self.end {
                return end;
            }
            let left = within.saturating_sub(start.elapsed());
            match self.came.recv_timeout(left) {
                Ok(came) => self.note(came),
                Err(_) => panic!("the agent's side did not end within {within:?}"),
            }
        }
    }

    /// It has not ended yet.
    pub fn is_open(&mut self) -> bool {
        self.reports();
        self.end.is_none()
    }

    fn note(&mut self, came: StreamItem) {
        match came {
            StreamItem::Report(report) => self.reports.push(*report),
            StreamItem::End(end) => self.end = self.end.or(Some(end)),
        }
    }

    /// Resets the stream; the connection stays.
    pub fn reset(&self) {
        let _ = self.out.send(OutgoingItem::Reset);
    }

    /// Cuts the connection without a word.
    pub fn cut(&self) {
        let _ = self.connection.shutdown(Shutdown::Both);
    }
}

impl Drop for Joined {
    fn drop(&mut self) {
        self.cut();
    }
}

fn encoded(order: order::Message, metadata: &[(&str, &str)]) -> Vec<u8> {
    let pairs = metadata.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    Order { message: Some(order), metadata: pairs.collect() }.encode_to_vec()
}

#[derive(Clone)]
struct Host {
    tell: Sender<Joined>,
    joins: Arc<AtomicUsize>,
    refuse: Arc<AtomicUsize>,
    lapses: Lapses,
    hears: Sender<Message>,
}

impl Host {
    /// Reads a connection to its end; what is wrong with it shows to the test as a broken stream.
    fn serve(self, connection: &TcpStream) {
        let _ = connection.set_nodelay(true);
        let (Ok(from), Ok(to)) = (connection.try_clone(), connection.try_clone()) else { return };
        let (out, orders) = mpsc::channel();
        let writer = thread::spawn(move || {
            let _ = outgoing::write(BufWriter::with_capacity(64 << 10, &to), &orders);
            to.shutdown(Shutdown::Both)
        });
        let mut open = None;
        let mut from = BufReader::with_capacity(64 << 10, from);
        let mut preface = [0; PREFACE.len()];
        if from.read_exact(&mut preface).is_ok() && preface == *PREFACE {
            while let Ok(frame) = TestFrame::read(&mut from) {
                if self.handle(frame, connection, &out, &mut open).is_none() {
                    break;
                }
            }
        }
        if let Some(open) = open {
            let _ = open.tell.send(StreamItem::End(UplinkEnd::Broken));
        }
        let _ = connection.shutdown(Shutdown::Both);
        drop(out);
        let _ = writer.join();
    }

    /// `None`: the connection is over.
    fn handle(
        &self,
        frame: TestFrame,
        connection: &TcpStream,
        out: &Sender<OutgoingItem>,
        open: &mut Option<OpenStream>,
    ) -> Option<()> {
        let is_open =
            |open: &Option<OpenStream>| open.as_ref().is_some_and(|open| open.stream == frame.stream);
        match frame.kind {
            // Trailers: nobody sends any here, but they would end the call.
            frames::HEADERS if is_open(open) => {
                let _ = open.take()?.tell.send(StreamItem::End(UplinkEnd::Closed));
            }
            frames::HEADERS => *open = self.join(frame.stream, connection, out),
            frames::DATA if is_open(open) => {
                if !frame.payload.is_empty() {
                    for stream in [0, frame.stream] {
                        out.send(OutgoingItem::Frame(TestFrame::window_update(stream, frame.payload.len())))
                            .ok()?;
                    }
                }
                let ends = frame.has(frames::END_STREAM);
                open.as_mut()?.take(&frame.payload)?;
                if ends {
                    let _ = open.take()?.tell.send(StreamItem::End(UplinkEnd::Closed));
                    out.send(OutgoingItem::Finish).ok()?;
                }
            }
            frames::RST_STREAM if is_open(open) => {
                let _ = open.take()?.tell.send(StreamItem::End(UplinkEnd::Broken));
            }
            frames::SETTINGS if !frame.has(frames::ACK) => out.send(OutgoingItem::Settings(frame)).ok()?,
            frames::WINDOW_UPDATE => out.send(OutgoingItem::Window(frame)).ok()?,
            frames::PING if !frame.has(frames::ACK) => {
                out.send(OutgoingItem::Frame(TestFrame::new(frames::PING, frames::ACK, 0, frame.payload)))
                    .ok()?;
            }
            _ => {}
        }
        Some(())
    }

    fn join(&self, stream: u32, connection: &TcpStream, out: &Sender<OutgoingItem>) -> Option<OpenStream> {
        self.joins.fetch_add(1, Ordering::AcqRel);
        let less = |left: usize| left.checked_sub(1);
        if self.refuse.fetch_update(Ordering::AcqRel, Ordering::Acquire, less).is_ok() {
            let mut block = frames::response_headers();
            block.extend(frames::trailers(UNAUTHENTICATED, "this token is not known"));
            let flags = frames::END_HEADERS | frames::END_STREAM;
            let _ = out.send(OutgoingItem::Frame(TestFrame::new(frames::HEADERS, flags, stream, block)));
            return None;
        }
        out.send(OutgoingItem::Open(stream)).ok()?;
        let (tell, came) = mpsc::channel();
        let pongs = Arc::new(AtomicUsize::new(0));
        let joined = Joined {
            out: out.clone(),
            connection: connection.try_clone().ok()?,
            pongs: Arc::clone(&pongs),
            came,
            reports: Vec::new(),
            end: None,
        };
        self.tell.send(joined).ok()?;
        let (lapses, hears) = (self.lapses.clone(), self.hears.clone());
        Some(OpenStream { stream, pongs, tell, bytes: Vec::new(), lapses, hears })
    }
}

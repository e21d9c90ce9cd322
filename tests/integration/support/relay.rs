//! A relay of bytes in front of a server: it sees how many there are, and can cut them off, at any
//! byte, or swallow them. TLS passes through it untouched.

use std::{
    io::{Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering},
        mpsc::{self, Receiver, Sender},
    },
    thread,
};

/// The relay. It takes no more connections once it is dropped, and breaks those it has.
pub struct Relay {
    address: SocketAddr,
    received: Arc<AtomicUsize>,
    connections: Arc<AtomicUsize>,
    mood: Arc<Mood>,
    cut: Sender<RelayOrder>,
    stopped: Arc<AtomicBool>,
}

/// What is done to bytes on their way.
#[derive(Default)]
struct Mood {
    /// Those of so many connections, the oldest ones, are taken and go nowhere.
    hushed: AtomicUsize,
    /// Swallowed so far.
    swallowed: AtomicUsize,
    /// The connection that carries so many more bytes to its client is cut behind them; below
    /// zero: none is.
    fuse: AtomicI64,
    /// Connections that were cut so.
    cuts: AtomicUsize,
}

enum RelayOrder {
    Keep(TcpStream),
    Cut(Sender<()>),
}

impl Relay {
    /// Starts a relay in front of `https://127.0.0.1:<port>`, or `127.0.0.1:<port>`.
    pub fn before(url: &str) -> Self {
        let server: SocketAddr = url.trim_start_matches("https://").parse().expect("an address");
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("bound");
        let (cut, orders) = mpsc::channel();
        thread::spawn(move || keep(&orders));
        let relay = Self {
            address,
            received: Arc::default(),
            connections: Arc::default(),
            mood: Arc::new(Mood { fuse: AtomicI64::new(-1), ..Mood::default() }),
            cut,
            stopped: Arc::default(),
        };
        let (received, connections) = (Arc::clone(&relay.received), Arc::clone(&relay.connections));
        let (kept, stop) = (relay.cut.clone(), Arc::clone(&relay.stopped));
        let mood = Arc::clone(&relay.mood);
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                if stop.load(Ordering::Acquire) {
                    break;
                }
                let number = connections.fetch_add(1, Ordering::AcqRel);
                let Ok(server) = TcpStream::connect(server) else { continue };
                for stream in [&client, &server] {
                    let _ = kept.send(RelayOrder::Keep(stream.try_clone().expect("a handle")));
                }
                let (to_client, to_server) =
                    (client.try_clone().expect("a handle"), server.try_clone().expect("a handle"));
                let (received, up, down) = (Arc::clone(&received), Arc::clone(&mood), Arc::clone(&mood));
                thread::spawn(move || pump(number, client, to_server, &up, None));
                thread::spawn(move || pump(number, server, to_client, &down, Some(&received)));
            }
        });
        relay
    }

    /// `https://127.0.0.1:<port>`
    pub fn url(&self) -> String {
        format!("https://{}", self.address)
    }

    /// `127.0.0.1:<port>`
    pub fn address(&self) -> String {
        self.address.to_string()
    }

    /// From now on bytes of the connections that there are go nowhere, though these stay open. New
    /// ones are as they should be.
    pub fn hush(&self) {
        self.mood.hushed.store(self.connections(), Ordering::Release);
    }

    /// Bytes that went nowhere.
    pub fn swallowed(&self) -> usize {
        self.mood.swallowed.load(Ordering::Acquire)
    }

    /// So many more bytes reach a client, and then its connection is cut.
    pub fn cut_after(&self, bytes: usize) {
        self.mood.fuse.store(i64::try_from(bytes).expect("a few bytes"), Ordering::Release);
    }

    /// How often that has happened.
    pub fn cuts(&self) -> usize {
        self.mood.cuts.load(Ordering::Acquire)
    }

    /// Bytes that the server has sent.
    pub fn received(&self) -> usize {
        self.received.load(Ordering::Acquire)
    }

    /// Connections that were made so far.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::Acquire)
    }

    /// Breaks every connection there is; new ones are taken.
    pub fn cut(&self) {
        let (done, cut) = mpsc::channel();
        self.cut.send(RelayOrder::Cut(done)).expect("somebody keeps the connections");
        cut.recv().expect("they were cut");
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::Release);
        self.cut();
        // The one who accepts notices with the next connection.
        let _ = TcpStream::connect(self.address);
    }
}

fn keep(orders: &Receiver<RelayOrder>) {
    let mut kept = Vec::new();
    for order in orders {
        match order {
            RelayOrder::Keep(stream) => kept.push(stream),
            RelayOrder::Cut(done) => {
                for stream in kept.drain(..) {
                    let _ = stream.shutdown(Shutdown::Both);
                }
                let _ = done.send(());
            }
        }
    }
}

/// To a client where bytes are counted, which are then those that a server sent.
fn pump(number: usize, mut from: TcpStream, mut to: TcpStream, mood: &Mood, count: Option<&AtomicUsize>) {
    let mut buffer = vec![0; 64 << 10];
    while let Ok(length @ 1..) = from.read(&mut buffer) {
        if number < mood.hushed.load(Ordering::Acquire) {
            mood.swallowed.fetch_add(length, Ordering::AcqRel);
            continue;
        }
        let whole = match count {
            Some(count) => {
                count.fetch_add(length, Ordering::AcqRel);
                mood.burn(length)
            }
            None => length,
        };
        if to.write_all(&buffer[..whole]).is_err() || whole < length {
            break;
        }
    }
    for stream in [from, to] {
        let _ = stream.shutdown(Shutdown::Both);
    }
}

impl Mood {
    /// How many of these bytes go on; fewer where the connection is to be cut behind them.
    fn burn(&self, length: usize) -> usize {
        let bytes = i64::try_from(length).expect("a buffer's length");
        // The byte at which it ends belongs to what is lost: so a cut is always inside of something.
        let less = |left: i64| (left >= 0).then(|| if left < bytes { -1 } else { left - bytes });
        match self.fuse.fetch_update(Ordering::AcqRel, Ordering::Acquire, less) {
            Ok(left) if left < bytes => {
                self.cuts.fetch_add(1, Ordering::AcqRel);
                usize::try_from(left).unwrap_or(0)
            }
            _ => length,
        }
    }
}

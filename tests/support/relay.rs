//! A relay of bytes in front of a server: it sees how many there are, and can cut them off. TLS
//! passes through it untouched.

use std::{
    io::{Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
        mpsc::{self, Receiver, Sender},
    },
    thread,
};

/// The relay. It takes no more connections once it is dropped, and breaks those it has.
pub struct Relay {
    address: SocketAddr,
    received: Arc<AtomicUsize>,
    connections: Arc<AtomicUsize>,
    cut: Sender<Order>,
    stopped: Arc<AtomicBool>,
}

enum Order {
    Keep(TcpStream),
    Cut(Sender<()>),
}

impl Relay {
    /// Starts a relay in front of `https://127.0.0.1:<port>`.
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
            cut,
            stopped: Arc::default(),
        };
        let (received, connections) = (Arc::clone(&relay.received), Arc::clone(&relay.connections));
        let (kept, stop) = (relay.cut.clone(), Arc::clone(&relay.stopped));
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                if stop.load(Ordering::Acquire) {
                    break;
                }
                connections.fetch_add(1, Ordering::AcqRel);
                let Ok(server) = TcpStream::connect(server) else { continue };
                for stream in [&client, &server] {
                    let _ = kept.send(Order::Keep(stream.try_clone().expect("a handle")));
                }
                let (to_client, to_server) =
                    (client.try_clone().expect("a handle"), server.try_clone().expect("a handle"));
                let received = Arc::clone(&received);
                thread::spawn(move || pump(client, to_server, &AtomicUsize::new(0)));
                thread::spawn(move || pump(server, to_client, &received));
            }
        });
        relay
    }

    /// `https://127.0.0.1:<port>`
    pub fn url(&self) -> String {
        format!("https://{}", self.address)
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
        self.cut.send(Order::Cut(done)).expect("somebody keeps the connections");
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

fn keep(orders: &Receiver<Order>) {
    let mut kept = Vec::new();
    for order in orders {
        match order {
            Order::Keep(stream) => kept.push(stream),
            Order::Cut(done) => {
                for stream in kept.drain(..) {
                    let _ = stream.shutdown(Shutdown::Both);
                }
                let _ = done.send(());
            }
        }
    }
}

fn pump(mut from: TcpStream, mut to: TcpStream, count: &AtomicUsize) {
    let mut buffer = vec![0; 64 << 10];
    while let Ok(length @ 1..) = from.read(&mut buffer) {
        count.fetch_add(length, Ordering::AcqRel);
        if to.write_all(&buffer[..length]).is_err() {
            break;
        }
    }
    for stream in [from, to] {
        let _ = stream.shutdown(Shutdown::Both);
    }
}

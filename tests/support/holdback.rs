//! A proxy in front of an API server that does to requests what networks do: holds them back until
//! long after their sender gave up, loses them, loses their answers, delays them.
//!
//! Plain HTTP/1.1 in front; what it forwards bears the rights of the [`Rest`] it was given.

use std::{
    collections::BTreeMap,
    io::{self, BufReader, Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
        mpsc::{self, Receiver, Sender},
    },
    thread,
    time::Duration,
};

use tempfile::TempDir;
use ureq::{Body, http::Response};

pub use super::http1::Request;
use super::{http1, kubeconfig, rest::Rest};

/// What becomes of a request.
#[derive(Debug, Clone)]
pub enum Fate {
    /// It is delivered, and so is its answer.
    Pass,
    /// It is delivered after this long.
    Delay(Duration),
    /// It is delivered, and its connection closed in place of the answer.
    DropAnswer,
    /// It is not delivered, and its connection closed.
    Lose,
    /// It is not delivered; this is the answer.
    Answer {
        status: u16,
        /// Seconds in a `Retry-After` header.
        retry_after: Option<u32>,
        /// JSON.
        body: String,
    },
}

/// The proxy. It stops listening when it is dropped.
pub struct Holdback {
    address: SocketAddr,
    desk: Sender<ToDesk>,
    stopped: Arc<AtomicBool>,
    folder: TempDir,
}

impl Holdback {
    /// Starts a proxy in front of this server.
    pub fn before(server: Rest) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("bound");
        let (desk, orders) = mpsc::channel();
        thread::spawn(move || keep_desk(&orders));
        let stopped = Arc::new(AtomicBool::new(false));
        let (ask, stop) = (desk.clone(), Arc::clone(&stopped));
        thread::spawn(move || {
            for (number, stream) in listener.incoming().map_while(Result::ok).enumerate() {
                if stop.load(Ordering::Acquire) {
                    break;
                }
                let (server, ask) = (server.clone(), ask.clone());
                thread::spawn(move || {
                    // What goes wrong on a connection shows to the client, which is what is tested.
                    if admitted(number, &stream, &ask) {
                        let _ = serve(&stream, &server, &ask);
                        let _ = ask.send(ToDesk::Closed(number));
                    }
                });
            }
        });
        Self { address, desk, stopped, folder: TempDir::new().expect("temporary folder") }
    }

    /// `http://127.0.0.1:<port>`
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Writes a kubeconfig that points at the proxy and says where.
    pub fn kubeconfig(&self) -> PathBuf {
        let path = self.folder.path().join("kubeconfig");
        kubeconfig::write(&path, &self.url(), None, None);
        path
    }

    /// The next `times` requests that match meet this fate. The newest rule that matches counts.
    pub fn rule(&self, times: usize, when: impl Fn(&Request) -> bool + Send + 'static, fate: Fate) -> Fired {
        let fired = Arc::new(AtomicUsize::new(0));
        self.add(times, Box::new(when), Act::Fate(fate), &fired);
        Fired(fired)
    }

    /// The next request that matches is held back until it is released, however long its sender waits.
    pub fn hold(&self, when: impl Fn(&Request) -> bool + Send + 'static) -> Held {
        let (tell, arrivals) = mpsc::channel();
        self.add(1, Box::new(when), Act::Hold(tell), &Arc::default());
        Held { arrivals }
    }

    /// Cuts every connection, those of watches too, and lets nobody connect any more.
    pub fn sever(&self) {
        self.set_severed(true);
    }

    /// Lets clients connect again.
    pub fn restore(&self) {
        self.set_severed(false);
    }

    fn set_severed(&self, severed: bool) {
        let (tell, done) = mpsc::channel();
        self.desk.send(ToDesk::Sever(severed, tell)).expect("the desk is kept");
        done.recv().expect("the desk answers");
    }

    /// How many requests came, by HTTP method.
    pub fn counts(&self) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for request in self.seen() {
            *counts.entry(request.method).or_default() += 1;
        }
        counts
    }

    /// How many requests came that would change something.
    pub fn writes(&self) -> usize {
        self.seen().iter().filter(|request| request.method != "GET").count()
    }

    /// Every request so far, in the order of arrival.
    pub fn seen(&self) -> Vec<Request> {
        let (tell, seen) = mpsc::channel();
        self.desk.send(ToDesk::Seen(tell)).expect("the desk is kept");
        seen.recv().expect("the desk answers")
    }

    fn add(&self, times: usize, when: When, act: Act, fired: &Arc<AtomicUsize>) {
        let rule = Rule { left: times, when, act, fired: Arc::clone(fired) };
        self.desk.send(ToDesk::Add(rule)).expect("the desk is kept");
    }
}

impl Drop for Holdback {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::Release);
        // Wakes the listener; connections end with their clients.
        let _ = TcpStream::connect(self.address);
    }
}

/// Counts how often a rule was applied: a fault that never fired tests nothing.
pub struct Fired(Arc<AtomicUsize>);

impl Fired {
    pub fn times(&self) -> usize {
        self.0.load(Ordering::Acquire)
    }
}

/// A request that is to be held back, or is.
pub struct Held {
    arrivals: Receiver<Arrival>,
}

struct Arrival {
    request: Request,
    go: Sender<Sender<u16>>,
}

impl Held {
    /// Waits until the request has come.
    #[track_caller]
    pub fn arrived(self, within: Duration) -> Arrived {
        Arrived(self.arrivals.recv_timeout(within).expect("no request came that was to be held back"))
    }
}

/// A request that is held back. Dropped, it is never delivered.
pub struct Arrived(Arrival);

impl Arrived {
    pub fn request(&self) -> &Request {
        &self.0.request
    }

    /// Delivers it and says which status the server answered.
    pub fn release(self) -> u16 {
        let (tell, status) = mpsc::channel();
        self.0.go.send(tell).expect("the proxy still has it");
        status.recv().expect("the server answered")
    }
}

type When = Box<dyn Fn(&Request) -> bool + Send>;

enum Act {
    Fate(Fate),
    Hold(Sender<Arrival>),
}

struct Rule {
    left: usize,
    when: When,
    act: Act,
    fired: Arc<AtomicUsize>,
}

enum ToDesk {
    Add(Rule),
    Ask(Request, Sender<Act>),
    Seen(Sender<Vec<Request>>),
    /// A client connected; the answer is whether it may.
    Opened(usize, TcpStream, Sender<bool>),
    Closed(usize),
    Sever(bool, Sender<()>),
}

/// Rules and what was seen belong to one thread, which is asked about each request.
fn keep_desk(orders: &Receiver<ToDesk>) {
    let (mut rules, mut seen) = (Vec::<Rule>::new(), Vec::new());
    let (mut severed, mut connections) = (false, BTreeMap::new());
    for order in orders {
        match order {
            ToDesk::Add(rule) => rules.push(rule),
            ToDesk::Seen(tell) => drop(tell.send(seen.clone())),
            ToDesk::Opened(number, connection, tell) => {
                if !severed {
                    connections.insert(number, connection);
                }
                let _ = tell.send(!severed);
            }
            ToDesk::Closed(number) => drop(connections.remove(&number)),
            ToDesk::Sever(now, tell) => {
                severed = now;
                if severed {
                    let all = std::mem::take(&mut connections);
                    all.values().for_each(|connection| drop(connection.shutdown(Shutdown::Both)));
                }
                let _ = tell.send(());
            }
            ToDesk::Ask(request, tell) => {
                let rule = rules.iter_mut().rev().find(|rule| rule.left > 0 && (rule.when)(&request));
                let act = rule.map_or(Act::Fate(Fate::Pass), |rule| {
                    rule.left -= 1;
                    rule.fired.fetch_add(1, Ordering::AcqRel);
                    match &rule.act {
                        Act::Fate(fate) => Act::Fate(fate.clone()),
                        Act::Hold(arrivals) => Act::Hold(arrivals.clone()),
                    }
                });
                seen.push(request);
                let _ = tell.send(act);
            }
        }
    }
}

/// Whether a client may connect.
fn admitted(number: usize, stream: &TcpStream, desk: &Sender<ToDesk>) -> bool {
    let (tell, admitted) = mpsc::channel();
    let Ok(stream) = stream.try_clone() else { return false };
    desk.send(ToDesk::Opened(number, stream, tell)).is_ok() && admitted.recv().unwrap_or(false)
}

/// One client's connection, request after request.
fn serve(stream: &TcpStream, server: &Rest, desk: &Sender<ToDesk>) -> io::Result<()> {
    let mut from = BufReader::new(stream.try_clone()?);
    stream.set_nodelay(true)?;
    while let Some(request) = http1::read_request(&mut from)? {
        let (tell, act) = mpsc::channel();
        let asked = desk.send(ToDesk::Ask(request.clone(), tell));
        let Some(act) = asked.ok().and_then(|()| act.recv().ok()) else { return Ok(()) };
        if !perform(act, &request, stream, server)? {
            break;
        }
    }
    Ok(())
}

/// Whether the connection goes on.
fn perform(act: Act, request: &Request, to: &TcpStream, server: &Rest) -> io::Result<bool> {
    let fate = match act {
        Act::Fate(fate) => fate,
        Act::Hold(arrivals) => {
            let (go, released) = mpsc::channel();
            if arrivals.send(Arrival { request: request.clone(), go }).is_err() {
                return Ok(false);
            }
            let Ok(tell) = released.recv() else { return Ok(false) };
            let answer = forward(request, server)?;
            let _ = tell.send(answer.status().as_u16());
            return relay(answer, to).map(|()| true);
        }
    };
    match fate {
        Fate::Pass => relay(forward(request, server)?, to).map(|()| true),
        Fate::Delay(time) => {
            thread::sleep(time);
            relay(forward(request, server)?, to).map(|()| true)
        }
        Fate::DropAnswer => {
            // Read to its end: the write has surely happened when the connection breaks.
            let _ = forward(request, server)?.body_mut().read_to_vec();
            Ok(false)
        }
        Fate::Lose => Ok(false),
        Fate::Answer { status, retry_after, body } => {
            let mut headers = vec![("content-type".to_owned(), "application/json".to_owned())];
            headers.extend(retry_after.map(|seconds| ("retry-after".to_owned(), seconds.to_string())));
            http1::write_head(to, status, &headers)?;
            http1::write_chunk(to, body.as_bytes())?;
            http1::write_chunk(to, b"").map(|()| true)
        }
    }
}

fn forward(request: &Request, server: &Rest) -> io::Result<Response<Body>> {
    let keep = |name: &str| request.header(name).unwrap_or_default();
    let headers = ["content-type", "accept", "user-agent"].map(|name| (name, keep(name)));
    let body = (!request.body.is_empty()).then(|| request.body.clone());
    let path = request.path.trim_start_matches('/');
    server.open(&request.method, path, &headers, body).map_err(io::Error::other)
}

/// Passes an answer on piece by piece as it comes, since it may be a watch.
fn relay(answer: Response<Body>, mut to: &TcpStream) -> io::Result<()> {
    let (parts, body) = answer.into_parts();
    let hop = ["connection", "content-length", "transfer-encoding", "keep-alive"];
    let headers: Vec<(String, String)> = parts
        .headers
        .iter()
        .filter(|(name, _)| !hop.contains(&name.as_str()))
        .map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
        .collect();
    http1::write_head(to, parts.status.as_u16(), &headers)?;
    let (mut body, mut piece) = (body.into_reader(), vec![0; 64 << 10]);
    loop {
        let length = body.read(&mut piece)?;
        http1::write_chunk(to, &piece[..length])?;
        to.flush()?;
        if length == 0 {
            return Ok(());
        }
    }
}

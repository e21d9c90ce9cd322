//! A proxy in front of an API server that does to requests what networks do: holds them back until
//! long after their sender gave up (so that they arrive in another order), loses them or their
//! answers, delays them, cuts answers off in their middle, swallows bytes, lets nobody connect.
//!
//! Plain HTTP/1.1 in front; what it forwards bears the rights of the [`Rest`] it was given.

mod desk;
mod exchange;
mod fate;

use std::{
    collections::BTreeMap,
    net::{SocketAddr, TcpListener, TcpStream},
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
        mpsc::{self, Receiver, Sender},
    },
    thread,
    time::{Duration, Instant},
};

use tempfile::TempDir;

use self::desk::{Arrival, HoldbackAct, Rule, ToDesk, When, keep_desk};
pub use self::fate::{LineFate, RequestFate};
pub use super::http1::Http1Request;
use super::{kubeconfig, rest::Rest};

/// The proxy. It stops listening when it is dropped.
pub struct Holdback {
    address: SocketAddr,
    desk: Sender<ToDesk>,
    door: Arc<HoldbackDoor>,
    reopen: Sender<()>,
    folder: TempDir,
}

/// What is asked of the one who accepts connections.
#[derive(Default)]
struct HoldbackDoor {
    stopped: AtomicBool,
    /// Nobody listens.
    shut: AtomicBool,
}

/// A request as it came, and what became of it.
#[derive(Debug, Clone)]
pub struct SeenRequest {
    pub request: Http1Request,
    pub at: Instant,
    /// What the server answered, where it was asked.
    pub status: Option<u16>,
}

impl Holdback {
    /// Starts a proxy in front of this server.
    pub fn before(server: Rest) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("bound");
        let (desk, orders) = mpsc::channel();
        thread::spawn(move || keep_desk(&orders));
        let door = Arc::new(HoldbackDoor::default());
        let (reopen, opened) = mpsc::channel();
        let (ask, at) = (desk.clone(), Arc::clone(&door));
        thread::spawn(move || keep_door(listener, &at, &opened, &server, &ask));
        Self { address, desk, door, reopen, folder: TempDir::new().expect("temporary folder") }
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
    pub fn rule(
        &self,
        times: usize,
        when: impl FnMut(&Http1Request) -> bool + Send + 'static,
        fate: RequestFate,
    ) -> Fired {
        let fired = Arc::new(AtomicUsize::new(0));
        self.add(0, times, Box::new(when), HoldbackAct::Fate(fate), &fired);
        Fired(fired)
    }

    /// The one request among those that match which comes behind `before` others meets this fate.
    pub fn rule_at(
        &self,
        before: usize,
        when: impl FnMut(&Http1Request) -> bool + Send + 'static,
        fate: RequestFate,
    ) -> Fired {
        let fired = Arc::new(AtomicUsize::new(0));
        self.add(before, 1, Box::new(when), HoldbackAct::Fate(fate), &fired);
        Fired(fired)
    }

    /// The next request that matches is held back until it is released, however long its sender waits.
    pub fn hold(&self, when: impl FnMut(&Http1Request) -> bool + Send + 'static) -> HeldRequest {
        let (tell, arrivals) = mpsc::channel();
        self.add(0, 1, Box::new(when), HoldbackAct::Hold(tell), &Arc::default());
        HeldRequest { arrivals }
    }

    /// Cuts every connection, those of watches too, and lets nobody connect any more: who tries is
    /// cut off at once.
    pub fn sever(&self) {
        self.set_severed(true);
    }

    /// Lets clients connect again.
    pub fn restore(&self) {
        self.set_severed(false);
        if self.door.shut.swap(false, Ordering::AcqRel) {
            self.reopen.send(()).expect("somebody keeps the door");
        }
    }

    /// Cuts every connection; clients may connect again at once.
    pub fn cut(&self) {
        self.set_severed(true);
        self.set_severed(false);
    }

    /// Cuts every connection and stops listening: the kernel refuses whoever tries.
    pub fn refuse(&self) {
        self.set_severed(true);
        self.door.shut.store(true, Ordering::Release);
        // Wakes the one who accepts; it answers by not listening any more.
        while TcpStream::connect(self.address).is_ok() {
            thread::sleep(Duration::from_millis(1));
        }
    }

    fn set_severed(&self, severed: bool) {
        let (tell, done) = mpsc::channel();
        self.desk.send(ToDesk::Sever(severed, tell)).expect("the desk is kept");
        done.recv().expect("the desk answers");
    }

    /// When clients were cut off at once because the network is severed.
    pub fn turned_away(&self) -> Vec<Instant> {
        self.ask(ToDesk::TurnedAway)
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
    pub fn seen(&self) -> Vec<Http1Request> {
        self.log().into_iter().map(|seen| seen.request).collect()
    }

    /// The same with what became of each.
    pub fn log(&self) -> Vec<SeenRequest> {
        self.ask(ToDesk::Log)
    }

    fn ask<T>(&self, question: impl FnOnce(Sender<T>) -> ToDesk) -> T {
        let (tell, answer) = mpsc::channel();
        self.desk.send(question(tell)).expect("the desk is kept");
        answer.recv().expect("the desk answers")
    }

    fn add(&self, skip: usize, times: usize, when: When, act: HoldbackAct, fired: &Arc<AtomicUsize>) {
        let rule = Rule { skip, left: times, when, act, fired: Arc::clone(fired) };
        self.desk.send(ToDesk::Add(rule)).expect("the desk is kept");
    }
}

impl Drop for Holdback {
    fn drop(&mut self) {
        self.door.stopped.store(true, Ordering::Release);
        // Wakes the listener; connections end with their clients.
        let _ = TcpStream::connect(self.address);
    }
}

/// Accepts connections, while it shall.
fn keep_door(
    listener: TcpListener,
    door: &HoldbackDoor,
    opened: &Receiver<()>,
    server: &Rest,
    desk: &Sender<ToDesk>,
) {
    let address = listener.local_addr().expect("bound");
    let (mut listening, mut number) = (Some(listener), 0);
    while let Some(listener) = listening.take() {
        let Ok((stream, _)) = listener.accept() else { return };
        if door.stopped.load(Ordering::Acquire) {
            return;
        }
        if door.shut.load(Ordering::Acquire) {
            drop((stream, listener));
            // Nobody left to open it again: the proxy was dropped.
            if opened.recv().is_err() {
                return;
            }
            listening = rebind(address);
            continue;
        }
        number += 1;
        let (server, ask) = (server.clone(), desk.clone());
        thread::spawn(move || {
            // What goes wrong on a connection shows to the client, which is what is tested.
            if exchange::admitted(number, &stream, &ask) {
                let _ = exchange::serve(&stream, &server, &ask);
                let _ = ask.send(ToDesk::Closed(number));
            }
        });
        listening = Some(listener);
    }
}

/// The port may be another's for a moment: the kernel lends such ports to clients, too.
fn rebind(address: SocketAddr) -> Option<TcpListener> {
    (0..200).find_map(|_| {
        let bound = TcpListener::bind(address).ok();
        if bound.is_none() {
            thread::sleep(Duration::from_millis(50));
        }
        bound
    })
}

/// Counts how often a rule was applied: a fault that never fired tests nothing.
pub struct Fired(Arc<AtomicUsize>);

impl Fired {
    pub fn times(&self) -> usize {
        self.0.load(Ordering::Acquire)
    }
}

/// A request that is to be held back, or is.
pub struct HeldRequest {
    arrivals: Receiver<Arrival>,
}

impl HeldRequest {
    /// Waits until the request has come.
    #[track_caller]
    pub fn arrived(self, within: Duration) -> Arrived {
        Arrived(self.arrivals.recv_timeout(within).expect("no request came that was to be held back"))
    }
}

/// A request that is held back. Dropped, it is never delivered.
pub struct Arrived(Arrival);

impl Arrived {
    pub fn request(&self) -> &Http1Request {
        &self.0.request
    }

    /// Delivers it and says which status the server answered.
    pub fn release(self) -> u16 {
        let (tell, status) = mpsc::channel();
        self.0.go.send(tell).expect("the proxy still has it");
        status.recv().expect("the server answered")
    }
}

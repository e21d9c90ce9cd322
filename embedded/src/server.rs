//! An API server over the model: HTTP/1.1 on loopback, on a thread of its own.
//!
//! The model belongs to that thread. Others reach it by sending a closure there and waiting for what
//! it returns. The server stops, and breaks its connections, when its handle is dropped.

mod counts;
mod serve;
mod signal;
mod watch_body;
mod world;

use std::{fmt, io, net::SocketAddr, rc::Rc, time::Duration};

use futures::{
    SinkExt, StreamExt,
    channel::mpsc::{self, UnboundedReceiver, UnboundedSender, unbounded},
    select_biased,
    stream::FuturesUnordered,
};
use jiff::Timestamp;
use serde_json::Value;

pub use self::counts::RequestCounts;
use self::world::{ServedWorld, wall};
use super::{
    cluster::{EmbeddedCluster, InstallError},
    crds,
    faults::{FaultInjector, FaultScript, Rates},
    operator::{self, Operator},
};
use net::{self, Task, Thread, io::Io, listen::Listener};
use shards::time;

/// How long requests and events are under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Latency {
    /// Every request takes at least this long.
    pub fixed: Duration,
    /// And up to this much longer, drawn from the seed.
    pub jitter: Duration,
    /// Events reach watchers this much late.
    pub watch: Duration,
}

/// What the server is like.
pub struct ServerOptions {
    /// Decides uids, generated names, jitter and faults.
    pub seed: u64,
    /// Where to listen.
    pub address: SocketAddr,
    /// CustomResourceDefinitions as YAML, each under a name that errors give.
    pub definitions: Vec<(String, String)>,
    /// How many events of each kind a watch can go back.
    pub window: usize,
    /// How long things take.
    pub latency: Latency,
    /// How often garbage is collected; `None`: never, as where no controller manager runs.
    pub garbage: Option<Duration>,
    /// What gives Stacks and modules their statuses; `None`: nobody does.
    pub operator: Option<operator::OperatorOptions>,
    /// How often watches that want them get bookmarks.
    pub bookmarks: Duration,
    /// Faults drawn at random.
    pub rates: Rates,
    /// Faults told by a script.
    pub script: Option<FaultScript>,
    /// The bearer token that requests must carry.
    pub token: Option<String>,
}

impl Default for ServerOptions {
    fn default() -> Self {
        let own = crds::manifests().iter().map(|(name, yaml)| ((*name).to_string(), (*yaml).to_string()));
        Self {
            seed: 0,
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            definitions: own.collect(),
            window: 10_000,
            latency: Latency::default(),
            garbage: Some(Duration::from_millis(20)),
            operator: None,
            bookmarks: Duration::from_secs(60),
            rates: Rates::default(),
            script: None,
            token: None,
        }
    }
}

impl fmt::Debug for ServerOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("seed", &self.seed)
            .field("address", &self.address)
            .field("latency", &self.latency)
            .field("garbage", &self.garbage)
            .field("operator", &self.operator)
            .field("rates", &self.rates)
            .finish_non_exhaustive()
    }
}

/// Why the server did not start.
#[derive(Debug, thiserror::Error)]
pub enum EmbeddedServerError {
    /// No thread, or no io_uring.
    #[error("embedded API server: {0}")]
    Thread(#[from] net::ExecutorError),
    /// The address cannot be had.
    #[error("embedded API server: cannot listen on {address}: {source}")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// The system's answer.
        source: io::Error,
    },
    /// A definition is no YAML.
    #[error("embedded API server: {name}: {cause}")]
    Yaml {
        /// The manifest's name.
        name: String,
        /// What is wrong with it.
        cause: String,
    },
    /// A definition cannot be served.
    #[error("embedded API server: {name}: {cause}")]
    Definition {
        /// The manifest's name.
        name: String,
        /// What is wrong with it.
        cause: Box<InstallError>,
    },
    /// The thread ended before it listened.
    #[error("embedded API server: its thread ended before it listened")]
    Ended,
}

type Errand = Box<dyn FnOnce(&Rc<ServedWorld>) + Send>;

/// A running server. It stops when this is dropped.
#[derive(Debug)]
pub struct EmbeddedServer {
    address: SocketAddr,
    errands: Option<UnboundedSender<Errand>>,
    thread: Option<Thread<()>>,
}

impl EmbeddedServer {
    /// Starts a server and waits until it listens.
    pub fn start(options: ServerOptions) -> Result<Self, EmbeddedServerError> {
        let (errands, inbox) = unbounded();
        let (ready, started) = std::sync::mpsc::channel();
        let thread = net::start_thread("embedded-api", move || async move {
            match open(options) {
                Ok(parts) => {
                    let _ = ready.send(Ok(parts.listener.local_addr()));
                    run(parts, inbox).await;
                }
                Err(error) => {
                    let _ = ready.send(Err(error));
                }
            }
        })?;
        match started.recv() {
            Ok(Ok(address)) => Ok(Self { address, errands: Some(errands), thread: Some(thread) }),
            Ok(Err(error)) => Err(error),
            // The thread's own error says more, where it has one.
            Err(_) => {
                Err(thread.join().err().map_or(EmbeddedServerError::Ended, EmbeddedServerError::Thread))
            }
        }
    }

    /// Where it listens: `http://127.0.0.1:<port>`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// A handle that other threads can keep; it does not keep the server running.
    pub fn handle(&self) -> Handle {
        Handle { errands: self.errands.clone() }
    }

    /// What it counted so far.
    pub fn counts(&self) -> RequestCounts {
        self.handle().counts()
    }

    /// Runs `job` on the model, with the time to stamp objects with. `None` where the server is gone.
    pub fn with_model<T: Send + 'static>(
        &self,
        job: impl FnOnce(&mut EmbeddedCluster, Timestamp) -> T + Send + 'static,
    ) -> Option<T> {
        self.handle().with_model(job)
    }

    /// All objects of a kind of group `formance.com`, by name; empty where there is no such kind.
    pub fn snapshot(&self, plural: &str) -> Vec<Value> {
        self.handle().snapshot(plural)
    }

    /// Stops it and waits for its thread.
    pub fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        if let Some(errands) = self.errands.take() {
            // Handles hold the channel open: close it for all of them.
            errands.close_channel();
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Drop for EmbeddedServer {
    fn drop(&mut self) {
        self.end();
    }
}

/// Reaches a running server from any thread. Its calls block until the server's thread has answered.
#[derive(Debug, Clone)]
pub struct Handle {
    errands: Option<UnboundedSender<Errand>>,
}

impl Handle {
    fn send<T: Send + 'static>(&self, job: impl FnOnce(&Rc<ServedWorld>) -> T + Send + 'static) -> Option<T> {
        let (done, result) = std::sync::mpsc::channel();
        let errand: Errand = Box::new(move |world| {
            let _ = done.send(job(world));
        });
        self.errands.as_ref()?.unbounded_send(errand).ok()?;
        result.recv().ok()
    }

    /// What the server counted so far; nothing where it is gone.
    pub fn counts(&self) -> RequestCounts {
        self.send(|world| world.counts()).unwrap_or_default()
    }

    /// Runs `job` on the model, with the time to stamp objects with. `None` where the server is gone.
    pub fn with_model<T: Send + 'static>(
        &self,
        job: impl FnOnce(&mut EmbeddedCluster, Timestamp) -> T + Send + 'static,
    ) -> Option<T> {
        self.send(move |world| {
            let result = world.with(|cluster| job(cluster, wall()));
            // The job may have expired the log, which moves nothing.
            world.wake();
            result
        })
    }

    /// All objects of a kind of group `formance.com`, by name; empty where there is no such kind.
    pub fn snapshot(&self, plural: &str) -> Vec<Value> {
        let plural = plural.to_string();
        let objects = self.with_model(move |cluster, _| {
            let kind = cluster.kinds().find(|kind| kind.plural == plural && kind.group == "formance.com")?;
            Some(cluster.objects(kind).map(|object| object.value().clone()).collect())
        });
        objects.flatten().unwrap_or_default()
    }

    /// Goes on with other rates of faults.
    pub fn set_rates(&self, rates: Rates) {
        self.send(move |world| world.faults.borrow_mut().set_rates(rates));
    }

    /// Goes on with another script of faults.
    pub fn set_script(&self, script: Option<FaultScript>) {
        self.send(move |world| world.faults.borrow_mut().set_script(script));
    }

    /// Goes on with another latency.
    pub fn set_latency(&self, latency: Latency) {
        self.send(move |world| world.set_latency(latency));
    }
}

/// What the thread runs.
struct Parts {
    listener: Listener,
    world: Rc<ServedWorld>,
    garbage: Option<Duration>,
    operator: Option<Operator>,
}

fn open(options: ServerOptions) -> Result<Parts, EmbeddedServerError> {
    let mut cluster = EmbeddedCluster::new(options.seed, options.window);
    for (name, yaml) in options.definitions {
        let definition = serde_saphyr::from_str(&yaml)
            .map_err(|error| EmbeddedServerError::Yaml { name: name.clone(), cause: error.to_string() })?;
        cluster.install(&definition, wall()).map_err(|cause| EmbeddedServerError::Definition {
            name: name.clone(),
            cause: Box::new(cause),
        })?;
    }
    let address = options.address;
    let listener = Listener::bind(address).map_err(|source| EmbeddedServerError::Bind { address, source })?;
    let faults = FaultInjector::new(options.seed, options.rates, options.script);
    let world =
        ServedWorld::new(cluster, faults, options.seed, options.latency, options.token, options.bookmarks);
    let operator = options.operator.map(|operator| Operator::new(options.seed, operator));
    Ok(Parts { listener, world, garbage: options.garbage, operator })
}

/// Accepts, runs errands, collects garbage and operates until the handle is gone.
async fn run(parts: Parts, mut errands: UnboundedReceiver<Errand>) {
    let Parts { listener, world, garbage, operator } = parts;
    let collector = collector(Rc::clone(&world), garbage);
    let operator = operator.map(|operator| operate(Rc::clone(&world), operator));
    let (acceptor, mut accepted) = acceptor(listener);
    let mut connections: FuturesUnordered<Task<()>> = FuturesUnordered::new();
    loop {
        select_biased! {
            errand = errands.next() => match errand {
                Some(errand) => errand(&world),
                None => break,
            },
            io = accepted.select_next_some() => {
                connections.push(net::spawn(serve::connection(Rc::clone(&world), io)));
            }
            () = connections.select_next_some() => {}
        }
    }
    // What is parked when the executor ends is leaked, sockets and all: end it here.
    acceptor.cancel().await;
    collector.cancel().await;
    if let Some(operator) = operator {
        operator.cancel().await;
    }
    for task in connections {
        task.cancel().await;
    }
    let held = world.held.take();
    for task in held {
        task.cancel().await;
    }
}

/// Accepts in a task of its own, so that no accept is ever given up half-way.
fn acceptor(listener: Listener) -> (Task<()>, mpsc::Receiver<Io>) {
    let (mut sender, accepted) = mpsc::channel(0);
    let task = net::spawn(async move {
        while !sender.is_closed() {
            match listener.accept().await {
                Ok(io) => drop(sender.send(io).await),
                // Out of descriptors, say: give those who have some the time to close them.
                Err(_) => net::sleep(Duration::from_millis(10)).await,
            }
        }
    });
    (task, accepted)
}

fn collector(world: Rc<ServedWorld>, every: Option<Duration>) -> Task<()> {
    const IDLE: Duration = Duration::from_millis(200);
    net::spawn(async move {
        loop {
            net::sleep(every.unwrap_or(IDLE)).await;
            if every.is_some() {
                world.collect_garbage();
            } else {
                world.with(EmbeddedCluster::ignore_garbage);
            }
            world.forget_done();
        }
    })
}

fn operate(world: Rc<ServedWorld>, mut operator: Operator) -> Task<()> {
    const EVERY: Duration = Duration::from_millis(5);
    let began = time::now();
    net::spawn(async move {
        loop {
            net::sleep(EVERY).await;
            let at = time::now().duration_since(began);
            world.with(|cluster| operator.step(cluster, at, wall()));
        }
    })
}

#[cfg(test)]
mod tests;

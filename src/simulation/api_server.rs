//! The API server, and the network that leads to it.

mod delivery;
mod guards;
mod watch;

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    rc::{Rc, Weak},
    time::Duration,
};

use bytes::Bytes;
use fastrand::Rng;
use futures::{channel::oneshot, future::LocalBoxFuture};
use http::{Method, header};
use jiff::Timestamp;
use shards::{Wakeup, simulation::SimGroup};

pub(crate) use delivery::Fate;
use guards::Guards;
pub(crate) use guards::LimitsSeen;
pub(crate) use watch::GARBAGE;

use super::{
    faults::{FaultRates, Struck},
    trace::RunTrace,
    wishes::Wishes,
};
use crate::{
    cluster::{
        SendError,
        simulated::{Network, SimulatedAnswer},
    },
    embedded::{
        cluster::EmbeddedCluster,
        respond::{self, ServedAnswer, ServedRequest},
        routes::{Query, Route, RouteTarget},
    },
    net, time,
};

/// A request as a script sees it.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    /// How many requests came before it, watches aside.
    pub(crate) index: usize,
    /// How many writes came before it, where it is one.
    pub(crate) write: Option<usize>,
    /// Which of the agent's processes sent it.
    process: usize,
    pub(crate) verb: &'static str,
    pub(crate) plural: String,
    pub(crate) name: String,
    pub(crate) body: Bytes,
    /// It is a page of a list after the first.
    pub(crate) later_page: bool,
}

/// How the watches of a kind are, whatever chance says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manner {
    /// Their events come so late.
    Late(Duration),
    /// They are cut, in the middle of a line where there is one.
    Cut,
    /// They say nothing any more.
    Silent,
    /// They say this once.
    Garbled(&'static str),
}

/// Decides on a request; `None` leaves it to chance.
pub(crate) type FateScript = Box<dyn FnMut(&Call) -> Option<Fate>>;
/// Is told of a request that was just carried out, with the code of its answer.
pub(crate) type Witness = Box<dyn FnMut(&Call, u16)>;

/// See the [module](self).
pub(crate) struct ApiServer {
    me: Weak<Self>,
    begun: time::Instant,
    /// What it does itself goes on when the agent is killed.
    group: SimGroup,
    pub(crate) cluster: RefCell<EmbeddedCluster>,
    /// The cluster has moved.
    pub(crate) moved: Wakeup,
    moves: Cell<u64>,
    pub(crate) faults: RefCell<FaultRates>,
    pub(crate) struck: RefCell<Struck>,
    pub(crate) trace: Rc<RunTrace>,
    pub(crate) guards: Guards,
    rng: RefCell<Rng>,
    script: RefCell<Option<FateScript>>,
    witness: RefCell<Option<Witness>>,
    /// What watches of a kind do, where a script says so; by plural.
    pub(crate) manners: RefCell<BTreeMap<String, Manner>>,
    /// Lists come in pages of this many at most.
    pub(crate) page: Cell<Option<usize>>,
    /// Out of reach until then.
    down_until: Cell<Option<time::Instant>>,
    /// Processes of the agent that have begun.
    processes: Cell<usize>,
    requests: Cell<usize>,
    writes: Cell<usize>,
}

/// The wall clock, as objects are stamped with it.
pub(crate) fn wall() -> Timestamp {
    Timestamp::from_second(time::unix_seconds()).unwrap_or(Timestamp::UNIX_EPOCH)
}

impl ApiServer {
    pub(crate) fn new(
        cluster: EmbeddedCluster,
        seed: u64,
        faults: FaultRates,
        wishes: Rc<Wishes>,
        trace: Rc<RunTrace>,
    ) -> Rc<Self> {
        Rc::new_cyclic(|me| Self {
            me: me.clone(),
            begun: time::now(),
            group: SimGroup::new(),
            cluster: RefCell::new(cluster),
            moved: Wakeup::default(),
            moves: Cell::new(0),
            faults: RefCell::new(faults),
            struck: RefCell::default(),
            trace,
            guards: Guards::new(wishes),
            rng: RefCell::new(Rng::with_seed(seed)),
            script: RefCell::default(),
            witness: RefCell::default(),
            manners: RefCell::default(),
            page: Cell::default(),
            down_until: Cell::default(),
            processes: Cell::new(0),
            requests: Cell::new(0),
            writes: Cell::new(0),
        })
    }

    /// A process of the agent begins, and what it may do.
    pub(crate) fn begin(&self, limits: LimitsSeen) {
        self.processes.set(self.processes.get() + 1);
        self.guards.begin(limits);
    }

    /// Time since the beginning.
    pub(crate) fn elapsed(&self) -> Duration {
        time::now() - self.begun
    }

    /// Requests so far, watches aside, and writes among them.
    pub(crate) fn counts(&self) -> (usize, usize) {
        (self.requests.get(), self.writes.get())
    }

    pub(crate) fn set_script(&self, script: FateScript) {
        self.script.replace(Some(script));
    }

    pub(crate) fn set_witness(&self, witness: Witness) {
        self.witness.replace(Some(witness));
    }

    /// Nobody reaches it for so long.
    pub(crate) fn go_down(&self, time: Duration) {
        self.trace.say(self.elapsed(), || format!("the API server is out of reach for {time:?}"));
        self.down_until.set(Some(time::now() + time));
    }

    pub(crate) fn is_down(&self) -> bool {
        self.down_until.get().is_some_and(|until| time::now() < until)
    }

    /// Lets somebody have the cluster, and tells who watches if it moved.
    pub(crate) fn with<T>(&self, change: impl FnOnce(&mut EmbeddedCluster) -> T) -> T {
        let mut cluster = self.cluster.borrow_mut();
        let before = cluster.version();
        let result = change(&mut cluster);
        let moved = cluster.version() != before;
        drop(cluster);
        if moved {
            self.stir();
        }
        result
    }

    /// Makes all who watch look.
    pub(crate) fn stir(&self) {
        self.moves.set(self.moves.get() + 1);
        self.moved.notify();
    }

    /// How often it has moved.
    pub(crate) fn moves(&self) -> u64 {
        self.moves.get()
    }

    pub(crate) fn strike(&self, fault: &'static str) {
        self.struck.borrow_mut().count(fault);
    }

    pub(crate) fn chance(&self, share: f64) -> bool {
        share > 0.0 && self.rng.borrow_mut().f64() < share
    }

    pub(crate) fn random(&self, most: Duration) -> Duration {
        crate::time::times(most, self.rng.borrow_mut().f64())
    }

    fn pick<T: Copy>(&self, of: &[T]) -> T {
        of[self.rng.borrow_mut().usize(..of.len())]
    }

    fn call(&self, request: &ServedRequest) -> Call {
        let verb = request.verb();
        let (plural, mut name) = match &request.route {
            Some(Route::Objects(RouteTarget { plural, name, .. })) => {
                (plural.clone(), name.clone().unwrap_or_default())
            }
            _ => Default::default(),
        };
        if verb == "create" {
            let body: serde_json::Value = serde_json::from_slice(&request.body).unwrap_or_default();
            name = body["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        }
        let index = self.requests.get();
        self.requests.set(index + usize::from(verb != "watch"));
        let write = matches!(verb, "create" | "patch" | "delete" | "update").then(|| {
            let write = self.writes.get();
            self.writes.set(write + 1);
            write
        });
        let process = self.processes.get();
        let later_page = request.query.get("continue").is_some();
        Call { index, write, process, verb, plural, name, body: request.body.clone(), later_page }
    }

    fn fate(&self, call: &Call) -> Fate {
        let scripted = self.script.borrow_mut().as_mut().and_then(|script| script(call));
        if let Some(fate) = scripted {
            return fate;
        }
        if self.is_down() {
            return if self.chance(0.8) { Fate::Refuse } else { Fate::BlackHole };
        }
        self.draw(call)
    }

    /// Carries a request out, now. A write that outlived its process is dropped: the next process
    /// knows nothing of it, and only the next order would put right what it does. That is a known
    /// limit (`docs/architecture.md`), and none that a run is to find again and again.
    fn perform(&self, request: &ServedRequest, call: &Call) -> ServedAnswer {
        if call.write.is_some() && call.process != self.processes.get() {
            self.strike("write-of-a-killed-process");
            return ServedAnswer::Reply(crate::embedded::failure::ApiFailure::new(500, "", "dropped").into());
        }
        let doomed = self.guards.before(self, call);
        let answer = self.with(|cluster| respond::answer(cluster, request, wall()));
        let code = match &answer {
            ServedAnswer::Reply(reply) => reply.code,
            ServedAnswer::Watch(_) => 200,
        };
        self.trace.say(self.elapsed(), || {
            let Call { index, verb, plural, name, .. } = call;
            let body = String::from_utf8_lossy(&call.body);
            let told = match &answer {
                ServedAnswer::Reply(reply) if call.verb == "list" => listed(&reply.body),
                ServedAnswer::Watch(_) => request.query.get("resourceVersion").unwrap_or_default().to_owned(),
                ServedAnswer::Reply(_) => body.trim().to_owned(),
            };
            format!("  #{index} {verb} {plural}/{name} is carried out: {code} {told}")
        });
        if call.write.is_some() && code < 300 {
            self.guards.written(self, call, doomed);
        }
        if let Some(witness) = self.witness.borrow_mut().as_mut() {
            witness(call, code);
        }
        answer
    }

    /// An object as it is now.
    pub(crate) fn get(&self, plural: &str, name: &str) -> Option<serde_json::Value> {
        let cluster = self.cluster.borrow();
        let kind = cluster.kind("formance.com", "v1beta1", plural)?;
        cluster.get(&kind, name).ok().map(|object| object.value().clone())
    }
}

impl Network for ApiServer {
    fn send(&self, request: http::Request<Bytes>) -> LocalBoxFuture<'static, SimulatedAnswer> {
        let Some(server) = self.me.upgrade() else { return Box::pin(std::future::pending()) };
        Box::pin(async move {
            let request = read(request);
            let call = server.call(&request);
            let _pass = server.guards.sent(&server, &call);
            let fate = server.fate(&call);
            server.trace.say(server.elapsed(), || {
                format!("#{} {} {}/{} {fate:?}", call.index, call.verb, call.plural, call.name)
            });
            if let Fate::Refuse = fate {
                server.strike(fate.name());
                net::sleep(server.random(Duration::from_millis(2))).await;
                return SimulatedAnswer::Failed(SendError::GivenBack("connection refused".into()));
            }
            let (tell, told) = oneshot::channel();
            server.group.spawn(delivery::deliver(Rc::clone(&server), request, call, fate, tell)).detach();
            told.await.unwrap_or_else(|_| {
                SimulatedAnswer::Failed(SendError::Broke("the connection was reset".into()))
            })
        })
    }
}

fn read(request: http::Request<Bytes>) -> ServedRequest {
    let (head, body) = request.into_parts();
    let text = |name| head.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    ServedRequest {
        route: Route::parse(head.uri.path()),
        query: Query::parse(head.uri.query().unwrap_or_default()),
        content_type: text(header::CONTENT_TYPE).split(';').next().unwrap_or_default().to_owned(),
        user_agent: text(header::USER_AGENT).to_owned(),
        method: Method::clone(&head.method),
        body,
    }
}

/// The names in a list, and its version.
fn listed(body: &Bytes) -> String {
    let list: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
    let items = list["items"].as_array().into_iter().flatten();
    let names: Vec<_> = items.map(|item| item["metadata"]["name"].as_str().unwrap_or_default()).collect();
    format!("{} at {}", names.join(" "), list["metadata"]["resourceVersion"])
}

//! What the server's tasks share: the cluster, faults and counts. Of one thread.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    time::Duration,
};

use bytes::Bytes;
use futures::{FutureExt, StreamExt, stream::FuturesUnordered};
use jiff::Timestamp;
use serde_json::Value;

use super::{Latency, RequestCounts, signal::WriteCounter};
use net::Task;
use shards::time;

use crate::{
    cluster::EmbeddedCluster,
    faults::{FaultInjector, InjectedFault, RequestInfo},
    garbage,
    respond::{ServedAnswer, ServedRequest, answer},
    routes::Route,
    watcher::{WatchCursor, WatchStep},
};

/// What the server's tasks share.
#[derive(Debug)]
pub(super) struct ServedWorld {
    pub(super) cluster: RefCell<EmbeddedCluster>,
    pub(super) faults: RefCell<FaultInjector>,
    pub(super) counts: RefCell<RequestCounts>,
    pub(super) signal: WriteCounter,
    pub(super) token: Option<String>,
    pub(super) bookmark_every: Duration,
    /// Requests that are carried out whether or not the client still waits.
    pub(super) held: RefCell<FuturesUnordered<Task<()>>>,
    latency: Cell<Latency>,
    jitter: RefCell<fastrand::Rng>,
}

/// The wall clock, as objects are stamped with it.
pub(super) fn wall() -> Timestamp {
    Timestamp::from_second(time::unix_seconds()).unwrap_or(Timestamp::UNIX_EPOCH)
}

impl ServedWorld {
    pub(super) fn new(
        cluster: EmbeddedCluster,
        faults: FaultInjector,
        seed: u64,
        latency: Latency,
        token: Option<String>,
        bookmark_every: Duration,
    ) -> Rc<Self> {
        Rc::new(Self {
            cluster: RefCell::new(cluster),
            faults: RefCell::new(faults),
            counts: RefCell::default(),
            signal: WriteCounter::default(),
            token,
            bookmark_every,
            held: RefCell::default(),
            latency: Cell::new(latency),
            jitter: RefCell::new(fastrand::Rng::with_seed(seed)),
        })
    }

    /// Lets `change` have the cluster, and wakes watchers if it moved.
    pub(super) fn with<T>(&self, change: impl FnOnce(&mut EmbeddedCluster) -> T) -> T {
        let mut cluster = self.cluster.borrow_mut();
        let before = cluster.version();
        let result = change(&mut cluster);
        let moved = cluster.version() != before;
        drop(cluster);
        if moved {
            self.signal.raise();
        }
        result
    }

    /// Wakes watchers although the cluster did not move: its log may have expired.
    pub(super) fn wake(&self) {
        self.signal.raise();
    }

    pub(super) fn answer(&self, request: &ServedRequest) -> ServedAnswer {
        self.with(|cluster| answer(cluster, request, wall()))
    }

    /// What happens to a request.
    pub(super) fn fault(&self, request: &ServedRequest) -> InjectedFault {
        // Only a script looks into bodies.
        let body: Value = if self.faults.borrow().scripted() {
            serde_json::from_slice(&request.body).unwrap_or_default()
        } else {
            Value::Null
        };
        let verb = request.verb();
        let (plural, name) = match &request.route {
            Some(Route::Objects(target)) => (target.plural.as_str(), target.name.as_deref()),
            _ => ("", None),
        };
        let name = name.unwrap_or_else(|| body["metadata"]["name"].as_str().unwrap_or_default());
        self.faults.borrow_mut().decide(RequestInfo { index: 0, verb, plural, name, body: &body })
    }

    /// How long the next request is under way.
    pub(super) fn delay(&self) -> Duration {
        let latency = self.latency.get();
        if latency.jitter.is_zero() {
            return latency.fixed;
        }
        latency.fixed.saturating_add(time::times(latency.jitter, self.jitter.borrow_mut().f64()))
    }

    pub(super) fn set_latency(&self, latency: Latency) {
        self.latency.set(latency);
    }

    pub(super) fn watch_delay(&self) -> Duration {
        self.latency.get().watch
    }

    pub(super) fn next_lines(&self, watcher: &mut WatchCursor) -> WatchStep {
        watcher.next(&self.cluster.borrow())
    }

    pub(super) fn bookmark(&self, watcher: &mut WatchCursor) -> Option<Bytes> {
        watcher.bookmark(&self.cluster.borrow())
    }

    pub(super) fn collect_garbage(&self) {
        self.with(|cluster| garbage::step(cluster, wall()));
    }

    /// Lets go of the held requests that were carried out.
    pub(super) fn forget_done(&self) {
        let mut held = self.held.borrow_mut();
        while let Some(Some(())) = held.next().now_or_never() {}
    }

    pub(super) fn counts(&self) -> RequestCounts {
        let mut counts = self.counts.borrow().clone();
        counts.faults.clone_from(self.faults.borrow().struck());
        counts
    }
}

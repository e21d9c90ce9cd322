//! The embedded cluster, as the end-to-end tests use it.

use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf, thread, time::Duration};

use serde_json::Value;
use stackherd::embedded::server::{EmbeddedServer, Latency, ServerOptions};
use tempfile::TempDir;

use super::{agent::Invocation, membership::TestMembership, objects::KINDS};
use crate::support::{kubeconfig, machine::MachineShare, now, rest::Rest};

/// A running embedded cluster with a kubeconfig.
pub struct TestCluster {
    server: EmbeddedServer,
    folder: TempDir,
    _share: MachineShare,
}

impl TestCluster {
    /// One that answers at once.
    pub fn start() -> Self {
        Self::with_latency([Duration::ZERO; 2])
    }

    /// One whose every answer takes a time drawn from this range.
    pub fn with_latency([least, most]: [Duration; 2]) -> Self {
        let latency = Latency { fixed: least, jitter: most - least, ..Latency::default() };
        Self::with(ServerOptions { latency, ..ServerOptions::default() })
    }

    /// One that is like this.
    pub fn with(options: ServerOptions) -> Self {
        let share = MachineShare::take();
        let server = EmbeddedServer::start(options).expect("an embedded cluster");
        let folder = TempDir::new().expect("temporary folder");
        kubeconfig::write(&folder.path().join("kubeconfig"), &server.url(), None, None);
        Self { server, folder, _share: share }
    }

    pub fn kubeconfig(&self) -> PathBuf {
        self.folder.path().join("kubeconfig")
    }

    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    pub fn rest(&self) -> Rest {
        Rest::new(&self.server.url(), None, None)
    }

    /// An agent between this membership and this cluster.
    pub fn agent(&self, membership: &TestMembership) -> Invocation {
        Invocation::agent(&membership.address(), &self.kubeconfig())
    }

    /// Requests so far.
    pub fn requests(&self) -> u64 {
        self.server.counts().requests
    }

    /// Requests of one verb so far.
    pub fn verb(&self, verb: &str) -> u64 {
        self.server.counts().verb(verb)
    }

    /// Every object of the model that an agent can have written, by `plural/name`: a look that is no
    /// request, so that it neither takes time nor counts.
    pub fn objects(&self) -> BTreeMap<String, Value> {
        let of_kind = |(_, plural)| {
            let objects = self.server.snapshot(plural).into_iter();
            objects.map(|object| named(plural, object)).collect::<Vec<_>>()
        };
        KINDS.into_iter().flat_map(of_kind).collect()
    }

    /// The server itself, to reach its model.
    pub fn server(&self) -> &EmbeddedServer {
        &self.server
    }

    /// Every object that agents report about, by `plural/name`. No request either.
    pub fn reported(&self) -> BTreeMap<String, Value> {
        let mut objects = self.objects();
        objects.retain(|key, _| !key.starts_with("authclients/"));
        objects.extend(self.server.snapshot("versions").into_iter().map(|object| named("versions", object)));
        objects
    }

    /// Waits until no request came for this long.
    #[track_caller]
    pub fn quiet(&self, time: Duration, within: Duration) {
        let start = now();
        let (mut since, mut last) = (now(), self.requests());
        while since.elapsed() < time {
            assert!(start.elapsed() < within, "requests still come after {within:?}");
            thread::sleep(Duration::from_millis(10));
            let requests = self.requests();
            if requests != last {
                (since, last) = (now(), requests);
            }
        }
    }
}

fn named(plural: &str, object: Value) -> (String, Value) {
    let name = object["metadata"]["name"].as_str().expect("a name");
    (format!("{plural}/{name}"), object)
}

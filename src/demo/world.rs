//! The embedded cluster and membership with the real agent between them, all on loopback.

use std::{sync::Arc, time::Duration};

use super::{BASE_HOST, check::Objects, mirror::MembershipMirror};
use crate::{
    agent::{self, Agent, Counters, Setup},
    cluster::{ClientLimits, ClusterConfig, reflector::MOST_ITEMS},
    config::EngineSettings,
    embedded::{
        membership::{self, EmbeddedMembership, MembershipEvent},
        operator,
        server::{self, EmbeddedServer, Latency},
    },
    membership::wire::server::Order,
    net::endpoint::EndpointError,
    stack::desired::StackBaseUrl,
};

/// How long the parts may take to find each other.
const PATIENCE: Duration = Duration::from_secs(30);

/// Why the demo's world cannot be.
#[derive(Debug, thiserror::Error)]
pub(super) enum WorldError {
    #[error(transparent)]
    Host(shards::PoolStartError),
    #[error("the embedded cluster: {0}")]
    Cluster(#[from] server::EmbeddedServerError),
    #[error("the embedded membership: {0}")]
    Membership(#[from] membership::MembershipStartError),
    #[error("the agent: {0}")]
    Agent(#[from] shards::PoolStartError),
    #[error("the embedded cluster's address: {0}")]
    Address(#[from] EndpointError),
    #[error("the agent did not join within {PATIENCE:?}")]
    NotJoined,
    #[error("orders of unchanged stacks were not applied")]
    Unsettled,
    #[error("the agent failed: {0}")]
    Failed(String),
}

/// Cluster, membership and agent.
pub(super) struct DemoWorld {
    cluster: EmbeddedServer,
    membership: EmbeddedMembership,
    agent: Agent,
    mirror: MembershipMirror,
}

impl DemoWorld {
    /// Starts all three and waits until the agent has joined.
    pub(super) fn start(engine: EngineSettings, seed: u64) -> Result<Self, WorldError> {
        // Before the embedded servers, which run on executors as well.
        shards::prepare_host().map_err(WorldError::Host)?;
        let latency = Latency {
            fixed: Duration::from_millis(1),
            jitter: Duration::from_millis(4),
            watch: Duration::from_millis(5),
        };
        let operator =
            Some(operator::OperatorOptions { finalizer: true, ..operator::OperatorOptions::default() });
        let cluster = EmbeddedServer::start(server::ServerOptions {
            seed,
            latency,
            operator,
            ..server::ServerOptions::default()
        })?;
        let membership = EmbeddedMembership::start(membership::MembershipOptions::default())?;
        let setup = Setup {
            engine,
            cluster: ClusterConfig::plain(&cluster.url())?,
            // The embedded cluster is ours alone: nobody has to be spared.
            limits: ClientLimits {
                qps: 0.0,
                burst: 0,
                max_in_flight: 256,
                deadline: Duration::from_secs(10),
            },
            max_list_items: MOST_ITEMS,
            base_url: StackBaseUrl { scheme: "https".into(), host: BASE_HOST.into() },
            grace_period: Duration::from_secs(5),
            resync_period: None,
            report_qps: 0.0,
            says_all: false,
            source: agent::membership_at(membership.address(), "demo", &format!("https://{BASE_HOST}")),
        };
        let agent = Agent::start(setup)?;
        membership.wait_joined(PATIENCE).ok_or(WorldError::NotJoined)?;
        Ok(Self { cluster, membership, agent, mirror: MembershipMirror::default() })
    }

    /// Lets membership send these orders, one after the other.
    pub(super) fn send(&self, orders: &[Order]) {
        for order in orders {
            self.membership.send(order.clone());
        }
    }

    /// The agent's running totals.
    pub(super) fn counters(&self) -> Arc<Counters> {
        self.agent.counters()
    }

    /// Requests and writes that the API server saw.
    pub(super) fn requests(&self) -> (u64, u64) {
        let counts = self.cluster.counts();
        (counts.requests, counts.writes)
    }

    /// Requests that the API server saw, watches aside.
    pub(super) fn asked(&self) -> u64 {
        let counts = self.cluster.counts();
        counts.requests - counts.verb("watch")
    }

    /// What membership believes, having heard all that came so far.
    pub(super) fn mirror(&mut self) -> &MembershipMirror {
        while let Some(event) = self.membership.next_event(Duration::ZERO) {
            if let MembershipEvent::Message { message, .. } = event {
                self.mirror.hear(&message);
            }
        }
        &self.mirror
    }

    /// Everything that the fleet may have in the cluster.
    pub(super) fn objects(&self) -> Objects {
        let plurals = super::fleet::PLURALS;
        let mut objects = Objects::new();
        for plural in plurals {
            for object in self.cluster.snapshot(plural) {
                let name = object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
                objects.insert(((*plural).to_owned(), name), object);
            }
        }
        objects
    }

    /// Ends all three.
    pub(super) fn end(self) -> Result<(), WorldError> {
        self.agent.stopper().stop();
        self.agent.join().map_err(|failures| {
            WorldError::Failed(failures.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))
        })
    }
}

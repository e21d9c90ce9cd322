//! The composition root: starts the shards, gives each its client and its stacks, feeds them
//! from one source of orders, and brings everything to a clean end.
//!
//! The first shard carries the source (the membership session, or a file) besides its own stacks.

mod conductor;
pub mod counters;
mod front;
mod headcount;
mod kinds;
mod knowledge;
mod mail;
mod membership;
mod outages;
mod recovery;
mod reporter;
mod shard;
#[cfg(test)]
pub(crate) mod simulated;
mod watchdog;
mod watcher;
mod worker;

use std::{process::ExitCode, sync::Arc, time::Duration};

use shards::{Pool, PoolConfig, PoolStartError, ShardError, Stopper};
use tracing::{error, info, warn};

pub use counters::Counters;
pub use front::{Feed, Front, Modules, Source, Tell};
pub use membership::local as membership_at;

use crate::{
    cluster::{ClientLimits, ClusterConfig, ClusterConfigError},
    config::{self, Config},
    shutdown,
    stack::desired::StackBaseUrl,
};

/// Everything the shards need to know.
pub struct Setup {
    /// Shards, and stacks whose orders run at one time over all of them.
    pub engine: config::EngineSettings,
    /// The API server and how to authenticate there.
    pub cluster: ClusterConfig,
    /// Limits of requests to it, over all shards: none that is smaller than their number.
    pub limits: ClientLimits,
    /// Objects of one kind that the API server may list.
    pub max_list_items: u64,
    /// Where the region's gateways live.
    pub base_url: StackBaseUrl,
    /// How long writes in flight may take to end when the agent stops.
    pub grace_period: Duration,
    /// How often everything is reported again; never where absent.
    pub resync_period: Option<Duration>,
    /// Reports a second that repeat what was told before, over all shards; 0 is unlimited.
    pub report_qps: f64,
    /// Whether every line about an order is logged, and not only the first ones of each kind and
    /// then how many more there were.
    pub says_all: bool,
    /// Where orders come from.
    pub source: Source,
}

/// A running agent.
pub struct Agent {
    pool: Pool<()>,
    counters: Arc<Counters>,
}

impl Agent {
    /// Starts the shards. Returns at once; the API server need not be reachable yet.
    pub fn start(setup: Setup) -> Result<Self, PoolStartError> {
        let counters = Arc::new(Counters::default());
        let config = PoolConfig::new("stackherd", setup.engine.shards.get());
        let (setup, shared) = (Arc::new(setup), Arc::clone(&counters));
        let pool = shards::start(config, move |context| {
            #[cfg(test)]
            crate::fatal::strikes::prepare(context.id);
            shard::run(context, Arc::clone(&setup), Arc::clone(&shared))
        })?;
        Ok(Self { pool, counters })
    }

    /// What it has done so far.
    pub fn counters(&self) -> Arc<Counters> {
        Arc::clone(&self.counters)
    }

    /// A handle that ends it, from any thread.
    pub fn stopper(&self) -> Stopper {
        self.pool.stopper()
    }

    /// Waits for the end. The errors are those of shards that did not end by themselves.
    pub fn join(self) -> Result<(), Vec<ShardError>> {
        let errors: Vec<_> = self.pool.join().into_iter().filter_map(Result::err).collect();
        if errors.is_empty() { Ok(()) } else { Err(errors) }
    }

    /// Runs until the end, or until a signal asks for it. `false` where a shard failed.
    pub fn herd(self) -> bool {
        let (stopper, heartbeats) = (self.stopper(), self.pool.heartbeats());
        let on_signal = {
            let stopper = stopper.clone();
            move |signal| {
                // First what counts, then what is said of it.
                stopper.stop();
                info!("{signal}: no more orders are taken, writes in flight may end; once more ends at once");
            }
        };
        if let Err(failure) = shutdown::on_signal(on_signal) {
            warn!("a signal will end the process without its grace period: {failure}");
        }
        watchdog::start(heartbeats, stopper.clone());
        let joined = self.join();
        match (&joined, stopper.failed()) {
            (Ok(()), None) => true,
            (Ok(()), Some(shard)) => {
                error!("shard {shard} came to its end before anybody asked; please report this");
                false
            }
            (Err(failures), _) => {
                failures.iter().for_each(|failure| error!("{failure}"));
                false
            }
        }
    }
}

/// Why the agent cannot run at all.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// There is no API server to talk to.
    #[error(transparent)]
    Cluster(#[from] ClusterConfigError),
    /// There is no way to membership.
    #[error(transparent)]
    Membership(#[from] membership::MembershipError),
    /// The shards do not start.
    #[error(transparent)]
    Start(#[from] PoolStartError),
}

/// Runs the agent; the exit code is that of the process.
pub fn run(config: &Config) -> ExitCode {
    for note in &config.notes {
        warn!("{note}");
    }
    match start(config) {
        Ok(agent) => {
            if agent.herd() {
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            }
        }
        Err(failure) => {
            error!("{failure}");
            ExitCode::FAILURE
        }
    }
}

fn start(config: &Config) -> Result<Agent, RunError> {
    let setup = Setup {
        engine: config.engine,
        cluster: ClusterConfig::load(config.cluster.kube_config.as_deref())?,
        limits: limits(&config.cluster),
        max_list_items: config.cluster.max_list_items,
        base_url: StackBaseUrl::from(&config.identity.base_url),
        grace_period: config.lifecycle.grace_period,
        resync_period: config.lifecycle.resync_period,
        report_qps: config.lifecycle.report_qps,
        says_all: false,
        source: membership::source(config)?,
    };
    info!(
        version = config::VERSION,
        id = config.identity.id,
        membership = %config.membership.server,
        cluster = %setup.cluster.origin,
        shards = config.engine.shards,
        "stackherd starts"
    );
    Ok(Agent::start(setup)?)
}

/// The limits that the settings name, over all shards.
pub fn limits(cluster: &config::ClusterSettings) -> ClientLimits {
    ClientLimits {
        qps: cluster.qps,
        burst: cluster.burst,
        max_in_flight: cluster.max_in_flight.get(),
        deadline: cluster.request_timeout,
    }
}

//! The agent without its threads, for a simulation.

use std::{
    cell::RefCell,
    rc::{Rc, Weak},
    sync::Arc,
};

use shards::{PoolConfig, Stats, Stopper, simulation};

use super::{Counters, Setup, mail::Mail, shard};
use crate::{net, time::Duration};

/// What one shard has under way.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Load {
    /// It knows all there is and takes up orders.
    pub(crate) ready: bool,
    pub(crate) orders: Stats,
    /// Permits that are out, and requests that wait for one.
    pub(crate) permits: (usize, usize),
}

/// A shard as a simulation looks at it.
pub(crate) trait Look {
    /// What it has under way.
    fn load(&self) -> Load;
    /// Whether it knows of an object.
    fn knows(&self, plural: &str, name: &str) -> bool;
}

thread_local! {
    static SHARDS: RefCell<Vec<Weak<dyn Look>>> = const { RefCell::new(Vec::new()) };
}

/// Lets a simulation look at a shard for as long as there is the shard.
pub(super) fn show(shard: Weak<dyn Look>) {
    SHARDS.with_borrow_mut(|shards| {
        shards.retain(|shard| shard.strong_count() > 0);
        shards.push(shard);
    });
}

/// Every shard there is.
pub(crate) fn shards() -> Vec<Rc<dyn Look>> {
    SHARDS.with_borrow(|shards| shards.iter().filter_map(Weak::upgrade).collect())
}

/// The load of every shard.
pub(crate) fn loads() -> Vec<Load> {
    shards().iter().map(|shard| shard.load()).collect()
}

/// Whether any shard knows of an object.
pub(crate) fn knows(plural: &str, name: &str) -> bool {
    shards().iter().any(|shard| shard.knows(plural, name))
}

/// An agent whose shards are tasks of the group that it was started in.
pub(crate) struct Agent {
    pub(crate) stopper: Stopper,
    pub(crate) shards: Vec<net::Task<()>>,
}

/// Starts one.
pub(crate) async fn start(setup: Setup) -> Agent {
    let counters = Arc::new(Counters::default());
    let shards = setup.engine.shards.get();
    // A slower heartbeat than that of threads: all that it does here is to notice a stop.
    let config = PoolConfig { heartbeat: Duration::from_secs(1), ..PoolConfig::new("simulated", shards) };
    let setup = Arc::new(setup);
    let (contexts, stopper) = simulation::contexts::<Mail>(&config);
    let start = |context| net::spawn(shard::run(context, Arc::clone(&setup), Arc::clone(&counters)));
    let shards = contexts.into_iter().map(start).collect();
    Agent { stopper, shards }
}

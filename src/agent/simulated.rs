//! The agent without its threads, for a simulation.

use std::{cell::RefCell, collections::BTreeSet, sync::Arc};

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

type Watch = Box<dyn Fn() -> Option<Load>>;
type Knows = Box<dyn Fn(&str, &str) -> Option<bool>>;
type Kinds = Box<dyn Fn() -> Option<BTreeSet<String>>>;

thread_local! {
    static SHARDS: RefCell<Vec<Watch>> = const { RefCell::new(Vec::new()) };
    static STORES: RefCell<Vec<Knows>> = const { RefCell::new(Vec::new()) };
    static KINDS: RefCell<Vec<Kinds>> = const { RefCell::new(Vec::new()) };
}

/// Makes the load of a shard known, as long as there is the shard.
pub(super) fn watch_over(shard: impl Fn() -> Option<Load> + 'static) {
    SHARDS.with_borrow_mut(|shards| shards.push(Box::new(shard)));
}

/// Makes known what a shard knows, as long as there is the shard.
pub(super) fn look_into(store: impl Fn(&str, &str) -> Option<bool> + 'static) {
    STORES.with_borrow_mut(|stores| {
        stores.retain(|knows| knows("", "").is_some());
        stores.push(Box::new(store));
    });
}

/// Makes known of which kinds a shard knows all objects, as long as there is the shard.
pub(super) fn look_at_kinds(kinds: impl Fn() -> Option<BTreeSet<String>> + 'static) {
    KINDS.with_borrow_mut(|all| all.push(Box::new(kinds)));
}

/// Kinds of which all shards know all objects.
pub(crate) fn known_kinds() -> BTreeSet<String> {
    KINDS.with_borrow_mut(|all| {
        let known: Vec<_> = all.iter().map(|kinds| kinds()).collect();
        let mut alive = known.iter().map(Option::is_some);
        all.retain(|_| alive.next() == Some(true));
        let both = |one: BTreeSet<String>, other| &one & &other;
        known.into_iter().flatten().reduce(both).unwrap_or_default()
    })
}

/// Whether any shard knows of an object.
pub(crate) fn knows(plural: &str, name: &str) -> bool {
    STORES.with_borrow(|stores| stores.iter().any(|knows| knows(plural, name) == Some(true)))
}

/// The load of every shard there is.
pub(crate) fn loads() -> Vec<Load> {
    SHARDS.with_borrow_mut(|shards| {
        let loads: Vec<_> = shards.iter().map(|shard| shard()).collect();
        let mut alive = loads.iter().map(Option::is_some);
        shards.retain(|_| alive.next() == Some(true));
        loads.into_iter().flatten().collect()
    })
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
    let (contexts, stopper) = simulation::contexts::<Mail>(&config).await;
    let start = |context| net::spawn(shard::run(context, Arc::clone(&setup), Arc::clone(&counters)));
    let shards = contexts.into_iter().map(start).collect();
    Agent { stopper, shards }
}

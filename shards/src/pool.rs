//! The threads: N shards that start together, and end together.
//!
//! A shard that panics, or that ends before anybody asked, ends the pool: its keys have no owner,
//! and the others are told by [`Stop`], and [`Stopper::failed`] names the one to blame.

#[cfg(test)]
mod tests;

use crate::{
    Inbox, PoolStartError, Router, ShardError, ShardId, Stop, Stopper, host, mesh,
    shard::{self, ThreadArgs},
    stop::StopFlag,
    time::{Duration, Instant, now},
};
use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc,
    },
    thread::JoinHandle,
};

/// The most shards that a pool has. A mesh has a link for each pair.
pub const MAX_SHARDS: usize = 256;

/// How a pool is made up.
#[derive(Debug, Clone)]
pub struct PoolConfig {
    /// What threads are called, with the shard's number behind it. Linux shows 15 bytes.
    pub name: String,
    /// The number of shards, 1 to [`MAX_SHARDS`].
    pub shards: usize,
    /// Messages that may be on their way from one shard to another.
    pub mesh_capacity: usize,
    /// How long a send waits, once the pool stops, for a shard that does not take its messages.
    pub linger: Duration,
    /// How often a shard shows that it lives.
    pub heartbeat: Duration,
}

impl PoolConfig {
    /// A pool with the usual sizes.
    pub fn new(name: &str, shards: usize) -> Self {
        Self {
            name: name.to_owned(),
            shards,
            mesh_capacity: mesh_capacity(shards),
            linger: Duration::from_secs(1),
            heartbeat: Duration::from_millis(50),
        }
    }
}

/// There are shards squared of the links, and each comes to use all of its memory: so many messages
/// that those to a shard have room for 8,192 together, as far as that leaves each a few.
fn mesh_capacity(shards: usize) -> usize {
    (8192 / shards.max(1)).clamp(16, 2048)
}

/// What a shard is given to begin with.
///
/// An `async move` block takes only the fields that it names: one that never names the inbox has
/// dropped it, and with that closed the shard to messages.
pub struct ShardContext<M> {
    /// Which shard this is.
    pub id: ShardId,
    /// How many there are.
    pub shards: usize,
    /// Sends to the others, and to itself.
    pub router: Router<M>,
    /// Receives from the others, and from itself.
    pub inbox: Inbox<M>,
    /// Whether the pool ends.
    pub stop: Stop,
}

/// A running pool.
#[derive(Debug)]
pub struct Pool<T> {
    threads: Vec<JoinHandle<Result<T, ShardError>>>,
    stop: Arc<StopFlag>,
    heartbeats: Heartbeats,
}

/// When each shard last showed that it lives; for any thread.
#[derive(Debug, Clone)]
pub struct Heartbeats {
    began: Instant,
    /// Milliseconds from `began`, by shard.
    beats: Arc<[AtomicU64]>,
}

impl Heartbeats {
    fn new(shards: usize) -> Self {
        Self { began: now(), beats: (0..shards).map(|_| AtomicU64::new(0)).collect() }
    }

    pub(crate) fn beat(&self, shard: ShardId) {
        let since = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.beats[shard.index()].store(since, Ordering::Relaxed);
    }

    /// A shard has come to its end, and nobody waits for a sign of life any more.
    pub(crate) fn ended(&self, shard: ShardId) {
        self.beats[shard.index()].store(u64::MAX, Ordering::Relaxed);
    }

    /// The shards that should live and have shown no sign of it for `limit`; a healthy one does
    /// every [`PoolConfig::heartbeat`].
    pub fn silent_for(&self, limit: Duration) -> Vec<ShardId> {
        let age = self.began.elapsed();
        let silent = |beat: &AtomicU64| {
            age.saturating_sub(Duration::from_millis(beat.load(Ordering::Relaxed))) >= limit
        };
        let shards = (0..).map(ShardId::new);
        shards.zip(self.beats.iter()).filter(|(_, beat)| silent(beat)).map(|(shard, _)| shard).collect()
    }
}

/// Starts a pool: `f` is called once on each shard's thread, and the shard lives until the future
/// it gives is done. The shards are pinned to a core each where the process may use enough.
///
/// Returns when all executors stand, or none.
pub fn start<M, T, F, Fut>(config: PoolConfig, f: F) -> Result<Pool<T>, PoolStartError>
where
    M: Send + 'static,
    T: Send + 'static,
    F: Fn(ShardContext<M>) -> Fut + Clone + Send + 'static,
    Fut: Future<Output = T> + 'static,
{
    if !(1..=MAX_SHARDS).contains(&config.shards) {
        return Err(PoolStartError::Shards { asked: config.shards });
    }
    host::prepare_host()?;
    let cores = host::allowed_cores();
    let pinned = cores.len() >= config.shards;
    let (stop, heartbeats) = (Arc::new(StopFlag::new(config.shards)), Heartbeats::new(config.shards));
    let (made, all_made) = mpsc::sync_channel(config.shards);
    let config = Arc::new(config);

    let mut threads = Vec::with_capacity(config.shards);
    let mut starts = Vec::with_capacity(config.shards);
    for (index, endpoint) in mesh::endpoints(config.shards, config.mesh_capacity).into_iter().enumerate() {
        let shard = ShardId::new(index);
        let (start, may_start) = mpsc::sync_channel(1);
        let args = ThreadArgs {
            id: shard,
            core: pinned.then(|| cores[index]),
            config: Arc::clone(&config),
            endpoint,
            stop: Arc::clone(&stop),
            heartbeats: heartbeats.clone(),
            made: made.clone(),
            may_start,
        };
        let f = f.clone();
        // Where this or a later one fails, dropping `starts` sends the ones before home.
        let thread = std::thread::Builder::new()
            .name(format!("{}-{index}", config.name))
            .spawn(move || shard::run(args, f))
            .map_err(|source| PoolStartError::Thread { shard, source })?;
        threads.push(thread);
        starts.push(start);
    }
    drop(made);
    for _ in 0..config.shards {
        match all_made.recv() {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return Err(error),
            // Every thread reports before it ends, so this is not to be expected.
            Err(mpsc::RecvError) => break,
        }
    }
    for start in starts {
        let _ = start.send(());
    }
    Ok(Pool { threads, stop, heartbeats })
}

impl<T> Pool<T> {
    /// A handle that asks the pool to end.
    pub fn stopper(&self) -> Stopper {
        Stopper(Arc::clone(&self.stop))
    }

    /// What shows whether shards hang.
    pub fn heartbeats(&self) -> Heartbeats {
        self.heartbeats.clone()
    }

    /// Waits until all shards have ended, and gives what became of each, by shard.
    pub fn join(self) -> Vec<Result<T, ShardError>> {
        let joined = |(index, thread): (usize, JoinHandle<Result<T, ShardError>>)| {
            thread.join().unwrap_or_else(|payload| {
                let message = crate::error::panic_message(&*payload);
                Err(ShardError::Panicked { shard: ShardId::new(index), message })
            })
        };
        self.threads.into_iter().enumerate().map(joined).collect()
    }
}

//! Panics for tests, each in another place of an agent's second shard.

use std::{
    sync::{
        OnceLock,
        atomic::{
            AtomicBool,
            Ordering::{Acquire, Release},
        },
    },
    thread,
    time::Duration,
};

use shards::ShardId;

use crate::net;

/// Where a panic strikes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StrikePlace {
    /// In whatever writes a line of the log, and in every line of the shard from then on.
    Log,
    /// In a task.
    Task,
    /// In a blocking call on a thread of its own.
    Blocking,
    /// In a blocking call on a thread of the engine's.
    EngineBlocking,
    /// In the pool's own code, after the executor has come to its end.
    Pool,
    /// On a thread that nobody waits for.
    Stray,
}

impl StrikePlace {
    pub(crate) const ALL: [Self; 6] =
        [Self::Log, Self::Task, Self::Blocking, Self::EngineBlocking, Self::Pool, Self::Stray];
}

static PLACE: OnceLock<StrikePlace> = OnceLock::new();
static NOW: AtomicBool = AtomicBool::new(false);

/// In this process, agents will have a panic there.
pub(crate) fn plan(place: StrikePlace) {
    PLACE.set(place).expect("one for each process");
}

/// Now.
pub(crate) fn strike() {
    NOW.store(true, Release);
}

/// Called on each shard of an agent that starts.
pub(crate) fn prepare(shard: ShardId) {
    let Some(place) = PLACE.get().filter(|_| shard.index() == 1) else { return };
    net::spawn(async move {
        while !NOW.load(Acquire) {
            net::sleep(Duration::from_millis(1)).await;
        }
        match place {
            StrikePlace::Log => tracing::info!("the last line of this shard"),
            StrikePlace::Task => panic!("in a task"),
            StrikePlace::Blocking => drop(net::blocking(|| panic!("in a blocking call")).await),
            StrikePlace::EngineBlocking => {
                glommio::executor().spawn_blocking(|| panic!("in the engine's")).await
            }
            StrikePlace::Pool => std::panic::panic_any(PoolBomb),
            StrikePlace::Stray => drop(thread::spawn(|| panic!("on a stray thread"))),
        }
    })
    .detach();
}

/// Whether a line of the log that this thread writes is to panic.
pub(crate) fn is_log_struck() -> bool {
    let is_shard = thread::current().name() == Some("stackherd-1");
    is_shard && PLACE.get() == Some(&StrikePlace::Log) && NOW.load(Acquire)
}

/// Panics once more where the pool drops it.
struct PoolBomb;

impl Drop for PoolBomb {
    fn drop(&mut self) {
        panic!("in the pool");
    }
}

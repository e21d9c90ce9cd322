//! One shard's thread, from its executor to its end.

use crate::{
    Heartbeats, PoolConfig, PoolStartError, Router, ShardContext, ShardError, ShardId, Stop,
    contain::{ContainedPanic, contain},
    engine,
    error::panic_message,
    mesh::{Incoming, MeshEndpoint},
    stop::StopFlag,
    yield_to_reactor,
};
use glommio::{LocalExecutor, LocalExecutorBuilder, Placement};
use std::{
    cell::RefCell,
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    rc::Rc,
    sync::{Arc, mpsc},
};

/// The least that glommio registers for direct file IO, of which a shard does none.
const IO_MEMORY: usize = 64 * 1024;

/// All that a shard's thread starts with.
pub(crate) struct ThreadArgs<M> {
    pub(crate) id: ShardId,
    pub(crate) core: Option<usize>,
    pub(crate) config: Arc<PoolConfig>,
    pub(crate) endpoint: MeshEndpoint<M>,
    pub(crate) stop: Arc<StopFlag>,
    pub(crate) heartbeats: Heartbeats,
    pub(crate) made: mpsc::SyncSender<Result<(), PoolStartError>>,
    /// Says that all executors stand; closed instead where one does not.
    pub(crate) may_start: mpsc::Receiver<()>,
}

/// The shard's ends of the mesh, kept aside to be closed when the shard ends however it does: what
/// its tasks held may be leaked with them.
type Ends<M> = Rc<RefCell<Option<(Router<M>, Incoming<M>)>>>;

/// The thread's body.
pub(crate) fn run<M, T, F, Fut>(args: ThreadArgs<M>, f: F) -> Result<T, ShardError>
where
    M: Send + 'static,
    F: Fn(ShardContext<M>) -> Fut,
    Fut: Future<Output = T> + 'static,
    T: 'static,
{
    let ThreadArgs { id, core, config, endpoint, stop, heartbeats, made, may_start } = args;
    let never_started = || ShardError::Panicked { shard: id, message: "the pool did not start".to_owned() };
    let executor = match make_executor(id, core) {
        Ok(executor) => executor,
        Err(error) => {
            let _ = made.send(Err(error));
            return Err(never_started());
        }
    };
    let _ = made.send(Ok(()));
    drop(made);
    if may_start.recv().is_err() {
        return Err(never_started());
    }

    let mut ending = Ending::new(id, Arc::clone(&stop), heartbeats.clone());
    let ends: Ends<M> = Rc::default();
    let main = live(id, config, endpoint, Stop::new(id, stop), heartbeats, Rc::clone(&ends), f);
    // A panic in any task comes out here. What it left behind is not looked at again, but for the
    // mesh, whose ends are closed so that nobody waits for this shard.
    let outcome = catch_unwind(AssertUnwindSafe(|| executor.run(main)));
    let outcome = match outcome {
        Ok(outcome) => {
            ending.report(false);
            Ok(outcome)
        }
        Err(payload) => {
            let error = ShardError::Panicked { shard: id, message: panic_message(&*payload) };
            ending.report(true);
            // Only now: its destructor is anybody's code as well.
            drop(payload);
            Err(error)
        }
    };
    if let Some((router, incoming)) = ends.take() {
        router.close();
        incoming.close();
    }
    drop(executor);
    outcome
}

/// Tells of a shard's end, whatever ends it: where the thread unwinds, its drop does.
pub(crate) struct Ending {
    id: ShardId,
    stop: Arc<StopFlag>,
    heartbeats: Heartbeats,
    told: bool,
}

impl Ending {
    pub(crate) fn new(id: ShardId, stop: Arc<StopFlag>, heartbeats: Heartbeats) -> Self {
        Self { id, stop, heartbeats, told: false }
    }

    pub(crate) fn report(&mut self, panicked: bool) {
        self.told = true;
        self.stop.shard_ended(self.id, panicked);
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        if !self.told {
            self.report(true);
        } else if std::thread::panicking() {
            self.stop.fail(self.id);
        }
        self.heartbeats.ended(self.id);
    }
}

/// The shard's main task.
async fn live<M, T, F, Fut>(
    id: ShardId,
    config: Arc<PoolConfig>,
    endpoint: MeshEndpoint<M>,
    stop: Stop,
    heartbeats: Heartbeats,
    ends: Ends<M>,
    f: F,
) -> T
where
    M: Send + 'static,
    F: Fn(ShardContext<M>) -> Fut,
    Fut: Future<Output = T>,
{
    // Besides what it is for, the heartbeat bounds the time that an executor may sleep while it
    // has something to run, which glommio's can.
    let every = config.heartbeat;
    let heartbeat = engine::spawn(async move {
        loop {
            heartbeats.beat(id);
            engine::sleep(every).await;
        }
    });
    let relay = engine::spawn({
        let stop = stop.clone();
        async move { stop.relay().await }
    });
    let (router, inbox) = endpoint.open(&config, stop.clone());
    ends.replace(Some((router.clone(), inbox.incoming())));
    let outcome = f(ShardContext { id, shards: config.shards, router: router.clone(), inbox, stop }).await;
    router.close();
    heartbeat.cancel().await;
    relay.cancel().await;
    // A cancelled task is dropped by the executor when its turn comes; give it the turn.
    yield_to_reactor().await;
    outcome
}

/// Makes the executor on this very thread, pinned if it can be.
fn make_executor(id: ShardId, core: Option<usize>) -> Result<LocalExecutor, PoolStartError> {
    if let Some(core) = core {
        match try_make(Placement::Fixed(core)) {
            Ok(executor) => return Ok(executor),
            // Pinning wants to read the machine's topology, which some sandboxes hide.
            Err(refusal) => {
                tracing::warn!(shard = %id, core, message = %refusal, "the shard could not be pinned");
            }
        }
    }
    try_make(Placement::Unbound)
        .map_err(|refusal| PoolStartError::Executor { shard: id, message: refusal.to_string() })
}

/// Why glommio made no executor.
#[derive(Debug, thiserror::Error)]
enum ExecutorRefusal {
    #[error(transparent)]
    Said(#[from] glommio::GlommioError<()>),
    #[error(transparent)]
    Panicked(#[from] ContainedPanic),
}

fn try_make(placement: Placement) -> Result<LocalExecutor, ExecutorRefusal> {
    // No preemption timer of our own and no latency queues: with either, glommio 0.9 can go to
    // sleep on runnable tasks.
    let builder = LocalExecutorBuilder::new(placement).io_memory(IO_MEMORY);
    Ok(contain(|| builder.make())??)
}

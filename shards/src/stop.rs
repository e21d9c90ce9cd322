//! How the shards of a pool learn that it ends, and why.

use crate::{ShardId, signal::Signal};
use std::{
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

/// Why a pool ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopReason {
    /// Somebody asked for it.
    Requested,
    /// This shard came to its end, well or not, before anybody asked: its keys have no owner, so
    /// the others must not go on as if nothing were missing.
    ShardEnded(ShardId),
}

/// The one fact shared by all threads of a pool: 0 while it runs, then the first reason given.
#[derive(Debug, Default)]
pub(crate) struct StopFlag(AtomicUsize);

impl StopFlag {
    const RUNNING: usize = 0;
    const REQUESTED: usize = 1;
    const FIRST_SHARD: usize = 2;

    pub(crate) fn raise(&self, reason: StopReason) {
        let code = match reason {
            StopReason::Requested => Self::REQUESTED,
            StopReason::ShardEnded(shard) => Self::FIRST_SHARD + shard.index(),
        };
        // The first reason stands: what comes after it is mostly its consequence.
        let _ = self.0.compare_exchange(Self::RUNNING, code, Ordering::AcqRel, Ordering::Acquire);
    }

    pub(crate) fn reason(&self) -> Option<StopReason> {
        match self.0.load(Ordering::Acquire) {
            Self::RUNNING => None,
            Self::REQUESTED => Some(StopReason::Requested),
            code => Some(StopReason::ShardEnded(ShardId::new(code - Self::FIRST_SHARD))),
        }
    }
}

/// Stops a pool from any thread (a signal handler's, say). Shards notice within a heartbeat.
#[derive(Debug, Clone)]
pub struct Stopper(pub(crate) Arc<StopFlag>);

impl Stopper {
    /// Asks all shards of the pool to come to an end.
    pub fn stop(&self) {
        self.0.raise(StopReason::Requested);
    }

    /// Why the pool ends, if it does.
    pub fn reason(&self) -> Option<StopReason> {
        self.0.reason()
    }
}

/// A shard's view of whether its pool ends. Clones share the view and stay on the shard.
#[derive(Debug, Clone)]
pub struct Stop(Rc<Local>);

#[derive(Debug)]
struct Local {
    flag: Arc<StopFlag>,
    raised: Signal,
}

impl Stop {
    pub(crate) fn new(flag: Arc<StopFlag>) -> Self {
        Self(Rc::new(Local { flag, raised: Signal::default() }))
    }

    /// Whether the pool is to end.
    pub fn requested(&self) -> bool {
        self.reason().is_some()
    }

    /// Why, if it is.
    pub fn reason(&self) -> Option<StopReason> {
        self.0.flag.reason()
    }

    /// Waits until the pool is to end.
    pub async fn wait(&self) -> StopReason {
        self.0.raised.wait_until(|| self.reason()).await
    }

    /// Asks all shards of the pool to come to an end.
    pub fn request(&self) {
        self.0.flag.raise(StopReason::Requested);
        self.look();
    }

    /// A handle for other threads.
    pub fn stopper(&self) -> Stopper {
        Stopper(Arc::clone(&self.0.flag))
    }

    /// Tells the shard's waiting tasks what another thread may have done; called by the heartbeat.
    pub(crate) fn look(&self) {
        if self.requested() {
            self.0.raised.notify_all();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_reason_stands() {
        let flag = StopFlag::default();
        assert_eq!(flag.reason(), None);
        flag.raise(StopReason::ShardEnded(ShardId::new(3)));
        flag.raise(StopReason::Requested);
        assert_eq!(flag.reason(), Some(StopReason::ShardEnded(ShardId::new(3))));
    }
}

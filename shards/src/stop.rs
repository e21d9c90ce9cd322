//! How the shards of a pool learn that it ends, and why.

use crate::{ShardId, wakeup::Wakeup};
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

/// The facts shared by all threads of a pool.
#[derive(Debug, Default)]
pub(crate) struct StopFlag {
    /// 0 while the pool runs, then the first reason given.
    reason: AtomicUsize,
    /// 0 while no shard has failed, then the first one that has, counted from 1.
    failed: AtomicUsize,
}

impl StopFlag {
    const RUNNING: usize = 0;
    const REQUESTED: usize = 1;
    const FIRST_SHARD: usize = 2;

    /// `false` where the pool was ending already.
    pub(crate) fn raise(&self, reason: StopReason) -> bool {
        let code = match reason {
            StopReason::Requested => Self::REQUESTED,
            StopReason::ShardEnded(shard) => Self::FIRST_SHARD + shard.index(),
        };
        // The first reason stands: what comes after it is mostly its consequence.
        self.reason.compare_exchange(Self::RUNNING, code, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    /// This shard has come to its end, and the pool does because of it. To say so twice is no
    /// different from once.
    pub(crate) fn shard_ended(&self, shard: ShardId, panicked: bool) {
        if panicked {
            self.fail(shard);
        }
        if self.raise(StopReason::ShardEnded(shard)) {
            self.fail(shard);
        }
    }

    /// This shard is gone and has left undone what the others may wait for.
    pub(crate) fn fail(&self, shard: ShardId) {
        let _ = self.failed.compare_exchange(0, shard.index() + 1, Ordering::AcqRel, Ordering::Acquire);
    }

    pub(crate) fn failed(&self) -> Option<ShardId> {
        self.failed.load(Ordering::Acquire).checked_sub(1).map(ShardId::new)
    }

    pub(crate) fn reason(&self) -> Option<StopReason> {
        match self.reason.load(Ordering::Acquire) {
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

    /// The first shard that panicked, or ended before anybody asked; it may have done so while
    /// the pool was ending for another reason.
    pub fn failed(&self) -> Option<ShardId> {
        self.0.failed()
    }
}

/// A shard's view of whether its pool ends. Clones share the view and stay on the shard.
#[derive(Debug, Clone)]
pub struct Stop(Rc<Local>);

#[derive(Debug)]
struct Local {
    flag: Arc<StopFlag>,
    raised: Wakeup,
}

impl Stop {
    pub(crate) fn new(flag: Arc<StopFlag>) -> Self {
        Self(Rc::new(Local { flag, raised: Wakeup::default() }))
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
        self.0.raised.until(|| self.reason()).await
    }

    /// Waits until a shard has failed (see [`Stopper::failed`]): it will answer nothing any more.
    pub async fn wait_failed(&self) -> ShardId {
        self.0.raised.until(|| self.0.flag.failed()).await
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
            self.0.raised.notify();
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
        assert!(flag.raise(StopReason::ShardEnded(ShardId::new(3))));
        assert!(!flag.raise(StopReason::Requested));
        assert_eq!(flag.reason(), Some(StopReason::ShardEnded(ShardId::new(3))));
    }

    #[test]
    fn a_shard_that_fails_while_the_pool_ends_is_known() {
        let flag = StopFlag::default();
        flag.raise(StopReason::Requested);
        assert_eq!(flag.failed(), None);
        flag.fail(ShardId::new(0));
        flag.fail(ShardId::new(2));
        assert_eq!((flag.reason(), flag.failed()), (Some(StopReason::Requested), Some(ShardId::new(0))));
    }
}

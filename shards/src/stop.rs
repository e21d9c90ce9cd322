//! How the shards of a pool learn that it ends.

use crate::{ShardId, remote_wakeup::RemoteWakeup, wakeup::Wakeup};
use std::{
    convert::Infallible,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

/// The facts shared by all threads of a pool.
#[derive(Debug)]
pub(crate) struct StopFlag {
    stopping: AtomicBool,
    /// 0 while no shard has failed, then the first one that has, counted from 1.
    failed: AtomicUsize,
    /// By shard.
    changed: Box<[RemoteWakeup]>,
}

impl StopFlag {
    pub(crate) fn new(shards: usize) -> Self {
        let changed = (0..shards).map(|_| RemoteWakeup::default()).collect();
        Self { stopping: AtomicBool::new(false), failed: AtomicUsize::new(0), changed }
    }

    /// `false` where the pool was ending already.
    pub(crate) fn stop(&self) -> bool {
        let first = !self.stopping.swap(true, Ordering::AcqRel);
        self.changed.iter().for_each(RemoteWakeup::notify);
        first
    }

    /// This shard has come to its end, and the pool does because of it: its keys have no owner, so
    /// the others must not go on as if nothing were missing. To say so twice is no different from once.
    pub(crate) fn shard_ended(&self, shard: ShardId, panicked: bool) {
        if panicked {
            self.fail(shard);
        }
        if self.stop() {
            self.fail(shard);
        }
    }

    /// This shard is gone and has left undone what the others may wait for.
    pub(crate) fn fail(&self, shard: ShardId) {
        // The first one stands: what comes after it is mostly its consequence.
        let _ = self.failed.compare_exchange(0, shard.index() + 1, Ordering::AcqRel, Ordering::Acquire);
        self.changed.iter().for_each(RemoteWakeup::notify);
    }

    pub(crate) fn failed(&self) -> Option<ShardId> {
        self.failed.load(Ordering::Acquire).checked_sub(1).map(ShardId::new)
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }
}

/// Stops a pool from any thread.
#[derive(Debug, Clone)]
pub struct Stopper(pub(crate) Arc<StopFlag>);

impl Stopper {
    /// Asks all shards of the pool to come to an end.
    pub fn stop(&self) {
        self.0.stop();
    }

    /// The first shard that panicked, or ended before anybody asked; it may have done so while
    /// the pool was ending for another reason.
    pub fn failed(&self) -> Option<ShardId> {
        self.0.failed()
    }
}

/// A shard's view of whether its pool ends. Clones share the view and stay on the shard.
#[derive(Debug, Clone)]
pub struct Stop(Rc<ShardStop>);

#[derive(Debug)]
struct ShardStop {
    shard: ShardId,
    flag: Arc<StopFlag>,
    changed: Wakeup,
}

impl Stop {
    pub(crate) fn new(shard: ShardId, flag: Arc<StopFlag>) -> Self {
        Self(Rc::new(ShardStop { shard, flag, changed: Wakeup::default() }))
    }

    /// Whether the pool is to end.
    pub fn requested(&self) -> bool {
        self.0.flag.is_stopping()
    }

    /// Waits until the pool is to end.
    pub async fn wait(&self) {
        self.0.changed.until(|| self.requested().then_some(())).await;
    }

    /// Waits until a shard has failed (see [`Stopper::failed`]): it will answer nothing any more.
    pub async fn wait_failed(&self) -> ShardId {
        self.0.changed.until(|| self.0.flag.failed()).await
    }

    /// Asks all shards of the pool to come to an end.
    pub fn request(&self) {
        self.0.flag.stop();
        self.0.changed.notify();
    }

    /// Tells the shard's waiting tasks what another thread did, for as long as the shard lives.
    pub(crate) async fn relay(&self) -> Infallible {
        let ShardStop { shard, flag, changed } = &*self.0;
        let Some(remote) = flag.changed.get(shard.index()) else { return std::future::pending().await };
        let mut told = (false, None);
        let tell = || {
            let now = (flag.is_stopping(), flag.failed());
            if std::mem::replace(&mut told, now) != now {
                changed.notify();
            }
            None
        };
        remote.until(tell).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_ends_first_and_unasked_has_failed() {
        let flag = StopFlag::new(4);
        assert!(!flag.is_stopping());
        flag.shard_ended(ShardId::new(3), false);
        flag.shard_ended(ShardId::new(1), false);
        assert_eq!((flag.is_stopping(), flag.failed()), (true, Some(ShardId::new(3))));
    }

    #[test]
    fn a_shard_that_fails_while_the_pool_ends_is_known() {
        let flag = StopFlag::new(3);
        assert!(flag.stop() && !flag.stop());
        flag.shard_ended(ShardId::new(1), false);
        assert_eq!(flag.failed(), None);
        flag.fail(ShardId::new(0));
        flag.fail(ShardId::new(2));
        assert_eq!(flag.failed(), Some(ShardId::new(0)));
    }
}

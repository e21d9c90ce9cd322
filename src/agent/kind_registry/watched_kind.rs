//! One kind that is watched, and when its first list is waited for no longer. Pure.

use std::{sync::Arc, time::Duration};

use super::{KindLog, failures::KindFailures};
use crate::{
    stack::object::{Resource, Role},
    time::Instant,
};

/// A first list that failed while Stacks could be listed, and went no further for so long, is done
/// without. That is four attempts or so; the 429s of a definition that was made just now last for one
/// second. A kind that is given up too early costs no more than a second run of the orders that need it.
const PATIENCE: Duration = Duration::from_secs(2);
/// After an outage, every kind has tried again by then (the longest backoff of a list is 10 s).
const NOTICED: Duration = Duration::from_secs(35);
/// A first list that neither fails nor ends is waited for as long as this after the last one of the
/// others, and for [`SLOWER`] times as long as that took: a fleet so large that its lists take minutes
/// is no reason to start without some of them.
const LAST: Duration = Duration::from_secs(60);
/// See [`LAST`].
const SLOWER: u32 = 3;

/// How a kind stands to the orders.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum KindState {
    /// Its first list is under way.
    Pending,
    /// It was listed.
    InPlay,
    /// It is done without until it is listed.
    OutOfPlay,
}

#[derive(Debug)]
pub(super) struct WatchedKind {
    pub(super) kind: Arc<Resource>,
    /// Index of the shard that watches it.
    pub(super) shard: usize,
    pub(super) state: KindState,
    /// When its first list began, or was last seen to go on.
    pub(super) heard: Instant,
    pub(super) failures: KindFailures,
}

/// When first lists came to their end.
#[derive(Debug)]
pub(super) struct FirstLists {
    pub(super) began: Instant,
    pub(super) stacks: Option<StacksListed>,
    /// When a kind was last listed for the first time.
    pub(super) last_at: Option<Instant>,
}

/// The first list of Stacks.
#[derive(Debug, Clone, Copy)]
pub(super) struct StacksListed {
    pub(super) at: Instant,
    /// It failed before: the API server was away.
    pub(super) failed: bool,
}

impl WatchedKind {
    /// Whether nothing can be decided without it: Stacks own the rest. Versions are only reported.
    pub(super) fn is_needed(&self) -> bool {
        self.kind.role() == Role::Stack
    }

    pub(super) fn may_be_out(&self) -> bool {
        matches!(self.kind.role(), Role::Module | Role::AuthClient)
    }

    pub(super) fn leave_out(&mut self, now: Instant) -> KindLog {
        self.state = KindState::OutOfPlay;
        self.failures.logged(now);
        KindLog::Out { kind: Arc::clone(&self.kind), outage: self.failures.outage() }
    }

    /// Whether its first list is waited for no longer. While Stacks are not listed either, it may be the
    /// API server that is away, and nothing can be done in any case.
    pub(super) fn is_overdue(&self, lists: &FirstLists, now: Instant) -> bool {
        let (Some(stacks), Some(last)) = (lists.stacks, lists.last_at) else { return false };
        if self.state != KindState::Pending || !self.may_be_out() {
            return false;
        }
        let after = |since: Instant| now.saturating_duration_since(since);
        let heard = self.heard.max(stacks.at);
        // After an outage it may not have noticed yet that the server is back.
        let counts = self.failures.failed_since(heard) || !stacks.failed || after(stacks.at) >= NOTICED;
        let failed = self.failures.is_failing() && counts && after(heard) >= PATIENCE;
        let took = last.saturating_duration_since(lists.began).saturating_mul(SLOWER);
        failed || after(last.max(self.heard)) >= LAST || after(last) >= LAST.max(took)
    }
}

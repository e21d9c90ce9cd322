//! Uids that are gone for good, until a list asked for later has shown it.

use indexmap::IndexMap;

use crate::stack::object::{ObjectKey, Resource};

/// So many are remembered; the oldest go first. Watches and answers are hardly ever that far behind.
const MOST: usize = 4096;

/// See the [module](self).
#[derive(Debug, Default)]
pub(super) struct Tombstones(IndexMap<(ObjectKey, String), u64, ahash::RandomState>);

impl Tombstones {
    /// An uid was said to be gone at this time.
    pub(super) fn insert(&mut self, key: &ObjectKey, uid: &str, at: u64) {
        if self.0.len() >= MOST {
            self.0.shift_remove_index(0);
        }
        self.0.insert((key.clone(), uid.to_owned()), at);
    }

    /// When it was said to be gone.
    pub(super) fn since(&self, key: &ObjectKey, uid: &str) -> Option<u64> {
        if self.0.is_empty() {
            return None;
        }
        self.0.get(&(key.clone(), uid.to_owned())).copied()
    }

    /// A list that was asked for at this time has shown it.
    pub(super) fn forget_older(&mut self, kind: &Resource, asked: u64) {
        self.0.retain(|(key, _), at| key.resource.plural != kind.plural || *at >= asked);
    }
}

//! The name of a shard.

use std::fmt;

/// A shard of a pool, counted from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ShardId(usize);

impl ShardId {
    /// The shard with this index. Whether it exists is for the pool to say.
    pub const fn new(index: usize) -> Self {
        Self(index)
    }

    /// Its index, from 0 to the number of shards less one.
    pub const fn index(self) -> usize {
        self.0
    }
}

impl fmt::Display for ShardId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

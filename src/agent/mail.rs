//! What shards tell each other.

use std::sync::Arc;

use shards::ShardId;

use crate::{
    order::Order,
    stack::{object::Catalog, report::Report},
};

/// The shard that carries the source of orders, and so everything that goes back there.
pub(super) const FRONT: ShardId = ShardId::new(0);

/// An order on its way through the agent.
#[derive(Debug, Clone)]
pub(super) struct Job {
    /// The order.
    pub order: Order,
    /// Its end was counted already (it is parked, or watched for a late create).
    pub counted: bool,
}

impl shards::Order for Job {
    fn class(&self) -> shards::Class {
        self.order.class()
    }
}

/// A message from one shard to another.
#[derive(Debug)]
pub(super) enum Mail {
    /// To the shard that owns the stack.
    Order(Job),
    /// From shard 0 to all: the kinds in play. Orders wait, compacted, until it came.
    Catalog(Arc<Catalog>),
    /// To shard 0: membership shall know.
    Report(Report),
    /// To shard 0: this shard has no write in flight any more and begins no other.
    Drained,
}

//! What shards and the coordinator tell each other.

use std::sync::Arc;

use shards::{Rejected, Router, ShardId, shard_of};
use tracing::debug;

use super::kind_registry::KindStatus;
use crate::{
    membership::report_channel::StreamGrant,
    order::{Order, Trace},
    stack::{
        object::{Catalog, Object, ObjectKey, Resource},
        report::Report,
    },
    time::Instant,
};

/// The shard that carries the coordinator, and with it the source of orders.
pub(super) const COORDINATOR: ShardId = ShardId::new(0);

/// To a shard.
#[derive(Debug)]
pub(super) enum ToShard {
    /// From the source of orders: one for a stack that the shard owns.
    Order(QueuedOrder),
    /// From a reflector: of an object that the shard owns.
    Object(ObjectEvent),
    /// From a reflector to all shards: a list of the kind is complete.
    Listed {
        kind: Arc<Resource>,
        /// When the list was asked for.
        asked: Instant,
        /// The version that it shows.
        version: String,
    },
    /// From the coordinator: watch this kind.
    Watch(Arc<Resource>),
    /// From the coordinator: do not watch this kind any longer.
    Unwatch(Arc<Resource>),
    /// From the coordinator: the kinds in play. A shard activates them once it knows all of their
    /// objects; orders wait, compacted, until it did so for the first time.
    Activate(Arc<Catalog>),
    /// From the coordinator: of the stream that reports are for.
    Stream(StreamGrant),
    /// From the coordinator: say so once nothing is left to be reported.
    Flush,
}

/// To the coordinator.
#[derive(Debug)]
pub(super) enum ToCoordinator {
    /// From a reflector: how it goes with its kind.
    Kind(Arc<Resource>, KindStatus),
    /// A shard has activated these kinds.
    Activated(Arc<Catalog>),
    /// Membership shall know.
    Reports {
        from: ShardId,
        /// The stream that they are for.
        stream: u64,
        /// In the order in which they are to be sent.
        reports: Vec<Report>,
    },
    /// A shard has nothing left to report.
    Flushed,
    /// A shard has no write in flight any more and begins no other.
    Drained,
}

/// An order with its bookkeeping.
#[derive(Debug, Clone)]
pub(super) struct QueuedOrder {
    pub(super) order: Order,
    /// The trace that it belongs to.
    pub(super) trace: Option<Trace>,
    pub(super) stage: OrderStage,
}

/// How far an order has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OrderStage {
    /// It has not run yet.
    New,
    /// It was put off, and runs again.
    PutOff,
    /// It was put off, and its end is counted already: it is rejected, or watched for a late create.
    Ended,
}

impl shards::ClassedOrder for QueuedOrder {
    fn class(&self) -> shards::OrderClass {
        self.order.class()
    }
}

/// What a reflector has seen of one object.
#[derive(Debug)]
pub(super) enum ObjectEvent {
    /// A fresh list that was asked for at this time names it.
    Listed(Box<Object>, Instant),
    /// It has this state, learnt at this time.
    Changed(Box<Object>, Instant),
    /// It is gone, learnt at this time; its last state.
    Removed(Box<Object>, Instant),
    /// It belongs to another stack than this one from now on, or is no longer left over of it.
    Moved(ObjectKey, Arc<str>),
    /// One of the first three, for the shard that owns the stack which the object is
    /// [left over of](Object::leftover_of).
    Leftover(Box<ObjectEvent>),
}

/// A message on its way: there is one queue from each thread to each other.
#[derive(Debug)]
pub(super) enum Envelope {
    Shard(ToShard),
    Coordinator(ToCoordinator),
}

/// Sends from one shard. Each message has one place that it can be sent to.
#[derive(Clone)]
pub(super) struct MessageSender {
    router: Router<Envelope>,
    shards: usize,
}

impl MessageSender {
    pub(super) fn new(router: Router<Envelope>, shards: usize) -> Self {
        Self { router, shards }
    }

    pub(super) fn shards(&self) -> impl Iterator<Item = ShardId> + use<> {
        (0..self.shards).map(ShardId::new)
    }

    /// The shard that owns a stack.
    pub(super) fn owner(&self, stack: &str) -> ShardId {
        shard_of(stack.as_bytes(), self.shards)
    }

    /// Waits while the shard is behind, and says where it takes nothing any more.
    pub(super) async fn submit(&self, shard: ShardId, order: QueuedOrder) -> Result<(), Rejected<Envelope>> {
        self.router.send(shard, Envelope::Shard(ToShard::Order(order))).await
    }

    /// Waits while the shard is behind. One that is gone misses nothing.
    pub(super) async fn to_shard(&self, shard: ShardId, message: ToShard) {
        self.send(shard, Envelope::Shard(message)).await;
    }

    /// Waits while the coordinator's shard is behind.
    pub(super) async fn to_coordinator(&self, message: ToCoordinator) {
        self.send(COORDINATOR, Envelope::Coordinator(message)).await;
    }

    async fn send(&self, shard: ShardId, envelope: Envelope) {
        if self.router.send(shard, envelope).await.is_err() {
            debug!(%shard, "a shard is gone");
        }
    }

    /// This shard sends nothing more.
    pub(super) fn close(&self) {
        self.router.close();
    }
}

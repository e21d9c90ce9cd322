//! What shards tell each other.

use std::{sync::Arc, time::Instant};

use shards::ShardId;

use super::kinds::Look;
use crate::{
    order::{Order, Trace},
    stack::{
        object::{Catalog, Object, ObjectKey, Resource},
        report::Report,
    },
};

/// The shard that carries the source of orders, and so everything that goes back there.
pub(super) const FRONT: ShardId = ShardId::new(0);

/// An order on its way through the agent.
#[derive(Debug, Clone)]
pub(super) struct Job {
    /// The order.
    pub order: Order,
    /// The trace that it belongs to.
    pub trace: Option<Trace>,
    /// Its end was counted already (it is parked, or watched for a late create).
    pub counted: bool,
    /// It was put off and runs again.
    pub again: bool,
}

impl shards::ClassedOrder for Job {
    fn class(&self) -> shards::OrderClass {
        self.order.class()
    }
}

/// What a watch has seen of one object, for the shard that owns it.
#[derive(Debug)]
pub(super) enum Seen {
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
    Leftover(Box<Seen>),
}

/// A message from one shard to another.
#[derive(Debug)]
pub(super) enum Mail {
    /// To the shard that owns the stack.
    Order(Job),
    /// To the shard that owns the object.
    Seen(Seen),
    /// From the shard that watches a kind to all: a list of it is complete.
    Complete {
        /// The kind.
        kind: Arc<Resource>,
        /// When the list was asked for.
        asked: Instant,
        /// The version that it shows.
        version: String,
    },
    /// From the shard that watches a kind to the front: how that goes.
    Looked {
        /// The kind.
        kind: Arc<Resource>,
        /// What was seen of it.
        look: Look,
    },
    /// From the front to a shard: watch this kind.
    Watch(Arc<Resource>),
    /// From the front to a shard: do not watch this kind any longer.
    Unwatch(Arc<Resource>),
    /// From the front to all: the kinds in play. Each shard takes them up once it knows all of
    /// their objects; orders wait, compacted, until it did so for the first time.
    Catalog(Arc<Catalog>),
    /// To the front: this shard has taken up the kinds in play.
    TakenUp(Arc<Catalog>),
    /// From the front to all: a stream to membership was opened, and there is room for reports.
    Opened {
        /// Which one, counted from 1.
        stream: u64,
        /// Whether everything is to be told, and not only what changes.
        everything: bool,
    },
    /// From the front to all: the stream is over.
    Ended,
    /// From the front: so many reports of this stream went out, so that there is room again.
    Room {
        /// Which stream.
        stream: u64,
        /// How many.
        reports: usize,
    },
    /// To the front: membership shall know.
    Reports {
        /// Whose.
        from: ShardId,
        /// For which stream.
        stream: u64,
        /// In the order in which they are to be sent.
        reports: Vec<Report>,
    },
    /// From the front to all: say so once nothing is left to be told.
    Flush,
    /// To the front: nothing is left to be told.
    Flushed,
    /// To the front: this shard has no write in flight any more and begins no other.
    Drained,
}

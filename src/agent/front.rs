//! Where a source of orders meets the agent: on shard 0.

use std::{rc::Rc, sync::Arc, time::Duration};

use futures::future::LocalBoxFuture;
use shards::{Router, Stop, shard_of};
use tracing::error;

use super::{
    counters::Counters,
    mail::{Job, Mail},
};
use crate::{
    net,
    order::Order,
    stack::{object::Catalog, report::Report},
};

/// Makes the feed on shard 0, once the kinds of the cluster are known.
pub type Source = Arc<dyn Fn(Front) -> Feed + Send + Sync>;

/// Takes what shall be told, from all shards.
pub type Tell = Rc<dyn Fn(&Report)>;

/// A source at work.
pub struct Feed {
    /// Submits orders until there are no more, or until [`Front::stop`] is requested. When it
    /// ends by itself, the agent stops; when the agent stops, it is awaited until it ends.
    pub run: LocalBoxFuture<'static, ()>,
    /// Where reports go.
    pub report: Tell,
}

/// The agent as its source sees it.
#[derive(Clone)]
pub struct Front {
    router: Router<Mail>,
    shards: usize,
    drained: Rc<dyn Fn() -> bool>,
    /// The kinds of this cluster.
    pub catalog: Arc<Catalog>,
    /// Running totals.
    pub counters: Arc<Counters>,
    /// Requested when the agent shall end: submit nothing any more.
    pub stop: Stop,
}

impl Front {
    pub(super) fn new(
        router: Router<Mail>,
        shards: usize,
        catalog: Arc<Catalog>,
        counters: Arc<Counters>,
        stop: Stop,
        drained: Rc<dyn Fn() -> bool>,
    ) -> Self {
        Self { router, shards, drained, catalog, counters, stop }
    }

    /// Hands an order to the shard that owns its stack; waits while that shard is behind.
    pub async fn submit(&self, order: Order) {
        let owner = shard_of(order.stack.as_str().as_bytes(), self.shards);
        let job = Job { order, counted: false };
        self.counters.accepted.add(1);
        if let Err(rejected) = self.router.send(owner, Mail::Order(job)).await {
            // Only while the process is ending: the next start gets the order anew.
            self.counters.failed.add(1);
            error!(shard = %owner, "an order was not taken, its shard is gone: {rejected}");
        }
    }

    /// Resolves once the agent is stopping and no shard has a write in flight any more.
    pub async fn drained(&self) {
        self.stop.wait().await;
        while !(self.drained)() {
            net::sleep(Duration::from_millis(5)).await;
        }
    }
}

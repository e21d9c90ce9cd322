//! Where a source of orders meets the agent: on the coordinator's shard.

use std::{cell::Ref, pin::pin, rc::Rc, sync::Arc};

use futures::future::{LocalBoxFuture, select};
use shards::Stop;
use tracing::error;

use super::Coordinator;
use crate::{
    agent::{
        counters::{Counters, OrderEnd},
        message::{OrderStage, QueuedOrder, ToShard},
    },
    membership::report_channel::ReportChannel,
    order::{Order, Trace},
    stack::object::Resource,
};

/// Submits orders until there are no more, or until [`SourceHandle::stop`] is requested, and takes
/// reports while it has a stream open. Called once the modules of the cluster are known. When it ends
/// by itself, the agent stops; when the agent stops, it is awaited until it ends.
pub type OrderSource = Arc<dyn Fn(SourceHandle) -> LocalBoxFuture<'static, ()> + Send + Sync>;

/// The module kinds of a cluster.
#[derive(Debug, Clone, Default)]
pub struct ClusterModules {
    /// Counts up whenever what can be done with modules changed.
    pub generation: u64,
    /// The kinds.
    pub kinds: Vec<Arc<Resource>>,
}

/// The agent as its source of orders sees it. Clones are the same.
#[derive(Clone)]
pub struct SourceHandle(Rc<Coordinator>);

impl SourceHandle {
    pub(super) fn new(coordinator: Rc<Coordinator>) -> Self {
        Self(coordinator)
    }

    /// Requested when the agent shall end: submit nothing any more.
    pub fn stop(&self) -> &Stop {
        &self.0.stop
    }

    /// Running totals.
    pub fn counters(&self) -> &Counters {
        &self.0.counters
    }

    /// Where reports come out, for the stream that is opened there.
    pub fn reports(&self) -> ReportChannel {
        self.0.reports.clone()
    }

    /// Hands an order to the shard that owns its stack; waits while that shard is behind.
    pub async fn submit(&self, order: Order, trace: Option<Trace>) {
        let owner = self.0.messages.owner(order.stack.as_str());
        self.counters().accepted.add(1);
        let order = QueuedOrder { order, trace, stage: OrderStage::New };
        if let Err(rejected) = self.0.messages.submit(owner, order).await {
            // Only while the process is ending: the next start gets the order anew.
            self.counters().ended(OrderEnd::Failed, 1);
            error!(shard = %owner, "an order was not taken, its shard is gone: {rejected}");
        }
    }

    /// The module kinds of this cluster.
    pub fn modules(&self) -> Ref<'_, ClusterModules> {
        self.0.modules.borrow()
    }

    /// Whether the cluster has a module of this name.
    pub fn is_module(&self, singular: &str) -> bool {
        self.modules().kinds.iter().any(|kind| kind.singular == singular)
    }

    /// Waits for a newer generation of the modules than this.
    pub async fn modules_after(&self, known: u64) -> ClusterModules {
        self.0.modules_after(known).await
    }

    /// Waits until every order has come to an end, or the agent is stopping.
    pub async fn settled(&self) {
        select(pin!(self.counters().none_pending()), pin!(self.stop().wait())).await;
    }

    /// Waits until all that there was to report was handed over.
    pub async fn flushed(&self) {
        let Coordinator { outbound, unflushed, changed, .. } = &*self.0;
        unflushed.set(outbound.borrow().len());
        outbound.borrow_mut().iter_mut().for_each(|shard| shard.flush = Some(ToShard::Flush));
        changed.notify();
        changed.until(|| (unflushed.get() == 0).then_some(())).await;
    }

    /// Resolves once the agent is stopping and no shard has a write in flight any more.
    pub async fn drained(&self) {
        self.stop().wait().await;
        self.0.all_drained().await;
    }
}

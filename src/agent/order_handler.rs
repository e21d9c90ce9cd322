//! Takes up the orders of a shard, each in an [`OrderRun`].

use std::{
    cell::{Ref, RefCell},
    rc::Rc,
    sync::Arc,
};

use ahash::AHashMap;
use shards::{Handler, Outcome, Slot, Stop};
use tracing::warn;

use super::{
    circuit_breaker::BreakerDriver,
    counters::{Counters, OrderEnd},
    message::{OrderStage, QueuedOrder},
    order_log::OrderLog,
    order_run::OrderRun,
    shard_store::ShardStore,
};
use crate::{
    cluster::KubeClient,
    order::{Change, StackName},
    stack::{
        desired::fingerprint,
        machine::{Carryover, MachineContext},
        object::ObjectKey,
    },
    time::now,
};

/// What all orders of one shard share.
pub(super) struct OrderHandler {
    pub(super) client: KubeClient,
    pub(super) store: Rc<ShardStore>,
    pub(super) breakers: Rc<BreakerDriver>,
    pub(super) counters: Arc<Counters>,
    pub(super) log: Rc<OrderLog>,
    pub(super) stop: Stop,
    /// What has to be remembered of stacks between their orders: those with writes in doubt, or in
    /// trouble.
    carryovers: RefCell<AHashMap<StackName, Carryover>>,
    /// Changes when kinds come and go.
    context: RefCell<Rc<MachineContext>>,
}

impl OrderHandler {
    pub(super) fn new(
        client: KubeClient,
        store: Rc<ShardStore>,
        breakers: Rc<BreakerDriver>,
        context: MachineContext,
        counters: Arc<Counters>,
        log: Rc<OrderLog>,
        stop: Stop,
    ) -> Self {
        let (carryovers, context) = (RefCell::default(), RefCell::new(Rc::new(context)));
        Self { client, store, breakers, counters, log, stop, carryovers, context }
    }

    /// What orders that begin now are about.
    pub(super) fn context(&self) -> Ref<'_, Rc<MachineContext>> {
        self.context.borrow()
    }

    /// Orders that begin from now on are about these kinds.
    pub(super) fn set_context(&self, context: MachineContext) {
        self.context.replace(Rc::new(context));
    }

    /// Whether anything is remembered of a stack.
    pub(super) fn remembers(&self, stack: &StackName) -> bool {
        self.carryovers.borrow().contains_key(stack)
    }

    /// The stack, where an order of it was put off until something happens to this object.
    pub(super) fn awaiting(&self, stack: &str, key: &ObjectKey) -> Option<StackName> {
        let carryovers = self.carryovers.borrow();
        if carryovers.is_empty() {
            return None;
        }
        let stack = StackName::new(stack).ok()?;
        carryovers.get(&stack)?.awaits(key).then_some(stack)
    }

    /// The stacks of which an order was put off for kinds that were out of play.
    pub(super) fn incomplete(&self) -> Vec<StackName> {
        let carryovers = self.carryovers.borrow();
        carryovers
            .iter()
            .filter(|(_, carryover)| carryover.lacks_kinds())
            .map(|(stack, _)| stack.clone())
            .collect()
    }

    /// Says what the end of the process forgets.
    pub(super) fn log_forgotten(&self) {
        for (stack, carryover) in &*self.carryovers.borrow() {
            if let Some(objects) = carryover.in_doubt() {
                warn!(%stack, "the outcome of the last write to {objects} is not known; should it arrive late, the next order of this stack puts it right");
            }
        }
    }

    /// An order that was found to need nothing, and of whose stack nothing has changed since, needs
    /// nothing.
    fn has_converged(&self, order: &QueuedOrder) -> bool {
        let Change::Existing(snapshot) = &order.order.change else { return false };
        let stack = &order.order.stack;
        !self.remembers(stack) && self.store.is_converged(stack, fingerprint(snapshot))
    }
}

impl Handler<StackName, QueuedOrder> for OrderHandler {
    async fn handle(&self, slot: Slot<StackName, QueuedOrder>, order: QueuedOrder) -> Outcome<QueuedOrder> {
        let stack = order.order.stack.clone();
        if order.stage == OrderStage::New {
            self.store.trace(&stack, order.trace.as_ref());
        }
        let resumes = self.breakers.begins(&stack);
        if self.has_converged(&order) {
            self.breakers.ends(&stack);
            self.store.applied(&stack);
            if order.stage != OrderStage::Ended {
                self.counters.ended(OrderEnd::Applied, 1);
            }
            return Outcome::Done;
        }
        let carryover = self.carryovers.borrow_mut().remove(&stack).unwrap_or_default();
        let mut run = OrderRun::new(self, slot, order, carryover);
        if resumes {
            run.machine.resume();
        }
        let verdict = run.drive().await;
        let (_, carryover) = run.machine.into_parts(now());
        if !carryover.is_empty() {
            self.carryovers.borrow_mut().insert(stack, carryover);
        }
        verdict
    }

    fn displaced(&self, _stack: &StackName, order: QueuedOrder) {
        if order.stage != OrderStage::Ended {
            self.counters.ended(OrderEnd::Superseded, 1);
        }
    }
}

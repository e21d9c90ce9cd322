//! Membership: owns the truth about every stack, says so on a stream, and believes what it is told.

use std::{
    cell::{Cell, RefCell},
    rc::{Rc, Weak},
    time::Duration,
};

use bytes::Bytes;
use fastrand::Rng;
use futures::{StreamExt, channel::mpsc, future::LocalBoxFuture};
use prost::Message as _;
use shards::{engine, simulation::SimGroup};
use tonic::Status;

use super::{
    faults::{FaultRates, Struck},
    trace::RunTrace,
    wishes::Wishes,
};
use crate::{
    demo::mirror::MembershipMirror,
    membership::{
        simulated::{SimulatedDownlink, SimulatedJoin, SimulatedPeer},
        wire::server::{
            DeletedStack, Message, Order, Ping,
            message::Message as Said,
            order::Message::{self as Ordered, DeletedStack as Deleted, ExistingStack as Existing},
        },
    },
    net, time,
};

/// A message takes at most this long.
const HOP: Duration = Duration::from_millis(2);

/// See the [module](self).
pub(crate) struct Membership {
    me: Weak<Self>,
    begun: time::Instant,
    group: SimGroup,
    wishes: Rc<Wishes>,
    pub(crate) faults: RefCell<FaultRates>,
    pub(crate) struck: RefCell<Struck>,
    pub(crate) mirror: RefCell<MembershipMirror>,
    /// Stacks that were said to be gone, since the last wish about them.
    confirmed: RefCell<std::collections::BTreeSet<String>>,
    /// Every message but Pongs.
    pub(crate) heard: RefCell<Vec<Message>>,
    trace: Rc<RunTrace>,
    rng: RefCell<Rng>,
    stream: RefCell<Option<SimulatedStream>>,
    joins: Cell<usize>,
    /// Nobody may join until then.
    closed_until: Cell<Option<time::Instant>>,
}

/// A stream that is open. Dropped, it is cut, and what is on its way is lost.
struct SimulatedStream {
    orders: mpsc::UnboundedSender<Bytes>,
    _down: engine::Task<()>,
    _up: engine::Task<()>,
}

impl Membership {
    pub(crate) fn new(seed: u64, faults: FaultRates, wishes: Rc<Wishes>, trace: Rc<RunTrace>) -> Rc<Self> {
        Rc::new_cyclic(|me| Self {
            me: me.clone(),
            begun: time::now(),
            group: SimGroup::new(),
            wishes,
            faults: RefCell::new(faults),
            struck: RefCell::default(),
            mirror: RefCell::default(),
            confirmed: RefCell::default(),
            heard: RefCell::default(),
            trace,
            rng: RefCell::new(Rng::with_seed(seed)),
            stream: RefCell::default(),
            joins: Cell::new(0),
            closed_until: Cell::default(),
        })
    }

    fn elapsed(&self) -> Duration {
        time::now() - self.begun
    }

    fn chance(&self, share: f64) -> bool {
        share > 0.0 && self.rng.borrow_mut().f64() < share
    }

    fn random(&self, most: Duration) -> Duration {
        crate::time::times(most, self.rng.borrow_mut().f64())
    }

    /// How often an agent has joined.
    pub(crate) fn joins(&self) -> usize {
        self.joins.get()
    }

    pub(crate) fn is_joined(&self) -> bool {
        self.stream.borrow().is_some()
    }

    /// Gives an order, now. Where nobody is joined, the next one hears of it by the replay.
    pub(crate) fn order(&self, order: &Order) {
        if !self.wishes.give(self.elapsed(), order) {
            return;
        }
        if let Some(Existing(_) | Deleted(_)) = &order.message {
            self.confirmed.borrow_mut().remove(stack_of(order));
        }
        let times = if self.chance(self.faults.borrow().repeat) {
            self.struck.borrow_mut().count("repeat");
            2
        } else {
            1
        };
        for _ in 0..times {
            self.send(order);
        }
        if self.chance(self.faults.borrow().junk) {
            self.struck.borrow_mut().count("junk");
            let junk: Vec<u8> =
                (0..self.rng.borrow_mut().usize(1..40)).map(|_| self.rng.borrow_mut().u8(..)).collect();
            self.push(junk.into());
        }
    }

    fn send(&self, order: &Order) {
        self.trace.say(self.elapsed(), || format!("order {}", told(order)));
        self.push(order.encode_to_vec().into());
    }

    /// Sends any bytes as a message.
    pub(crate) fn push(&self, bytes: Bytes) {
        if let Some(line) = &*self.stream.borrow() {
            let _ = line.orders.unbounded_send(bytes);
        }
    }

    /// Cuts the stream, and keeps it cut for so long.
    pub(crate) fn cut(&self, time: Duration) {
        self.trace.say(self.elapsed(), || "the stream is cut".to_owned());
        self.closed_until.set(Some(time::now() + time));
        // Outside of the borrow.
        let line = self.stream.take();
        drop(line);
    }

    /// What a stream begins with: all that is wanted, and what should be gone and may not be.
    fn replay(&self) {
        let mut orders: Vec<Order> = Vec::new();
        for (name, wish) in self.wishes.now() {
            match wish {
                Some(stack) => orders.push(order(Existing(stack))),
                None if !self.confirmed.borrow().contains(&name) => {
                    orders.push(order(Deleted(DeletedStack { cluster_name: name })));
                }
                None => {}
            }
        }
        self.rng.borrow_mut().shuffle(&mut orders);
        orders.iter().for_each(|order| self.send(order));
    }

    fn hear(&self, message: Message) {
        match &message.message {
            Some(Said::Pong(_)) | None => return,
            Some(Said::StackDeleted(stack)) => {
                self.confirmed.borrow_mut().insert(stack.cluster_name.clone());
            }
            Some(_) => {}
        }
        self.trace.say(self.elapsed(), || format!("told {}", gist(&message)));
        self.mirror.borrow_mut().hear(&message);
        self.heard.borrow_mut().push(message);
    }

    /// Believes no more that what should be gone is gone: the next replay says so again.
    pub(crate) fn doubt(&self) {
        self.confirmed.borrow_mut().clear();
    }

    /// Whether it was told that a stack is gone.
    pub(crate) fn says_deleted(&self, stack: &str) -> bool {
        self.heard.borrow().iter().any(|message| {
            matches!(&message.message, Some(Said::StackDeleted(told)) if told.cluster_name == stack)
        })
    }

    /// A Ping now and then.
    pub(crate) async fn ping(self: Rc<Self>) {
        loop {
            net::sleep(Duration::from_secs(20)).await;
            self.push(order(Ordered::Ping(Ping {})).encode_to_vec().into());
        }
    }
}

impl SimulatedPeer for Membership {
    fn join(&self, join: SimulatedJoin) -> LocalBoxFuture<'static, Result<SimulatedDownlink, Status>> {
        let Some(membership) = self.me.upgrade() else { return Box::pin(std::future::pending()) };
        Box::pin(async move {
            net::sleep(membership.random(HOP * 5)).await;
            let closed = membership.closed_until.get().is_some_and(|until| time::now() < until);
            if closed || membership.chance(membership.faults.borrow().join_refused) {
                membership.struck.borrow_mut().count("join-refused");
                return Err(Status::unavailable("not now"));
            }
            membership.joins.set(membership.joins.get() + 1);
            membership.trace.say(membership.elapsed(), || "the agent has joined".to_owned());
            let (orders, on_their_way) = mpsc::unbounded();
            let (downlink, received) = mpsc::unbounded();
            let group = membership.group;
            let line = SimulatedStream {
                orders,
                _down: group.spawn(carry(Rc::clone(&membership), on_their_way, downlink)),
                _up: group.spawn(listen(Rc::clone(&membership), join)),
            };
            let before = membership.stream.replace(Some(line));
            drop(before);
            membership.replay();
            Ok(received)
        })
    }
}

async fn carry(
    membership: Rc<Membership>,
    mut orders: mpsc::UnboundedReceiver<Bytes>,
    downlink: mpsc::UnboundedSender<Result<Bytes, Status>>,
) {
    while let Some(order) = orders.next().await {
        // Whatever comes meanwhile goes along.
        net::sleep(membership.random(HOP)).await;
        let mut next = Some(order);
        while let Some(order) = next {
            if downlink.unbounded_send(Ok(order)).is_err() {
                return;
            }
            next = orders.try_recv().ok();
        }
    }
}

async fn listen(membership: Rc<Membership>, mut join: SimulatedJoin) {
    while let Some(message) = join.uplink.next().await {
        if membership.chance(0.3) {
            net::sleep(membership.random(HOP)).await;
        }
        membership.hear(message);
    }
}

pub(crate) fn order(message: Ordered) -> Order {
    Order { message: Some(message), ..Order::default() }
}

/// The stack that an order is about.
pub(crate) fn stack_of(order: &Order) -> &str {
    match &order.message {
        Some(Existing(stack)) => &stack.cluster_name,
        Some(Deleted(stack)) => &stack.cluster_name,
        Some(Ordered::DisabledStack(stack)) => &stack.cluster_name,
        Some(Ordered::EnabledStack(stack)) => &stack.cluster_name,
        _ => "",
    }
}

fn told(order: &Order) -> String {
    match &order.message {
        Some(Existing(stack)) => {
            let modules: Vec<_> = stack.modules.iter().map(|module| module.name.as_str()).collect();
            let clients: Vec<_> = stack.static_clients.iter().map(|client| client.id.as_str()).collect();
            let (name, versions, disabled) = (&stack.cluster_name, &stack.versions, stack.disabled);
            format!("existing {name} {versions} disabled {disabled} {modules:?} {clients:?}")
        }
        other => format!("{other:?}"),
    }
}

fn gist(message: &Message) -> String {
    let kind = |vk: &Option<crate::membership::wire::server::VersionKind>| {
        vk.as_ref().map(|vk| vk.kind.clone()).unwrap_or_default()
    };
    match &message.message {
        Some(Said::StatusChanged(told)) => format!("status of Stack {}", told.cluster_name),
        Some(Said::ModuleStatusChanged(told)) => {
            format!("status of {} {}", kind(&told.vk), told.cluster_name)
        }
        Some(Said::StackDeleted(told)) => format!("Stack {} is gone", told.cluster_name),
        Some(Said::ModuleDeleted(told)) => format!("{} {} is gone", kind(&told.vk), told.cluster_name),
        other => format!("{other:?}"),
    }
}

//! Messages between the shards of a pool, and from a shard to itself.
//!
//! Each pair of shards has a bounded channel in each direction, and each sender a bounded overflow
//! in front of it that its own task moves on. Messages from one shard to another arrive in the
//! order in which they were accepted.
//!
//! - [`Router::try_send`] never waits: when channel and overflow are full, or the other shard has
//!   ended, the message comes back.
//! - [`Router::send`] waits for room. It only suspends the task that awaits it, so **the task that
//!   drains an [`Inbox`] must not await it**: two shards whose drains wait for room at each other
//!   would wait for ever. A drain puts what it receives somewhere and goes on; a
//!   [`Table`](crate::Table) has room for any number of orders of its keys.
//! - [`Inbox::recv`] takes from the other shards in turn, so none holds up another, and gives way
//!   to IO by itself after [`CoopBudget::LENGTH`](crate::CoopBudget::LENGTH).
//! - A shard that has nothing more to send says so by [`Router::close`]; when all have, `recv`
//!   gives `None`. The pool closes for a shard that ends or panics.
//!
//! The channels are glommio's, with three habits that are worked around: a `send().await` never
//! returns once the receiver is gone (only `try_send` is used), each poll of an empty receiver
//! leaves one more waker behind (a receiver is polled only when its own waker was called), and
//! its `MeshBuilder` waits for ever for a peer that failed to start (the channels are made by the
//! pool, beforehand, and one that is dropped counts as closed).

mod channel;
mod inbox;
mod lane;
mod router;
#[cfg(test)]
mod tests;

pub use inbox::Inbox;
pub(crate) use inbox::Receiving;
pub use router::{Rejected, Router};

use crate::{ShardId, Stop, pool::PoolConfig};
use futures::future::{join, join_all};
use std::rc::Rc;

/// One shard's ends of all its channels, on their way to its thread.
pub(crate) struct MeshEndpoint<M: Send + 'static> {
    id: ShardId,
    /// By shard; `None` where that is the shard itself.
    senders: Vec<Option<channel::Outlet<M>>>,
    receivers: Vec<Option<channel::Inlet<M>>>,
}

/// The endpoints of a mesh of `shards`, in their order.
pub(crate) fn endpoints<M: Send + 'static>(shards: usize, capacity: usize) -> Vec<MeshEndpoint<M>> {
    let endpoint = |index| MeshEndpoint {
        id: ShardId::new(index),
        senders: (0..shards).map(|_| None).collect(),
        receivers: (0..shards).map(|_| None).collect(),
    };
    let mut mesh: Vec<MeshEndpoint<M>> = (0..shards).map(endpoint).collect();
    for from in 0..shards {
        for to in (0..shards).filter(|to| *to != from) {
            let (sender, receiver) = channel::bounded(capacity.max(1));
            mesh[from].senders[to] = Some(sender);
            mesh[to].receivers[from] = Some(receiver);
        }
    }
    mesh
}

impl<M: Send + 'static> MeshEndpoint<M> {
    /// Meets the other shards; to be called on the shard's own executor.
    pub(crate) async fn connect(self, config: &PoolConfig, stop: Stop) -> (Router<M>, Inbox<M>) {
        // All at once: each connection waits for its other end, which is one of many over there.
        let senders = join_all(self.senders.into_iter().map(|sender| async {
            match sender {
                Some(sender) => Some(sender.connect().await),
                None => None,
            }
        }));
        let receivers = join_all(self.receivers.into_iter().map(|receiver| async {
            match receiver {
                Some(receiver) => Some(receiver.connect().await),
                None => None,
            }
        }));
        let (senders, receivers) = join(senders, receivers).await;
        let own = Rc::new(lane::Own::new(config.mesh_capacity + config.overflow));
        let router = Router::new(self.id, senders, Rc::clone(&own), config, stop);
        (router, Inbox::new(receivers, own))
    }
}

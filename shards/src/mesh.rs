//! Messages between the shards of a pool, and from a shard to itself.
//!
//! Each pair of shards has a link in each direction, a queue with a bound. Messages from one shard
//! to another arrive in the order in which they were accepted.
//!
//! - [`Router::send`] waits for room. It only suspends the task that awaits it, so **the task that
//!   drains an [`Inbox`] must not await it**: two shards whose drains wait for room at each other
//!   would wait for ever. A drain puts what it receives somewhere and goes on; a
//!   [`Table`](crate::Table) has room for any number of orders of its keys. Once the other shard has
//!   ended, the message comes back.
//! - [`Inbox::recv`] takes from the shards in turn, so none holds up another, and gives way to IO by
//!   itself after [`CoopBudget::LENGTH`](crate::CoopBudget::LENGTH).
//! - A shard that has nothing more to send says so by [`Router::close`]; when all have, `recv`
//!   gives `None`. The pool closes for a shard that ends or panics.
//!
//! glommio's own channels are not used: a `send().await` on them never returns once the receiver is
//! gone, each poll of an empty receiver leaves one more waker behind, and both ends wait for the
//! other to come up, for ever if it does not.

mod inbox;
mod link;
mod router;
#[cfg(test)]
mod tests;

pub use inbox::Inbox;
pub(crate) use inbox::Incoming;
pub use router::{Rejected, Router};

use crate::{Stop, pool::PoolConfig, remote_wakeup::RemoteWakeup};
use link::{LinkReceiver, LinkSender};

use std::sync::Arc;

/// One shard's ends of all its links, on their way to its thread.
pub(crate) struct MeshEndpoint<M> {
    /// By shard, this one included.
    senders: Vec<LinkSender<M>>,
    receivers: Vec<LinkReceiver<M>>,
    arrived: Arc<RemoteWakeup>,
}

/// The endpoints of a mesh of `shards`, in their order.
pub(crate) fn endpoints<M>(shards: usize, capacity: usize) -> Vec<MeshEndpoint<M>> {
    let endpoint = |_| MeshEndpoint { senders: Vec::new(), receivers: Vec::new(), arrived: Arc::default() };
    let mut mesh: Vec<MeshEndpoint<M>> = (0..shards).map(endpoint).collect();
    for from in 0..shards {
        for to in 0..shards {
            let (sender, receiver) = link::link(capacity, Arc::clone(&mesh[to].arrived));
            mesh[from].senders.push(sender);
            mesh[to].receivers.push(receiver);
        }
    }
    mesh
}

impl<M> MeshEndpoint<M> {
    /// To be called on the shard's own thread.
    pub(crate) fn open(self, config: &PoolConfig, stop: Stop) -> (Router<M>, Inbox<M>) {
        (Router::new(self.senders, stop, config.linger), Inbox::new(self.receivers, self.arrived))
    }
}

//! A shard's way to send to all shards.

use super::{
    channel::Sender,
    lane::{Lane, Own, Refused},
};
use crate::{
    ShardId, Stop,
    engine::{self, Task},
    pool::PoolConfig,
    time::Duration,
};
use futures::future::{Either, join_all, select};
use std::{
    cell::{Cell, RefCell},
    fmt,
    pin::pin,
    rc::Rc,
};

/// A message that was not sent, and why. The message is inside, for another try or another end.
#[derive(thiserror::Error)]
pub enum Rejected<M> {
    /// Channel and overflow are full.
    #[error("shard {to} is behind: its queue is full")]
    Full {
        /// The shard it was for.
        to: ShardId,
        /// The message.
        message: M,
    },
    /// The other shard has ended, or this one has closed its router.
    #[error("shard {to} takes no more messages")]
    Closed {
        /// The shard it was for.
        to: ShardId,
        /// The message.
        message: M,
    },
}

impl<M> Rejected<M> {
    /// The message.
    pub fn into_message(self) -> M {
        match self {
            Self::Full { message, .. } | Self::Closed { message, .. } => message,
        }
    }

    fn new(to: ShardId, refused: Refused<M>) -> Self {
        match refused {
            Refused::Full(message) => Self::Full { to, message },
            Refused::Closed(message) => Self::Closed { to, message },
        }
    }
}

impl<M> fmt::Debug for Rejected<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Sends messages to the shards of the pool. Clones share the queues and stay on the shard.
pub struct Router<M: Send + 'static>(Rc<Inner<M>>);

struct Inner<M: Send + 'static> {
    id: ShardId,
    peers: Vec<Option<Peer<M>>>,
    own: Rc<Own<M>>,
    stop: Stop,
    linger: Duration,
}

struct Peer<M: Send + 'static> {
    lane: Rc<Lane<M>>,
    flushing: Rc<Cell<bool>>,
    /// Kept to be cancelled: a task that is parked when its executor ends is never dropped.
    flusher: RefCell<Option<Task<()>>>,
}

impl<M: Send + 'static> Clone for Router<M> {
    fn clone(&self) -> Self {
        Self(Rc::clone(&self.0))
    }
}

impl<M: Send + 'static> Router<M> {
    pub(super) fn new(
        id: ShardId,
        senders: Vec<Option<Sender<M>>>,
        own: Rc<Own<M>>,
        config: &PoolConfig,
        stop: Stop,
    ) -> Self {
        let peer = |sender| Peer {
            lane: Rc::new(Lane::new(sender, config.overflow)),
            flushing: Rc::default(),
            flusher: RefCell::default(),
        };
        let peers = senders.into_iter().map(|sender| sender.map(peer)).collect();
        Self(Rc::new(Inner { id, peers, own, stop, linger: config.linger }))
    }

    /// The shard that sends.
    pub fn id(&self) -> ShardId {
        self.0.id
    }

    /// The number of shards, this one included.
    pub fn shards(&self) -> usize {
        self.0.peers.len()
    }

    /// Sends without waiting, or gives the message back.
    pub fn try_send(&self, to: ShardId, message: M) -> Result<(), Rejected<M>> {
        if to == self.0.id {
            return self.0.own.push(message).map_err(|refused| Rejected::new(to, refused));
        }
        let Some(peer) = self.peer(to) else { return Err(Rejected::Closed { to, message }) };
        match peer.lane.push(message) {
            Ok(flush) => {
                if flush {
                    peer.flush();
                }
                Ok(())
            }
            Err(refused) => Err(Rejected::new(to, refused)),
        }
    }

    /// Sends, waiting for room where there is none. Not to be awaited by the task that drains the
    /// inbox. Once the pool stops, it waits for [`PoolConfig::linger`] at most.
    pub async fn send(&self, to: ShardId, message: M) -> Result<(), Rejected<M>> {
        // Mostly there is room, and then no time limit has to be set up.
        match self.try_send(to, message) {
            Err(Rejected::Full { message, .. }) => self.send_with_patience(to, message).await,
            other => other,
        }
    }

    async fn send_with_patience(&self, to: ShardId, message: M) -> Result<(), Rejected<M>> {
        let room = if to == self.0.id {
            &self.0.own.room
        } else {
            match self.peer(to) {
                Some(peer) => &peer.lane.room,
                None => return Err(Rejected::Closed { to, message }),
            }
        };
        let mut held = Some(message);
        let outcome = {
            let sent = room.until(|| match self.try_send(to, held.take()?) {
                Err(Rejected::Full { message, .. }) => {
                    held = Some(message);
                    None
                }
                other => Some(other),
            });
            match select(pin!(sent), pin!(self.patience())).await {
                Either::Left((outcome, _)) => Some(outcome),
                Either::Right(_) => None,
            }
        };
        match (outcome, held) {
            (Some(outcome), _) => outcome,
            (None, Some(message)) => Err(Rejected::Full { to, message }),
            (None, None) => Ok(()),
        }
    }

    /// Ends a while after the pool was told to stop.
    async fn patience(&self) {
        self.0.stop.wait().await;
        engine::sleep(self.0.linger).await;
    }

    /// Says that this shard sends nothing more, to itself neither: moves on what is still in the
    /// overflows, for [`PoolConfig::linger`] at most, and closes. Others' inboxes then end when
    /// all their senders have closed.
    pub async fn close(&self) {
        let flushes = join_all(self.peers().map(|peer| peer.lane.flush()));
        let _ = select(pin!(flushes), pin!(engine::sleep(self.0.linger))).await;
        self.close_now();
    }

    /// Closes and gives up what is still in the overflows.
    pub(crate) fn close_now(&self) {
        self.0.own.close();
        for peer in self.peers() {
            peer.lane.close();
            // Outside of the borrow: a task's destructor may run code of the message.
            let flusher = peer.flusher.borrow_mut().take();
            drop(flusher);
        }
        if self.lost() > 0 {
            tracing::warn!(shard = %self.0.id, messages = self.lost(), "messages to ended shards were lost");
        }
    }

    /// Messages that were accepted, and then lost because their receiver was gone.
    pub fn lost(&self) -> u64 {
        self.peers().map(|peer| peer.lane.lost.get()).sum()
    }

    fn peer(&self, to: ShardId) -> Option<&Peer<M>> {
        self.0.peers.get(to.index())?.as_ref()
    }

    fn peers(&self) -> impl Iterator<Item = &Peer<M>> {
        self.0.peers.iter().flatten()
    }
}

impl<M: Send + 'static> Peer<M> {
    /// Sees to it that a task moves the overflow on.
    fn flush(&self) {
        if self.flushing.replace(true) {
            return;
        }
        let (lane, flushing) = (Rc::clone(&self.lane), Rc::clone(&self.flushing));
        let task = engine::spawn(async move {
            lane.flush().await;
            flushing.set(false);
        });
        // The one before has come to its end.
        drop(self.flusher.replace(Some(task)));
    }
}

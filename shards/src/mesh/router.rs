//! A shard's way to send to all shards.

use super::link::{LinkSender, Refused};
use crate::{ShardId, Stop, engine, time::Duration};
use futures::future::{Either, select};
use std::{fmt, pin::pin, rc::Rc};

/// A message that was not sent, and why. The message is inside, for another try or another end.
#[derive(thiserror::Error)]
pub enum Rejected<M> {
    /// The link is full, and stays so although the pool stops.
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

/// Sends messages to the shards of the pool. Clones share the links and stay on the shard.
pub struct Router<M>(Rc<RouterLinks<M>>);

struct RouterLinks<M> {
    /// By receiving shard.
    links: Vec<LinkSender<M>>,
    stop: Stop,
    linger: Duration,
}

impl<M> Clone for Router<M> {
    fn clone(&self) -> Self {
        Self(Rc::clone(&self.0))
    }
}

impl<M> Router<M> {
    pub(super) fn new(links: Vec<LinkSender<M>>, stop: Stop, linger: Duration) -> Self {
        Self(Rc::new(RouterLinks { links, stop, linger }))
    }

    /// Sends, waiting for room where there is none. Not to be awaited by the task that drains the
    /// inbox. Once the pool stops, it waits for [`PoolConfig::linger`](crate::PoolConfig::linger)
    /// at most.
    pub async fn send(&self, to: ShardId, message: M) -> Result<(), Rejected<M>> {
        match self.try_send(to, message) {
            Err(Rejected::Full { message, .. }) => self.send_when_room(to, message).await,
            other => other,
        }
    }

    pub(super) fn try_send(&self, to: ShardId, message: M) -> Result<(), Rejected<M>> {
        match self.0.links.get(to.index()) {
            Some(link) => link.push(message).map_err(|refused| Rejected::new(to, refused)),
            None => Err(Rejected::Closed { to, message }),
        }
    }

    async fn send_when_room(&self, to: ShardId, message: M) -> Result<(), Rejected<M>> {
        let Some(link) = self.0.links.get(to.index()) else { return Err(Rejected::Closed { to, message }) };
        let mut message = Some(message);
        match select(pin!(link.push_when_room(&mut message)), pin!(self.patience())).await {
            Either::Left((sent, _)) => return sent.map_err(|refused| Rejected::new(to, refused)),
            Either::Right(_) => {}
        }
        message.map_or(Ok(()), |message| Err(Rejected::Full { to, message }))
    }

    /// Ends a while after the pool was told to stop.
    async fn patience(&self) {
        self.0.stop.wait().await;
        engine::sleep(self.0.linger).await;
    }

    /// Says that this shard sends nothing more, to itself neither; what was sent still arrives.
    /// Others' inboxes then end when all their senders have closed.
    pub fn close(&self) {
        self.0.links.iter().for_each(LinkSender::close);
    }
}

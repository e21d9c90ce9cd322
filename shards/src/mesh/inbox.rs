//! What the shards of the pool sent to this one.

use super::link::LinkReceiver;
use crate::{CoopBudget, remote_wakeup::RemoteWakeup};
use std::{
    cell::RefCell,
    future::poll_fn,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll},
};

/// Receives the messages to a shard; one per shard.
pub struct Inbox<M> {
    incoming: Incoming<M>,
    budget: CoopBudget,
}

/// The receiving ends, shared with the pool: it closes them when the shard has ended, whatever
/// became of the inbox.
pub(crate) struct Incoming<M>(Rc<RefCell<Links<M>>>);

struct Links<M> {
    /// By sending shard; none once closed.
    receivers: Vec<LinkReceiver<M>>,
    /// Whose turn it is.
    next: usize,
    arrived: Arc<RemoteWakeup>,
}

impl<M> Inbox<M> {
    pub(super) fn new(receivers: Vec<LinkReceiver<M>>, arrived: Arc<RemoteWakeup>) -> Self {
        let links = Links { receivers, next: 0, arrived };
        Self { incoming: Incoming(Rc::new(RefCell::new(links))), budget: CoopBudget::of_small_steps(16) }
    }

    /// The next message; `None` when all shards, this one included, have closed their routers or
    /// ended. Dropping the future loses nothing.
    pub async fn recv(&mut self) -> Option<M> {
        self.budget.check().await;
        let (links, budget) = (&self.incoming.0, &mut self.budget);
        poll_fn(|cx| {
            let polled = links.borrow_mut().poll_next(cx);
            if polled.is_pending() {
                budget.renew();
            }
            polled
        })
        .await
    }

    pub(crate) fn incoming(&self) -> Incoming<M> {
        Incoming(Rc::clone(&self.incoming.0))
    }
}

impl<M> Drop for Inbox<M> {
    fn drop(&mut self) {
        self.incoming.close();
    }
}

impl<M> Incoming<M> {
    /// Lets go of all links: whoever still sends learns that nobody is there.
    pub(crate) fn close(&self) {
        let receivers = {
            let mut links = self.0.borrow_mut();
            links.arrived.stop_waiting();
            std::mem::take(&mut links.receivers)
        };
        receivers.into_iter().for_each(LinkReceiver::close);
    }
}

impl<M> Links<M> {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<M>> {
        if let Some(message) = self.pop() {
            return Poll::Ready(Some(message));
        }
        self.arrived.wait(cx.waker());
        let next = match self.pop() {
            None if self.receivers.iter().all(LinkReceiver::has_ended) => None,
            None => return Poll::Pending,
            message => message,
        };
        self.arrived.stop_waiting();
        Poll::Ready(next)
    }

    /// A message of the next shard in turn that has one.
    fn pop(&mut self) -> Option<M> {
        for _ in 0..self.receivers.len() {
            let place = self.next;
            self.next = (place + 1) % self.receivers.len();
            let message = self.receivers[place].pop();
            if message.is_some() {
                return message;
            }
        }
        None
    }
}

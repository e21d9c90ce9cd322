//! What the shards of the pool sent to this one.

use super::{channel::Receiver, lane::Own};
use crate::CoopBudget;
use futures::{
    Stream,
    task::{ArcWake, AtomicWaker, waker_ref},
};
use std::{
    cell::RefCell,
    future::poll_fn,
    pin::Pin,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
};

/// Receives the messages to a shard; one per shard.
pub struct Inbox<M: Send + 'static> {
    receiving: Receiving<M>,
    budget: CoopBudget,
}

/// The receiving ends, shared with the pool: it closes them when the shard has ended, whatever
/// became of the inbox.
pub(crate) struct Receiving<M: Send + 'static>(Rc<RefCell<Sources<M>>>);

struct Sources<M: Send + 'static> {
    /// `None` once it has ended, and for the shard itself.
    remote: Vec<Option<Source<M>>>,
    own: Rc<Own<M>>,
    /// Whose turn it is; one past the last is the shard itself.
    next: usize,
}

struct Source<M: Send + 'static> {
    receiver: Receiver<M>,
    bell: Arc<Bell>,
}

/// Whether a receiver may have something. An empty one is asked again only after its waker was
/// called, since each time it is asked it keeps one more waker.
struct Bell {
    rung: AtomicBool,
    inbox: AtomicWaker,
}

impl ArcWake for Bell {
    fn wake_by_ref(bell: &Arc<Self>) {
        bell.rung.store(true, Ordering::Release);
        bell.inbox.wake();
    }
}

impl<M: Send + 'static> Inbox<M> {
    pub(super) fn new(receivers: Vec<Option<Receiver<M>>>, own: Rc<Own<M>>) -> Self {
        let source = |receiver| Source {
            receiver,
            bell: Arc::new(Bell { rung: AtomicBool::new(true), inbox: AtomicWaker::new() }),
        };
        let remote = receivers.into_iter().map(|receiver| receiver.map(source)).collect();
        let sources = Sources { remote, own, next: 0 };
        Self { receiving: Receiving(Rc::new(RefCell::new(sources))), budget: CoopBudget::of_small_steps(16) }
    }

    /// The next message; `None` when all shards, this one included, have closed their routers or
    /// ended. Dropping the future loses nothing.
    pub async fn recv(&mut self) -> Option<M> {
        self.budget.check().await;
        let (sources, budget) = (&self.receiving.0, &mut self.budget);
        poll_fn(|cx| {
            let polled = sources.borrow_mut().poll(cx);
            if polled.is_pending() {
                budget.renew();
            }
            polled
        })
        .await
    }

    pub(crate) fn receiving(&self) -> Receiving<M> {
        Receiving(Rc::clone(&self.receiving.0))
    }
}

impl<M: Send + 'static> Drop for Inbox<M> {
    fn drop(&mut self) {
        self.receiving.close();
    }
}

impl<M: Send + 'static> Receiving<M> {
    /// Lets go of all receivers: whoever still sends learns that nobody is there.
    pub(crate) fn close(&self) {
        let (remote, own) = {
            let mut sources = self.0.borrow_mut();
            (std::mem::take(&mut sources.remote), Rc::clone(&sources.own))
        };
        own.close();
        drop(remote);
    }
}

impl<M: Send + 'static> Sources<M> {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<M>> {
        if let Some(message) = self.take() {
            return Poll::Ready(Some(message));
        }
        for source in self.remote.iter().flatten() {
            source.bell.inbox.register(cx.waker());
        }
        self.own.arrived.register(cx.waker());
        // Bells ring on this thread only, so none can have rung since; asking again is cheap and
        // does not rely on it.
        match self.take() {
            Some(message) => Poll::Ready(Some(message)),
            None if self.own.ended() && self.remote.iter().all(Option::is_none) => Poll::Ready(None),
            None => Poll::Pending,
        }
    }

    /// A message of the next source in turn that has one.
    fn take(&mut self) -> Option<M> {
        let places = self.remote.len() + 1;
        for step in 0..places {
            let place = (self.next + step) % places;
            let message = if place == self.remote.len() { self.own.pop() } else { self.take_remote(place) };
            if message.is_some() {
                self.next = (place + 1) % places;
                return message;
            }
        }
        None
    }

    fn take_remote(&mut self, place: usize) -> Option<M> {
        let source = self.remote[place].as_mut()?;
        if !source.bell.rung.swap(false, Ordering::AcqRel) {
            return None;
        }
        let waker = waker_ref(&source.bell);
        match Pin::new(&mut source.receiver).poll_next(&mut Context::from_waker(&waker)) {
            Poll::Ready(Some(message)) => {
                source.bell.rung.store(true, Ordering::Release);
                Some(message)
            }
            Poll::Ready(None) => {
                self.remote[place] = None;
                None
            }
            Poll::Pending => None,
        }
    }
}

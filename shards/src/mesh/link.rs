//! One direction between two shards: the one queue that a message waits in.
//!
//! A link is a ring of slots with one writer and one reader, and nothing is copied, allocated or
//! woken for a message that finds its reader at work. A reader that found nothing is woken by the
//! next message; a writer that found no room is woken once half of the ring is free.

use crate::remote_wakeup::RemoteWakeup;
use futures::lock::Mutex;
use rtrb::{Consumer, Producer, PushError, RingBuffer};
use std::{cell::RefCell, sync::Arc};

/// Why a message was not taken, and the message.
pub(super) enum Refused<M> {
    Full(M),
    Closed(M),
}

/// The writing end.
pub(super) struct LinkSender<M> {
    /// `None` once closed, by either end.
    ring: RefCell<Option<Producer<M>>>,
    arrived: Arc<RemoteWakeup>,
    room: Arc<RemoteWakeup>,
    /// Tasks of the sending shard that wait for room do so one after the other.
    waiting: Mutex<()>,
}

/// The reading end.
pub(super) struct LinkReceiver<M> {
    ring: Consumer<M>,
    room: Arc<RemoteWakeup>,
}

/// A link for so many messages, whose reader is woken by `arrived`.
pub(super) fn link<M>(capacity: usize, arrived: Arc<RemoteWakeup>) -> (LinkSender<M>, LinkReceiver<M>) {
    let (writing, reading) = RingBuffer::new(capacity.max(1));
    let room = Arc::new(RemoteWakeup::default());
    let ring = RefCell::new(Some(writing));
    let sender = LinkSender { ring, arrived, room: Arc::clone(&room), waiting: Mutex::new(()) };
    (sender, LinkReceiver { ring: reading, room })
}

impl<M> LinkSender<M> {
    /// Takes a message without waiting.
    pub(super) fn push(&self, message: M) -> Result<(), Refused<M>> {
        let mut open = self.ring.borrow_mut();
        let Some(ring) = open.as_mut().filter(|ring| !ring.is_abandoned()) else {
            return Err(Refused::Closed(message));
        };
        match ring.push(message) {
            Ok(()) => {
                self.arrived.notify();
                Ok(())
            }
            Err(PushError::Full(message)) => Err(Refused::Full(message)),
        }
    }

    /// Takes a message once there is room, in turn with others of this shard that wait for it.
    /// Leaves the message where the future is dropped before that.
    pub(super) async fn push_when_room(&self, message: &mut Option<M>) -> Result<(), Refused<M>> {
        let _turn = self.waiting.lock().await;
        let pushed = self.room.until(|| match self.push(message.take()?) {
            Err(Refused::Full(refused)) => {
                *message = Some(refused);
                None
            }
            other => Some(other),
        });
        pushed.await
    }

    /// Takes no more messages; what it took still arrives.
    pub(super) fn close(&self) {
        drop(self.ring.take());
        self.arrived.notify();
        self.room.notify();
    }
}

impl<M> Drop for LinkSender<M> {
    fn drop(&mut self) {
        self.close();
    }
}

impl<M> LinkReceiver<M> {
    /// The next message. To be asked once more after a [`RemoteWakeup::wait`] before suspending:
    /// only then is a writer that waits for room sure to be seen.
    pub(super) fn pop(&mut self) -> Option<M> {
        let message = self.ring.pop().ok();
        if self.room.is_awaited() && self.ring.slots() <= self.ring.buffer().capacity() / 2 {
            self.room.notify();
        }
        message
    }

    /// Whether nothing is there and nothing will come.
    pub(super) fn has_ended(&self) -> bool {
        self.ring.is_abandoned() && self.ring.is_empty()
    }

    /// Lets go of the ring: whoever still sends learns that nobody is there.
    pub(super) fn close(self) {
        let Self { ring, room } = self;
        drop(ring);
        room.notify();
    }
}

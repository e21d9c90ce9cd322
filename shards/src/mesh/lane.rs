//! One direction between two shards: where a message waits before it is on its way.

use super::channel::Sender;
use crate::{engine, time::Duration, wakeup::Wakeup};
use futures::task::AtomicWaker;
use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
};

/// Why a message was not taken, and the message.
pub(super) enum Refused<M> {
    Full(M),
    Closed(M),
}

/// Messages to another shard: its channel and the overflow in front of it.
pub(super) struct Lane<M: Send + 'static> {
    sender: Sender<M>,
    overflow: RefCell<VecDeque<M>>,
    bound: usize,
    /// Nothing more goes out.
    closed: Cell<bool>,
    /// Messages that were accepted and then could not be delivered: the receiver was gone.
    pub(super) lost: Cell<u64>,
    /// The overflow has shrunk, or the lane was closed.
    pub(super) room: Wakeup,
}

/// The pauses between two tries to move the overflow on: glommio gives no way to wait for room
/// that survives the receiver's end. The first is about a full channel's worth of work, the last
/// is what a stuck shard costs.
const FIRST_PAUSE: Duration = Duration::from_micros(100);
const LAST_PAUSE: Duration = Duration::from_millis(5);

impl<M: Send + 'static> Lane<M> {
    pub(super) fn new(sender: Sender<M>, bound: usize) -> Self {
        Self {
            sender,
            overflow: RefCell::default(),
            bound,
            closed: Cell::new(false),
            lost: Cell::new(0),
            room: Wakeup::default(),
        }
    }

    /// Takes a message without waiting. True: it is in the overflow, so `flush` has to run.
    pub(super) fn push(&self, message: M) -> Result<bool, Refused<M>> {
        if self.closed.get() {
            return Err(Refused::Closed(message));
        }
        let mut overflow = self.overflow.borrow_mut();
        let message = if overflow.is_empty() {
            match self.hand_over(message) {
                Ok(()) => return Ok(false),
                Err(Refused::Full(message)) => message,
                Err(closed) => {
                    self.closed.set(true);
                    return Err(closed);
                }
            }
        } else {
            message
        };
        if overflow.len() >= self.bound {
            return Err(Refused::Full(message));
        }
        overflow.push_back(message);
        Ok(true)
    }

    /// Moves the overflow into the channel until there is none.
    pub(super) async fn flush(&self) {
        let mut pause = FIRST_PAUSE;
        while !self.overflow.borrow().is_empty() {
            engine::sleep(pause).await;
            pause = if self.move_on() { FIRST_PAUSE } else { (pause * 2).min(LAST_PAUSE) };
        }
    }

    /// Moves as many messages as there is room for; false if there was none.
    fn move_on(&self) -> bool {
        let mut moved = false;
        while let Some(message) = self.pop() {
            match self.hand_over(message) {
                Ok(()) => moved = true,
                Err(Refused::Full(message)) => {
                    self.overflow.borrow_mut().push_front(message);
                    break;
                }
                Err(Refused::Closed(_)) => {
                    self.lost.set(self.lost.get() + 1);
                    self.close();
                    break;
                }
            }
        }
        if moved {
            self.room.notify();
        }
        moved
    }

    fn pop(&self) -> Option<M> {
        self.overflow.borrow_mut().pop_front()
    }

    fn hand_over(&self, message: M) -> Result<(), Refused<M>> {
        self.sender.try_send(message)
    }

    /// Ends the lane: what is in the channel still arrives, what is in the overflow is lost.
    pub(super) fn close(&self) {
        self.closed.set(true);
        let left = std::mem::take(&mut *self.overflow.borrow_mut());
        self.lost.set(self.lost.get() + left.len() as u64);
        self.sender.close();
        self.room.notify();
    }
}

/// Messages of a shard to itself.
pub(super) struct Own<M> {
    queue: RefCell<VecDeque<M>>,
    bound: usize,
    closed: Cell<bool>,
    pub(super) room: Wakeup,
    /// The inbox that waits for a message.
    pub(super) arrived: AtomicWaker,
}

impl<M> Own<M> {
    pub(super) fn new(bound: usize) -> Self {
        Self {
            queue: RefCell::default(),
            bound: bound.max(1),
            closed: Cell::new(false),
            room: Wakeup::default(),
            arrived: AtomicWaker::new(),
        }
    }

    pub(super) fn push(&self, message: M) -> Result<(), Refused<M>> {
        if self.closed.get() {
            return Err(Refused::Closed(message));
        }
        let mut queue = self.queue.borrow_mut();
        if queue.len() >= self.bound {
            return Err(Refused::Full(message));
        }
        queue.push_back(message);
        self.arrived.wake();
        Ok(())
    }

    pub(super) fn pop(&self) -> Option<M> {
        let message = self.queue.borrow_mut().pop_front();
        if message.is_some() {
            self.room.notify();
        }
        message
    }

    /// Nothing more comes in; what is there can still be taken.
    pub(super) fn close(&self) {
        self.closed.set(true);
        self.room.notify();
        self.arrived.wake();
    }

    /// Whether nothing is there and nothing will come.
    pub(super) fn ended(&self) -> bool {
        self.closed.get() && self.queue.borrow().is_empty()
    }
}

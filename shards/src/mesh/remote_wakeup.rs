//! Waiting for something that another thread does.

use futures::task::AtomicWaker;
use std::{
    sync::atomic::{AtomicBool, Ordering, fence},
    task::Waker,
};

/// Wakes the one task that waits, from any thread. Costs next to nothing where none waits.
#[derive(Debug, Default)]
pub(crate) struct RemoteWakeup {
    awaited: AtomicBool,
    waker: AtomicWaker,
}

impl RemoteWakeup {
    /// Has the next notification wake this task. Whoever waits looks again after this, and
    /// suspends only then.
    pub(crate) fn wait(&self, waker: &Waker) {
        self.waker.register(waker);
        self.awaited.store(true, Ordering::Release);
        // Either the look after this sees what was done, or whoever did it sees that it is awaited.
        fence(Ordering::SeqCst);
    }

    /// What was waited for is there, or is waited for no longer.
    pub(crate) fn stop_waiting(&self) {
        self.awaited.store(false, Ordering::Relaxed);
        // Not left for another thread to drop, after the end of this one's executor.
        drop(self.waker.take());
    }

    /// Whether a task waits; may be a moment late.
    pub(crate) fn is_awaited(&self) -> bool {
        self.awaited.load(Ordering::Relaxed)
    }

    /// Something was done: wakes the task that waits for it, once.
    pub(crate) fn notify(&self) {
        fence(Ordering::SeqCst);
        if self.is_awaited() && self.awaited.swap(false, Ordering::AcqRel) {
            self.waker.wake();
        }
    }
}

//! Waiting for a change of something that tasks of one executor share.

use std::{cell::RefCell, task::Poll, task::Waker};

/// Wakes whoever waits for a condition to hold.
#[derive(Debug, Default)]
pub struct Notify {
    waiting: RefCell<Vec<Waker>>,
}

impl Notify {
    /// Something changed: everybody who waits looks again.
    pub fn notify(&self) {
        for waker in self.waiting.take() {
            waker.wake();
        }
    }

    /// Waits until `condition` gives a value; asks at once and after each [`Notify::notify`].
    pub async fn until<T>(&self, mut condition: impl FnMut() -> Option<T>) -> T {
        std::future::poll_fn(|cx| match condition() {
            Some(value) => Poll::Ready(value),
            None => {
                let mut waiting = self.waiting.borrow_mut();
                if !waiting.iter().any(|waker| waker.will_wake(cx.waker())) {
                    waiting.push(cx.waker().clone());
                }
                Poll::Pending
            }
        })
        .await
    }
}

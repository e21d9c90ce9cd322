//! Wakes watchers when the cluster has moved.

use std::{
    cell::{Cell, RefCell},
    future::poll_fn,
    task::{Poll, Waker},
};

/// A counter that can be waited for; of one thread.
#[derive(Debug, Default)]
pub(super) struct WriteCounter {
    count: Cell<u64>,
    waiting: RefCell<Vec<Waker>>,
}

impl WriteCounter {
    /// Where it stands.
    pub(super) fn now(&self) -> u64 {
        self.count.get()
    }

    /// Moves on and wakes all who wait.
    pub(super) fn raise(&self) {
        self.count.set(self.count.get() + 1);
        for waker in self.waiting.take() {
            waker.wake();
        }
    }

    /// Waits until it has moved on from `seen`.
    pub(super) async fn moved(&self, seen: u64) {
        poll_fn(|context| {
            if self.count.get() != seen {
                return Poll::Ready(());
            }
            let mut waiting = self.waiting.borrow_mut();
            if !waiting.iter().any(|waker| waker.will_wake(context.waker())) {
                waiting.push(context.waker().clone());
            }
            Poll::Pending
        })
        .await;
    }
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use super::*;
    use net::{spawn, testing::run, yield_now};

    #[test]
    fn a_waiter_wakes_when_the_signal_moves() {
        run(async {
            let signal = Rc::new(WriteCounter::default());
            let (seen, other) = (signal.now(), Rc::clone(&signal));
            let waiter = spawn(async move { other.moved(seen).await });
            yield_now().await;
            signal.raise();
            waiter.await;
            signal.moved(seen).await;
        });
    }
}

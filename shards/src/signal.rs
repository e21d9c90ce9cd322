//! Waiting, within one shard, for something another task of the same shard does.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    future::{Future, poll_fn},
    task::{Poll, Waker},
};

/// Tasks that wait for a change. Whoever makes the change calls `notify_all` or `notify_one`.
#[derive(Debug, Default)]
pub(crate) struct Signal {
    next: Cell<u64>,
    /// In the order in which they began to wait.
    waiting: RefCell<BTreeMap<u64, Waker>>,
}

impl Signal {
    /// Wakes all that wait.
    pub(crate) fn notify_all(&self) {
        let waiting = std::mem::take(&mut *self.waiting.borrow_mut());
        waiting.into_values().for_each(Waker::wake);
    }

    /// Wakes the one that has waited longest; false if none waits.
    pub(crate) fn notify_one(&self) -> bool {
        let first = self.waiting.borrow_mut().pop_first();
        first.map(|(_, waker)| waker.wake()).is_some()
    }

    /// Waits until `ready` gives something; asks now and after each notification.
    pub(crate) fn wait_until<T>(&self, mut ready: impl FnMut() -> Option<T>) -> impl Future<Output = T> {
        let mut place = Place { signal: self, id: None };
        poll_fn(move |cx| match ready() {
            Some(value) => {
                place.leave();
                Poll::Ready(value)
            }
            None => {
                place.wait(cx.waker());
                Poll::Pending
            }
        })
    }

    #[cfg(test)]
    fn waiting(&self) -> usize {
        self.waiting.borrow().len()
    }
}

/// One waiter's place; given up when the future is dropped, so that those who stop waiting leave
/// no waker behind.
struct Place<'a> {
    signal: &'a Signal,
    id: Option<u64>,
}

impl Place<'_> {
    fn wait(&mut self, waker: &Waker) {
        let id = *self.id.get_or_insert_with(|| {
            let id = self.signal.next.get();
            self.signal.next.set(id + 1);
            id
        });
        self.signal.waiting.borrow_mut().insert(id, waker.clone());
    }

    fn leave(&mut self) {
        if let Some(id) = self.id.take() {
            self.signal.waiting.borrow_mut().remove(&id);
        }
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.leave();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::{FutureExt, pin_mut};

    #[test]
    fn a_waiter_is_woken_and_one_that_gives_up_leaves_nothing() {
        let (signal, open) = (Signal::default(), Cell::new(false));
        {
            let waiter = signal.wait_until(|| open.get().then_some(1));
            pin_mut!(waiter);
            assert_eq!(waiter.as_mut().now_or_never(), None);
            assert_eq!(signal.waiting(), 1);
            assert!(signal.notify_one() && !signal.notify_one());
            open.set(true);
            assert_eq!(waiter.now_or_never(), Some(1));
        }
        open.set(false);
        {
            let waiter = signal.wait_until(|| open.get().then_some(1));
            pin_mut!(waiter);
            assert_eq!(waiter.now_or_never(), None);
        }
        assert_eq!(signal.waiting(), 0);
    }
}

//! Waiting, within one shard, for something another task of the same shard does.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    future::poll_fn,
    task::{Poll, Waker},
};

/// Wakes the tasks that wait for a condition to hold. Whoever may have made it hold notifies them.
#[derive(Debug, Default)]
pub struct Wakeup {
    next: Cell<u64>,
    /// In the order in which they began to wait.
    waiting: RefCell<VecDeque<(u64, Waker)>>,
}

impl Wakeup {
    /// Something changed: all that wait look again.
    pub fn notify(&self) {
        if self.waiting.borrow().is_empty() {
            return;
        }
        for (_, waker) in self.waiting.take() {
            waker.wake();
        }
    }

    /// Has the one look again that has waited longest; false if none waits.
    pub fn notify_one(&self) -> bool {
        let first = self.waiting.borrow_mut().pop_front();
        first.map(|(_, waker)| waker.wake()).is_some()
    }

    /// Waits until `condition` gives something; asks now and after each notification.
    pub async fn until<T>(&self, mut condition: impl FnMut() -> Option<T>) -> T {
        let mut place = WaitingPlace { wakeup: self, id: None };
        poll_fn(|cx| match condition() {
            Some(value) => Poll::Ready(value),
            None => {
                place.wait(cx.waker());
                Poll::Pending
            }
        })
        .await
    }
}

/// One waiter's place; given up when it stops waiting, so that it leaves no waker behind.
struct WaitingPlace<'a> {
    wakeup: &'a Wakeup,
    id: Option<u64>,
}

impl WaitingPlace<'_> {
    fn wait(&mut self, waker: &Waker) {
        let id = *self.id.get_or_insert_with(|| {
            let id = self.wakeup.next.get();
            self.wakeup.next.set(id + 1);
            id
        });
        let mut waiting = self.wakeup.waiting.borrow_mut();
        match waiting.binary_search_by_key(&id, |(id, _)| *id) {
            Ok(at) => waiting[at].1.clone_from(waker),
            Err(at) => waiting.insert(at, (id, waker.clone())),
        }
    }
}

impl Drop for WaitingPlace<'_> {
    fn drop(&mut self) {
        let Some(id) = self.id else { return };
        let mut waiting = self.wakeup.waiting.borrow_mut();
        let left = match waiting.binary_search_by_key(&id, |(id, _)| *id) {
            Ok(at) => waiting.remove(at),
            Err(_) => None,
        };
        // Outside of the borrow: dropping a waker may drop its task.
        drop(waiting);
        drop(left);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::{FutureExt, pin_mut};

    #[test]
    fn a_waiter_is_woken_and_one_that_gives_up_leaves_nothing() {
        let (wakeup, open) = (Wakeup::default(), Cell::new(false));
        let waiting = || wakeup.waiting.borrow().len();
        {
            let waiter = wakeup.until(|| open.get().then_some(1));
            pin_mut!(waiter);
            assert_eq!(waiter.as_mut().now_or_never(), None);
            assert_eq!(waiting(), 1);
            assert!(wakeup.notify_one() && !wakeup.notify_one());
            open.set(true);
            assert_eq!(waiter.now_or_never(), Some(1));
        }
        open.set(false);
        {
            let waiter = wakeup.until(|| open.get().then_some(1));
            pin_mut!(waiter);
            assert_eq!(waiter.now_or_never(), None);
        }
        assert_eq!(waiting(), 0);
    }
}

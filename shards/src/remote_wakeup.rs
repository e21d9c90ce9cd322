//! Waiting for something that another thread does.

use futures::task::AtomicWaker;
use std::{
    future::poll_fn,
    sync::atomic::{AtomicBool, Ordering, fence},
    task::{Poll, Waker},
};

/// Wakes the one task that waits, from any thread. Costs next to nothing where none waits.
#[derive(Debug, Default)]
pub(crate) struct RemoteWakeup {
    awaited: AtomicBool,
    waker: AtomicWaker,
}

impl RemoteWakeup {
    /// Waits until `condition` gives something; asks now and after each notification.
    pub(crate) async fn until<T>(&self, mut condition: impl FnMut() -> Option<T>) -> T {
        let _waiting = StopsWaiting(self);
        poll_fn(|cx| {
            self.wait(cx.waker());
            condition().map_or(Poll::Pending, Poll::Ready)
        })
        .await
    }

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

struct StopsWaiting<'a>(&'a RemoteWakeup);

impl Drop for StopsWaiting<'_> {
    fn drop(&mut self) {
        self.0.stop_waiting();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{sync::Arc, sync::atomic::AtomicU32, thread};

    #[test]
    fn no_notification_between_two_threads_is_missed() {
        let (count, wakeup) = (Arc::new(AtomicU32::new(0)), Arc::new(RemoteWakeup::default()));
        let (seen, back) = (Arc::clone(&count), Arc::new(RemoteWakeup::default()));
        let (there, answer) = (Arc::clone(&wakeup), Arc::clone(&back));
        // Each waits for the other: one notification that is lost, and neither goes on.
        let other = thread::spawn(move || {
            for n in (0..20_000).step_by(2) {
                let reached = || (seen.load(Ordering::Acquire) == n + 1).then_some(());
                futures::executor::block_on(there.until(reached));
                seen.store(n + 2, Ordering::Release);
                answer.notify();
            }
        });
        for n in (0..20_000).step_by(2) {
            let reached = || (count.load(Ordering::Acquire) == n).then_some(());
            futures::executor::block_on(back.until(reached));
            count.store(n + 1, Ordering::Release);
            wakeup.notify();
        }
        other.join().unwrap();
        assert_eq!(count.load(Ordering::Acquire), 20_000);
    }
}

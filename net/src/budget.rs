//! The share of its executor that reading from one socket may take.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
    time::Instant,
};

use shards::{Turn, engine, yield_to_reactor};

use crate::time;

/// The time budget of a socket's reader.
///
/// hyper and h2 read for as long as there is something to read, in one step of one task. A peer that
/// never stops sending would have the executor for itself: nothing else on the shard would run, no
/// timer fire and no other socket be looked at. So a reader that has found something each time for
/// half a millisecond is told that there is nothing, until the executor has looked at IO and timers.
#[derive(Debug, Default)]
pub(super) struct Budget {
    /// When the reader first found something after it had last waited.
    began: Option<Instant>,
    /// Ends once the executor has looked at its timers. A task of its own, because whatever else wakes
    /// the reader meanwhile must not end the pause.
    pause: Option<engine::Task<()>>,
}

impl Budget {
    /// Pending while the reader has to give way.
    pub(super) fn poll_turn(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let over = |began: Instant| time::now().saturating_duration_since(began) >= Turn::LENGTH;
        if self.pause.is_none() && self.began.is_some_and(over) {
            self.pause = Some(engine::spawn(yield_to_reactor()));
        }
        if let Some(pause) = &mut self.pause {
            ready!(Pin::new(pause).poll(cx));
            self.pause = None;
            self.began = None;
        }
        Poll::Ready(())
    }

    /// There was something to read.
    pub(super) fn found(&mut self) {
        if self.began.is_none() {
            self.began = Some(time::now());
        }
    }

    /// There was nothing: the reader waits.
    pub(super) fn waits(&mut self) {
        self.began = None;
    }
}

#[cfg(test)]
mod tests {
    use std::{cell::Cell, future::poll_fn, rc::Rc, time::Duration};

    use super::*;
    use crate::{sleep, spawn, testing::run};

    #[test]
    fn a_reader_that_always_finds_something_leaves_time_for_timers_and_tasks() {
        run(async {
            let (ticks, turns) = (Rc::new(Cell::new(0_u32)), Rc::new(Cell::new(0_u32)));
            let counted = Rc::clone(&ticks);
            let ticker = spawn(async move {
                loop {
                    sleep(Duration::from_millis(1)).await;
                    counted.set(counted.get() + 1);
                }
            });
            let end = time::now() + Duration::from_millis(300);
            let mut budget = Budget::default();
            let reading = Rc::clone(&turns);
            let reader = spawn(poll_fn(move |cx| {
                reading.set(reading.get() + 1);
                let mut found = false;
                while time::now() < end {
                    if budget.poll_turn(cx).is_pending() {
                        // As by whoever takes what was found: that must not shorten the pause.
                        if found {
                            cx.waker().wake_by_ref();
                        }
                        return Poll::Pending;
                    }
                    budget.found();
                    found = true;
                }
                Poll::Ready(())
            }));
            reader.await;
            drop(ticker);
            // 300 in an ideal world; three, were the executor to look at its preemption timer only.
            assert!(ticks.get() > 15, "{} ticks in {} turns", ticks.get(), turns.get());
        });
    }
}

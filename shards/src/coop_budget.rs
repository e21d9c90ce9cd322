//! How long work may go on before IO, timers and other shards get a look in.
//!
//! A glommio executor looks at its rings, timers and channels when its queue of runnable tasks is
//! empty, or when its preemption timer (100 ms) says so. Yielding the task or the task queue only
//! lets *other tasks* run: a task that yields and is runnable again keeps the queue from running
//! empty, and a 1 ms sleep next to it takes 100 ms (measured with 0.9.0). Waiting for a timer
//! takes the task out of the queue until the executor has looked.

use crate::{
    engine::{self, Task},
    time::{Duration, Instant, now},
};
use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

/// Lets the executor look at IO, timers and channels; costs a few microseconds.
pub async fn yield_to_reactor() {
    // Zero would be over before it is waited for.
    engine::sleep(Duration::from_micros(1)).await;
}

/// The time budget of a task that may find itself with work without end.
#[derive(Debug)]
pub struct CoopBudget {
    began: Option<Instant>,
    checks: u32,
    checks_per_look: u32,
    /// Ends once the executor has looked at its timers. A task of its own, because whatever else
    /// wakes the one that gives way must not end its pause.
    pause: Option<Task<()>>,
}

impl Default for CoopBudget {
    fn default() -> Self {
        Self::new()
    }
}

impl CoopBudget {
    /// The longest that a task works in one go.
    pub const LENGTH: Duration = Duration::from_micros(500);

    /// A budget that begins with the first check.
    pub fn new() -> Self {
        Self::of_small_steps(1)
    }

    /// One that looks at the clock at every so many checks only, for steps so small that reading
    /// the clock would cost a good part of them.
    pub fn of_small_steps(checks_per_look: u32) -> Self {
        Self { began: None, checks: 0, checks_per_look: checks_per_look.max(1), pause: None }
    }

    /// To be called after each step of work: yields where the budget is spent.
    pub async fn check(&mut self) {
        if self.is_spent() {
            yield_to_reactor().await;
            self.renew();
        }
    }

    /// The same for what is polled: pending while it has to give way.
    pub fn poll_check(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.pause.is_none() && self.is_spent() {
            self.pause = Some(engine::spawn(yield_to_reactor()));
        }
        if let Some(pause) = &mut self.pause {
            ready!(Pin::new(pause).poll(cx));
            self.pause = None;
            self.renew();
        }
        Poll::Ready(())
    }

    /// Begins anew, since the task waited for something else meanwhile.
    pub fn renew(&mut self) {
        self.began = None;
        self.checks = 0;
    }

    fn is_spent(&mut self) -> bool {
        let look = self.checks == 0;
        self.checks = (self.checks + 1) % self.checks_per_look;
        if !look {
            return false;
        }
        let now = now();
        now.saturating_duration_since(*self.began.get_or_insert(now)) >= Self::LENGTH
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::run;
    use std::{cell::Cell, future::poll_fn, rc::Rc};

    /// Counts what a timer of a millisecond or two ticks while `busy` works. Three in 300 ms is
    /// what the executor's own preemption gives.
    fn ticks_during(busy: impl Future<Output = ()>) -> u32 {
        run(async {
            let ticks = Rc::new(Cell::new(0));
            let counted = Rc::clone(&ticks);
            let ticker = engine::spawn(async move {
                loop {
                    engine::sleep(Duration::from_millis(2)).await;
                    counted.set(counted.get() + 1);
                }
            });
            busy.await;
            drop(ticker);
            ticks.get()
        })
    }

    #[test]
    fn a_busy_task_that_checks_its_budget_does_not_hold_up_timers() {
        let ticks = ticks_during(async {
            let (began, mut budget) = (now(), CoopBudget::new());
            while began.elapsed() < Duration::from_millis(300) {
                budget.check().await;
            }
        });
        assert!(ticks > 15, "{ticks} ticks");
    }

    #[test]
    fn a_reader_that_always_finds_something_leaves_time_for_timers_and_tasks() {
        let turns = Rc::new(Cell::new(0_u32));
        let counted = Rc::clone(&turns);
        let ticks = ticks_during(async move {
            let (began, mut budget) = (now(), CoopBudget::new());
            poll_fn(|cx| {
                counted.set(counted.get() + 1);
                let mut found = false;
                while began.elapsed() < Duration::from_millis(300) {
                    if budget.poll_check(cx).is_pending() {
                        // As by whoever takes what was found: that must not shorten the pause.
                        if found {
                            cx.waker().wake_by_ref();
                        }
                        return Poll::Pending;
                    }
                    found = true;
                }
                Poll::Ready(())
            })
            .await;
        });
        assert!(ticks > 15, "{ticks} ticks in {} turns", turns.get());
    }
}

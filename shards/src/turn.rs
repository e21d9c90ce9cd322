//! How long work may go on before IO, timers and other shards get a look in.
//!
//! A glommio executor looks at its rings, timers and channels when its queue of runnable tasks is
//! empty, or when its preemption timer (100 ms) says so. Yielding the task or the task queue only
//! lets *other tasks* run: a task that yields and is runnable again keeps the queue from running
//! empty, and a 1 ms sleep next to it takes 100 ms (measured with 0.9.0). Waiting for a timer
//! takes the task out of the queue until the executor has looked.

use crate::{
    engine,
    time::{Duration, Instant, now},
};

/// Lets the executor look at IO, timers and channels; costs a few microseconds.
pub async fn yield_to_reactor() {
    // Zero would be over before it is waited for.
    engine::sleep(Duration::from_micros(1)).await;
}

/// The time budget of a task that may find itself with work without end.
#[derive(Debug)]
pub struct Turn {
    began: Option<Instant>,
    checks: u32,
    checks_per_look: u32,
}

impl Default for Turn {
    fn default() -> Self {
        Self::new()
    }
}

impl Turn {
    /// The longest that a task works in one go.
    pub const LENGTH: Duration = Duration::from_micros(500);

    /// A turn that begins with the first check.
    pub fn new() -> Self {
        Self::of_small_steps(1)
    }

    /// A turn that looks at the clock at every so many checks only, for steps so small that
    /// reading the clock would cost a good part of them.
    pub fn of_small_steps(checks_per_look: u32) -> Self {
        Self { began: None, checks: 0, checks_per_look: checks_per_look.max(1) }
    }

    /// To be called after each step of work: yields where the turn is over.
    pub async fn check(&mut self) {
        if self.over() {
            yield_to_reactor().await;
            self.renew();
        }
    }

    /// Begins anew, since the task waited for something else meanwhile.
    pub fn renew(&mut self) {
        self.began = None;
        self.checks = 0;
    }

    /// Whether it is time to yield.
    pub fn over(&mut self) -> bool {
        let look = self.checks == 0;
        self.checks = (self.checks + 1) % self.checks_per_look;
        if !look {
            return false;
        }
        let now = now();
        now.duration_since(*self.began.get_or_insert(now)) >= Self::LENGTH
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{cell::Cell, rc::Rc};

    #[test]
    fn a_busy_task_that_checks_its_turn_does_not_hold_up_timers() {
        glommio::LocalExecutorBuilder::default().io_memory(65536).make().unwrap().run(async {
            let (ticks, done) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(false)));
            let ticker = glommio::spawn_local({
                let (ticks, done) = (ticks.clone(), done.clone());
                async move {
                    while !done.get() {
                        glommio::timer::sleep(Duration::from_millis(2)).await;
                        ticks.set(ticks.get() + 1);
                    }
                }
            });
            let (began, mut turn) = (now(), Turn::new());
            while began.elapsed() < Duration::from_millis(300) {
                turn.check().await;
            }
            done.set(true);
            ticker.await;
            // Three looks in 300 ms is what the executor's own preemption gives.
            assert!(ticks.get() > 15, "{} ticks", ticks.get());
        });
    }
}

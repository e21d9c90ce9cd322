//! What a shard's code asks of the executor that it runs on: tasks, timers, the clock.
//!
//! That is glommio. With the feature `simulation`, a thread may run a simulation instead
//! (`shards::simulation`), in which the same code runs on simulated time, in an order that a seed
//! decides.

#[cfg(feature = "simulation")]
use crate::simulation;
use std::{
    future::{Future, poll_fn},
    pin::Pin,
    task::{Context, Poll},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

/// A task on this thread's executor. Dropping it cancels the task.
#[must_use = "a task is cancelled when dropped; `detach` lets it run on"]
#[derive(Debug)]
pub struct Task<T>(TaskKind<T>);

#[derive(Debug)]
enum TaskKind<T> {
    Real(glommio::Task<T>),
    #[cfg(feature = "simulation")]
    Simulated(simulation::SimTask<T>),
}

/// Starts a task on this thread's executor. Its first step comes after the caller's.
///
/// glommio would run that step at once, inside of this call: before the caller has stored the
/// handle, and while it may hold a borrow that the task takes as well.
pub fn spawn<T: 'static>(future: impl Future<Output = T> + 'static) -> Task<T> {
    #[cfg(feature = "simulation")]
    if simulation::is_running() {
        return Task(TaskKind::Simulated(simulation::spawn(future)));
    }
    Task(TaskKind::Real(glommio::spawn_local(async {
        next_turn().await;
        future.await
    })))
}

impl<T: 'static> Task<T> {
    /// Lets the task run to its end on its own.
    pub fn detach(self) {
        match self.0 {
            TaskKind::Real(task) => drop(task.detach()),
            #[cfg(feature = "simulation")]
            TaskKind::Simulated(task) => task.detach(),
        }
    }

    /// Ends the task at its next suspension and waits until its future is dropped; gives the
    /// result where it had already ended.
    pub async fn cancel(self) -> Option<T> {
        match self.0 {
            TaskKind::Real(task) => task.cancel().await,
            #[cfg(feature = "simulation")]
            TaskKind::Simulated(task) => task.cancel().await,
        }
    }
}

impl<T> Future for Task<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        match &mut self.0 {
            TaskKind::Real(task) => Pin::new(task).poll(cx),
            #[cfg(feature = "simulation")]
            TaskKind::Simulated(task) => Pin::new(task).poll(cx),
        }
    }
}

/// Ready once its time has passed.
#[derive(Debug)]
pub struct Timer(TimerKind);

#[derive(Debug)]
enum TimerKind {
    Real(glommio::timer::Timer),
    #[cfg(feature = "simulation")]
    Simulated(simulation::SimTimer),
}

impl Timer {
    /// A timer that begins to run now, for [`FOREVER`](crate::time::FOREVER) at most.
    pub fn new(duration: Duration) -> Self {
        let duration = duration.min(crate::time::FOREVER);
        #[cfg(feature = "simulation")]
        if simulation::is_running() {
            return Self(TimerKind::Simulated(simulation::SimTimer::new(duration)));
        }
        Self(TimerKind::Real(glommio::timer::Timer::new(duration)))
    }
}

impl Future for Timer {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        match &mut self.0 {
            TimerKind::Real(timer) => Pin::new(timer).poll(cx).map(drop),
            #[cfg(feature = "simulation")]
            TimerKind::Simulated(timer) => Pin::new(timer).poll(cx),
        }
    }
}

/// Waits.
pub async fn sleep(duration: Duration) {
    Timer::new(duration).await;
}

/// Suspends once, runnable again at once: other runnable tasks come first, IO and timers may not.
pub(crate) async fn next_turn() {
    let mut suspended = false;
    poll_fn(|cx| match std::mem::replace(&mut suspended, true) {
        true => Poll::Ready(()),
        false => {
            cx.waker().wake_by_ref();
            Poll::Pending
        }
    })
    .await;
}

/// The monotonic clock, now.
#[allow(clippy::disallowed_methods, reason = "where the clock is read")]
pub fn now() -> Instant {
    #[cfg(feature = "simulation")]
    if let Some(now) = simulation::now() {
        return now;
    }
    Instant::now()
}

/// Wall-clock seconds since the epoch, for comparing with dates that came from outside. Never used
/// to measure a duration.
#[allow(clippy::disallowed_methods, reason = "where the clock is read")]
pub fn unix_seconds() -> i64 {
    #[cfg(feature = "simulation")]
    if let Some(seconds) = simulation::unix_seconds() {
        return seconds;
    }
    match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(since) => i64::try_from(since.as_secs()).unwrap_or(i64::MAX),
        Err(_) => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::run;
    use std::{cell::Cell, rc::Rc};

    #[test]
    fn a_dropped_task_is_cancelled() {
        run(async {
            let ran = Rc::new(Cell::new(false));
            let seen = ran.clone();
            drop(spawn(async move {
                sleep(Duration::from_millis(1)).await;
                seen.set(true);
            }));
            sleep(Duration::from_millis(20)).await;
            assert!(!ran.get());
        });
    }

    #[test]
    fn a_task_begins_after_its_handle_was_stored() {
        run(async {
            let slot = Rc::new(Cell::new(None::<Task<()>>));
            let seen = slot.clone();
            let found = Rc::new(Cell::new(false));
            let finding = found.clone();
            slot.set(Some(spawn(async move {
                finding.set(seen.take().is_some_and(|task| {
                    task.detach();
                    true
                }))
            })));
            sleep(Duration::from_millis(1)).await;
            assert!(found.get());
        });
    }

    #[test]
    fn a_detached_task_runs_on() {
        run(async {
            let ran = Rc::new(Cell::new(false));
            let seen = ran.clone();
            spawn(async move { seen.set(true) }).detach();
            sleep(Duration::from_millis(1)).await;
            assert!(ran.get());
        });
    }
}

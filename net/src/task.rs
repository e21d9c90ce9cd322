//! Tasks of this thread's executor, and work that would block it.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use futures::channel::oneshot;
use shards::engine;

/// A task on this thread's executor. Dropping it cancels the task.
#[must_use = "a task is cancelled when dropped; `detach` lets it run on"]
#[derive(Debug)]
pub struct Task<T>(engine::Task<T>);

/// Starts a task on this thread's executor. Its first step comes after the caller's.
///
/// glommio would run that step at once, inside of this call: before the caller has stored the
/// handle, and while it may hold a borrow that the task takes as well.
pub fn spawn<T: 'static>(future: impl Future<Output = T> + 'static) -> Task<T> {
    Task(engine::spawn(async move {
        engine::next_turn().await;
        future.await
    }))
}

impl<T: 'static> Task<T> {
    /// Lets the task run to its end on its own.
    pub fn detach(self) {
        self.0.detach();
    }

    /// Ends the task at its next suspension and waits until its future is dropped; gives the
    /// result where it had already ended.
    pub async fn cancel(self) -> Option<T> {
        self.0.cancel().await
    }
}

impl<T> Future for Task<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        Pin::new(&mut self.0).poll(cx)
    }
}

/// Gives way to every other runnable task of this executor, and to IO and timers: merely yielding
/// the task queue would leave those waiting as long as anything is runnable.
pub async fn yield_now() {
    shards::yield_to_reactor().await;
}

/// Why blocking work has no result.
#[derive(Debug, thiserror::Error)]
pub enum BlockingError {
    /// The work panicked; the panic's message went to stderr.
    #[error("blocking work panicked")]
    Panicked,
    /// No thread could be started for it.
    #[error("no thread for blocking work: {0}")]
    NoThread(#[source] io::Error),
}

/// Runs `work` on a thread of its own.
///
/// Not on glommio's pool: that has one thread for an executor, where a name server that does
/// not answer would hold up whatever comes next, and a panic there ends the executor. What
/// blocks here (name resolution, credential plugins, files) is rare enough for a thread each.
pub async fn blocking<T, F>(work: F) -> Result<T, BlockingError>
where
    T: Send + 'static,
    F: FnOnce() -> T + Send + 'static,
{
    let (done, result) = oneshot::channel();
    std::thread::Builder::new()
        .name("blocking".into())
        .spawn(move || {
            // The one who asked may have given up; then nobody wants the result.
            let _ = done.send(work());
        })
        .map_err(BlockingError::NoThread)?;
    result.await.map_err(|_| BlockingError::Panicked)
}

#[cfg(test)]
mod tests {
    use std::{cell::Cell, rc::Rc, time::Duration};

    use super::*;
    use crate::{sleep, testing::run};

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

    #[test]
    fn blocking_work_leaves_the_executor_free() {
        run(async {
            let ticks = Rc::new(Cell::new(0));
            let counted = ticks.clone();
            let _ticker = spawn(async move {
                loop {
                    sleep(Duration::from_millis(2)).await;
                    counted.set(counted.get() + 1);
                }
            });
            let result = blocking(|| {
                std::thread::sleep(Duration::from_millis(60));
                7
            });
            assert_eq!(result.await.unwrap(), 7);
            assert!(ticks.get() >= 3, "{} ticks", ticks.get());
        });
    }

    #[test]
    fn a_panic_in_blocking_work_is_an_error_and_the_executor_lives() {
        run(async {
            let failed = blocking(|| panic!("on purpose")).await;
            assert!(matches!(failed, Err(BlockingError::Panicked)));
            assert_eq!(blocking(|| 1).await.unwrap(), 1);
        });
    }
}

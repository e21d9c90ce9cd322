//! Giving way on this thread's executor, and work that would block it.

use std::io;

use futures::channel::oneshot;

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
    use crate::{sleep, spawn, testing::run};

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

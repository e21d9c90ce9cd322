//! hyper's executor, and executors for threads that are no shards (embedded servers, tests).

use std::{io, time::Duration};

use glommio::{LocalExecutorBuilder, Placement};

use crate::{sleep, spawn};

/// Registered IO memory of an executor. We read and write sockets only, which needs none;
/// glommio's default of 10 MiB would stay resident.
const IO_MEMORY: usize = 64 << 10;

/// glommio 0.9 can park while tasks are runnable; a timer bounds how long.
const HEARTBEAT: Duration = Duration::from_millis(100);

/// Lets hyper spawn on this thread's executor.
#[derive(Debug, Clone, Copy, Default)]
pub struct LocalExecutor;

impl<F> hyper::rt::Executor<F> for LocalExecutor
where
    F: Future + 'static,
    F::Output: 'static,
{
    fn execute(&self, future: F) {
        spawn(future).detach();
    }
}

/// Why an executor could not run.
#[derive(Debug, thiserror::Error)]
pub enum ExecutorError {
    /// io_uring is not to be had.
    #[error("no io_uring executor: {0} (needs Linux 5.8, io_uring allowed, and 512 KiB of lockable memory)")]
    Executor(String),
    /// The system gives no more threads.
    #[error("cannot start thread {name}: {source}")]
    Thread {
        /// Its name.
        name: String,
        /// The system's answer.
        source: io::Error,
    },
}

/// Runs a future on a new executor on this thread and gives its result. Tasks that are still
/// parked then are leaked: end them first.
pub fn block_on<T>(future: impl Future<Output = T>) -> Result<T, ExecutorError> {
    raise_memlock();
    let executor = LocalExecutorBuilder::new(Placement::Unbound)
        .io_memory(IO_MEMORY)
        .make()
        .map_err(|error| ExecutorError::Executor(error.to_string()))?;
    Ok(executor.run(async {
        let _heartbeat = spawn(async {
            loop {
                sleep(HEARTBEAT).await;
            }
        });
        future.await
    }))
}

/// A thread with an executor of its own.
#[derive(Debug)]
pub struct Thread<T> {
    name: String,
    handle: std::thread::JoinHandle<Result<T, ExecutorError>>,
}

impl<T> Thread<T> {
    /// Waits for the thread's future to end. A panic in it goes on here.
    pub fn join(self) -> Result<T, ExecutorError> {
        self.handle.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }

    /// The thread's name.
    pub fn name(&self) -> &str {
        &self.name
    }
}

/// Starts a thread that runs the future which `make` gives on an executor of its own.
pub fn start_thread<T, Fut>(
    name: &str,
    make: impl FnOnce() -> Fut + Send + 'static,
) -> Result<Thread<T>, ExecutorError>
where
    T: Send + 'static,
    Fut: Future<Output = T> + 'static,
{
    let handle = std::thread::Builder::new()
        .name(name.into())
        .spawn(move || block_on(async move { make().await }))
        .map_err(|source| ExecutorError::Thread { name: name.into(), source })?;
    Ok(Thread { name: name.into(), handle })
}

/// glommio asks for a soft limit of 512 KiB, even of root, where systems often give less.
fn raise_memlock() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Memlock);
    if limit.current != limit.maximum {
        // Where it fails, glommio says what it needs.
        let _ = setrlimit(Resource::Memlock, Rlimit { current: limit.maximum, maximum: limit.maximum });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_gives_its_futures_result() {
        let thread = start_thread("answer", || async {
            sleep(Duration::from_millis(1)).await;
            42
        });
        assert_eq!(thread.unwrap().join().unwrap(), 42);
    }
}

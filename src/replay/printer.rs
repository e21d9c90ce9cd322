//! Reports on their way to standard output.
//!
//! They are what a replay is run for, so none is dropped while it runs: where the reader is slow, no
//! more are taken, and what there is to tell waits with the objects that it is about. A thread of its
//! own writes, so that no shard waits with it. Once standard output fails, the orders go on without.

use std::{
    future::poll_fn,
    io,
    sync::{
        Arc,
        atomic::{
            AtomicBool, AtomicU64,
            Ordering::{AcqRel, Acquire, Relaxed},
        },
    },
    task::Poll,
    thread,
};

use futures::{SinkExt, StreamExt, channel::mpsc, executor::block_on, task::AtomicWaker};

use crate::output;

/// Lines that may wait for the thread.
const AHEAD: usize = 64;

/// How far printing is; for any thread.
#[derive(Debug, Default)]
pub(super) struct PrintProgress {
    taken: AtomicU64,
    printed: AtomicU64,
    failed: AtomicBool,
    moved: AtomicWaker,
}

impl PrintProgress {
    /// Reports that wait for the reader.
    pub(super) fn waiting(&self) -> u64 {
        let printed = self.printed();
        self.taken.load(Acquire).saturating_sub(printed)
    }

    /// How many were printed, or let go.
    pub(super) fn printed(&self) -> u64 {
        self.printed.load(Acquire)
    }

    /// Some report could not be printed.
    pub(super) fn failed(&self) -> bool {
        self.failed.load(Relaxed)
    }

    pub(super) fn fail(&self, why: impl std::fmt::Display) {
        if !self.failed.swap(true, Relaxed) {
            output::complain(format_args!("reports are not printed: {why}"));
        }
    }

    fn printed_one(&self) {
        self.printed.fetch_add(1, AcqRel);
        self.moved.wake();
    }

    /// Waits for a condition that printing brings about; one task at a time.
    pub(super) async fn until(&self, condition: impl Fn() -> bool) {
        poll_fn(|cx| {
            self.moved.register(cx.waker());
            if condition() { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }
}

/// Takes lines, a report each.
pub(super) struct Printer {
    lines: mpsc::Sender<String>,
    progress: Arc<PrintProgress>,
}

impl Printer {
    /// Starts the thread.
    pub(super) fn start(
        progress: Arc<PrintProgress>,
        print: impl Fn(&str) -> io::Result<()> + Send + 'static,
    ) -> Self {
        let (lines, mut to_print) = mpsc::channel::<String>(AHEAD);
        let seen = Arc::clone(&progress);
        let started = thread::Builder::new().name("reports".into()).spawn(move || {
            while let Some(line) = block_on(to_print.next()) {
                if !seen.failed()
                    && let Err(failure) = print(&line)
                {
                    seen.fail(format_args!("standard output: {failure}"));
                }
                seen.printed_one();
            }
        });
        if let Err(failure) = started {
            progress.fail(format_args!("no thread for them: {failure}"));
        }
        Self { lines, progress }
    }

    /// Takes a line once the reader is no more than [`AHEAD`] of them behind.
    pub(super) async fn print(&mut self, line: String) {
        self.progress.taken.fetch_add(1, AcqRel);
        if self.lines.send(line).await.is_err() {
            // There is no thread: said when it could not be started.
            self.progress.printed_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc as threads;

    use super::*;

    fn line(number: usize) -> String {
        format!("{number}\n")
    }

    /// Prints so many lines.
    async fn print_all(printer: &mut Printer, lines: usize) {
        for number in 0..lines {
            printer.print(line(number)).await;
        }
    }

    #[test]
    fn no_more_is_taken_than_a_little_ahead_of_the_reader() {
        let (reader, read) = threads::sync_channel(0);
        let progress = Arc::<PrintProgress>::default();
        let print = move |line: &str| reader.send(line.to_owned()).map_err(io::Error::other);
        let mut printer = Printer::start(Arc::clone(&progress), print);
        let printing = thread::spawn(move || block_on(print_all(&mut printer, 300)));
        let most = AHEAD as u64 + 3;
        for number in 0..300 {
            assert!(progress.waiting() <= most, "{}", progress.waiting());
            assert_eq!(read.recv().unwrap(), line(number));
        }
        printing.join().unwrap();
        block_on(progress.until(|| progress.waiting() == 0));
        assert_eq!((progress.printed(), progress.failed()), (300, false));
    }

    #[test]
    fn where_nobody_reads_printing_waits() {
        let progress = Arc::<PrintProgress>::default();
        let (_nobody, asked) = threads::channel::<()>();
        let print = move |_: &str| asked.recv().map_err(io::Error::other);
        let mut printer = Printer::start(Arc::clone(&progress), print);
        thread::spawn(move || block_on(print_all(&mut printer, 300)));
        thread::sleep(std::time::Duration::from_millis(50));
        assert!(progress.printed() == 0 && progress.waiting() <= AHEAD as u64 + 3);
    }

    #[test]
    fn where_it_fails_the_rest_is_let_go() {
        let progress = Arc::<PrintProgress>::default();
        let (asked, asks) = threads::channel();
        let print = move |_: &str| {
            asked.send(()).map_err(io::Error::other)?;
            Err(io::ErrorKind::BrokenPipe.into())
        };
        let mut printer = Printer::start(Arc::clone(&progress), print);
        block_on(print_all(&mut printer, 100));
        block_on(progress.until(|| progress.waiting() == 0));
        drop(printer);
        assert_eq!((progress.printed(), progress.failed(), asks.iter().count()), (100, true, 1));
    }
}

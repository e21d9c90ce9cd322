//! Reports on their way to standard output.
//!
//! They are what a replay is run for, so none is dropped while it runs: where the reader is slow,
//! shards are given no room for more, and what there is to tell waits with the objects that it is
//! about. A thread of its own writes, so that no shard waits with it. Once standard output fails, the
//! orders go on without.

use std::{
    io,
    sync::{
        Arc,
        atomic::{
            AtomicBool, AtomicU64,
            Ordering::{AcqRel, Acquire, Relaxed},
        },
        mpsc as threads,
    },
    thread,
    time::Duration,
};

use futures::channel::mpsc;

use crate::{output, time};

/// How often somebody who waits for the last ones looks.
const LOOK: Duration = Duration::from_millis(5);

/// How far printing is; for any thread.
#[derive(Debug, Default)]
pub(super) struct Progress {
    taken: AtomicU64,
    printed: AtomicU64,
    failed: AtomicBool,
}

impl Progress {
    /// Reports that wait for the reader.
    pub(super) fn waiting(&self) -> u64 {
        let printed = self.printed.load(Acquire);
        self.taken.load(Acquire).saturating_sub(printed)
    }

    /// Some report could not be printed.
    pub(super) fn failed(&self) -> bool {
        self.failed.load(Relaxed)
    }

    fn fail(&self, why: impl std::fmt::Display) {
        if !self.failed.swap(true, Relaxed) {
            output::complain(format_args!("reports are not printed: {why}"));
        }
    }

    /// Waits until all are printed, or until none was for so long.
    pub(super) fn finish(&self, patience: Duration) {
        let mut last = (self.printed.load(Acquire), time::now());
        while self.waiting() > 0 {
            thread::sleep(LOOK);
            let printed = self.printed.load(Acquire);
            if printed != last.0 {
                last = (printed, time::now());
            } else if last.1.elapsed() > patience {
                return self.fail(format_args!("nobody reads standard output, {} are left", self.waiting()));
            }
        }
    }
}

/// Takes reports, each as a line, with the number of the shard that it is from.
pub(super) struct Printer {
    lines: threads::Sender<(usize, String)>,
    progress: Arc<Progress>,
}

impl Printer {
    /// Starts the thread. The stream gives the number of a shard for each report of its that is
    /// printed.
    pub(super) fn start(
        progress: Arc<Progress>,
        print: impl Fn(&str) -> io::Result<()> + Send + 'static,
    ) -> (Self, mpsc::UnboundedReceiver<usize>) {
        let (lines, to_print) = threads::channel::<(usize, String)>();
        // As many as there are reports on their way, for each of which there was room.
        let (printed, given_back) = mpsc::unbounded();
        let seen = Arc::clone(&progress);
        let started = thread::Builder::new().name("reports".into()).spawn(move || {
            for (shard, line) in to_print {
                if !seen.failed()
                    && let Err(failure) = print(&line)
                {
                    seen.fail(format_args!("standard output: {failure}"));
                }
                seen.printed.fetch_add(1, AcqRel);
                // Nobody listens any more at the end.
                let _ = printed.unbounded_send(shard);
            }
        });
        if let Err(failure) = started {
            progress.fail(format_args!("no thread for them: {failure}"));
        }
        (Self { lines, progress }, given_back)
    }

    /// Takes a report. Never waits.
    pub(super) fn take(&self, shard: usize, line: String) {
        self.progress.taken.fetch_add(1, AcqRel);
        if self.lines.send((shard, line)).is_err() {
            // There is no thread: said when it could not be started.
            self.progress.printed.fetch_add(1, AcqRel);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::{StreamExt, executor::block_on};

    use super::*;

    fn line(number: usize) -> String {
        format!("{number}\n")
    }

    #[test]
    fn room_is_given_back_only_for_what_is_printed() {
        let (reader, read) = threads::sync_channel(0);
        let progress = Arc::<Progress>::default();
        let print = move |line: &str| reader.send(line.to_owned()).map_err(io::Error::other);
        let (printer, mut given_back) = Printer::start(Arc::clone(&progress), print);
        (0..300).for_each(|number| printer.take(number % 2, line(number)));
        assert!(given_back.try_recv().is_err(), "nobody reads yet");
        assert_eq!(progress.waiting(), 300);
        for number in 0..300 {
            assert_eq!(read.recv().unwrap(), line(number));
            assert_eq!(block_on(given_back.next()), Some(number % 2));
        }
        progress.finish(Duration::from_secs(10));
        assert_eq!((progress.waiting(), progress.failed()), (0, false));
    }

    #[test]
    fn where_it_fails_the_rest_is_let_go_and_room_given_back() {
        let progress = Arc::<Progress>::default();
        let (asked, asks) = threads::channel();
        let print = move |_: &str| {
            asked.send(()).map_err(io::Error::other)?;
            Err(io::ErrorKind::BrokenPipe.into())
        };
        let (printer, given_back) = Printer::start(Arc::clone(&progress), print);
        (0..100).for_each(|number| printer.take(0, line(number)));
        progress.finish(Duration::from_secs(10));
        drop(printer);
        assert_eq!((progress.waiting(), progress.failed()), (0, true));
        assert_eq!((block_on(given_back.count()), asks.iter().count()), (100, 1));
    }

    #[test]
    fn a_reader_that_reads_nothing_is_given_up_in_the_end() {
        let progress = Arc::<Progress>::default();
        let print = |_: &str| {
            thread::sleep(Duration::from_secs(60));
            Ok(())
        };
        let (printer, _given_back) = Printer::start(Arc::clone(&progress), print);
        printer.take(0, line(1));
        progress.finish(Duration::from_millis(50));
        assert!(progress.failed());
    }
}

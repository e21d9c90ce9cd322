//! All that the process writes to its two outputs.
//!
//! **Standard error** (the log, and what is said before there is one) is best effort. A line goes
//! into a bounded queue; a thread of its own writes it. Where that cannot keep up, since nobody
//! reads or the disk is full, lines are dropped and counted, and once it can write again it says how
//! many. So no shard ever waits for a line, none fails for one, and none panics.
//!
//! **Standard output** holds results (of `version`, `demo`, `replay`, `--help`). They are written as
//! a whole, however long that takes, or it is an error.
//!
//! Neither goes through the handles of `std::io`: who waits in a write there holds their lock, and
//! `println!` and `eprintln!` panic.

mod descriptor;
mod queue;
mod writer;

use std::{
    fmt::Display,
    io::{self, IsTerminal, Write},
    process::ExitCode,
    sync::{
        OnceLock,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread,
    time::Duration,
};

pub use descriptor::Descriptor;
use queue::{Queue, queue};
use writer::LogWriter;

/// How long the end of the process waits for what is still to be written to standard error.
pub const LINGER: Duration = Duration::from_secs(1);
/// What the thread that writes is called.
const THREAD: &str = "log";
/// How often somebody who waits for it looks.
const LOOK: Duration = Duration::from_millis(2);

static STDERR: OnceLock<Option<Queue>> = OnceLock::new();
/// Whether standard error holds one JSON object per line.
static JSON: AtomicBool = AtomicBool::new(false);

/// The queue before standard error; `None` where there is no thread to write what is in it.
fn stderr() -> Option<&'static Queue> {
    let start = || {
        let (queue, lines) = queue();
        let writer = LogWriter::new(Descriptor::Stderr, lines, queue.tally(), &JSON);
        let started = thread::Builder::new().name(THREAD.into()).spawn(move || writer.run());
        started.ok().map(|_| queue)
    };
    STDERR.get_or_init(start).as_ref()
}

/// From now on, what this module itself has to say on standard error is JSON or is not.
pub fn set_json(json: bool) {
    JSON.store(json, Relaxed);
}

/// Where the log is written: each call of `write` is one line as a whole.
#[derive(Debug, Clone, Copy, Default)]
pub struct LogLines;

impl Write for LogLines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        match stderr() {
            Some(queue) => queue.push(line.to_vec()),
            // No thread could be started at the very beginning, so there are no shards to hold up.
            None => Descriptor::Stderr.write_all(line)?,
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Says something on standard error in lines of its own; as lossy as the log.
pub fn complain(text: impl Display) {
    // Nobody is left to be told that it failed.
    let _ = LogLines.write_all(format!("{text}\n").as_bytes());
}

/// Puts a line of the log's own form on standard error, past its filter and all of its machinery.
pub(crate) fn emergency(target: &str, message: &str) {
    let line = writer::entry(JSON.load(Relaxed), "ERROR", target, message);
    let is_writer = thread::current().name() == Some(THREAD);
    match STDERR.get() {
        Some(Some(queue)) if !is_writer => queue.push(line),
        // It is the writer that fails. What else it had to write is lost.
        _ if is_writer => drop(Descriptor::Stderr.write_all(&line)),
        _ => drop(LogLines.write_all(&line)),
    }
}

/// Waits until all that was said so far on standard error is written or lost, for so long at most.
pub fn flush(limit: Duration) {
    let Some(Some(queue)) = STDERR.get() else { return };
    let (began, said) = (crate::time::now(), queue.said());
    while queue.handled() < said && began.elapsed() < limit {
        thread::sleep(LOOK);
    }
}

/// Writes a result to standard output, as a whole.
pub fn print(text: impl Display) -> io::Result<()> {
    Descriptor::Stdout.write_all(text.to_string().as_bytes())
}

/// Writes a result to standard output; the exit code is that of the process: 1, and a line on
/// standard error, where it could not be written.
pub fn result(text: impl Display) -> ExitCode {
    match print(text) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            complain(format_args!("stackherd: standard output: {failure}"));
            ExitCode::FAILURE
        }
    }
}

/// Whether somebody looks at this output in colours, and did not ask to be spared them
/// (`NO_COLOR`, see no-color.org).
pub fn in_colours(output: &impl IsTerminal) -> bool {
    let spared = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let is_dumb = std::env::var_os("TERM").is_some_and(|value| value == "dumb");
    output.is_terminal() && !spared && !is_dumb
}

//! A panic on any thread ends the process, whatever the other threads do.
//!
//! What panicked owned something: stacks, a thread's work, half of a conversation. Whoever needs it
//! waits, and an agent of which a part waits for ever looks alive from outside. So the panic is said,
//! the orderly end that it may have set off gets a moment, and then a thread that has waited for
//! nothing else ends the process. No lock is taken and no task is waited for on that way.
//!
//! The exception are panics of libraries that are taken for an answer ([`shards::is_contained`]).

#[cfg(test)]
pub(crate) mod strikes;
#[cfg(test)]
mod tests;

use std::{
    backtrace::{Backtrace, BacktraceStatus},
    cell::Cell,
    panic::{self, AssertUnwindSafe, PanicHookInfo, catch_unwind},
    process::ExitCode,
    sync::{
        OnceLock,
        atomic::{
            AtomicBool,
            Ordering::{Acquire, Release},
        },
    },
    thread::{self, Thread},
    time::Duration,
};

use crate::output;

/// What the process ends with after a panic, or a hang: an internal error, in the words of
/// sysexits.h.
pub const EXIT_CODE: u8 = 70;
/// How long the orderly end may take, where the panic set one off.
const GRACE: Duration = Duration::from_millis(400);
/// How long what is still to be said may take to be written. With [`GRACE`] well within a second.
const LAST_WORDS: Duration = Duration::from_millis(300);

static STRUCK: AtomicBool = AtomicBool::new(false);
static LAST_RESORT: OnceLock<Thread> = OnceLock::new();

thread_local! {
    static PANICKED: Cell<bool> = const { Cell::new(false) };
}

/// Runs the process: with everything that it says written, and with code [`EXIT_CODE`] where
/// anything panicked.
pub fn watch_over(run: impl FnOnce() -> ExitCode) -> ExitCode {
    install();
    // A panic on the main thread would end the process before it could say why.
    let code = catch_unwind(AssertUnwindSafe(run)).unwrap_or(ExitCode::from(EXIT_CODE));
    output::flush(output::LINGER);
    if has_struck() { ExitCode::from(EXIT_CODE) } else { code }
}

/// Whether a thread has panicked, and the process is about to end.
pub fn has_struck() -> bool {
    STRUCK.load(Acquire)
}

/// Ends the process without waiting for anybody, but for a moment for what was said.
pub fn end(code: u8) -> ! {
    output::flush(LAST_WORDS);
    // Not `process::exit`: that runs what others have registered, which may wait.
    signal_hook::low_level::exit(code.into())
}

/// From now on a panic on any thread ends the process.
pub fn install() {
    panic::set_hook(Box::new(on_panic));
    let started = thread::Builder::new().name("last resort".into()).spawn(last_resort);
    if let Ok(thread) = started {
        // Fails where it was installed before; one is enough.
        let _ = LAST_RESORT.set(thread.thread().clone());
    }
}

fn last_resort() {
    while !has_struck() {
        thread::park();
    }
    thread::sleep(GRACE);
    end(EXIT_CODE);
}

fn on_panic(info: &PanicHookInfo<'_>) {
    if shards::is_contained() {
        return;
    }
    // First of all: nothing below has to succeed for the process to end.
    STRUCK.store(true, Release);
    let thread = LAST_RESORT.get();
    if let Some(thread) = thread {
        thread.unpark();
    }
    let is_second = PANICKED.try_with(|panicked| panicked.replace(true)).unwrap_or(true);
    output::emergency(module_path!(), &describe(info));
    if thread.is_none() || is_second {
        // A panic while another one unwinds: what comes next is an abort, without a word.
        end(EXIT_CODE);
    }
    // Last, since it takes its time. Wanted where RUST_BACKTRACE says so.
    let backtrace = Backtrace::capture();
    if backtrace.status() == BacktraceStatus::Captured {
        output::emergency(module_path!(), &format!("backtrace of that panic:\n{backtrace}"));
    }
}

fn describe(info: &PanicHookInfo<'_>) -> String {
    let thread = thread::current();
    let name = thread.name().unwrap_or("without a name");
    let message = info.payload_as_str().unwrap_or("no message");
    let place = info.location().map_or_else(|| "an unknown place".to_owned(), ToString::to_string);
    format!(
        "thread {name} panicked at {place}: {message}. The process ends; please report this with the log before it"
    )
}

//! Signals: SIGTERM, SIGINT and SIGHUP ask for a clean stop, the second one of them ends the process
//! at once; those that mean nothing here do nothing.

use std::{
    fmt, io,
    sync::{Arc, atomic::AtomicBool},
    thread,
};

use signal_hook::{
    consts::{
        SIGALRM, SIGHUP, SIGINT, SIGIO, SIGPROF, SIGTERM, SIGUSR1, SIGUSR2, SIGVTALRM, SIGXCPU, SIGXFSZ,
    },
    flag,
    iterator::Signals,
};

/// Signals that would end the process and mean nothing to it; the Go agent ignores the same.
/// SIGXFSZ comes of a log file that may not grow any more, which is a lost line. (SIGPIPE is
/// ignored by Rust's runtime.)
const STRAYS: [i32; 8] = [SIGUSR1, SIGUSR2, SIGALRM, SIGVTALRM, SIGPROF, SIGIO, SIGXCPU, SIGXFSZ];

/// Lets signals that mean nothing here do nothing.
pub fn ignore_strays() {
    // A handler that nobody asks, and not SIG_IGN: credential plugins would inherit that.
    let unasked = Arc::new(AtomicBool::new(false));
    for signal in STRAYS {
        // Where it fails the signal does what it did before.
        let _ = flag::register(signal, Arc::clone(&unasked));
    }
}

/// Which signal came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopSignal {
    /// Somebody pressed Ctrl-C.
    Interrupt,
    /// A supervisor wants the process to stop.
    Terminate,
    /// The terminal is gone, or a supervisor wants a restart: there are no settings to read again.
    HangUp,
}

impl fmt::Display for StopSignal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            StopSignal::Interrupt => "SIGINT",
            StopSignal::Terminate => "SIGTERM",
            StopSignal::HangUp => "SIGHUP",
        })
    }
}

/// The handlers could not be installed.
#[derive(Debug, thiserror::Error)]
#[error("signal handlers: {0}")]
pub struct ShutdownError(#[from] io::Error);

/// Calls `first` on a thread of its own when the first signal comes. The second one ends the
/// process from within the handler, with code 129 (SIGHUP), 130 (SIGINT) or 143 (SIGTERM), so that
/// it works however stuck the rest of the process is.
///
/// A SIGHUP that was ignored when the process began (`nohup`) stays ignored.
pub fn on_signal(first: impl FnOnce(StopSignal) + Send + 'static) -> Result<(), ShutdownError> {
    let armed = Arc::new(AtomicBool::new(false));
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let asked: Vec<i32> = [SIGHUP, SIGINT, SIGTERM]
        .into_iter()
        .filter(|it| *it != SIGHUP || !is_ignored(SIGHUP, &status))
        .collect();
    for signal in &asked {
        // The order counts: a handler that armed before it looked would end at the first signal.
        flag::register_conditional_shutdown(*signal, 128 + *signal, Arc::clone(&armed))?;
        flag::register(*signal, Arc::clone(&armed))?;
    }
    let mut signals = Signals::new(asked)?;
    thread::Builder::new().name("signals".into()).spawn(move || {
        if let Some(signal) = signals.forever().next() {
            first(match signal {
                SIGINT => StopSignal::Interrupt,
                SIGHUP => StopSignal::HangUp,
                _ => StopSignal::Terminate,
            });
        }
    })?;
    Ok(())
}

/// Whether a process ignores a signal, by its `/proc/<pid>/status`.
fn is_ignored(signal: i32, status: &str) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    mask >> (signal - 1) & 1 == 1
}

#[cfg(test)]
mod tests {
    use std::{
        io::{BufRead, BufReader},
        process::{Command, Stdio},
        time::Duration,
    };

    use rustix::process::{Pid, Signal as Number, kill_process};

    use super::*;

    /// Signals reach a whole process, so the test sends them to a second one: this test binary,
    /// told to run [`waiting_process`] alone.
    #[test]
    fn the_first_signal_asks_and_the_second_ends_the_process() {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "shutdown::tests::waiting_process", "--ignored", "--nocapture"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut wait_for = |text: &str| lines.by_ref().any(|line| line.unwrap().contains(text));
        let pid = Pid::from_child(&child);
        assert!(wait_for("ready"));
        kill_process(pid, Number::TERM).unwrap();
        assert!(wait_for("asked by SIGTERM"));
        kill_process(pid, Number::INT).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(130));
    }

    #[test]
    #[ignore = "the other process of the test above"]
    fn waiting_process() {
        on_signal(|signal| println!("asked by {signal}")).unwrap();
        println!("ready");
        thread::sleep(Duration::from_secs(10));
    }
}

//! SIGTERM and SIGINT: the first asks for a clean stop, the second ends the process at once.

use std::{
    fmt, io,
    sync::{Arc, atomic::AtomicBool},
    thread,
};

use signal_hook::{
    consts::{SIGINT, SIGTERM},
    flag,
    iterator::Signals,
};

/// Which signal came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// Somebody pressed Ctrl-C.
    Interrupt,
    /// A supervisor wants the process to stop.
    Terminate,
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Signal::Interrupt => "SIGINT",
            Signal::Terminate => "SIGTERM",
        })
    }
}

/// The handlers could not be installed.
#[derive(Debug, thiserror::Error)]
#[error("signal handlers: {0}")]
pub struct ShutdownError(#[from] io::Error);

/// Calls `first` on a thread of its own when the first signal comes. The second one ends the
/// process from within the handler, with code 130 (SIGINT) or 143 (SIGTERM), so that it works
/// however stuck the rest of the process is.
pub fn on_signal(first: impl FnOnce(Signal) + Send + 'static) -> Result<(), ShutdownError> {
    let armed = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        // The order counts: a handler that armed before it looked would end at the first signal.
        flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(&armed))?;
        flag::register(signal, Arc::clone(&armed))?;
    }
    let mut signals = Signals::new([SIGINT, SIGTERM])?;
    thread::Builder::new().name("signals".into()).spawn(move || {
        if let Some(signal) = signals.forever().next() {
            first(if signal == SIGINT { Signal::Interrupt } else { Signal::Terminate });
        }
    })?;
    Ok(())
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

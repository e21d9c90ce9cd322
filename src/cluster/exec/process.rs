//! A child process, and what it prints: bounded in time, in output and in what it leaves behind.

use std::{
    io::{self, ErrorKind, Read},
    os::{fd::AsFd, unix::process::CommandExt},
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fs::{OFlags, fcntl_getfl, fcntl_setfl},
    process::{Pid, Signal, kill_process_group},
};

use crate::time;

/// What it may print; of errors, what is kept.
const MAX_OUTPUT: usize = 1 << 20;
const MAX_ERRORS: usize = 16 << 10;
/// How soon its end is noticed where it printed nothing meanwhile.
const GLANCE: Duration = Duration::from_millis(10);

/// Why a child left nothing.
#[derive(Debug, thiserror::Error)]
pub(super) enum ProcessError {
    #[error(transparent)]
    NotStarted(io::Error),
    /// It cannot be watched.
    #[error(transparent)]
    Watch(#[from] io::Error),
    #[error("it printed more than {MAX_OUTPUT} bytes")]
    TooMuch,
    #[error("it did not end within {0:?}")]
    TooSlow(Duration),
}

/// Runs a command to its own end; whoever else holds its pipes is not waited for. Blocks, for
/// `timeout` at most: then it is ended with all that it started in its process group.
pub(super) fn run(mut command: Command, timeout: Duration) -> Result<Output, ProcessError> {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
    let mut child = command.spawn().map_err(ProcessError::NotStarted)?;
    let ended = watch(&mut child, time::after(time::now(), timeout), timeout);
    if ended.is_err() {
        // The group, since a shell's own end leaves what it waits for; then the child alone, should
        // it have left its group.
        let _ = kill_process_group(Pid::from_child(&child), Signal::KILL);
        let _ = child.kill();
        let _ = child.wait();
    }
    ended
}

fn watch(child: &mut Child, deadline: Instant, timeout: Duration) -> Result<Output, ProcessError> {
    let mut stdout = Pipe::new(child.stdout.take(), MAX_OUTPUT)?;
    let mut stderr = Pipe::new(child.stderr.take(), MAX_ERRORS)?;
    loop {
        // The end comes before the last look, so that all it wrote is seen.
        let status = child.try_wait()?;
        stdout.drain()?;
        stderr.drain()?;
        if stdout.overflowed {
            return Err(ProcessError::TooMuch);
        }
        if let Some(status) = status {
            return Ok(Output { status, stdout: stdout.bytes, stderr: stderr.bytes });
        }
        let left = deadline.saturating_duration_since(time::now());
        if left.is_zero() {
            return Err(ProcessError::TooSlow(timeout));
        }
        wait(&stdout, &stderr, left.min(GLANCE))?;
    }
}

/// Until one of them has something to say, or for `longest`.
fn wait(stdout: &Pipe<impl AsFd>, stderr: &Pipe<impl AsFd>, longest: Duration) -> io::Result<()> {
    let mut wanted = Vec::with_capacity(2);
    wanted.extend(stdout.open.as_ref().map(|pipe| PollFd::new(pipe, PollFlags::IN)));
    wanted.extend(stderr.open.as_ref().map(|pipe| PollFd::new(pipe, PollFlags::IN)));
    let longest = Timespec::try_from(longest).map_err(io::Error::other)?;
    match poll(&mut wanted, Some(&longest)) {
        Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// One of its pipes, read without waiting.
struct Pipe<P> {
    open: Option<P>,
    bytes: Vec<u8>,
    most: usize,
    overflowed: bool,
}

impl<P: Read + AsFd> Pipe<P> {
    fn new(pipe: Option<P>, most: usize) -> io::Result<Self> {
        if let Some(pipe) = &pipe {
            fcntl_setfl(pipe, fcntl_getfl(pipe)? | OFlags::NONBLOCK)?;
        }
        Ok(Self { open: pipe, bytes: Vec::new(), most, overflowed: false })
    }

    /// Reads what is there, but no more than a pipe holds: who never stops writing must not keep us
    /// from looking at the clock. Beyond `most` it is thrown away.
    fn drain(&mut self) -> io::Result<()> {
        let mut piece = [0; 16 << 10];
        for _ in 0..64 {
            let Some(pipe) = &mut self.open else { return Ok(()) };
            match pipe.read(&mut piece) {
                Ok(0) => self.open = None,
                Ok(count) => {
                    let room = self.most - self.bytes.len();
                    self.overflowed |= count > room;
                    self.bytes.extend_from_slice(&piece[..count.min(room)]);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

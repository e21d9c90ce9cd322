//! Writing to a descriptor that others may have set up in any way.

use std::io;

use rustix::{
    event::{PollFd, PollFlags, poll},
    fd::BorrowedFd,
    io::{Errno, write},
};

/// One of the two outputs that a process begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Descriptor {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

impl Descriptor {
    pub(super) fn fd(self) -> BorrowedFd<'static> {
        match self {
            Self::Stdout => rustix::stdio::stdout(),
            Self::Stderr => rustix::stdio::stderr(),
        }
    }

    /// Writes all of it, waiting where the other side is slow.
    pub fn write_all(self, bytes: &[u8]) -> io::Result<()> {
        let (_, outcome) = write_all(self.fd(), bytes);
        outcome
    }
}

/// How much was written, and whether that was all. Waits where a descriptor that does not block
/// (somebody else's doing: the flag is shared by all who have it) takes nothing for now.
pub(super) fn write_all(fd: BorrowedFd<'_>, bytes: &[u8]) -> (usize, io::Result<()>) {
    let mut written = 0;
    while let Some(rest) = bytes.get(written..).filter(|rest| !rest.is_empty()) {
        let outcome = match write(fd, rest) {
            Ok(0) => Err(Errno::IO),
            Ok(more) => {
                written += more;
                Ok(())
            }
            Err(Errno::INTR) => Ok(()),
            // Wakes as well when the other side has gone, and the next write says so.
            Err(Errno::AGAIN) => match poll(&mut [PollFd::new(&fd, PollFlags::OUT)], None) {
                Ok(_) | Err(Errno::INTR) => Ok(()),
                Err(errno) => Err(errno),
            },
            Err(errno) => Err(errno),
        };
        if let Err(errno) = outcome {
            return (written, Err(errno.into()));
        }
    }
    (written, Ok(()))
}

#[cfg(test)]
mod tests {
    use std::{fs::File, io::Read, os::fd::AsFd, thread, time::Duration};

    use rustix::pipe::{PipeFlags, pipe_with};

    use super::*;

    #[test]
    fn a_full_pipe_that_does_not_block_is_waited_for() {
        let (reader, writer) = pipe_with(PipeFlags::NONBLOCK).unwrap();
        let text = vec![b'x'; 1 << 20];
        let length = text.len();
        let writing = thread::spawn(move || write_all(writer.as_fd(), &text));
        thread::sleep(Duration::from_millis(50));
        rustix::io::ioctl_fionbio(&reader, false).unwrap();
        let mut read = Vec::new();
        File::from(reader).read_to_end(&mut read).unwrap();
        let (written, outcome) = writing.join().unwrap();
        outcome.unwrap();
        assert_eq!((written, read.len()), (length, length));
    }

    #[test]
    fn a_reader_that_goes_away_is_an_error_with_what_it_had_taken() {
        let (reader, writer) = pipe_with(PipeFlags::NONBLOCK).unwrap();
        let writing = thread::spawn(move || write_all(writer.as_fd(), &vec![b'x'; 1 << 20]));
        thread::sleep(Duration::from_millis(50));
        drop(reader);
        let (written, outcome) = writing.join().unwrap();
        assert_eq!(outcome.unwrap_err().kind(), io::ErrorKind::BrokenPipe);
        assert!((1..1 << 20).contains(&written), "{written}");
    }

    #[test]
    fn a_full_disk_is_an_error() {
        let full = File::options().write(true).open("/dev/full").unwrap();
        let (written, outcome) = write_all(full.as_fd(), b"x");
        assert_eq!((written, outcome.unwrap_err().kind()), (0, io::ErrorKind::StorageFull));
    }
}

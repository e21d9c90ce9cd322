//! Files that somebody else renews: certificates, keys, tokens.
//!
//! What stands under such a name can become anything while the process runs: a pipe that nobody
//! writes to, a device without end, a folder. Reading it must end all the same, and must not cost a
//! thread each time.

use std::{
    fs::File,
    io::{self, ErrorKind, Read},
    path::Path,
    time::Duration,
};

use futures::{FutureExt, future::LocalBoxFuture};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fs::{FileType, Mode, OFlags},
};

use super::credentials::HeaderError;
use crate::{
    net::{self, BlockingError},
    time,
};

/// Longest certificate, key or token file: bundles of all authorities there are have 250 KiB.
pub(super) const MAX_FILE: u64 = 1 << 20;
/// How long a pipe may take to say all it has to say.
pub(super) const PIPE_DEADLINE: Duration = Duration::from_secs(5);
/// How long somebody waits for a file before going on with what was known. A disk takes a millisecond.
pub(super) const PATIENCE: Duration = Duration::from_secs(1);

/// Why a file that is read again brought nothing new.
#[derive(Debug, thiserror::Error)]
pub enum RenewalError {
    /// It cannot be read.
    #[error(transparent)]
    Read(#[from] io::Error),
    /// Nobody waits for it any longer.
    #[error("no answer of the file system within {0:?}")]
    Slow(Duration),
    /// The reading itself failed.
    #[error(transparent)]
    Blocking(#[from] BlockingError),
    /// It holds no token.
    #[error(transparent)]
    Token(#[from] HeaderError),
    /// A certificate and a key, and not of each other.
    #[error("the files do not hold a certificate and its key (yet)")]
    Mismatch,
}

/// Reads a file whole, whatever it is, within `within`. Blocks for so long at most, unless the file's
/// own system hangs.
pub(super) fn read(path: &Path, max: u64, within: Duration) -> io::Result<Vec<u8>> {
    // Not to wait for a writer, nor for a line of a modem; and not to make a terminal ours.
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
    let file = File::from(rustix::fs::open(path, flags, Mode::empty())?);
    let kind = FileType::from_raw_mode(rustix::fs::fstat(&file)?.st_mode);
    if kind == FileType::Directory {
        return Err(io::Error::new(ErrorKind::IsADirectory, "is a folder"));
    }
    let bytes = match kind {
        FileType::RegularFile => {
            let mut bytes = Vec::new();
            (&file).take(max + 1).read_to_end(&mut bytes)?;
            bytes
        }
        _ => read_stream(&file, max, within)?,
    };
    if bytes.len() as u64 > max {
        return Err(io::Error::new(ErrorKind::FileTooLarge, format!("has more than {max} bytes")));
    }
    Ok(bytes)
}

/// A pipe or a device: at most one byte more than `max`.
fn read_stream(file: &File, max: u64, within: Duration) -> io::Result<Vec<u8>> {
    let deadline = time::after(time::now(), within);
    let mut bytes = Vec::new();
    let mut piece = [0; 4096];
    while bytes.len() as u64 <= max {
        let left = deadline.saturating_duration_since(time::now());
        if left.is_zero() {
            let text = format!("is no regular file and did not end within {within:?}");
            return Err(io::Error::new(ErrorKind::TimedOut, text));
        }
        let mut wanted = [PollFd::new(file, PollFlags::IN)];
        let timeout = Timespec::try_from(left).map_err(io::Error::other)?;
        match poll(&mut wanted, Some(&timeout)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        if wanted[0].revents().is_empty() {
            continue;
        }
        match (&*file).read(&mut piece) {
            Ok(0) => return Ok(bytes),
            Ok(count) => bytes.extend_from_slice(&piece[..count]),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(bytes)
}

/// Work that blocks, one piece at a time: as long as one goes on, who asks gets that one's result.
pub(super) struct OneAtATime<T>(Option<LocalBoxFuture<'static, Result<T, BlockingError>>>);

impl<T> Default for OneAtATime<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<T> std::fmt::Debug for OneAtATime<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("OneAtATime").field(&self.0.is_some()).finish()
    }
}

impl<T: Send + 'static> OneAtATime<T> {
    /// The result of `work`, or of the work that is still going on; or that it takes longer than
    /// `patience`. It then goes on, and who asks next may get its result.
    pub(super) async fn run(
        &mut self,
        work: impl FnOnce() -> T + Send + 'static,
        patience: Duration,
    ) -> Result<T, RenewalError> {
        let running = self.0.get_or_insert_with(|| net::blocking(work).boxed_local());
        let ended = net::timeout(patience, &mut *running).await;
        let Ok(result) = ended else {
            return Err(RenewalError::Slow(patience));
        };
        self.0 = None;
        Ok(result?)
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::Write,
        sync::{
            Arc,
            atomic::{AtomicUsize, Ordering},
        },
    };

    use rustix::fs::{CWD, mkfifoat};

    use super::*;

    const SHORT: Duration = Duration::from_millis(50);

    #[test]
    fn files_are_read_up_to_a_bound_and_folders_not_at_all() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        std::fs::write(&path, "1234").unwrap();
        assert_eq!(read(&path, 4, SHORT).unwrap(), b"1234");
        assert!(read(&path, 3, SHORT).unwrap_err().to_string().contains("more than 3 bytes"));
        assert_eq!(read(dir.path(), 4, SHORT).unwrap_err().to_string(), "is a folder");
        assert_eq!(read(Path::new("/nowhere"), 4, SHORT).unwrap_err().kind(), ErrorKind::NotFound);
        assert!(read(Path::new("/dev/zero"), 99, SHORT).is_err());
        assert_eq!(read(Path::new("/dev/null"), 99, SHORT).unwrap(), b"");
    }

    #[test]
    fn a_pipe_that_nobody_writes_to_ends_at_the_deadline() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pipe");
        mkfifoat(CWD, &path, Mode::from_bits_truncate(0o600)).unwrap();
        let began = time::now();
        assert_eq!(read(&path, 99, SHORT).unwrap_err().kind(), ErrorKind::TimedOut);
        assert!(began.elapsed() >= SHORT);
    }

    #[test]
    fn a_pipe_with_a_writer_is_read_to_its_end() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pipe");
        mkfifoat(CWD, &path, Mode::from_bits_truncate(0o600)).unwrap();
        let writer = std::thread::spawn({
            let path = path.clone();
            move || File::options().write(true).open(path).unwrap().write_all(&[b'x'; 100_000])
        });
        assert_eq!(read(&path, MAX_FILE, Duration::from_secs(20)).unwrap().len(), 100_000);
        writer.join().unwrap().unwrap();
    }

    #[test]
    fn work_that_hangs_is_waited_for_and_not_begun_again() {
        net::testing::run(async {
            let mut work = OneAtATime::default();
            let begun = Arc::new(AtomicUsize::new(0));
            let (release, hold) = std::sync::mpsc::channel::<()>();
            let mut hold = Some(hold);
            for _ in 0..5 {
                let (begun, hold) = (begun.clone(), hold.take());
                let piece = move || {
                    begun.fetch_add(1, Ordering::Relaxed);
                    if let Some(hold) = hold {
                        let _ = hold.recv();
                    }
                    7
                };
                assert!(work.run(piece, SHORT / 5).await.is_err());
            }
            release.send(()).unwrap();
            assert_eq!(work.run(|| 8, Duration::from_secs(20)).await.unwrap(), 7);
            assert_eq!(work.run(|| 8, Duration::from_secs(20)).await.unwrap(), 8);
            assert_eq!(begun.load(Ordering::Relaxed), 1);
        });
    }
}

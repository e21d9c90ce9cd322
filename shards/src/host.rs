//! What the host has to give before an executor can start: io_uring, locked memory, cores.
//!
//! glommio finds a lack of these only inside the new thread, and says so by a panic about an old
//! kernel. Asking first gives an error that names cause and remedy.

use crate::PoolStartError;
use rustix::{
    io::Errno,
    io_uring::{IoringEnterFlags, IoringRegisterOp},
    process::{Resource, Rlimit, getrlimit, setrlimit},
};

/// What glommio asks for, in bytes, whoever runs it.
const MEMLOCK_NEEDED: u64 = 512 * 1024;
/// The oldest kernel that has what glommio uses.
const OLDEST_KERNEL: (u32, u32) = (5, 8);

/// Makes sure that executors can start, those outside of a pool too: glommio itself panics in the
/// new thread where they cannot. [`start`](crate::start) does so by itself.
pub fn prepare_host() -> Result<(), PoolStartError> {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    if kernel_version(&release).is_some_and(|version| version < OLDEST_KERNEL) {
        return Err(PoolStartError::Kernel { release: release.trim().to_owned() });
    }
    raise_memlock()?;
    probe_io_uring().map_err(|errno| {
        let sysctl = std::fs::read_to_string("/proc/sys/kernel/io_uring_disabled").unwrap_or_default();
        diagnose(errno, sysctl.trim().parse().unwrap_or(0))
    })
}

/// The cores that this process may run on.
pub(crate) fn allowed_cores() -> Vec<usize> {
    match rustix::thread::sched_getaffinity(None) {
        Ok(set) => (0..rustix::thread::CpuSet::MAX_CPU).filter(|cpu| set.is_set(*cpu)).collect(),
        Err(_) => Vec::new(),
    }
}

fn kernel_version(release: &str) -> Option<(u32, u32)> {
    let mut parts = release.trim().split(|c: char| !c.is_ascii_digit());
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

/// Raises the soft limit of locked memory to the hard one, since the default soft limit is often
/// too low and raising it needs no right.
fn raise_memlock() -> Result<(), PoolStartError> {
    let Rlimit { current, maximum } = getrlimit(Resource::Memlock);
    let below = |limit: Option<u64>, than: Option<u64>| limit.unwrap_or(u64::MAX) < than.unwrap_or(u64::MAX);
    if below(current, maximum) {
        // A refusal shows below as a limit that is still too low.
        let _ = setrlimit(Resource::Memlock, Rlimit { current: maximum, maximum });
    }
    if below(getrlimit(Resource::Memlock).current, Some(MEMLOCK_NEEDED)) {
        // With CAP_SYS_RESOURCE the hard limit is no limit.
        let wanted = Some(MEMLOCK_NEEDED);
        setrlimit(Resource::Memlock, Rlimit { current: wanted, maximum: wanted }).map_err(|_| {
            PoolStartError::Memlock { hard: maximum.unwrap_or(u64::MAX), needed: MEMLOCK_NEEDED }
        })?;
    }
    Ok(())
}

/// Sets up the smallest ring there is, tries the two other calls on it, and closes it again. Each
/// is asked, since a filter may allow one and not another.
#[allow(unsafe_code)]
fn probe_io_uring() -> Result<(), Errno> {
    let mut params = rustix::io_uring::io_uring_params::default();
    // SAFETY: `params` is all zero, so no flag asks the kernel to use a field that would have to
    // be valid (`wq_fd` with ATTACH_WQ), and the ring's descriptor is owned and closed here.
    let ring = unsafe { rustix::io_uring::io_uring_setup(2, &mut params) }?;
    // SAFETY: the descriptor is a ring's, and nothing is submitted or waited for.
    unsafe { rustix::io_uring::io_uring_enter(&ring, 0, 0, IoringEnterFlags::empty()) }?;
    // SAFETY: the operation reads no argument. It has nothing to undo and fails for that.
    let undone = unsafe {
        rustix::io_uring::io_uring_register(&ring, IoringRegisterOp::UnregisterFiles, std::ptr::null(), 0)
    };
    match undone {
        Ok(_) | Err(Errno::NXIO) => Ok(()),
        Err(errno) => Err(errno),
    }
}

/// What an error of the probe means, given the value of `kernel.io_uring_disabled`.
fn diagnose(errno: Errno, sysctl: u32) -> PoolStartError {
    let source = std::io::Error::from(errno);
    match errno {
        Errno::PERM if sysctl > 0 => PoolStartError::IoUringDisabled { sysctl },
        // A filter answers as its profile says: all three are in use, and a kernel that is new
        // enough has the call.
        Errno::PERM | Errno::ACCESS | Errno::NOSYS | Errno::OPNOTSUPP => {
            PoolStartError::IoUringRefused { source }
        }
        _ => PoolStartError::IoUring { source },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_host_will_do() {
        prepare_host().unwrap();
        assert!(!allowed_cores().is_empty());
    }

    #[test]
    fn kernel_releases_are_read() {
        for (release, expected) in [
            ("6.18.44-fc-v782\n", Some((6, 18))),
            ("5.7.0-rc1", Some((5, 7))),
            ("5.15", Some((5, 15))),
            ("linux", None),
            ("", None),
        ] {
            assert_eq!(kernel_version(release), expected, "{release}");
        }
    }

    #[test]
    fn a_refused_ring_is_explained() {
        let says = |errno, sysctl| diagnose(errno, sysctl).to_string();
        assert!(says(Errno::PERM, 2).contains("kernel.io_uring_disabled=2"));
        assert!(says(Errno::PERM, 0).contains("seccomp"));
        assert!(says(Errno::NOSYS, 0).contains("seccomp"));
        assert!(says(Errno::OPNOTSUPP, 0).contains("seccomp"));
        assert!(says(Errno::MFILE, 0).contains("file descriptors"));
    }
}

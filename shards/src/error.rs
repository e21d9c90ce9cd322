//! Why a pool did not start, and how a shard failed.

use crate::ShardId;
use std::io;

/// Why a pool did not start. Nothing of it runs.
#[derive(Debug, thiserror::Error)]
pub enum PoolStartError {
    /// A number of shards that no pool has.
    #[error("a pool has 1 to {max} shards, not {asked}", max = crate::pool::MAX_SHARDS)]
    Shards {
        /// The number asked for.
        asked: usize,
    },
    /// The kernel lacks what the engine needs.
    #[error("the kernel is {release}, and the shards need Linux 5.8 or newer (io_uring)")]
    Kernel {
        /// `uname -r`.
        release: String,
    },
    /// io_uring is switched off for this process by the administrator.
    #[error(
        "io_uring is switched off on this host (sysctl kernel.io_uring_disabled={sysctl}); set it to 0, or to 1 \
         and give the process CAP_SYS_ADMIN or the group of kernel.io_uring_group"
    )]
    IoUringDisabled {
        /// The value of `kernel.io_uring_disabled`.
        sysctl: u32,
    },
    /// The kernel would do, but a filter in between refuses io_uring.
    #[error(
        "io_uring is refused ({source}), most likely by the container's seccomp profile or by a security module; \
         run with a profile that allows io_uring_setup, io_uring_enter and io_uring_register"
    )]
    IoUringRefused {
        /// What the kernel said.
        source: io::Error,
    },
    /// io_uring cannot be had for another reason.
    #[error(
        "io_uring cannot be set up ({source}); it needs a kernel built with CONFIG_IO_URING, free file descriptors \
         and memory"
    )]
    IoUring {
        /// What the kernel said.
        source: io::Error,
    },
    /// Too little memory may be locked.
    #[error(
        "the limit of locked memory is {hard} bytes and each shard needs {needed}; raise it (ulimit -l, LimitMEMLOCK= \
         or the container's memlock limit)"
    )]
    Memlock {
        /// The hard limit in bytes.
        hard: u64,
        /// What it has to be at least.
        needed: u64,
    },
    /// A thread could not be started.
    #[error("shard {shard}: its thread could not be started: {source}")]
    Thread {
        /// The shard.
        shard: ShardId,
        /// What the system said.
        source: io::Error,
    },
    /// An executor could not be made.
    #[error("shard {shard}: its executor could not be made: {message}")]
    Executor {
        /// The shard.
        shard: ShardId,
        /// What glommio said.
        message: String,
    },
}

/// How a shard failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ShardError {
    /// One of its tasks panicked, which ends the shard and with it the pool.
    #[error("shard {shard} panicked: {message}")]
    Panicked {
        /// The shard.
        shard: ShardId,
        /// The panic's message.
        message: String,
    },
}

impl ShardError {
    /// The shard that failed.
    pub fn shard(&self) -> ShardId {
        let Self::Panicked { shard, .. } = self;
        *shard
    }
}

/// The text of a panic.
pub(crate) fn panic_message(payload: &(dyn std::any::Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().copied();
    let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("a panic without a message").to_owned()
}

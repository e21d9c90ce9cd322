//! glommio under hyper, rustls and tonic: the only crate outside `shards` that performs IO.
//!
//! Everything here belongs to the executor of the thread it was made on. Other modules spawn,
//! sleep and connect through this one, so that another engine could stand in.

// They panic where an output cannot be written, and wait where nobody reads it.
#![cfg_attr(not(test), deny(clippy::print_stdout, clippy::print_stderr))]
#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

mod chain;
pub mod conduct;
pub mod connect;
pub mod dns;
pub mod endpoint;
pub mod executor;
pub mod frames;
pub mod io;
pub mod line;
pub mod listen;
pub mod proxy;
pub mod socks;
mod task;
pub mod timer;
pub mod tls;

pub use chain::chain;
pub use executor::{StartError, Thread, block_on, start_thread};
pub use shards::engine::{Task, spawn};
use shards::time;
pub use task::{BlockingError, blocking, yield_now};
pub use timer::{Elapsed, sleep, timeout};

/// For tests of any module.
#[cfg(any(test, feature = "testing"))]
pub mod testing {
    /// Runs a future on an executor of its own, on this thread.
    #[allow(clippy::expect_used, reason = "for tests")]
    pub fn run<T>(future: impl Future<Output = T>) -> T {
        super::block_on(future).expect("an io_uring executor")
    }
}

//! glommio under hyper, rustls and tonic: the only module outside `shards` that performs IO.
//!
//! Everything here belongs to the executor of the thread it was made on. Other modules spawn,
//! sleep and connect through this one, so that another engine could stand in.

mod chain;
pub(crate) mod conduct;
pub mod connect;
pub mod dns;
pub mod endpoint;
pub mod executor;
pub(crate) mod frames;
pub mod io;
pub mod line;
pub mod listen;
pub mod proxy;
pub mod socks;
mod task;
pub mod timer;
pub mod tls;

pub(crate) use chain::chain;
pub use executor::{StartError, Thread, block_on, start_thread};
pub use shards::engine::{Task, spawn};
pub use task::{BlockingError, blocking, yield_now};
pub use timer::{Elapsed, sleep, timeout};

/// For tests of any module.
#[cfg(test)]
pub(crate) mod testing {
    /// Runs a future on an executor of its own, on this thread.
    pub(crate) fn run<T>(future: impl Future<Output = T>) -> T {
        super::block_on(future).expect("an io_uring executor")
    }
}

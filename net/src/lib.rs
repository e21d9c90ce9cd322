//! glommio under hyper, rustls and tonic: sockets, TLS, names and timers for one thread's executor.
//!
//! Everything here belongs to the executor of the thread it was made on. Other modules spawn,
//! sleep and connect through this one, so that another engine could stand in.

// They panic where an output cannot be written, and wait where nobody reads it.
#![cfg_attr(not(test), deny(clippy::print_stdout, clippy::print_stderr))]
#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

pub mod connect;
pub mod dns;
pub mod endpoint;
pub mod executor;
pub mod http2_frames;
pub mod io;
pub mod listen;
pub mod monitor;
pub mod proxy;
pub mod socks;
mod task;
pub mod timer;
pub mod tls;

use std::error::Error;

pub use executor::{ExecutorError, Thread, block_on, start_thread};
pub use shards::engine::{Task, spawn};
use shards::time;
pub use task::{BlockingError, blocking, yield_now};
pub use timer::{Elapsed, sleep, timeout};

/// An error with all its causes: hyper's own words are short, and what matters lies beneath.
pub fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.ends_with(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}

/// For tests of any module.
#[cfg(any(test, feature = "testing"))]
pub mod testing {
    /// Runs a future on an executor of its own, on this thread.
    #[allow(clippy::expect_used, reason = "for tests")]
    pub fn run<T>(future: impl Future<Output = T>) -> T {
        super::block_on(future).expect("an io_uring executor")
    }
}

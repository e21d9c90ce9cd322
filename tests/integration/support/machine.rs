//! Who has the machine. Tests run side by side, as many as there are cores; one that measures waits
//! until no other is at work, and the others wait until it is done.
//!
//! A test is at work while it has an agent, a cluster or a membership: they hold a [`MachineShare`]. No writer
//! goes first here, as it would with a `RwLock`: a test that has one share must get more of them.

#![allow(clippy::disallowed_types, reason = "tests share the machine")]

use std::{
    cell::Cell,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
};

struct Tenants {
    shares: usize,
    alone: bool,
}

static TENANTS: Mutex<Tenants> = Mutex::new(Tenants { shares: 0, alone: false });
static MOVED_OUT: Condvar = Condvar::new();

thread_local! {
    /// This thread's test has the machine to itself.
    static IS_ALONE: Cell<bool> = const { Cell::new(false) };
}

/// Waits until this holds. That another test failed meanwhile is no matter.
fn tenants(free: impl Fn(&Tenants) -> bool) -> MutexGuard<'static, Tenants> {
    let tenants = TENANTS.lock().unwrap_or_else(PoisonError::into_inner);
    MOVED_OUT.wait_while(tenants, |tenants| !free(tenants)).unwrap_or_else(PoisonError::into_inner)
}

/// A part of the machine, until it is dropped.
pub struct MachineShare {
    counts: bool,
}

impl MachineShare {
    /// Waits for a test that has the machine to itself, unless it is this thread's.
    pub fn take() -> Self {
        let counts = !IS_ALONE.get();
        if counts {
            tenants(|tenants| !tenants.alone).shares += 1;
        }
        Self { counts }
    }
}

impl Drop for MachineShare {
    fn drop(&mut self) {
        if self.counts {
            tenants(|_| true).shares -= 1;
            MOVED_OUT.notify_all();
        }
    }
}

/// The whole machine, until it is dropped.
pub struct Alone(());

/// Waits until no other test is at work, and keeps them all waiting.
pub fn alone() -> Alone {
    tenants(|tenants| tenants.shares == 0 && !tenants.alone).alone = true;
    IS_ALONE.set(true);
    Alone(())
}

impl Drop for Alone {
    fn drop(&mut self) {
        IS_ALONE.set(false);
        tenants(|_| true).alone = false;
        MOVED_OUT.notify_all();
    }
}

//! What every machine of a shard shares, and its paces.

use std::{cell::RefCell, time::Duration};

use crate::{
    backoff,
    stack::{desired::StackBaseUrl, object::Catalog},
};

/// Paces and bounds of stack machines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MachineOptions {
    /// How many writes of one stack's children may be under way together.
    pub children_in_flight: usize,
    /// First and longest delay after a transient failure, per stack.
    pub retry: (Duration, Duration),
    /// First and longest delay before a refused write is tried again.
    pub rejected: (Duration, Duration),
    /// When to look again where an event is awaited that does not come.
    pub fallback: Duration,
    /// How long after its deadline a create may still arrive.
    pub create_may_arrive: Duration,
    /// Conflicts in a row of one object that are retried at once; those beyond count as failures.
    pub conflicts_at_once: u32,
}

impl Default for MachineOptions {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self {
            children_in_flight: 4,
            retry: (Duration::from_millis(500), seconds(10)),
            rejected: (seconds(60), seconds(600)),
            fallback: seconds(30),
            create_may_arrive: seconds(600),
            conflicts_at_once: 3,
        }
    }
}

/// What every machine of a shard shares.
#[derive(Debug)]
pub struct MachineContext {
    /// The kinds in play.
    pub catalog: Catalog,
    /// Where stacks are served.
    pub base_url: StackBaseUrl,
    /// Paces and bounds.
    pub options: MachineOptions,
    random: RefCell<fastrand::Rng>,
}

impl MachineContext {
    /// A context whose jitter is drawn from `seed`.
    pub fn new(catalog: Catalog, base_url: StackBaseUrl, options: MachineOptions, seed: u64) -> Self {
        Self { catalog, base_url, options, random: RefCell::new(fastrand::Rng::with_seed(seed)) }
    }

    /// In `0.0..1.0`.
    pub(super) fn random(&self) -> f64 {
        self.random.borrow_mut().f64()
    }

    /// The `n`th delay of a pace.
    pub(super) fn delay(&self, pace: (Duration, Duration), n: u32) -> Duration {
        backoff::delay(pace, n, self.random())
    }
}

//! What came of a demo run.

use std::{collections::BTreeMap, fmt, time::Duration};

use serde::Serialize;

use crate::{agent::Counters, config::DemoConfig};

/// The figures of one run. Field names are those of the JSON output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Outcome {
    /// Stacks in the fleet.
    pub stacks: usize,
    /// Shards that the agent ran.
    pub shards: usize,
    /// The seed that the orders were drawn from.
    pub seed: u64,
    /// Orders that membership sent.
    pub orders: u64,
    /// Orders that a newer one made pointless before they were done.
    pub superseded: u64,
    /// Requests that the API server saw.
    pub api_requests: u64,
    /// Writes among them.
    pub api_writes: u64,
    /// Stacks that are as their last order says.
    pub converged: usize,
    /// Stacks that are not.
    pub stale: usize,
    /// From the first order sent to the last one settled.
    pub elapsed_ms: u64,
    /// What is wrong with each stale stack.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub faults: BTreeMap<String, String>,
}

impl Outcome {
    pub(super) fn new(
        config: &DemoConfig,
        counters: &Counters,
        (api_requests, api_writes): (u64, u64),
        stale: BTreeMap<String, String>,
        elapsed: Duration,
    ) -> Self {
        let stacks = config.stacks.get();
        Self {
            stacks,
            shards: config.engine.shards.get(),
            seed: config.seed,
            orders: counters.accepted.get(),
            superseded: counters.superseded.get(),
            api_requests,
            api_writes,
            converged: stacks.saturating_sub(stale.len()),
            stale: stale.len(),
            elapsed_ms: u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX),
            faults: stale,
        }
    }

    /// The figures as one JSON object.
    pub fn json(&self) -> String {
        serde_json::to_string(self).unwrap_or_else(|error| format!("{{\"error\":{:?}}}", error.to_string()))
    }

    /// Orders settled in a second.
    fn pace(&self) -> u64 {
        let elapsed = Duration::from_millis(self.elapsed_ms.max(1));
        (self.orders as f64 / elapsed.as_secs_f64()) as u64
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let elapsed = Duration::from_millis(self.elapsed_ms).as_secs_f64();
        writeln!(f, "{:>9}  stacks on {} shards, seed {}", self.stacks, self.shards, self.seed)?;
        writeln!(f, "{:>9}  orders in {elapsed:.1} s ({} a second)", self.orders, self.pace())?;
        writeln!(f, "{:>9}  of them superseded before they were done", self.superseded)?;
        writeln!(f, "{:>9}  API requests, {} of them writes", self.api_requests, self.api_writes)?;
        writeln!(f, "{:>9}  stacks at their last order", self.converged)?;
        writeln!(f, "{:>9}  stale", self.stale)?;
        for (stack, fault) in self.faults.iter().take(20) {
            writeln!(f, "           {stack}: {fault}")?;
        }
        Ok(())
    }
}

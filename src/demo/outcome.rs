//! What came of a demo run.

use std::{collections::BTreeMap, fmt, time::Duration};

use serde::Serialize;

use crate::{agent::Counters, config::DemoConfig};

/// How many of many faults are shown.
const SHOWN: usize = 20;

/// The figures of one run. Field names are those of the JSON output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DemoOutcome {
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
    /// Messages that membership got, Pongs aside.
    pub reports: u64,
    /// Objects of whose status membership does not know the last.
    pub membership_stale: usize,
    /// Requests, watches aside, for the last orders of all stacks sent once more.
    pub requests_for_unchanged: u64,
    /// What is wrong with each stale stack.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub faults: BTreeMap<String, String>,
    /// The first of what membership does not know of.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub unknown: BTreeMap<String, String>,
}

/// What is wrong: each stack with its fault, each object with what membership does not know of it.
pub(super) type Discrepancies = (BTreeMap<String, String>, BTreeMap<String, String>);

impl DemoOutcome {
    /// The figures of orders that have come to their ends.
    pub(super) fn new(
        config: &DemoConfig,
        counters: &Counters,
        (api_requests, api_writes): (u64, u64),
        elapsed: Duration,
    ) -> Self {
        Self {
            stacks: config.stacks.get(),
            shards: config.engine.shards.get(),
            seed: config.seed,
            orders: counters.accepted.get(),
            superseded: counters.superseded.get(),
            api_requests,
            api_writes,
            converged: 0,
            stale: 0,
            elapsed_ms: u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX),
            reports: 0,
            membership_stale: 0,
            requests_for_unchanged: 0,
            faults: BTreeMap::new(),
            unknown: BTreeMap::new(),
        }
    }

    /// What the cluster and membership were like in the end.
    pub(super) fn judge(&mut self, (faults, unknown): Discrepancies) {
        self.stale = faults.len();
        self.converged = self.stacks.saturating_sub(faults.len());
        self.membership_stale = unknown.len();
        self.faults = faults;
        self.unknown = unknown.into_iter().take(SHOWN).collect();
    }

    /// Whether everything is as it shall be, and known to be.
    pub fn is_right(&self) -> bool {
        (self.stale, self.membership_stale, self.requests_for_unchanged) == (0, 0, 0)
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

impl fmt::Display for DemoOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let elapsed = Duration::from_millis(self.elapsed_ms).as_secs_f64();
        writeln!(f, "{:>9}  stacks on {} shards, seed {}", self.stacks, self.shards, self.seed)?;
        writeln!(f, "{:>9}  orders in {elapsed:.1} s ({} a second)", self.orders, self.pace())?;
        writeln!(f, "{:>9}  of them superseded before they were done", self.superseded)?;
        writeln!(f, "{:>9}  API requests, {} of them writes", self.api_requests, self.api_writes)?;
        writeln!(f, "{:>9}  stacks at their last order", self.converged)?;
        writeln!(f, "{:>9}  stale", self.stale)?;
        few(f, &self.faults)?;
        writeln!(f, "{:>9}  reports to membership", self.reports)?;
        writeln!(f, "{:>9}  objects whose status membership does not know", self.membership_stale)?;
        few(f, &self.unknown)?;
        writeln!(f, "{:>9}  API requests for orders that change nothing", self.requests_for_unchanged)
    }
}

/// The first of what is wrong.
fn few(f: &mut fmt::Formatter<'_>, faults: &BTreeMap<String, String>) -> fmt::Result {
    faults.iter().take(SHOWN).try_for_each(|(what, fault)| writeln!(f, "           {what}: {fault}"))
}

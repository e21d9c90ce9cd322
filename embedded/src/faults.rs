//! Faults that the embedded API server plays: drawn from a seed at given rates, or told by a script.

use std::{collections::BTreeMap, fmt, time::Duration};

use futures::channel::oneshot;
use serde_json::Value;

use shards::time::times;

/// A request as a script sees it.
#[derive(Debug)]
pub struct RequestInfo<'a> {
    /// How many requests came before it.
    pub index: u64,
    /// `get`, `list`, `watch`, `create`, `patch`, `update`, `delete`, `deletecollection`, `other`
    pub verb: &'static str,
    /// `stacks`; empty outside kinds.
    pub plural: &'a str,
    /// The object's name from the path; of a create from the body.
    pub name: &'a str,
    /// The body, `Null` where there is none.
    pub body: &'a Value,
}

impl RequestInfo<'_> {
    /// Whether it would change something.
    pub fn writes(&self) -> bool {
        writes(self.verb)
    }
}

/// Whether a verb changes something.
pub fn writes(verb: &str) -> bool {
    matches!(verb, "create" | "patch" | "update" | "delete" | "deletecollection")
}

/// What happens to a request.
#[derive(Debug, Default)]
pub enum InjectedFault {
    /// Nothing out of the ordinary.
    #[default]
    None,
    /// Not applied; answered with this code.
    Refuse {
        /// 429, 500, 503, ...
        code: u16,
        /// Seconds for `Retry-After`.
        retry_after: Option<u32>,
    },
    /// Applied; answered with this code all the same.
    Deny {
        /// 500, 503, 504, ...
        code: u16,
    },
    /// Not applied; the connection breaks.
    DropBefore,
    /// Applied; the connection breaks before the answer.
    DropAfter,
    /// Held back this long, then applied, whether the client still waits or not.
    Hold(Duration),
    /// Held back until the other end sends or goes, then applied, whether the client still waits or not.
    Until(oneshot::Receiver<()>),
}

impl InjectedFault {
    /// The name that it is counted under.
    pub fn name(&self) -> Option<&'static str> {
        match self {
            Self::None => None,
            Self::Refuse { .. } => Some("refuse"),
            Self::Deny { .. } => Some("deny"),
            Self::DropBefore => Some("drop-before"),
            Self::DropAfter => Some("drop-after"),
            Self::Hold(_) | Self::Until(_) => Some("hold"),
        }
    }
}

/// A script: decides on each request.
pub type FaultScript = Box<dyn FnMut(&RequestInfo<'_>) -> InjectedFault + Send>;

/// How often each fault strikes, from 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Rates {
    /// 429 with `Retry-After: 1`.
    pub too_many: f64,
    /// 500, not applied.
    pub internal: f64,
    /// 503, not applied.
    pub unavailable: f64,
    /// 500, applied.
    pub denied: f64,
    /// A broken connection, not applied.
    pub drop_before: f64,
    /// A broken connection, applied.
    pub drop_after: f64,
    /// Held back for up to `hold_for`.
    pub hold: f64,
    /// The longest that a request is held back.
    pub hold_for: Duration,
}

/// Decides what happens to each request, and counts it.
pub struct FaultInjector {
    random: fastrand::Rng,
    rates: Rates,
    script: Option<FaultScript>,
    index: u64,
    struck: BTreeMap<&'static str, u64>,
}

impl fmt::Debug for FaultInjector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Faults")
            .field("rates", &self.rates)
            .field("index", &self.index)
            .finish_non_exhaustive()
    }
}

impl FaultInjector {
    /// Faults at these rates. The script is asked first.
    pub fn new(seed: u64, rates: Rates, script: Option<FaultScript>) -> Self {
        Self { random: fastrand::Rng::with_seed(seed), rates, script, index: 0, struck: BTreeMap::new() }
    }

    /// Whether a script is asked.
    pub fn scripted(&self) -> bool {
        self.script.is_some()
    }

    /// Goes on with another script.
    pub fn set_script(&mut self, script: Option<FaultScript>) {
        self.script = script;
    }

    /// Goes on at other rates.
    pub fn set_rates(&mut self, rates: Rates) {
        self.rates = rates;
    }

    /// What happens to the next request; `call.index` is filled in here.
    pub fn decide(&mut self, mut call: RequestInfo<'_>) -> InjectedFault {
        call.index = self.index;
        self.index += 1;
        let told = self.script.as_mut().map(|script| script(&call)).unwrap_or_default();
        let fault = if matches!(told, InjectedFault::None) { self.draw() } else { told };
        if let Some(name) = fault.name() {
            *self.struck.entry(name).or_default() += 1;
        }
        fault
    }

    fn draw(&mut self) -> InjectedFault {
        let rates = self.rates;
        let mut point = self.random.f64();
        let mut strikes = |rate: f64| {
            let hit = point < rate;
            point -= rate;
            // Below zero every later rate would strike as well.
            hit && point < 0.0
        };
        if strikes(rates.too_many) {
            InjectedFault::Refuse { code: 429, retry_after: Some(1) }
        } else if strikes(rates.internal) {
            InjectedFault::Refuse { code: 500, retry_after: None }
        } else if strikes(rates.unavailable) {
            InjectedFault::Refuse { code: 503, retry_after: None }
        } else if strikes(rates.denied) {
            InjectedFault::Deny { code: 500 }
        } else if strikes(rates.drop_before) {
            InjectedFault::DropBefore
        } else if strikes(rates.drop_after) {
            InjectedFault::DropAfter
        } else if strikes(rates.hold) {
            InjectedFault::Hold(times(rates.hold_for, self.random.f64()))
        } else {
            InjectedFault::None
        }
    }

    /// How often each fault struck.
    pub fn struck(&self) -> &BTreeMap<&'static str, u64> {
        &self.struck
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call() -> RequestInfo<'static> {
        RequestInfo { index: 0, verb: "patch", plural: "stacks", name: "a", body: &Value::Null }
    }

    #[test]
    fn faults_strike_at_their_rates() {
        let rates = Rates { too_many: 0.1, drop_after: 0.2, ..Rates::default() };
        let mut faults = FaultInjector::new(1, rates, None);
        for _ in 0..10_000 {
            faults.decide(call());
        }
        let struck = |name| *faults.struck().get(name).unwrap_or(&0);
        assert!((900..1100).contains(&struck("refuse")), "{:?}", faults.struck());
        assert!((1850..2150).contains(&struck("drop-after")), "{:?}", faults.struck());
        assert_eq!(struck("hold"), 0);
    }

    #[test]
    fn a_script_sees_each_call_with_its_index() {
        let script: FaultScript = Box::new(|call| {
            let third = call.index == 2 && call.writes() && call.name == "a";
            if third { InjectedFault::DropBefore } else { InjectedFault::None }
        });
        let mut faults = FaultInjector::new(1, Rates::default(), Some(script));
        let names: Vec<_> = (0..4).map(|_| faults.decide(call()).name()).collect();
        assert_eq!(names, [None, None, Some("drop-before"), None]);
    }

    #[test]
    fn the_seed_decides() {
        let run = |seed| {
            let mut faults = FaultInjector::new(seed, Rates { hold: 0.5, ..Rates::default() }, None);
            (0..64).map(|_| faults.decide(call()).name().is_some()).collect::<Vec<_>>()
        };
        assert_eq!(run(3), run(3));
        assert_ne!(run(3), run(4));
    }
}

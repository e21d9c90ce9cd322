//! Any interleaving of offers, takes, partial progress, supersessions, finishes, deferrals and
//! wakes ends as running every order one after the other does.

use super::*;
use crate::time::{Duration, now};
use proptest::prelude::*;
use std::collections::HashSet;

const KEYS: usize = 4;
const BOUND: usize = 2;

#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    Snapshot(u8, bool),
    Removal,
    Toggle(bool),
}

/// An order and its serial number.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Numbered(Kind, usize);

impl Order for Numbered {
    fn class(&self) -> Class {
        match self.0 {
            Kind::Snapshot(..) => Class::Snapshot,
            Kind::Removal => Class::Removal,
            Kind::Toggle(_) => Class::Toggle,
        }
    }
}

/// What stands for a key: content and whether it is disabled.
type State = Option<(u8, bool)>;

fn apply(state: &mut State, kind: Kind) {
    *state = match kind {
        Kind::Snapshot(content, disabled) => Some((content, disabled)),
        Kind::Removal => None,
        Kind::Toggle(to) => state.map(|(content, _)| (content, to)),
    };
}

/// One write of an order that takes two: what an order leaves behind when superseded half-way.
fn apply_half(state: &mut State, kind: Kind) {
    match kind {
        Kind::Snapshot(content, _) => *state = Some((content, state.is_some_and(|s| s.1))),
        Kind::Removal => *state = state.map(|(_, disabled)| (u8::MAX, disabled)),
        Kind::Toggle(_) => {}
    }
}

#[derive(Debug, Clone, Copy)]
enum Step {
    Offer(usize, Kind),
    Take,
    Progress(usize),
    Supersede(usize),
    Finish(usize),
    /// Not done: put off.
    Retry(usize, u64),
    /// Done, and looks again later.
    Attend(usize, u64),
    Wake(usize),
    Pass(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let kind = prop_oneof![
        3 => (0..100_u8, any::<bool>()).prop_map(|(c, d)| Kind::Snapshot(c, d)),
        2 => Just(Kind::Removal),
        2 => any::<bool>().prop_map(Kind::Toggle),
    ];
    prop_oneof![
        6 => (0..KEYS, kind).prop_map(|(key, kind)| Step::Offer(key, kind)),
        5 => Just(Step::Take),
        3 => (0..KEYS).prop_map(Step::Progress),
        3 => (0..KEYS).prop_map(Step::Supersede),
        3 => (0..KEYS).prop_map(Step::Finish),
        2 => (0..KEYS, 0..50_u64).prop_map(|(key, ms)| Step::Retry(key, ms)),
        2 => (0..KEYS, 0..50_u64).prop_map(|(key, ms)| Step::Attend(key, ms)),
        1 => (0..KEYS).prop_map(Step::Wake),
        2 => (0..40_u64).prop_map(Step::Pass),
    ]
}

/// A table, the world its orders change, and what became of each order.
struct World {
    table: Table<usize, Numbered>,
    now: Instant,
    states: [State; KEYS],
    in_flight: [Option<Numbered>; KEYS],
    offered: Vec<(usize, Kind)>,
    /// Orders that were done at least once.
    done: HashSet<usize>,
    /// Orders that will not run (again): displaced, superseded or finished, each once.
    gone: HashSet<usize>,
    /// The last order of each key that was taken, for FIFO.
    last: [usize; KEYS],
}

impl World {
    fn new() -> Self {
        Self {
            table: Table::new(BOUND),
            now: now(),
            states: [None; KEYS],
            in_flight: [None; KEYS],
            offered: Vec::new(),
            done: HashSet::new(),
            gone: HashSet::new(),
            last: [0; KEYS],
        }
    }

    fn goes(&mut self, order: Numbered) {
        assert!(self.gone.insert(order.1), "{order:?} has a second fate");
    }

    fn displaced(&mut self, orders: Displaced<Numbered>) {
        for order in orders {
            self.goes(order);
        }
    }

    fn runs(&mut self, key: usize, order: Numbered) {
        assert!(order.1 >= self.last[key], "{order:?} runs after {}", self.last[key]);
        assert!(!self.gone.contains(&order.1), "{order:?} runs after its end");
        self.last[key] = order.1;
        self.in_flight[key] = Some(order);
    }

    fn perform(&mut self, step: Step) {
        match step {
            Step::Offer(key, kind) => {
                let order = Numbered(kind, self.offered.len());
                self.offered.push((key, kind));
                let displaced = self.table.offer(key, order);
                self.displaced(displaced);
            }
            Step::Take => {
                if let Some((key, order)) = self.table.take(self.now) {
                    assert!(self.in_flight[key].is_none(), "two orders of {key} in flight");
                    self.runs(key, order);
                }
            }
            Step::Progress(key) => {
                if let Some(order) = self.in_flight[key] {
                    apply_half(&mut self.states[key], order.0);
                }
            }
            Step::Supersede(key) => {
                if let (Some(older), Some(newer)) = (self.in_flight[key], self.table.successor(&key)) {
                    self.goes(older);
                    self.runs(key, newer);
                }
            }
            Step::Finish(key) => {
                if let Some(order) = self.in_flight[key].take() {
                    apply(&mut self.states[key], order.0);
                    self.done.insert(order.1);
                    self.goes(order);
                    self.table.finish(&key);
                }
            }
            Step::Retry(key, ms) => self.put_off(key, ms, Keep::UntilSuperseded),
            Step::Attend(key, ms) => {
                if let Some(order) = self.in_flight[key] {
                    apply(&mut self.states[key], order.0);
                    self.done.insert(order.1);
                }
                self.put_off(key, ms, Keep::UntilAnything);
            }
            Step::Wake(key) => self.table.wake(&key),
            Step::Pass(ms) => self.now += Duration::from_millis(ms),
        }
        self.check();
    }

    fn put_off(&mut self, key: usize, ms: u64, keep: Keep) {
        if let Some(order) = self.in_flight[key].take() {
            let at = self.now + Duration::from_millis(ms);
            let displaced = self.table.defer(&key, order, at, keep);
            self.displaced(displaced);
        }
    }

    fn check(&self) {
        let stats = self.table.stats();
        let flying = self.in_flight.iter().flatten().count();
        assert_eq!(stats.in_flight, flying);
        assert!(flying <= BOUND);
        assert_eq!(stats.ready + stats.in_flight + stats.deferred, stats.keys);
        assert_eq!(stats.ready, self.table.ready.len());
        let held = self.table.entries.values().filter(|e| e.held.is_some()).count();
        let mut waiting = 0;
        for entry in self.table.entries.values() {
            assert!(entry.waiting.len() <= 3);
            waiting += entry.waiting.len();
        }
        assert_eq!(stats.waiting, waiting);
        assert_eq!(self.offered.len(), self.gone.len() + waiting + held + flying, "an order was lost");
    }

    /// Runs all that is left, one after the other.
    fn settle(&mut self) {
        for key in 0..KEYS {
            self.perform(Step::Finish(key));
        }
        self.now += Duration::from_secs(1);
        self.table.promote(self.now);
        while self.table.takeable() > 0 {
            self.perform(Step::Take);
            for key in 0..KEYS {
                self.perform(Step::Finish(key));
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn any_interleaving_ends_as_the_plain_sequential_run(steps in prop::collection::vec(step(), 0..120)) {
        let mut world = World::new();
        for step in steps {
            world.perform(step);
        }
        world.settle();

        let mut sequential = [None; KEYS];
        for (key, kind) in &world.offered {
            apply(&mut sequential[*key], *kind);
        }
        prop_assert_eq!(world.states, sequential);
        prop_assert_eq!(world.table.stats(), Stats::default());
        prop_assert_eq!(world.gone.len(), world.offered.len());
    }
}

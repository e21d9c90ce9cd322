//! Any interleaving of offers, takes, partial progress, supersessions, finishes, deferrals and
//! wakes ends as running every order one after the other does.

use super::*;
use crate::time::{Duration, now};
use proptest::prelude::*;
use std::collections::HashSet;

const KEYS: usize = 4;
const BOUND: usize = 2;

#[derive(Debug, Clone, Copy, PartialEq)]
enum ChangeKind {
    Snapshot(u8, bool),
    Removal,
    Toggle(bool),
}

/// An order and its serial number.
#[derive(Debug, Clone, Copy, PartialEq)]
struct SerialOrder(ChangeKind, usize);

impl ClassedOrder for SerialOrder {
    fn class(&self) -> OrderClass {
        match self.0 {
            ChangeKind::Snapshot(..) => OrderClass::Snapshot,
            ChangeKind::Removal => OrderClass::Removal,
            ChangeKind::Toggle(_) => OrderClass::Toggle,
        }
    }
}

/// What stands for a key: content and whether it is disabled.
type KeyContent = Option<(u8, bool)>;

fn apply(state: &mut KeyContent, kind: ChangeKind) {
    *state = match kind {
        ChangeKind::Snapshot(content, disabled) => Some((content, disabled)),
        ChangeKind::Removal => None,
        ChangeKind::Toggle(to) => state.map(|(content, _)| (content, to)),
    };
}

/// One write of an order that takes two: what an order leaves behind when superseded half-way.
fn apply_half(state: &mut KeyContent, kind: ChangeKind) {
    match kind {
        ChangeKind::Snapshot(content, _) => *state = Some((content, state.is_some_and(|s| s.1))),
        ChangeKind::Removal => *state = state.map(|(_, disabled)| (u8::MAX, disabled)),
        ChangeKind::Toggle(_) => {}
    }
}

#[derive(Debug, Clone, Copy)]
enum TableStep {
    Offer(usize, ChangeKind),
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

fn step() -> impl Strategy<Value = TableStep> {
    let kind = prop_oneof![
        3 => (0..100_u8, any::<bool>()).prop_map(|(c, d)| ChangeKind::Snapshot(c, d)),
        2 => Just(ChangeKind::Removal),
        2 => any::<bool>().prop_map(ChangeKind::Toggle),
    ];
    prop_oneof![
        6 => (0..KEYS, kind).prop_map(|(key, kind)| TableStep::Offer(key, kind)),
        5 => Just(TableStep::Take),
        3 => (0..KEYS).prop_map(TableStep::Progress),
        3 => (0..KEYS).prop_map(TableStep::Supersede),
        3 => (0..KEYS).prop_map(TableStep::Finish),
        2 => (0..KEYS, 0..50_u64).prop_map(|(key, ms)| TableStep::Retry(key, ms)),
        2 => (0..KEYS, 0..50_u64).prop_map(|(key, ms)| TableStep::Attend(key, ms)),
        1 => (0..KEYS).prop_map(TableStep::Wake),
        2 => (0..40_u64).prop_map(TableStep::Pass),
    ]
}

/// A table, the world its orders change, and what became of each order.
struct TableModel {
    table: Table<usize, SerialOrder>,
    now: Instant,
    states: [KeyContent; KEYS],
    in_flight: [Option<SerialOrder>; KEYS],
    offered: Vec<(usize, ChangeKind)>,
    /// Orders that were done at least once.
    done: HashSet<usize>,
    /// Orders that will not run (again): displaced, superseded or finished, each once.
    gone: HashSet<usize>,
    /// The last order of each key that was taken, for FIFO.
    last: [usize; KEYS],
}

impl TableModel {
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

    fn goes(&mut self, order: SerialOrder) {
        assert!(self.gone.insert(order.1), "{order:?} has a second fate");
    }

    fn displaced(&mut self, orders: Displaced<SerialOrder>) {
        for order in orders {
            self.goes(order);
        }
    }

    fn runs(&mut self, key: usize, order: SerialOrder) {
        assert!(order.1 >= self.last[key], "{order:?} runs after {}", self.last[key]);
        assert!(!self.gone.contains(&order.1), "{order:?} runs after its end");
        self.last[key] = order.1;
        self.in_flight[key] = Some(order);
    }

    fn perform(&mut self, step: TableStep) {
        match step {
            TableStep::Offer(key, kind) => {
                let order = SerialOrder(kind, self.offered.len());
                self.offered.push((key, kind));
                let displaced = self.table.offer(key, order);
                self.displaced(displaced);
            }
            TableStep::Take => {
                self.table.promote(self.now);
                if let Some((key, order)) = self.table.take() {
                    assert!(self.in_flight[key].is_none(), "two orders of {key} in flight");
                    self.runs(key, order);
                }
            }
            TableStep::Progress(key) => {
                if let Some(order) = self.in_flight[key] {
                    apply_half(&mut self.states[key], order.0);
                }
            }
            TableStep::Supersede(key) => {
                if let (Some(older), Some(newer)) = (self.in_flight[key], self.table.successor(&key)) {
                    self.goes(older);
                    self.runs(key, newer);
                }
            }
            TableStep::Finish(key) => {
                if let Some(order) = self.in_flight[key].take() {
                    apply(&mut self.states[key], order.0);
                    self.done.insert(order.1);
                    self.goes(order);
                    self.table.finish(key);
                }
            }
            TableStep::Retry(key, ms) => self.put_off(key, ms, RequeuePolicy::UntilSuperseded),
            TableStep::Attend(key, ms) => {
                if let Some(order) = self.in_flight[key] {
                    apply(&mut self.states[key], order.0);
                    self.done.insert(order.1);
                }
                self.put_off(key, ms, RequeuePolicy::UntilNewer);
            }
            TableStep::Wake(key) => self.table.wake(&key),
            TableStep::Pass(ms) => self.now += Duration::from_millis(ms),
        }
        self.check();
    }

    fn put_off(&mut self, key: usize, ms: u64, policy: RequeuePolicy) {
        if let Some(order) = self.in_flight[key].take() {
            let at = self.now + Duration::from_millis(ms);
            let displaced = self.table.defer(&key, order, at, policy);
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
        let held = self.table.entries.values().filter(|e| e.put_off.is_some()).count();
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
            self.perform(TableStep::Finish(key));
        }
        self.now += Duration::from_secs(1);
        self.table.promote(self.now);
        while self.table.takeable() > 0 {
            self.perform(TableStep::Take);
            for key in 0..KEYS {
                self.perform(TableStep::Finish(key));
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn any_interleaving_ends_as_the_plain_sequential_run(steps in prop::collection::vec(step(), 0..120)) {
        let mut world = TableModel::new();
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

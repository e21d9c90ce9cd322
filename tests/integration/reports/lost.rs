//! Whatever message gets lost, in the end membership knows how the cluster is.
//!
//! One script is run again and again: each time the stream breaks behind another message, or another
//! message is dropped.

use std::{
    collections::{BTreeMap, BTreeSet},
    panic::{self, AssertUnwindSafe},
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::Duration,
};

use serde_json::{Value, json};
use stackherd::membership::wire::server::{Stack, order};

use crate::{
    reports::WITHIN,
    support::{
        agent::AgentProcess,
        cluster::TestCluster,
        deeds::{change, create, delete, set_status},
        membership::{Joined, TestMembership},
        now,
        orders::{StackExt, deleted, disabled, enabled, stack},
        rest::Rest,
        view::Believed,
    },
};

/// Most of the time the agent waits: for its stream, for its sweep.
const AT_ONCE: usize = 6;

/// A region whose membership sends its stacks again after a join, as the real one does.
struct RejoinedRegion {
    cluster: TestCluster,
    rest: Rest,
    membership: TestMembership,
    agent: AgentProcess,
    joined: Joined,
    /// What was ordered last of each stack; `None`: that it be deleted.
    fleet: BTreeMap<&'static str, Option<Stack>>,
}

/// What is to happen to the `nth` message.
#[derive(Debug, Clone, Copy)]
enum MessageFault {
    None,
    CutBehind(usize),
    Lose(usize),
}

impl RejoinedRegion {
    fn start(fault: MessageFault) -> Self {
        let (cluster, membership) = (TestCluster::start(), TestMembership::start());
        let mut agent = cluster.agent(&membership).args(["--kube-qps", "0", "--shards", "1"]);
        match fault {
            // Nothing but the join after it is to repair it.
            MessageFault::None => agent = agent.args(["--resync-period", "0"]),
            MessageFault::CutBehind(nth) => {
                membership.cut_after(nth);
                agent = agent.args(["--resync-period", "0"]);
            }
            MessageFault::Lose(nth) => {
                membership.lose(nth);
                agent = agent.args(["--resync-period", "1s"]);
            }
        }
        let agent = agent.start();
        let joined = membership.joined(WITHIN);
        let rest = cluster.rest();
        Self { cluster, rest, membership, agent, joined, fleet: BTreeMap::new() }
    }

    /// Joins again where the stream is broken.
    fn tend(&mut self) {
        if self.joined.is_open() {
            return;
        }
        self.joined = self.membership.joined(WITHIN);
        for (name, ordered) in &self.fleet {
            self.joined.order(ordered.clone().map_or_else(|| deleted(name), StackExt::order));
        }
    }

    /// Waits until the cluster is so.
    #[track_caller]
    fn until(&mut self, what: &str, holds: impl Fn(&BTreeMap<String, Value>) -> bool) {
        let start = now();
        while !holds(&self.cluster.objects()) {
            self.agent.lives();
            assert!(start.elapsed() < WITHIN, "{what}: not within {WITHIN:?}\n{}", self.agent.log());
            self.tend();
            thread::sleep(Duration::from_millis(5));
        }
        // So that what is told of one step does not merge with what is told of the next.
        thread::sleep(Duration::from_millis(30));
    }

    fn order(&mut self, name: &'static str, order: Stack) {
        self.fleet.insert(name, Some(order.clone()));
        self.joined.order(order.order());
    }

    /// Has a stack disabled or enabled.
    fn toggle(&mut self, name: &'static str, is_disabled: bool) {
        if let Some(Some(stack)) = self.fleet.get_mut(name) {
            stack.disabled = is_disabled;
        }
        let order: order::Message = if is_disabled { disabled(name) } else { enabled(name) };
        self.joined.order(order);
        let is = move |objects: &BTreeMap<String, Value>| {
            objects[&format!("stacks/{name}")]["spec"]["disabled"] == is_disabled
        };
        self.until("toggled", is);
    }

    fn set_statuses(&mut self, ready: bool) {
        for place in ["stacks/a", "ledgers/a", "payments/a", "stacks/b", "wallets/b", "stacks/c"] {
            let (plural, name) = place.split_once('/').expect("as written");
            if self.cluster.objects().contains_key(place) {
                let status = json!({"ready": ready, "conditions": [{"type": "T", "observedGeneration": 3}]});
                set_status(&self.rest, plural, name, &status);
                thread::sleep(Duration::from_millis(10));
            }
        }
    }

    /// What happens in this region.
    fn live(&mut self) {
        let there = |place: &'static str| move |all: &BTreeMap<String, Value>| all.contains_key(place);
        let gone = |place: &'static str| move |all: &BTreeMap<String, Value>| !all.contains_key(place);
        create(&self.rest, "versions", "Versions", "v1", &json!({"ledger": "v1"}));
        create(&self.rest, "versions", "Versions", "v2", &json!({}));
        self.order("a", stack("a").modules(&["ledger", "payments"]));
        self.order("b", stack("b").modules(&["wallets"]));
        self.until("a", |all| there("payments/a")(all) && there("ledgers/a")(all));
        self.until("b", there("wallets/b"));
        create(&self.rest, "stacks", "Stack", "c", &json!({}));
        self.set_statuses(false);
        self.set_statuses(true);
        change(&self.rest, "versions", "v1", &json!({"spec": {"ledger": "v1.1"}}));
        self.order("a", stack("a").modules(&["ledger"]));
        self.until("dropped", gone("payments/a"));
        self.toggle("a", true);
        self.toggle("a", false);
        let deprecated = json!({"metadata": {"annotations": {"formance.com/deprecated": "true"}}});
        change(&self.rest, "versions", "v1", &deprecated);
        delete(&self.rest, "versions", "v2");
        self.fleet.insert("b", None);
        self.joined.order(deleted("b"));
        self.until("b", |all| gone("stacks/b")(all) && gone("wallets/b")(all));
        delete(&self.rest, "stacks", "c");
        self.set_statuses(false);
    }

    /// Waits until the fault has struck; `false` where it does not.
    fn struck(&mut self, fault: MessageFault) -> bool {
        let start = now();
        let wait = Duration::from_secs(if matches!(fault, MessageFault::Lose(_)) { 5 } else { 1 });
        loop {
            let struck = match fault {
                MessageFault::None => return true,
                MessageFault::CutBehind(nth) | MessageFault::Lose(nth) => self.membership.came() >= nth,
            };
            if struck || start.elapsed() > wait {
                return struck;
            }
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Waits until membership knows how the cluster is.
    #[track_caller]
    fn is_known(&mut self, fault: MessageFault) {
        let (start, within) = (now(), Duration::from_secs(20));
        loop {
            self.tend();
            let objects = self.cluster.reported();
            let differences = Believed::of(self.membership.heard()).differences(&objects);
            if differences.is_empty() {
                return;
            }
            self.agent.lives();
            assert!(start.elapsed() < within, "{fault:?}: {differences:#?}\n{}", self.agent.log());
            thread::sleep(Duration::from_millis(20));
        }
    }
}

/// Runs the script; whether the fault struck, and how many messages came.
fn run(fault: MessageFault) -> (bool, usize) {
    let mut region = RejoinedRegion::start(fault);
    region.live();
    let struck = region.struck(fault);
    region.is_known(fault);
    (struck, region.membership.came())
}

/// Runs the script with a fault at every message of an undisturbed run.
fn everywhere(what: &str, fault: impl Fn(usize) -> MessageFault + Sync) {
    let start = now();
    let (_, messages) = run(MessageFault::None);
    assert!(messages >= 20, "only {messages} messages: the script does nothing");
    let (next, missed) = (AtomicUsize::new(1), AtomicUsize::new(0));
    let failed: BTreeSet<usize> = thread::scope(|scope| {
        let work = || {
            let mut failed = Vec::new();
            loop {
                let nth = next.fetch_add(1, Ordering::AcqRel);
                if nth > messages {
                    return failed;
                }
                // The others go on; what failed was printed.
                match panic::catch_unwind(AssertUnwindSafe(|| run(fault(nth)))) {
                    Ok((true, _)) => {}
                    Ok((false, _)) => drop(missed.fetch_add(1, Ordering::AcqRel)),
                    Err(_) => failed.push(nth),
                }
            }
        };
        let workers: Vec<_> = (0..AT_ONCE).map(|_| scope.spawn(work)).collect();
        workers.into_iter().flat_map(|worker| worker.join().expect("no panic gets out")).collect()
    });
    let missed = missed.into_inner();
    println!(
        "{what}: {messages} messages, at {} of them it struck, {:?}",
        messages - missed,
        start.elapsed()
    );
    assert!(failed.is_empty(), "{what}: not for the messages {failed:?}");
    assert!(missed * 10 <= messages, "{what}: struck at {} of {messages} messages", messages - missed);
}

#[test]
fn a_stream_that_breaks_behind_any_message_leaves_nothing_untold() {
    everywhere("cut", MessageFault::CutBehind);
}

#[test]
fn a_message_that_is_lost_is_made_up_for_by_the_sweep_whichever_it_is() {
    everywhere("lost", MessageFault::Lose);
}

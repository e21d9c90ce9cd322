//! Two orders back to back, again and again, with every gap between them: the last one stands.
//!
//! Batches keep the agent busy but never behind, so that the second order meets the first one at
//! every point of its run and not only in the queue.

use std::{thread, time::Duration};

use serde_json::{Value, json};
use stackherd::membership::wire::server::order;

use crate::support::{
    agent::{AgentProcess, while_it_lives},
    cluster::TestCluster,
    membership::{Joined, TestMembership},
    now,
    orders::{StackExt, deleted, stack},
};

const BATCHES: usize = 20;
const PER_BATCH: usize = 50;
/// From "in one segment" to "the first one is done", for requests of 1 to 8 ms.
const GAPS_MS: [u64; 10] = [0, 5, 40, 100, 160, 220, 280, 340, 420, 550];
const LATENCY: [Duration; 2] = [Duration::from_millis(1), Duration::from_millis(8)];
const WITHIN: Duration = Duration::from_secs(60);

struct Herd {
    cluster: TestCluster,
    agent: AgentProcess,
    joined: Joined,
    _membership: TestMembership,
}

impl Herd {
    fn start() -> Self {
        let cluster = TestCluster::with_latency(LATENCY);
        let membership = TestMembership::start();
        let agent = cluster.agent(&membership).args(["--kube-qps", "0", "--shards", "2"]).start();
        let joined = membership.joined(WITHIN);
        Self { cluster, agent, joined, _membership: membership }
    }

    /// Sends both orders of each try of a batch, the second one the try's gap behind the first.
    fn send(&self, batch: usize, pair: impl Fn(&str) -> [order::Message; 2]) {
        let mut timed = Vec::new();
        for index in 0..PER_BATCH {
            let at = Duration::from_millis(index as u64);
            let gap = Duration::from_millis(GAPS_MS[index % GAPS_MS.len()]);
            let [first, second] = pair(&name(batch, index));
            timed.extend([(at, first), (at + gap, second)]);
        }
        timed.sort_by_key(|(at, _)| *at);
        let start = now();
        for (at, order) in timed {
            thread::sleep(at.saturating_sub(start.elapsed()));
            self.joined.order(order);
        }
    }
}

fn name(batch: usize, index: usize) -> String {
    format!("try-{}", batch * PER_BATCH + index)
}

/// What an object says that tells the two orders apart.
fn told(object: &Value) -> (&Value, &Value) {
    (&object["metadata"]["labels"]["formance.com/try"], &object["spec"]["versionsFromFile"])
}

#[test]
fn of_two_existing_orders_the_second_stands_a_thousand_times() {
    let mut herd = Herd::start();
    let is_second = |(key, object): (&String, &Value)| {
        let (label, versions) = told(object);
        label == "second" && (!key.starts_with("stacks/") || versions == "second")
    };
    for batch in 0..BATCHES {
        let half = |name: &str, which: &str, module: &str| {
            let order = stack(name).versions(which).modules(&["ledger", module]);
            order.label("try", which).order()
        };
        herd.send(batch, |name| [half(name, "first", "payments"), half(name, "second", "webhooks")]);
        while_it_lives(&mut herd.agent, "the batch has its second orders' content", WITHIN, || {
            let objects = herd.cluster.objects();
            (objects.len() == 3 * PER_BATCH * (batch + 1) && objects.iter().all(is_second)).then_some(())
        });
    }
    // Nothing that was late changes that.
    thread::sleep(Duration::from_millis(300));
    let objects = herd.cluster.objects();
    assert_eq!(objects.len(), 3 * BATCHES * PER_BATCH);
    assert!(objects.iter().all(is_second), "an older order came through in the end");
    assert!(objects.keys().all(|key| !key.starts_with("payments/")));
    let rewritten = |(key, object): &(&String, &Value)| {
        key.starts_with("stacks/") && object["metadata"]["generation"] != json!(1)
    };
    let rewritten = objects.iter().filter(rewritten).count();
    let tries = BATCHES * PER_BATCH;
    println!("{rewritten} of {tries} first orders were written before the second came");
    assert!((tries / 100..tries).contains(&rewritten), "{rewritten} first orders had been written: no race");
}

#[test]
fn a_deletion_behind_an_existing_order_leaves_nothing_a_thousand_times() {
    let mut herd = Herd::start();
    for batch in 0..BATCHES {
        herd.send(batch, |name| {
            let order = stack(name).modules(&["ledger", "payments"]).client("web", true);
            [order.order(), deleted(name)]
        });
        herd.joined.pings(1, WITHIN);
        herd.cluster.quiet(Duration::from_millis(100), WITHIN);
    }
    while_it_lives(&mut herd.agent, "nothing is left", WITHIN, || {
        herd.cluster.objects().is_empty().then_some(())
    });
    herd.cluster.quiet(Duration::from_millis(500), WITHIN);
    let left: Vec<String> = herd.cluster.objects().into_keys().collect();
    assert_eq!(left, [""; 0], "it came back");
    let deletions = herd.cluster.verb("delete") as usize;
    let tries = BATCHES * PER_BATCH;
    println!("{deletions} of {tries} stacks were there before their deletion came");
    assert!(
        (tries / 100..tries).contains(&deletions),
        "{deletions} stacks were there to be deleted: no race"
    );
}

//! A membership that sends as fast as it can, while the API server is slow.

use std::time::Duration;

use crate::support::{
    agent::while_it_lives,
    cluster::TestCluster,
    machine,
    membership::TestMembership,
    now,
    orders::{StackExt, stack},
};

const ORDERS: usize = 200_000;
const STACKS: usize = 500;
const SLOW: Duration = Duration::from_millis(30);
const WITHIN: Duration = Duration::from_secs(120);
/// What deployments give it.
const MEMORY: u64 = 128 << 20;

#[test]
fn two_hundred_thousand_orders_in_a_frame_each_are_listened_to() {
    let _machine = machine::alone();
    let cluster = TestCluster::with_latency([SLOW, SLOW]);
    let membership = TestMembership::start();
    let mut agent = cluster.agent(&membership).args(["--kube-qps", "0", "--shards", "2"]).start();
    let joined = membership.joined(WITHIN);

    let start = now();
    for index in 0..ORDERS {
        let round = index / STACKS;
        joined.order(stack(&format!("flood-{}", index % STACKS)).versions(&format!("v{round}")).order());
        if index % 20_000 == 0 {
            joined.order(stackherd::membership::wire::server::order::Message::Ping(Default::default()));
        }
    }
    // Orders are read in turn: these are answered once all before them were taken in.
    joined.pings(20, WITHIN);
    println!("{ORDERS} orders taken in within {:?}", start.elapsed());
    println!("peak memory {} KiB, CPU {:?}", agent.peak_memory() >> 10, agent.cpu_time());
    assert_eq!(membership.joins(), 1, "the connection broke");

    let before = joined.pongs();
    let last = format!("v{}", ORDERS / STACKS - 1);
    while_it_lives(&mut agent, "every stack is at its last order", WITHIN, || {
        let objects = cluster.objects();
        let at_last = |object: &serde_json::Value| object["spec"]["versionsFromFile"] == *last;
        (objects.len() == STACKS && objects.values().all(at_last)).then_some(())
    });
    println!("all stacks at their last order after {:?}", start.elapsed());
    while_it_lives(&mut agent, "heartbeats go on", Duration::from_secs(12), || {
        (joined.pongs() > before).then_some(())
    });
    assert_eq!(membership.joins(), 1, "the connection broke");
    let peak = agent.peak_memory();
    assert!(peak < MEMORY, "{} KiB", peak >> 10);
}

//! The agent with what deployments give it: a tenth of a CPU and 128 MiB. The servers that it talks
//! to run outside.

use std::time::Duration;

use crate::support::{
    assets::{not_run, this_test},
    cgroups::Cgroup,
    cluster::TestCluster,
    eventually, machine,
    membership::TestMembership,
    now,
    orders::{StackExt, stack},
};

const STACKS: usize = 200;
/// An agent without optimisation needs the most of it for its start.
const WITHIN: Duration = Duration::from_secs(120);

#[test]
fn a_tenth_of_a_cpu_and_128_mib_are_enough_for_two_hundred_stacks() {
    let _machine = machine::alone();
    let cgroup = match Cgroup::new("stackherd-test", 0.1, 128 << 20) {
        Ok(cgroup) => cgroup,
        Err(why) => {
            return not_run(
                &this_test(),
                &format!("no cgroup can be made: {why}"),
                "running the tests as root",
            );
        }
    };
    let (cluster, membership) = (TestCluster::start(), TestMembership::start());
    let start = now();
    let mut agent = cluster.agent(&membership).after(&cgroup.enter()).start();
    let joined = membership.joined(WITHIN);
    println!("joined after {:?}", start.elapsed());

    for index in 0..STACKS {
        let order = stack(&format!("small-{index}")).versions("v1").modules(&["ledger", "gateway"]);
        joined.order(order.client("web", true).order());
    }
    let (mut slowest, mut dearest) = (Duration::ZERO, Duration::ZERO);
    eventually("every stack is there", WITHIN, || {
        agent.lives();
        let before = agent.cpu_time();
        slowest = slowest.max(joined.ping(Duration::from_secs(20)));
        dearest = dearest.max(agent.cpu_time().saturating_sub(before));
        let objects = cluster.objects().len();
        (objects == 4 * STACKS).then_some(())
    });
    println!("converged after {:?}; slowest Pong after {slowest:?}", start.elapsed());
    println!("peak memory {} KiB, CPU {:?}", agent.peak_memory() >> 10, agent.cpu_time());
    // A tenth of a core for a second. How long that takes by the clock depends on what else runs on
    // this machine, the other end of the stream included.
    let a_second = Duration::from_millis(100);
    assert!(
        dearest < a_second || slowest < Duration::from_secs(1),
        "a Ping waited for {dearest:?} of CPU time"
    );
    assert!(slowest < Duration::from_secs(6), "a Ping was answered after {slowest:?} only");
    assert_eq!(membership.joins(), 1, "the stream broke");
    assert!(cgroup.throttled() > 0, "the cgroup did not hold it back: this tested nothing");
}

//! What nobody and nothing around the process may do to it: outputs that cannot be written, readers
//! that go away or never come, signals.

mod log;
mod memory;
mod results;
mod signals;

use std::time::Duration;

use crate::support::{
    agent::{AgentProcess, Invocation, while_it_lives},
    cluster::TestCluster,
    membership::{Joined, TestMembership},
    objects::find,
    orders::{StackExt, stack},
};

/// For whatever should be quick, on a machine that is not.
const WITHIN: Duration = Duration::from_secs(30);

/// An agent on two shards, and what is around it.
struct ProcessScene {
    cluster: TestCluster,
    _membership: TestMembership,
    agent: AgentProcess,
    joined: Joined,
    orders: usize,
}

impl ProcessScene {
    fn start(change: impl FnOnce(Invocation) -> Invocation) -> Self {
        let (cluster, membership) = (TestCluster::start(), TestMembership::start());
        let agent = change(cluster.agent(&membership).args(["--shards", "2"])).start();
        let joined = membership.joined(WITHIN);
        Self { cluster, _membership: membership, agent, joined, orders: 0 }
    }

    /// Orders go on, on both shards, and so do Pongs.
    #[track_caller]
    fn goes_on(&mut self) {
        let stacks: Vec<String> = (0..6).map(|n| format!("goes-on-{}-{n}", self.orders)).collect();
        self.orders += 1;
        for name in &stacks {
            self.joined.order(stack(name).modules(&["ledger"]).order());
        }
        self.joined.ping(WITHIN);
        let rest = self.cluster.rest();
        for name in &stacks {
            while_it_lives(&mut self.agent, name, WITHIN, || find(&rest, "ledgers", name));
        }
    }

    /// And it ends when it is asked to, well.
    #[track_caller]
    fn ends_well(self) {
        self.agent.terminate();
        let outcome = self.agent.outcome(WITHIN);
        assert_eq!(outcome.code, Some(0), "{outcome:#?}");
    }
}

//! Connections that a server ends in good order, in the middle of work.

use std::time::Duration;

use crate::support::{
    agent::{Invocation, while_it_lives},
    api_server::RealApiServer,
    crds::Crds,
    membership::TestMembership,
    orders::{StackExt, stack},
    rest::{GROUP_PATH, Rest},
};

const WITHIN: Duration = Duration::from_secs(120);
const STACKS: usize = 300;

#[test]
fn an_api_server_that_says_goaway_again_and_again_costs_no_warning() {
    let Some(api_server) = RealApiServer::start_with(Crds::Ours, &["--goaway-chance=0.02"]) else { return };
    let membership = TestMembership::start();
    let mut agent = Invocation::agent(&membership.address(), &api_server.kubeconfig())
        .args(["--kube-qps", "0", "--shards", "2"])
        .start();
    let joined = membership.joined(WITHIN);
    for index in 0..STACKS {
        joined.order(stack(&format!("goaway-{index}")).versions("v1").modules(&["ledger"]).order());
    }
    let count = |rest: &Rest, plural: &str| {
        let list = rest.get(&format!("{GROUP_PATH}/{plural}")).json;
        list["items"].as_array().map_or(0, Vec::len)
    };
    let rest = api_server.rest();
    while_it_lives(&mut agent, "every stack and its module", WITHIN, || {
        (count(&rest, "stacks") == STACKS && count(&rest, "ledgers") == STACKS).then_some(())
    });
    let log = agent.log();
    let troubled: Vec<_> =
        log.lines().filter(|line| line.contains("WARN") || line.contains("ERROR")).collect();
    assert!(
        troubled.is_empty(),
        "{} lines:\n{}",
        troubled.len(),
        troubled[..troubled.len().min(10)].join("\n")
    );
}

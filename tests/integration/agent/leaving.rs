//! Signals.

use std::{thread, time::Duration};

use crate::support::{
    agent::Invocation,
    cluster::TestCluster,
    eventually,
    holdback::{Holdback, RequestFate},
    kubeconfig,
    membership::{TestMembership, UplinkEnd},
    now,
    objects::find,
    orders::{StackExt, stack},
};

const WITHIN: Duration = Duration::from_secs(30);

/// A cluster behind a proxy that holds every create of a Ledger back for this long.
fn slow_ledgers(by: Duration) -> (TestCluster, Holdback) {
    let cluster = TestCluster::start();
    let proxy = Holdback::before(cluster.rest());
    proxy.rule(usize::MAX, |request| request.is("POST", "/ledgers"), RequestFate::Delay(by));
    (cluster, proxy)
}

#[test]
fn after_sigterm_writes_in_flight_end_and_the_stream_is_closed() {
    let (cluster, proxy) = slow_ledgers(Duration::from_secs(1));
    let membership = TestMembership::start();
    let agent = Invocation::agent(&membership.address(), &proxy.kubeconfig()).start();
    let mut joined = membership.joined(WITHIN);
    joined.order(stack("leaving").modules(&["ledger"]).order());
    eventually("its ledger is asked for", WITHIN, || {
        proxy.seen().iter().any(|request| request.is("POST", "/ledgers")).then_some(())
    });
    let start = now();
    agent.terminate();
    thread::sleep(Duration::from_millis(100));
    joined.order(stack("too-late").order());
    assert_eq!(joined.ended(WITHIN), UplinkEnd::Closed);
    let outcome = agent.outcome(WITHIN);
    assert_eq!(outcome.code, Some(0), "{outcome:#?}");
    assert!(start.elapsed() < Duration::from_secs(5), "it waited for the write, not for the grace period");
    assert!(find(&cluster.rest(), "ledgers", "leaving").is_some(), "the write in flight ended");
    assert_eq!(find(&cluster.rest(), "stacks", "too-late"), None, "no order is taken any more");
    assert_eq!(membership.joins(), 1);
}

#[test]
fn the_grace_period_ends_the_wait_for_a_write() {
    let (_cluster, proxy) = slow_ledgers(Duration::from_secs(20));
    let membership = TestMembership::start();
    let agent = Invocation::agent(&membership.address(), &proxy.kubeconfig())
        .args(["--grace-period", "1s", "--kube-request-timeout", "30s"])
        .start();
    let joined = membership.joined(WITHIN);
    joined.order(stack("impatient").modules(&["ledger"]).order());
    eventually("its ledger is asked for", WITHIN, || {
        proxy.seen().iter().any(|request| request.is("POST", "/ledgers")).then_some(())
    });
    agent.terminate();
    let outcome = agent.outcome(Duration::from_secs(4));
    assert_eq!(outcome.code, Some(0), "{outcome:#?}");
}

#[test]
fn a_second_signal_exits_at_once() {
    let (_cluster, proxy) = slow_ledgers(Duration::from_secs(20));
    let membership = TestMembership::start();
    let mut agent = Invocation::agent(&membership.address(), &proxy.kubeconfig())
        .args(["--grace-period", "1m", "--kube-request-timeout", "1m"])
        .start();
    let joined = membership.joined(WITHIN);
    joined.order(stack("hurried").modules(&["ledger"]).order());
    eventually("its ledger is asked for", WITHIN, || {
        proxy.seen().iter().any(|request| request.is("POST", "/ledgers")).then_some(())
    });
    agent.terminate();
    thread::sleep(Duration::from_millis(500));
    agent.lives();
    agent.terminate();
    agent.outcome(Duration::from_secs(2));
}

/// Nobody listens at a discard port.
const NOWHERE: &str = "127.0.0.1:9";

#[test]
fn a_signal_ends_an_agent_that_never_reached_the_cluster() {
    let membership = TestMembership::start();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("kubeconfig");
    kubeconfig::write(&path, &format!("http://{NOWHERE}"), None, None);
    let agent = Invocation::agent(&membership.address(), &path).args(["--shards", "3"]).start();
    agent.says(WITHIN, &[NOWHERE]);
    agent.terminate();
    assert_eq!(agent.outcome(Duration::from_secs(5)).code, Some(0));
}

#[test]
fn a_signal_ends_an_agent_that_never_reached_membership() {
    let cluster = TestCluster::start();
    let agent = Invocation::agent(NOWHERE, &cluster.kubeconfig()).args(["--shards", "3"]).start();
    agent.says(WITHIN, &[NOWHERE, "not joined"]);
    agent.terminate();
    assert_eq!(agent.outcome(Duration::from_secs(5)).code, Some(0));
}

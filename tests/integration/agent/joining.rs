//! Streams that break and joins that are refused.

use std::{thread, time::Duration};

use crate::support::{
    agent::while_it_lives,
    cluster::TestCluster,
    membership::{Joined, TestMembership},
    now,
    objects::find,
    orders::{StackExt, deleted, stack},
};

const WITHIN: Duration = Duration::from_secs(30);

/// Joined once, its stream is broken off by `end`; it joins again and goes on.
fn survives(end: impl Fn(&Joined)) {
    let (cluster, membership) = (TestCluster::start(), TestMembership::start());
    let mut agent = cluster.agent(&membership).start();
    let joined = membership.joined(WITHIN);
    joined.order(stack("first-stream").modules(&["ledger"]).order());
    joined.pings(1, WITHIN);
    end(&joined);
    let mut again = membership.joined(WITHIN);
    again.order(stack("second-stream").modules(&["ledger"]).order());
    again.order(deleted("never-there"));
    for name in ["first-stream", "second-stream"] {
        while_it_lives(&mut agent, name, WITHIN, || find(&cluster.rest(), "ledgers", name));
    }
    while_it_lives(&mut agent, "a report", WITHIN, || again.told_deleted("never-there").then_some(()));
    again.ping(Duration::from_secs(1));
}

#[test]
fn a_reset_stream_is_joined_again() {
    survives(Joined::reset);
}

#[test]
fn a_cut_connection_is_joined_again() {
    survives(Joined::cut);
}

#[test]
fn a_refused_token_is_logged_and_tried_again() {
    let (cluster, membership) = (TestCluster::start(), TestMembership::start());
    membership.refuse(2);
    let mut agent = cluster.agent(&membership).start();
    let joined = membership.joined(WITHIN);
    assert_eq!(membership.joins(), 3);
    agent.says(WITHIN, &["this token is not known"]);
    agent.lives();
    joined.order(stack("in-the-end").order());
    while_it_lives(&mut agent, "its stack", WITHIN, || find(&cluster.rest(), "stacks", "in-the-end"));
}

#[test]
fn an_absent_membership_is_tried_again() {
    let cluster = TestCluster::start();
    let address = TestMembership::start().address();
    let agent = crate::support::agent::Invocation::agent(&address, &cluster.kubeconfig()).start();
    agent.says(WITHIN, &[&address]);
    let mut agent = agent;
    thread::sleep(Duration::from_millis(500));
    agent.lives();
}

#[test]
fn heartbeats_come_unasked_and_pings_are_answered_at_once() {
    let (cluster, membership) = (TestCluster::start(), TestMembership::start());
    let mut agent = cluster.agent(&membership).start();
    let joined = membership.joined(WITHIN);
    for _ in 0..10 {
        let took = joined.ping(Duration::from_secs(5));
        assert!(took < Duration::from_millis(500), "{took:?}");
    }
    let (before, start) = (joined.pongs(), now());
    while_it_lives(&mut agent, "two heartbeats", Duration::from_secs(20), || {
        (joined.pongs() >= before + 2).then_some(())
    });
    let took = start.elapsed();
    assert!(took > Duration::from_secs(4) && took < Duration::from_secs(12), "{took:?} for two of 5 s");
}

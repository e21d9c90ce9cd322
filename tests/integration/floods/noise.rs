//! Frames of an unknown type, and interim answers, as fast as they are taken.

use std::{thread, time::Duration};

use crate::support::{
    agent::{AgentProcess, Invocation, while_it_lives},
    api_server::RealApiServer,
    cluster::TestCluster,
    crds::Crds,
    kubeconfig,
    membership::{Joined, TestMembership},
    noisy::Noisy,
    now,
    orders::{StackExt, stack},
};

const WITHIN: Duration = Duration::from_secs(60);
/// How long each flood lasts.
const FLOOD: Duration = Duration::from_secs(10);
/// The longest that a Ping may go unanswered on a machine that does other things as well. What is
/// asked for is 6 s; some milliseconds are what it takes.
const GAP: Duration = Duration::from_secs(3);

/// Pings for a while; how often, and the longest wait for an answer.
fn pings(joined: &Joined, time: Duration) -> (u32, Duration) {
    let (start, mut longest, mut pings) = (now(), Duration::ZERO, 0);
    while start.elapsed() < time {
        longest = longest.max(joined.ping(WITHIN));
        pings += 1;
        thread::sleep(Duration::from_millis(2));
    }
    (pings, longest)
}

fn order(joined: &Joined, name: &str) {
    joined.order(stack(name).versions("v1").order());
}

fn agent_over_tls(cluster: &TestCluster, relay: &Noisy) -> AgentProcess {
    Invocation::agent(&relay.address(), &cluster.kubeconfig())
        .args(["--tls-enabled", "--kube-qps", "0", "--shards", "1", "--tls-ca-cert"])
        .arg(&relay.ca_pem)
        .start()
}

#[test]
fn an_api_server_that_floods_its_connections_holds_up_no_heartbeat_and_loses_them() {
    let Some(api_server) = RealApiServer::shared(Crds::Ours) else { return };
    for shards in ["1", "2", "4"] {
        let relay = Noisy::before_tls(&api_server.url);
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("kubeconfig");
        kubeconfig::write(&config, &relay.url(), Some(&relay.ca_pem), Some(api_server.token));
        let membership = TestMembership::start();
        let mut agent = Invocation::agent(&membership.address(), &config).args(["--shards", shards]).start();
        let joined = membership.joined(WITHIN);
        let [before, after] = ["before", "after"].map(|when| format!("{when}-{shards}"));
        let stands = |name: &str| {
            let path = format!("{}/stacks/{name}", crate::support::rest::GROUP_PATH);
            (api_server.rest().get(&path).status == 200).then_some(())
        };
        order(&joined, &before);
        while_it_lives(&mut agent, "the first stack", WITHIN, || stands(&before));

        relay.endless();
        let (number, gap) = pings(&joined, FLOOD);
        let (noise, connections) = (relay.sent() >> 20, relay.connections());
        println!(
            "{shards} shards: {number} pings, the longest took {gap:?}; {noise} MiB of noise, {connections} connections"
        );
        assert!(noise > 4, "{noise} MiB: no flood");
        assert!(gap < GAP, "{gap:?}");
        agent.says(WITHIN, &["a connection to the API server was closed", "frames that are no answer"]);

        relay.quiet();
        order(&joined, &after);
        while_it_lives(&mut agent, "the stack behind the flood", WITHIN, || stands(&after));
        assert_eq!(membership.joins(), 1);
    }
}

#[test]
fn a_membership_that_floods_its_stream_over_tls_holds_up_neither_its_pings_nor_its_orders() {
    let (cluster, membership) = (TestCluster::start(), TestMembership::start());
    let relay = Noisy::tls_before(&membership.address());
    let mut agent = agent_over_tls(&cluster, &relay);
    let joined = membership.joined(WITHIN);

    // A little less than what would cost it the connection.
    relay.noise(2 << 20);
    for index in 0..20 {
        order(&joined, &format!("flooded-{index}"));
    }
    let (number, gap) = pings(&joined, FLOOD);
    println!("{number} pings, the longest took {gap:?}; {} MiB of noise", relay.sent() >> 20);
    assert!(relay.sent() > 100 << 20, "{} bytes: no flood", relay.sent());
    assert!(gap < GAP, "{gap:?}");
    while_it_lives(&mut agent, "20 stacks", WITHIN, || (cluster.objects().len() == 20).then_some(()));
    assert_eq!(membership.joins(), 1, "the stream broke:\n{}", agent.log());
}

#[test]
fn a_membership_that_does_nothing_but_flood_is_cut_off_and_joined_again() {
    let (cluster, membership) = (TestCluster::start(), TestMembership::start());
    let relay = Noisy::tls_before(&membership.address());
    let mut agent = agent_over_tls(&cluster, &relay);
    let joined = membership.joined(WITHIN);
    order(&joined, "before");
    while_it_lives(&mut agent, "a stack", WITHIN, || (cluster.objects().len() == 1).then_some(()));

    relay.endless();
    agent.says(WITHIN, &["not joined", "frames that are no answer"]);
    relay.quiet();
    let joined = std::iter::from_fn(|| membership.try_joined(Duration::from_secs(10))).last();
    let joined = joined.expect("it joined again");
    order(&joined, "after");
    while_it_lives(&mut agent, "a stack", WITHIN, || (cluster.objects().len() == 2).then_some(()));
}

#[test]
fn interim_answers_without_end_hold_up_no_heartbeat_and_are_an_error() {
    let (cluster, membership) = (TestCluster::start(), TestMembership::start());
    let relay = Noisy::plain(cluster.address());
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("kubeconfig");
    kubeconfig::write(&config, &relay.url(), None, None);
    let mut agent = Invocation::agent(&membership.address(), &config).args(["--shards", "1"]).start();
    let joined = membership.joined(WITHIN);

    relay.endless();
    for index in 0..10 {
        order(&joined, &format!("interim-{index}"));
    }
    let (number, gap) = pings(&joined, FLOOD);
    println!("{number} pings, the longest took {gap:?}; {} KiB of noise", relay.sent() >> 10);
    assert!(gap < GAP, "{gap:?}");
    agent.says(WITHIN, &["interim answers (1xx)"]);
    relay.quiet();
    while_it_lives(&mut agent, "10 stacks", WITHIN, || (cluster.objects().len() == 10).then_some(()));
    assert_eq!(membership.joins(), 1);
}

//! Row 1 over real processes: the agent is killed again and again while orders keep coming.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::mpsc::{self, Receiver},
    thread,
    time::Duration,
};

use serde_json::json;

use crate::{
    faults::{
        fleet::Fleet,
        scene::{FaultScene, WITHIN, invocation, network},
    },
    support::{
        deeds::create,
        holdback::{Fired, Holdback, RequestFate},
        membership::{Joined, TestMembership},
        now,
        rest::{GROUP_PATH, Rest},
    },
};

/// Unless `FAULTS_SEED` says another one.
const SEED: u64 = 50;
const KILLS: usize = 55;
const STACKS: usize = 200;
const PREFIX: &str = "kill-";
const SENTINEL: &str = "kill-sentinel";

#[test]
fn row_01_killed_at_random_the_agent_ends_where_the_newest_orders_do() {
    let Some((rest, network)) = network() else { return };
    let seed = std::env::var("FAULTS_SEED").map_or(SEED, |seed| seed.parse().expect("a number"));
    println!("row 01: seed {seed}");
    let start = now();
    let deaths = ["stacks", "ledgers"].map(|plural| deaths(&rest, plural));
    let written = network.rule(usize::MAX, |request| request.method != "GET", RequestFate::Pass);
    let mut membership = TestMembership::start();
    let mut fleet = Fleet::new(PREFIX, STACKS, seed);
    let (mut sent, mut unjoined) = (0, 0);
    for round in 0..KILLS {
        let orders = one_life(&mut membership, &network, &mut fleet, &written, round);
        unjoined += usize::from(orders.is_none());
        sent += orders.unwrap_or_default();
    }
    // Nobody ever told it to stop: it has to be alive each time that it is killed.
    let agent = invocation(&membership.address(), &network);
    let mut scene = FaultScene::with(rest, network, membership, agent);
    fleet.replay().into_iter().for_each(|order| scene.order(order));
    let mut last = Vec::new();
    let ends = now();
    loop {
        let differences = fleet.differences(&scene.rest);
        scene.agent.lives();
        if differences.is_empty() {
            break;
        }
        last = differences;
        assert!(ends.elapsed() < WITHIN, "not as ordered: {last:#?}");
        thread::sleep(Duration::from_millis(100));
    }
    let writes = written.times();
    thread::sleep(Duration::from_secs(1));
    assert_eq!(written.times(), writes, "it goes on writing");
    let spec = json!({ "stack": SENTINEL });
    create(&scene.rest, "stacks", "Stack", SENTINEL, &json!({}));
    create(&scene.rest, "ledgers", "Ledger", SENTINEL, &spec);
    let [stacks, ledgers] = deaths.map(|deaths| deaths.recv_timeout(WITHIN).expect("the watch's end"));
    check_deaths(&fleet, &stacks, &ledgers);
    let gone: usize = stacks.values().map(BTreeSet::len).sum();
    println!(
        "row 01: seed {seed}, {KILLS} kills ({unjoined} before it had joined), {sent} orders beside the replays, {writes} writes, {gone} Stacks \
         deleted, {:?}; waited last for {}",
        start.elapsed(),
        last.first().map_or("nothing", String::as_str)
    );
}

/// An agent from its start to its death; how many orders it was sent beside the replay, `None` where
/// it did not live to join.
fn one_life(
    membership: &mut TestMembership,
    network: &Holdback,
    fleet: &mut Fleet,
    written: &Fired,
    round: usize,
) -> Option<usize> {
    let (start, before) = (now(), written.times());
    let mut agent = invocation(&membership.address(), network).start();
    // By turns at some moment, which may be before it has joined, and behind some write.
    let (moment, writes) = match round % 2 {
        0 => (Duration::from_millis(fleet.random().u64(20..1000)), usize::MAX),
        _ => (Duration::from_secs(3), fleet.random().usize(1..250)),
    };
    let (mut joined, mut sent): (Option<Joined>, _) = (None, 0);
    while start.elapsed() < moment && written.times() - before < writes {
        agent.lives();
        match &joined {
            None => {
                joined = membership.try_joined(Duration::from_millis(2));
                let replay = joined.as_ref().map(|joined| (joined, fleet.replay()));
                if let Some((joined, orders)) = replay {
                    orders.into_iter().for_each(|order| joined.order(order));
                }
            }
            Some(joined) => {
                joined.order(fleet.draw());
                sent += 1;
                thread::sleep(Duration::from_millis(2));
            }
        }
    }
    // SIGKILL, and waits until it is gone.
    drop(agent);
    // It may have joined in its last moment: that stream is nobody's.
    while membership.try_joined(Duration::ZERO).is_some() {}
    joined.map(|_| sent)
}

/// Which objects of the fleet die from now on, by name and uid; told once the sentinel is there.
fn deaths(rest: &Rest, plural: &'static str) -> Receiver<BTreeMap<String, BTreeSet<String>>> {
    let list = rest.get(&format!("{GROUP_PATH}/{plural}")).expect(200);
    let version = list.json["metadata"]["resourceVersion"].as_str().expect("a version").to_owned();
    let (tell, told) = mpsc::channel();
    let watch = rest.watch(plural, &format!("resourceVersion={version}&timeoutSeconds=600"));
    thread::spawn(move || {
        let mut deaths: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for event in watch {
            let metadata = &event["object"]["metadata"];
            let text = |field: &str| metadata[field].as_str().unwrap_or_default().to_owned();
            let name = text("name");
            if event["type"] == "DELETED" && name.starts_with(PREFIX) {
                deaths.entry(name).or_default().insert(text("uid"));
            } else if name == SENTINEL {
                break;
            }
        }
        let _ = tell.send(deaths);
    });
    told
}

/// No object died that no order deleted, and none more often than it was ordered.
fn check_deaths(
    fleet: &Fleet,
    stacks: &BTreeMap<String, BTreeSet<String>>,
    ledgers: &BTreeMap<String, BTreeSet<String>>,
) {
    for (name, uids) in stacks.iter().chain(ledgers) {
        assert!(!fleet.is_kept(name), "{name} was deleted, and no order said so: {uids:?}");
    }
    assert!(!stacks.is_empty(), "nothing was deleted at all");
    for (name, uids) in stacks {
        let ordered = fleet.deletions.get(name).copied().unwrap_or_default();
        assert!(uids.len() <= ordered, "{name} died {} times, ordered were {ordered}", uids.len());
    }
}

//! Row 13: one stack at ten thousand orders a second, while others trickle.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::mpsc::{self, Receiver},
    thread,
    time::{Duration, Instant},
};

use stackherd::embedded::{
    faults::{FaultScript, InjectedFault, RequestInfo},
    server::ServerOptions,
};

use crate::{
    faults::scene::WITHIN,
    support::{
        agent::while_it_lives,
        cluster::TestCluster,
        membership::{Joined, TestMembership},
        now,
        orders::{StackExt, stack},
    },
};

const HOT: &str = "hot-stack";
const OTHERS: usize = 200;
/// A second; a little more, so that what is measured is not less.
const PACE: f64 = 10_400.0;
const LEAST: f64 = 10_000.0;
const LASTS: Duration = Duration::from_secs(10);
/// Between two orders for others.
const TRICKLE: Duration = Duration::from_millis(40);
const QUEUED: Duration = Duration::from_secs(1);

/// A write to a Stack, as it reached the API server.
struct Written {
    at: Instant,
    stack: String,
    versions: String,
}

/// Tells of every write to a Stack.
fn listening() -> (FaultScript, Receiver<Written>) {
    let (tell, told) = mpsc::channel();
    let script = move |call: &RequestInfo<'_>| {
        if call.writes() && call.plural == "stacks" {
            let versions = call.body["spec"]["versionsFromFile"].as_str().unwrap_or_default().to_owned();
            let _ = tell.send(Written { at: now(), stack: call.name.to_owned(), versions });
        }
        InjectedFault::None
    };
    (Box::new(script), told)
}

#[test]
fn row_13_one_stack_at_ten_thousand_orders_a_second_does_not_hold_up_the_others() {
    let (script, told) = listening();
    let cluster = TestCluster::with(ServerOptions { script: Some(script), ..ServerOptions::default() });
    let membership = TestMembership::start();
    let mut agent = cluster.agent(&membership).args(["--shards", "2"]).start();
    let joined = membership.joined(WITHIN);
    agent.says(WITHIN, &["orders are taken up"]);
    for index in 0..OTHERS {
        joined.order(stack(&other(index)).versions("v0").order());
    }
    while_it_lives(&mut agent, "the others are there", WITHIN, || {
        (cluster.objects().len() == OTHERS).then_some(())
    });
    // The limiter has saved up again what this took.
    thread::sleep(Duration::from_secs(2));
    told.try_iter().for_each(drop);

    let start = now();
    let (hot, trickled) = storm(&joined, start);
    joined.pings(1, WITHIN);
    let took = start.elapsed();
    let rate = hot as f64 / took.as_secs_f64();
    let last = format!("v{}", hot - 1);
    while_it_lives(&mut agent, "the hot stack is at its last order", WITHIN, || {
        let objects = cluster.objects();
        (objects[&format!("stacks/{HOT}")]["spec"]["versionsFromFile"] == *last).then_some(())
    });
    let ended = start.elapsed() - took;
    let written: Vec<Written> = told.try_iter().collect();
    let mut queued = queueing(&trickled, &written);
    queued.sort_unstable();
    let at = |share: usize| queued[(queued.len() - 1) * share / 100];
    let (writes, lag) = converging(&written, start, hot, took);
    println!(
        "row 13: {hot} orders for one stack taken in within {took:?}: {rate:.0}/s; {} for others, first write \
         after p50 {:?}, p99 {:?}, at most {:?}; the hot one was written {writes} times, {lag} orders behind \
         at most; it ended right {ended:?} after the storm; CPU {:?}, {} KiB",
        queued.len(),
        at(50),
        at(99),
        at(100),
        agent.cpu_time(),
        agent.peak_memory() >> 10
    );
    assert!(rate >= LEAST, "only {rate:.0} orders a second");
    assert!(at(99) < QUEUED, "p99 {:?}", at(99));
    assert_eq!(membership.joins(), 1, "the stream broke");
}

fn other(index: usize) -> String {
    format!("trickle-{index:03}")
}

/// Sends all that is to be sent; how many orders for the hot stack, and when each other was sent.
fn storm(joined: &Joined, start: Instant) -> (usize, BTreeMap<String, Instant>) {
    let (mut hot, mut trickled) = (0, BTreeMap::new());
    while start.elapsed() < LASTS {
        let due = (start.elapsed().as_secs_f64() * PACE) as usize;
        for number in hot..due {
            joined.order(stack(HOT).versions(&format!("v{number}")).order());
        }
        hot = hot.max(due);
        if start.elapsed() >= TRICKLE * (u32::try_from(trickled.len()).expect("a few") + 1) {
            // Each has one order, and then its second, third: all are told apart by what they say.
            let (index, versions) = (trickled.len() % OTHERS, format!("t{}", trickled.len()));
            trickled.insert(versions.clone(), now());
            joined.order(stack(&other(index)).versions(&versions).order());
        }
        thread::sleep(Duration::from_millis(1));
    }
    (hot, trickled)
}

/// How long each order for others took until its first write reached the API server.
#[track_caller]
fn queueing(trickled: &BTreeMap<String, Instant>, written: &[Written]) -> Vec<Duration> {
    let mut first: BTreeMap<&str, Instant> = BTreeMap::new();
    for write in written.iter().filter(|write| write.stack != HOT) {
        first.entry(&write.versions).or_insert(write.at);
    }
    let took = |(versions, sent): (&String, &Instant)| {
        let at = first.get(versions.as_str());
        at.unwrap_or_else(|| panic!("{versions} was never written")).duration_since(*sent)
    };
    trickled.iter().map(took).collect()
}

/// The hot stack's content follows its orders while the storm lasts: it is written in each of its
/// seconds, never goes back, and is never far behind. How often it was written, and how far behind.
#[track_caller]
fn converging(written: &[Written], start: Instant, hot: usize, took: Duration) -> (usize, usize) {
    let (mut last, mut behind, mut writes) = (0, 0, 0);
    let mut seconds = BTreeSet::new();
    for write in written.iter().filter(|write| write.stack == HOT) {
        let number: usize = write.versions.trim_start_matches('v').parse().expect("a number");
        assert!(writes == 0 || number > last, "v{number} was written after v{last}");
        let at = write.at.duration_since(start);
        let sent = ((at.as_secs_f64() * PACE) as usize).min(hot);
        behind = behind.max(sent.saturating_sub(number));
        seconds.insert(at.as_secs());
        (last, writes) = (number, writes + 1);
    }
    for second in 0..LASTS.min(took).as_secs() {
        assert!(seconds.contains(&second), "the hot stack was not written in second {second}");
    }
    assert!(behind < PACE as usize * 2, "the hot stack was {behind} orders behind");
    (writes, behind)
}

//! Row 14: an API server that wants to be left alone, and one that is away.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use serde_json::json;

use crate::{
    faults::{
        form::fleet,
        scene::{FaultScene, WITHIN},
    },
    support::{
        deeds::set_status,
        holdback::RequestFate,
        now,
        orders::{StackExt, stack},
    },
};

const PREFIX: &str = "r14-";
const STACKS: usize = 60;
const QPS: usize = 40;
const BURST: usize = 20;
const SHARDS: usize = 2;
/// Requests may be seen closer together than they were sent: the machine is shared.
const SLACK: usize = 10;
/// While there is no connection, requests that have their permit wait for one: on each shard no more
/// than it may have connections. They go out together when there is one.
const WAITING: usize = SHARDS * 16;
const BUSY: Duration = Duration::from_secs(11);
const AWAY: Duration = Duration::from_secs(3);

#[test]
fn row_14_a_server_that_is_overloaded_or_away_is_left_alone_and_then_all_is_made_up_for() {
    let flags = [["--kube-qps", "40"], ["--kube-burst", "20"], ["--shards", "2"]].concat();
    let Some(mut scene) = FaultScene::set(&flags) else { return };
    ordered(&mut scene, "v1");

    let busy = Arc::new(AtomicBool::new(true));
    let is = Arc::clone(&busy);
    let answer = RequestFate::status(429, "TooManyRequests", Some(5));
    let refused = scene.network.rule(usize::MAX, move |_| is.load(Ordering::Acquire), answer);
    let began = now();
    scene.network.cut();
    order(&scene, "v2");
    thread::sleep(BUSY);
    let (asked, ended) = (refused.times(), now());
    busy.store(false, Ordering::Release);
    until_all(&mut scene, "v2");
    let recovered = ended.elapsed();
    assert!(asked > 0, "nobody was refused");
    // After an answer, a shard waits for 5 s, a watch too: two or three times each.
    assert!(asked <= 3 * (SHARDS * 20 + 15), "{asked} requests within {BUSY:?} of Retry-After 5");

    let away = now();
    scene.network.refuse();
    order(&scene, "v3");
    thread::sleep(AWAY);
    scene.network.restore();
    scene.network.sever();
    thread::sleep(AWAY);
    let tried = scene.network.turned_away();
    let back = now();
    scene.network.restore();
    until_all(&mut scene, "v3");
    let returned = back.elapsed();
    assert!(!tried.is_empty(), "nobody tried");
    assert!(tried.len() <= QPS * 3, "{} connections were tried within {AWAY:?}", tried.len());
    let name = format!("{PREFIX}00");
    set_status(&scene.rest, "stacks", &name, &json!({"ready": true}));
    scene.until_told(&name, &json!({"ready": true}), WITHIN);

    let log = scene.network.log();
    let all: Vec<Instant> = log.iter().map(|seen| seen.at).collect();
    let before: Vec<Instant> = all.iter().copied().filter(|at| *at < away).collect();
    limited(&before, SLACK);
    limited(&all, WAITING + SLACK);
    let most = densest(&all, Duration::from_secs(1));
    let tenth = Duration::from_millis(100);
    // The watches that were cut come back at once, and are turned down; those who come after that
    // were told when.
    let told = began + Duration::from_secs(2);
    let (after, then): (Vec<Instant>, Vec<Instant>) =
        all.iter().filter(|at| **at > told).partition(|at| **at < away);
    let [busy, then] = [after, then].map(|times| densest(&times, tenth));
    println!(
        "row 14: {asked} requests were told to come back in 5 s; recovered within {recovered:?}; {} connections \
         tried while away; recovered within {returned:?}; at most {most} requests in a second ({QPS}/s and a \
         burst of {BURST} allowed); in a tenth of a second at most {busy} behind Retry-After, {then} behind an absence",
        tried.len()
    );
    // Each shard begins with one, and goes on at its rate; watches have a rhythm of their own.
    assert!(busy <= SHARDS + QPS / 10 + SLACK / 2, "{busy} came back together");
    assert!(then <= WAITING + QPS / 10 + SLACK / 2, "{then} came back together");
}

fn order(scene: &FaultScene, versions: &str) {
    for index in 0..STACKS {
        scene.order(stack(&format!("{PREFIX}{index:02}")).versions(versions).modules(&["ledger"]).order());
    }
}

#[track_caller]
fn ordered(scene: &mut FaultScene, versions: &str) {
    order(scene, versions);
    until_all(scene, versions);
}

#[track_caller]
fn until_all(scene: &mut FaultScene, versions: &str) {
    scene.until(&format!("all are at {versions}"), |rest| {
        let fleet = fleet(rest, PREFIX);
        let is = |(name, objects): (&String, &std::collections::BTreeMap<String, serde_json::Value>)| {
            let stack = objects.get(&format!("stacks/{name}"));
            objects.len() == 2 && stack.is_some_and(|it| it["spec"]["versionsFromFile"] == versions)
        };
        (fleet.len() == STACKS && fleet.iter().all(is)).then_some(())
    });
}

/// Between any two requests there were no more than the limiter allows, but for so many.
#[track_caller]
fn limited(all: &[Instant], slack: usize) {
    for (from, first) in all.iter().enumerate() {
        for (to, last) in all.iter().enumerate().skip(from) {
            let (count, time) = (to - from + 1, last.duration_since(*first).as_secs_f64());
            let allowed = (BURST + slack) as f64 + QPS as f64 * time;
            assert!(count as f64 <= allowed, "{count} requests within {time:.3} s");
        }
    }
}

/// The most of them within this time.
fn densest(all: &[Instant], time: Duration) -> usize {
    let within = |(from, first): (usize, &Instant)| {
        all[from..].iter().take_while(|at| at.duration_since(*first) < time).count()
    };
    all.iter().enumerate().map(within).max().unwrap_or_default()
}

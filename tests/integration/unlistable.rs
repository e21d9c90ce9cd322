//! One module kind whose LIST keeps failing, for ever and from the start, on a real API server.
//!
//! It measures how long things take.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use serde_json::Value;

use crate::{
    faults::scene::{FaultScene, network},
    support::{
        eventually,
        holdback::RequestFate,
        machine, now,
        orders::{StackExt, stack},
        rest::{GROUP_PATH, Rest},
    },
};

const STACKS: usize = 500;
const WITH: usize = 20;
const WITHIN: Duration = Duration::from_secs(180);
/// A pace that a busy machine keeps up with: it is the limiter that is measured.
const FLAGS: [&str; 8] =
    ["--kube-qps", "100", "--kube-burst", "20", "--shards", "2", "--kube-request-timeout", "10s"];

/// Names of a kind that begin so.
fn count(rest: &Rest, plural: &str, prefix: &str) -> usize {
    let list = rest.get(&format!("{GROUP_PATH}/{plural}")).expect(200).json;
    let named =
        |item: &&Value| item["metadata"]["name"].as_str().is_some_and(|name| name.starts_with(prefix));
    list["items"].as_array().expect("a list").iter().filter(named).count()
}

/// How long 500 stacks with a ledger take.
fn made(scene: &FaultScene, prefix: &str) -> Duration {
    let begun = now();
    for index in 0..STACKS {
        scene.order(stack(&format!("{prefix}{index:03}")).modules(&["ledger"]).order());
    }
    eventually("all stacks have their ledgers", WITHIN, || {
        std::thread::sleep(Duration::from_millis(200));
        (count(&scene.rest, "ledgers", prefix) == STACKS).then_some(())
    });
    begun.elapsed()
}

#[test]
fn stacks_without_a_kind_that_cannot_be_listed_are_made_as_fast_as_ever() {
    let _machine = machine::alone();
    let Some(mut well) = FaultScene::set(&FLAGS) else { return };
    let usual = made(&well, "well-");
    well.agent.terminate();
    eventually("the first agent is gone", WITHIN, || well.agent.ended());

    let Some((rest, network)) = network() else { return };
    let failing = Arc::new(AtomicBool::new(true));
    let is = Arc::clone(&failing);
    let answer = RequestFate::status(500, "InternalError", None);
    let failed = network.rule(
        usize::MAX,
        move |request| is.load(Ordering::Acquire) && request.lists("payments"),
        answer,
    );
    let begun = now();
    let mut scene = FaultScene::on(rest, network, &FLAGS);
    let ready = begun.elapsed();
    for index in 0..WITH {
        let order = stack(&format!("with-{index:02}")).modules(&["ledger", "payments", "gateway"]);
        scene.order(order.client("web", true).order());
    }
    let took = made(&scene, "without-");
    scene.until("those with it have all their other objects", |rest| {
        let plurals = ["stacks", "ledgers", "gateways", "authclients"];
        plurals.iter().all(|plural| count(rest, plural, "with-") == WITH).then_some(())
    });
    assert_eq!(count(&scene.rest, "payments", "with-"), 0);
    let out = scene.agent.says(WITHIN, &["out of play", "payments", "500"]);
    let orders = scene.agent.says(WITHIN, &["run again", "payments", "orders="]);
    println!(
        "{STACKS} stacks in {usual:?}, and in {took:?} beside a kind that cannot be listed ({} attempts, orders \
         taken up after {ready:?})\n{out}\n{orders}",
        failed.times()
    );
    assert!(failed.times() > 3);
    assert!(took.as_secs_f64() <= usual.as_secs_f64() * 1.5, "{took:?} instead of {usual:?}");
    assert_eq!(scene.agent.lines(&["out of play"]).len(), 1, "said once");

    failing.store(false, Ordering::Release);
    let joins = scene.membership.joins();
    scene.until("it comes in as soon as it lists", |rest| {
        (count(rest, "payments", "with-") == WITH).then_some(())
    });
    scene.agent.says(WITHIN, &["in play", "payments", "after="]);
    eventually("membership is joined anew", WITHIN, || (scene.membership.joins() > joins).then_some(()));
}

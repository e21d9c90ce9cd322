//! Row 12: a stream of orders that breaks in the middle of a message, is replayed with duplicates, or
//! is a storm.

use std::time::Duration;

use serde_json::Value;

use crate::{
    faults::{
        fleet::Fleet,
        scene::{FaultScene, WITHIN, invocation, network},
    },
    support::{
        membership::TestMembership,
        now,
        objects::find,
        orders::{StackExt, deleted, stack},
        relay::Relay,
    },
};

const SEED: u64 = 12;
/// An agent whose stream breaks comes back ever more slowly: after a few breaks a new one is begun.
const BREAKS: usize = 5;
const AGENTS: usize = 3;
/// What deployments give it.
const MEMORY: u64 = 128 << 20;

#[test]
fn row_12_a_stream_that_breaks_inside_of_messages_ends_at_each_stacks_last_order() {
    let start = now();
    let (mut breaks, mut orders) = (0, 0);
    let mut fleet = Fleet::new("r12-cut-", 30, SEED);
    for _ in 0..AGENTS {
        let Some((rest, network)) = network() else { return };
        let membership = TestMembership::start();
        let relay = Relay::before(&membership.address());
        let agent = invocation(&relay.address(), &network);
        let mut scene = FaultScene::with(rest, network, membership, agent);
        for round in 0..=BREAKS {
            // What is sent in a round is 10 KB or so; the last round is whole.
            if round < BREAKS {
                relay.cut_after(fleet.random().usize(..8_000));
            }
            for order in fleet.replay() {
                scene.order(order.clone());
                // A duplicate now and then.
                if fleet.random().bool() {
                    scene.order(order);
                }
                orders += 1;
            }
            for _ in 0..150 {
                scene.order(fleet.draw());
                orders += 1;
            }
            if round < BREAKS {
                scene.joined.ended(WITHIN);
                scene.joined = scene.membership.joined(WITHIN);
            }
        }
        assert_eq!(relay.cuts(), BREAKS, "the stream was not cut");
        breaks += relay.cuts();
        scene.until("the last order of each stack stands", |rest| {
            let differences = fleet.differences(rest);
            differences.is_empty().then_some(())
        });
    }
    println!("row 12: {breaks} breaks inside of messages, {orders} orders, {:?}", start.elapsed());
}

#[test]
fn row_12_a_message_of_which_only_a_part_came_is_no_order() {
    let Some(mut scene) = FaultScene::set(&[]) else { return };
    let name = "r12-torn";
    scene.order(stack(name).versions("v1").order());
    scene.until_object("stacks", name, |it| it["spec"]["versionsFromFile"] == "v1");
    // All of it but the last byte, whole frames, and the connection ends.
    scene.joined.torn(deleted(name));
    let before = scene.membership.joins();
    scene.joined.ended(WITHIN);
    scene.joined = scene.membership.joined(WITHIN);
    assert!(scene.membership.joins() > before, "it came back");
    scene.joined.pings(1, WITHIN);
    let stack = find(&scene.rest, "stacks", name);
    assert!(stack.is_some_and(|it| it["metadata"]["deletionTimestamp"].is_null()), "it was deleted");
    println!("row 12: a torn DeletedStack deleted nothing");
}

#[test]
fn row_12_a_storm_of_existing_and_deleted_ends_at_each_stacks_last_order_in_little_memory() {
    const STACKS: usize = 20;
    const ROUNDS: usize = 1000;
    let Some(mut scene) = FaultScene::set(&[]) else { return };
    let (name, start) = (|index: usize| format!("r12-storm-{index:02}"), now());
    for round in 0..ROUNDS {
        for index in 0..STACKS {
            let order = stack(&name(index)).versions(&format!("v{round}"));
            scene.order(order.clone().order());
            scene.order(deleted(&name(index)));
            // The last word is a deletion for half of them.
            if round + 1 < ROUNDS || index % 2 == 0 {
                scene.order(order.order());
            }
        }
    }
    scene.joined.pings(1, WITHIN);
    let last = format!("v{}", ROUNDS - 1);
    for index in 0..STACKS {
        let shall = |it: &Value| match index % 2 {
            0 => it["spec"]["versionsFromFile"] == *last,
            _ => it.is_null(),
        };
        scene.until_object("stacks", &name(index), shall);
    }
    // And so it stays.
    let writes = scene.network.writes();
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(scene.network.writes(), writes, "it goes on writing");
    let peak = scene.agent.peak_memory();
    assert!(peak < MEMORY, "{} KiB", peak >> 10);
    let orders = 3 * ROUNDS * STACKS - STACKS / 2;
    println!("row 12: {orders} orders, {writes} writes, {} KiB at most, {:?}", peak >> 10, start.elapsed());
}

//! Row 4: events and answers out of step with each other.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use serde_json::Value;

use crate::{
    faults::scene::{FaultScene, WITHIN, network},
    support::{
        holdback::{Http1Request, LineFate, RequestFate},
        orders::{StackExt, stack},
    },
};

/// How late events come: later than several orders and their answers.
const LATE: Duration = Duration::from_millis(700);
const KINDS: [&str; 3] = ["stacks", "ledgers", "gateways"];

#[test]
fn row_04_events_that_come_late_bring_no_second_create_and_nothing_older_back() {
    let Some((rest, network)) = network() else { return };
    let name = "r04-late";
    let late = Arc::new(AtomicUsize::new(0));
    for plural in KINDS {
        let count = Arc::clone(&late);
        let slow = RequestFate::lines(move |line| {
            if line.contains("\"name\":\"r04-late\"") {
                thread::sleep(LATE);
                count.fetch_add(1, Ordering::AcqRel);
            }
            LineFate::Pass
        });
        network.rule(usize::MAX, move |request: &Http1Request| request.watches(plural), slow);
    }
    let mut scene = FaultScene::on(rest, network, &[]);
    const LAST: usize = 6;
    for version in 0..=LAST {
        let order = stack(name).versions(&format!("v{version}")).modules(&["ledger", "gateway"]);
        scene.order(order.label("which", &version.to_string()).order());
        let said = format!("v{version}");
        scene.until_object("stacks", name, |it| it["spec"]["versionsFromFile"] == *said);
        let said = version.to_string();
        for plural in ["ledgers", "gateways"] {
            scene.until_object(plural, name, |it| it["metadata"]["labels"]["formance.com/which"] == *said);
        }
    }
    let writes = scene.network.writes();
    // Every event of what was written has come by then; none of them is answered by a write.
    let events = KINDS.len() * (LAST + 1);
    scene.until("the last event has come", |_| (late.load(Ordering::Acquire) >= events).then_some(()));
    scene.joined.ping(WITHIN);
    let last = format!("v{LAST}");
    scene.until_object("stacks", name, |it| it["spec"]["versionsFromFile"] == *last);
    assert_eq!(scene.network.writes(), writes, "late events brought writes");
    let made = scene.network.log().iter().filter(|seen| seen.request.method == "POST").count();
    assert_eq!((made, writes), (KINDS.len(), events), "one create for each object, one update an order");
    println!("row 04: {events} events late by {LATE:?} and more, {made} creates, {writes} writes");
}

#[test]
fn row_04_writes_that_arrive_in_reverse_order_make_the_same_stack() {
    let Some(mut scene) = FaultScene::set(&["--shards", "1"]) else { return };
    let name = "r04-reverse";
    let kinds = ["ledgers", "payments", "wallets"];
    let held = kinds.map(|plural| {
        let path = format!("/{plural}");
        scene.network.hold(move |request| request.is("POST", &path) && request.is_about(name))
    });
    scene.order(stack(name).modules(&["ledger", "payments", "wallets"]).order());
    let arrived = held.map(|held| held.arrived(WITHIN));
    let statuses: Vec<u16> = arrived.into_iter().rev().map(|late| late.release()).collect();
    assert_eq!(statuses, [201; 3]);
    for plural in kinds {
        scene.until_object(plural, name, Value::is_object);
    }
    scene.joined.ping(WITHIN);
    let made = scene.network.log().iter().filter(|seen| seen.status == Some(201)).count();
    assert_eq!(made, 1 + kinds.len());
    println!("row 04: {} creates delivered in reverse", kinds.len());
}

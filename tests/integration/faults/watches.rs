//! Row 18: watches and lists that do not go as the protocol has it. Whatever happens, membership is
//! told of a change that was made behind it, within a bound.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use serde_json::{Value, json};

use crate::{
    faults::scene::{FaultScene, network},
    support::{
        deeds::{create, delete, set_status},
        holdback::{Holdback, Http1Request, LineFate, RequestFate},
        now,
    },
};

/// A fault in a watch is made up for sooner than this: after a few steps of a backoff at most.
const BOUND: Duration = Duration::from_secs(15);

/// What happens to a line of a watch.
type LineFault = fn(&str) -> LineFate;

/// The next line that tells of this change meets this fault: one strike after the other.
struct Strike {
    /// What the line has in it.
    marks: Vec<String>,
    fault: LineFault,
}

/// Sends all watches of Stacks through these strikes, and counts those that were made.
fn strike(network: &Holdback, strikes: Vec<Strike>) -> Arc<AtomicUsize> {
    let made = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&made);
    let fate = RequestFate::lines(move |line| {
        let at = count.load(Ordering::Acquire);
        let next = strikes.get(at);
        let struck = next.filter(|strike| strike.marks.iter().all(|mark| line.contains(mark)));
        // Two watches may see the same line.
        let mine =
            |_: &&Strike| count.compare_exchange(at, at + 1, Ordering::AcqRel, Ordering::Acquire).is_ok();
        struck.filter(mine).map_or(LineFate::Pass, |strike| (strike.fault)(line))
    });
    network.rule(usize::MAX, |request: &Http1Request| request.watches("stacks"), fate);
    made
}

/// Each fault strikes a change of a status, and then a deletion: both are told in spite of it. Each
/// meets an agent of its own, since one that had several faults takes its time.
fn told_in_spite_of(prefix: &str, faults: &[LineFault]) {
    let slowest = faults.iter().enumerate().map(|(index, &fault)| {
        let name = format!("{prefix}-{index}");
        told_in_spite_of_one(&name, fault)
    });
    let Some(slowest) = slowest.max().flatten() else { return };
    println!("row 18: {prefix}: {} lines struck, told after {slowest:?} at most", 2 * faults.len());
}

/// The longest that it took until something was told; `None` where there is no server.
fn told_in_spite_of_one(name: &str, fault: LineFault) -> Option<Duration> {
    let (rest, network) = network()?;
    let named = format!("\"name\":\"{name}\"");
    let struck = Strike { marks: vec![named.clone(), "\"info\":\"struck\"".into()], fault };
    let deleted = Strike { marks: vec![named, "\"DELETED\"".into()], fault };
    let made = strike(&network, vec![struck, deleted]);
    let mut scene = FaultScene::on(rest, network, &["--shards", "1"]);
    create(&scene.rest, "stacks", "Stack", name, &json!({}));
    set_status(&scene.rest, "stacks", name, &json!({"ready": true}));
    scene.until_told(name, &json!({"ready": true}), BOUND);
    let start = now();
    set_status(&scene.rest, "stacks", name, &json!({"ready": true, "info": "struck"}));
    scene.until_told(name, &json!({"ready": true, "info": "struck"}), BOUND);
    let slowest = start.elapsed();
    assert_eq!(made.load(Ordering::Acquire), 1, "{name}: the change was not struck");
    let start = now();
    delete(&scene.rest, "stacks", name);
    scene.until_told(name, &Value::Null, BOUND);
    assert_eq!(made.load(Ordering::Acquire), 2, "{name}: the deletion was not struck");
    Some(slowest.max(start.elapsed()))
}

fn cut(line: &str, at: usize) -> LineFate {
    assert!(at <= line.len());
    LineFate::Cut(at)
}

#[test]
fn row_18_a_watch_that_is_cut_in_the_middle_of_a_line_goes_on() {
    told_in_spite_of(
        "r18-cut",
        &[
            |line| cut(line, 0),
            |line| cut(line, 1),
            |line| cut(line, line.len() / 2),
            |line| cut(line, line.len() - 1),
            // Whole but for its end.
            |line| cut(line, line.len()),
        ],
    );
}

#[test]
fn row_18_a_line_that_is_no_event_is_followed_by_a_fresh_list() {
    told_in_spite_of(
        "r18-torn",
        &[
            |line| LineFate::Instead(format!("{}\n", &line[..line.len() / 2])),
            |line| LineFate::Instead(format!("{}\n", &line[..line.len() - 1])),
            |_| LineFate::Instead("\u{0}\u{1}\n".into()),
            |_| LineFate::Instead("{}\n".into()),
        ],
    );
}

#[test]
fn row_18_an_event_of_an_unknown_type_is_followed_by_a_fresh_list() {
    told_in_spite_of(
        "r18-type",
        &[
            |line| LineFate::Instead(format!("{}\n", retyped(line, "SHUFFLED"))),
            // An error that is none of those that servers send.
            |_| LineFate::Instead("{\"type\":\"ERROR\",\"object\":null}\n".into()),
            |_| LineFate::Instead(format!("{}\n", json!({"type": "ERROR", "object": {"code": 410}}))),
        ],
    );
}

fn retyped(line: &str, to: &str) -> String {
    let line = line.replacen("\"type\":\"MODIFIED\"", &format!("\"type\":\"{to}\""), 1);
    line.replacen("\"type\":\"DELETED\"", &format!("\"type\":\"{to}\""), 1)
}

#[test]
fn row_18_a_list_whose_token_expires_between_pages_begins_anew() {
    const MANY: usize = 7;
    let Some((rest, network)) = network() else { return };
    let names: Vec<String> = (0..MANY).map(|index| format!("r18-page-{index}")).collect();
    for name in &names {
        create(&rest, "wallets", "Wallets", name, &json!({ "stack": name }));
        set_status(&rest, "wallets", name, &json!({"ready": true}));
    }
    let small = |request: &Http1Request| request.path.replace("limit=500", "limit=2");
    network.rule(usize::MAX, |request| request.lists("wallets"), RequestFate::elsewhere(small));
    let further = |request: &Http1Request| request.lists("wallets") && request.path.contains("continue=");
    // At the second page of the first list, and at the third page of the next.
    let expired =
        [0, 2].map(|before| network.rule_at(before, further, RequestFate::status(410, "Expired", None)));
    let mut scene = FaultScene::on(rest, network, &["--shards", "1"]);
    for name in &names {
        scene.until_module_told("Wallets", name, &json!({"ready": true}), BOUND);
    }
    assert_eq!(expired.map(|fired| fired.times()), [1, 1]);
    let pages = scene.network.seen().iter().filter(|request| request.lists("wallets")).count();
    assert!(pages >= 2 + 3 + 4, "{pages} pages of two");
    for name in &names {
        delete(&scene.rest, "wallets", name);
        scene.until_module_told("Wallets", name, &Value::Null, BOUND);
    }
    println!("row 18: 2 tokens expired, {pages} pages asked for");
}

#[test]
fn row_18_a_list_that_is_cut_off_or_swallowed_or_trickles_is_asked_for_again() {
    let Some((rest, network)) = network() else { return };
    let name = "r18-list";
    create(&rest, "webhooks", "Webhooks", name, &json!({ "stack": name }));
    set_status(&rest, "webhooks", name, &json!({"ready": true}));
    let fates = [RequestFate::Cut(40), RequestFate::Swallow, RequestFate::Throttle(100), RequestFate::Cut(0)];
    let lists = |request: &Http1Request| request.lists("webhooks");
    let fired: Vec<_> =
        fates.iter().enumerate().map(|(at, fate)| network.rule_at(at, lists, fate.clone())).collect();
    let start = now();
    let mut scene = FaultScene::on(rest, network, &["--shards", "1"]);
    scene.until_module_told("Webhooks", name, &json!({"ready": true}), BOUND);
    assert!(fired.iter().all(|fired| fired.times() == 1), "a fault never fired");
    delete(&scene.rest, "webhooks", name);
    scene.until_module_told("Webhooks", name, &Value::Null, BOUND);
    println!("row 18: {} lists failed in a row, made up for after {:?}", fates.len(), start.elapsed());
}

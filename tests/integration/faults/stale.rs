//! Row 3: a stack is deleted and made again under the same name while the agent is down, and what the
//! returning agent is shown is old for a while.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use serde_json::{Value, json};

use crate::{
    faults::scene::{FaultScene, invocation, uid, version},
    support::{
        deeds::delete,
        holdback::{Fired, RequestFate},
        membership::TestMembership,
        objects::{KINDS, find, get, path},
        orders::{StackExt, stack},
        rest::{GROUP_PATH, Rest},
    },
};

/// How long the old view is shown after the agent began to act on it.
const STALE: Duration = Duration::from_secs(2);

#[test]
fn row_03_a_view_that_is_old_in_whole_changes_nothing_on_what_was_made_anew() {
    made_anew("r03-whole", |_| true);
}

#[test]
fn row_03_a_view_whose_stacks_are_old_changes_nothing_on_what_was_made_anew() {
    made_anew("r03-stacks", |plural| plural == "stacks");
}

#[test]
fn row_03_a_view_whose_modules_are_old_changes_nothing_on_what_was_made_anew() {
    made_anew("r03-modules", |plural| plural != "stacks");
}

/// Three stacks: one that is made anew just as the order says, one that is not, and one that has no
/// module yet, the first of which is ordered while the view is old.
fn made_anew(prefix: &str, is_old: impl Fn(&str) -> bool) {
    let Some(mut scene) = FaultScene::set(&["--shards", "1"]) else { return };
    let [same, other, bare] = ["same", "other", "bare"].map(|what| format!("{prefix}-{what}"));
    let order = |name: &str, versions: &str| stack(name).versions(versions).modules(&["ledger"]).order();
    scene.order(stack(&bare).versions("v1").order());
    scene.until_object("stacks", &bare, Value::is_object);
    for name in [&same, &other] {
        scene.order(order(name, "v1"));
        scene.until_object("ledgers", name, Value::is_object);
    }
    let old = lists(&scene.rest);
    let FaultScene { rest, network, agent, .. } = scene;
    // SIGKILL.
    drop(agent);
    let before = [&same, &other, &bare].map(|name| uid(&get(&rest, "stacks", name)));
    again(&rest, &same, "v1");
    again(&rest, &other, "v0");
    again(&rest, &bare, "v1");
    let anew: BTreeMap<String, Value> = found(&rest, &[&same, &other, &bare]);
    assert!(anew.values().all(|object| !before.contains(&uid(object))), "all are new");

    let stale = Arc::new(AtomicBool::new(true));
    let mut shown = Vec::new();
    for (plural, body) in old.into_iter().filter(|(plural, _)| is_old(plural)) {
        let is = Arc::clone(&stale);
        let list = RequestFate::Answer { status: 200, retry_after: None, body };
        let when = move |request: &crate::support::holdback::Http1Request| {
            is.load(Ordering::Acquire) && request.lists(plural)
        };
        shown.push(network.rule(usize::MAX, when, list));
        let is = Arc::clone(&stale);
        network.rule(
            usize::MAX,
            move |it| is.load(Ordering::Acquire) && it.watches(plural),
            RequestFate::Mute,
        );
    }
    let membership = TestMembership::start();
    let agent = invocation(&membership.address(), &network).args(["--shards", "1"]);
    let mut scene = FaultScene::with(rest, network, membership, agent);
    scene.order(order(&same, "v1"));
    scene.order(order(&bare, "v1"));
    scene.order(order(&other, "v2"));
    scene.joined.pings(1, Duration::from_secs(10));
    look_on(&scene, &same, &anew);
    assert!(shown.iter().map(Fired::times).sum::<usize>() > 0, "nothing old was shown");
    stale.store(false, Ordering::Release);
    scene.network.cut();
    scene.until_object("stacks", &other, |it| it["spec"]["versionsFromFile"] == "v2");
    look_on(&scene, &same, &anew);
    // The garbage collector takes what belongs to a Stack that is gone, and orders come but once.
    for name in [&other, &bare] {
        let owner = uid(&anew[&format!("stacks/{name}")]);
        scene.until_object("ledgers", name, |it| it["metadata"]["ownerReferences"][0]["uid"] == *owner);
    }
    let after = found(&scene.rest, &[&same, &other, &bare]);
    for (place, object) in &anew {
        assert_eq!(uid(&after[place]), uid(object), "{place} was deleted for the old one's sake");
    }
    let refused = scene.network.log().iter().filter(|seen| seen.status == Some(409)).count();
    println!(
        "row 03: {prefix}: {} old lists shown, {refused} writes from them refused",
        shown.iter().map(Fired::times).sum::<usize>()
    );
}

/// For a while the one that is as it shall be stays untouched.
#[track_caller]
fn look_on(scene: &FaultScene, same: &str, anew: &BTreeMap<String, Value>) {
    let looks = 40;
    for _ in 0..looks {
        for (place, object) in found(&scene.rest, &[same]) {
            let was = &anew[&place];
            assert_eq!(
                (uid(&object), version(&object), &object["metadata"]["managedFields"]),
                (uid(was), version(was), &was["metadata"]["managedFields"]),
                "{place} was touched for the old one's sake: {object:#}"
            );
        }
        thread::sleep(STALE / looks);
    }
}

/// The bodies of all lists, as they are now.
fn lists(rest: &Rest) -> BTreeMap<&'static str, String> {
    let list = |plural: &str| rest.get(&format!("{GROUP_PATH}/{plural}")).expect(200).text;
    KINDS.iter().map(|(_, plural)| (*plural, list(plural))).collect()
}

/// Stacks and Ledgers of these names that are there, by `plural/name`.
fn found(rest: &Rest, names: &[&str]) -> BTreeMap<String, Value> {
    let mut found = BTreeMap::new();
    for name in names {
        for plural in ["stacks", "ledgers"] {
            found.extend(find(rest, plural, name).map(|object| (format!("{plural}/{name}"), object)));
        }
    }
    found
}

/// Deletes a stack and makes it again, as another agent would.
fn again(rest: &Rest, name: &str, versions: &str) {
    let (mut stack, ledger) = (get(rest, "stacks", name), find(rest, "ledgers", name));
    delete(rest, "stacks", name);
    let fresh = |object: &mut Value| {
        let metadata = object["metadata"].as_object_mut().expect("an object");
        for field in ["uid", "resourceVersion", "creationTimestamp", "generation", "managedFields"] {
            metadata.remove(field);
        }
    };
    fresh(&mut stack);
    stack["spec"]["versionsFromFile"] = versions.into();
    let collection = |plural: &str| path(plural, "").trim_end_matches('/').to_owned();
    let made = rest.post(&collection("stacks"), &stack).expect(201);
    let Some(mut ledger) = ledger else { return };
    delete(rest, "ledgers", name);
    fresh(&mut ledger);
    ledger["metadata"]["ownerReferences"][0]["uid"] = json!(made.uid());
    rest.post(&collection("ledgers"), &ledger).expect(201);
}

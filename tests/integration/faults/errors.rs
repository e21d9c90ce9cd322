//! Row 6, requests that fail, and row 7, writes whose answer is lost.

use std::{collections::BTreeMap, time::Duration};

use serde_json::Value;
use stackherd::membership::wire::server::order;

use crate::{
    faults::{form, scene::FaultScene},
    support::{
        holdback::{Fired, Http1Request, RequestFate, SeenRequest},
        now,
        orders::{StackExt, deleted, stack},
    },
};

/// What happens to a call, and what it is called.
fn faults() -> [(&'static str, RequestFate); 5] {
    [
        ("429", RequestFate::status(429, "TooManyRequests", Some(1))),
        ("500", RequestFate::status(500, "InternalError", None)),
        ("503", RequestFate::status(503, "ServiceUnavailable", None)),
        ("reset", RequestFate::Reset),
        ("hole", RequestFate::Swallow),
    ]
}

fn full(name: &str) -> order::Message {
    let order = stack(name).versions("v1").modules(&["ledger", "gateway"]).client("web", true);
    order.label("which", "one").order()
}

/// Every object of [`full`] changes.
fn changed(name: &str) -> order::Message {
    let order = stack(name).versions("v2").modules(&["ledger", "gateway"]).client("web", true);
    order.label("which", "two").order()
}

/// A module and a client go.
fn fewer(name: &str) -> order::Message {
    stack(name).versions("v2").modules(&["gateway"]).label("which", "two").order()
}

/// About this stack or one of its objects.
fn about(name: &str) -> impl Fn(&Http1Request) -> bool + Clone + use<> {
    let (stack, client) = (name.to_owned(), format!("{name}-web"));
    move |request| request.is_about(&stack) || request.is_about(&client)
}

fn calls(log: &[SeenRequest], name: &str) -> Vec<SeenRequest> {
    let about = about(name);
    log.iter().filter(|seen| about(&seen.request)).cloned().collect()
}

/// How many of these were carried out, by method.
fn done(calls: &[SeenRequest]) -> BTreeMap<String, usize> {
    let mut done = BTreeMap::new();
    for call in calls.iter().filter(|call| matches!(call.status, Some(200..=299))) {
        *done.entry(call.request.method.clone()).or_default() += 1;
    }
    done
}

/// Waits until all of these stacks have this form.
#[track_caller]
fn until_like(scene: &mut FaultScene, prefix: &str, names: &[String], form: &BTreeMap<String, Value>) {
    scene.until(&format!("every {prefix} stack is like the undisturbed one"), |rest| {
        let fleet = form::fleet(rest, prefix);
        let none = BTreeMap::new();
        let like = |name: &String| form::forms(fleet.get(name).unwrap_or(&none), name) == *form;
        names.iter().all(like).then_some(())
    });
}

#[test]
fn row_06_a_call_that_fails_at_any_index_destroys_nothing_and_is_made_up_for() {
    let Some(mut scene) = FaultScene::set(&["--shards", "1"]) else { return };
    let start = now();
    let has = |scene: &mut FaultScene, name: &str, which: &str| {
        let (client, name) = (format!("{name}-web"), name.to_owned());
        for (plural, name) in
            [("stacks", &name), ("ledgers", &name), ("gateways", &name), ("authclients", &client)]
        {
            scene.until_object(plural, name, |it| it["metadata"]["labels"]["formance.com/which"] == which);
        }
    };
    scene.order(full("r06-calm"));
    has(&mut scene, "r06-calm", "one");
    let first = form::of(&scene.rest, "r06-calm");
    scene.order(changed("r06-calm"));
    has(&mut scene, "r06-calm", "two");
    let second = form::of(&scene.rest, "r06-calm");
    let undisturbed = calls(&scene.network.log(), "r06-calm").len();
    assert!(undisturbed >= 8, "four creates, four updates: {undisturbed}");

    let mut struck: BTreeMap<String, Fired> = BTreeMap::new();
    for (what, fate) in faults() {
        for index in 0..undisturbed {
            let name = format!("r06-{what}-{index:02}");
            struck.insert(name.clone(), scene.network.rule_at(index, about(&name), fate.clone()));
        }
    }
    let names: Vec<String> = struck.keys().cloned().collect();
    names.iter().for_each(|name| scene.order(full(name)));
    until_like(&mut scene, "r06-", &names, &first);
    names.iter().for_each(|name| scene.order(changed(name)));
    until_like(&mut scene, "r06-", &names, &second);
    let missed: Vec<&String> =
        struck.iter().filter(|(_, fired)| fired.times() != 1).map(|(name, _)| name).collect();
    assert!(missed.is_empty(), "these faults never fired: {missed:?}");
    let log = scene.network.log();
    let deletes = log.iter().filter(|seen| seen.request.method == "DELETE").count();
    assert_eq!(deletes, 0, "an error became a deletion");
    println!(
        "row 06: {undisturbed} calls undisturbed; {} faults fired ({undisturbed} indices x 5 kinds), \
         {} requests, 0 DELETE, {:?}",
        struck.len(),
        log.len(),
        start.elapsed()
    );
}

/// The steps of a stack's life, and what it looks like behind each.
type StoryStep = fn(&str) -> order::Message;
const LIFE: [StoryStep; 4] = [full, changed, fewer, |name| deleted(name)];

#[test]
fn row_07_a_write_whose_answer_is_lost_at_any_index_has_no_second_effect() {
    let Some(mut scene) = FaultScene::set(&["--shards", "1"]) else { return };
    let start = now();
    let mut looks = Vec::new();
    for (step, count) in LIFE.iter().zip([4, 8, 10, 11]) {
        scene.order(step("r07-calm"));
        // Four creates, four updates, two deletions, one more.
        let network = &scene.network;
        let written = || calls(&network.log(), "r07-calm").iter().filter(|call| is_write(call)).count();
        crate::support::eventually("the undisturbed step", Duration::from_secs(30), || {
            (written() >= count).then_some(())
        });
        scene.joined.pings(1, Duration::from_secs(10));
        looks.push(count);
    }
    scene.until_object("stacks", "r07-calm", Value::is_null);
    let undisturbed = calls(&scene.network.log(), "r07-calm");
    let writes: Vec<&SeenRequest> = undisturbed.iter().filter(|call| is_write(call)).collect();
    let made = done(&undisturbed)["POST"];
    assert_eq!((writes.len(), made), (11, 4), "{:?}", done(&undisturbed));

    let mut struck: BTreeMap<String, Fired> = BTreeMap::new();
    for index in 0..writes.len() {
        let name = format!("r07-lost-{index:02}");
        let about = about(&name);
        let when = move |request: &Http1Request| request.method != "GET" && about(request);
        struck.insert(name, scene.network.rule_at(index, when, RequestFate::DropAnswer));
    }
    let names: Vec<String> = struck.keys().cloned().collect();
    // The undisturbed one once more beside them, to be compared with step by step.
    let like = "r07-like".to_owned();
    for step in LIFE {
        for name in names.iter().chain([&like]) {
            scene.order(step(name));
        }
        let all: Vec<String> = names.iter().chain([&like]).cloned().collect();
        settle(&mut scene, &all, step);
    }
    let log = scene.network.log();
    for (name, fired) in &struck {
        assert_eq!(fired.times(), 1, "{name}: this fault never fired");
        let calls = calls(&log, name);
        assert_eq!(done(&calls)["POST"], made, "{name} made objects twice: {:?}", done(&calls));
    }
    let verbs: Vec<&str> = writes.iter().map(|write| write.request.method.as_str()).collect();
    println!("row 07: answers lost at each of {verbs:?}, {} faults, {:?}", struck.len(), start.elapsed());
}

fn is_write(seen: &SeenRequest) -> bool {
    seen.request.method != "GET"
}

/// Waits until all of them are as the step says, the last one of them undisturbed.
#[track_caller]
fn settle(scene: &mut FaultScene, names: &[String], step: StoryStep) {
    let like = names.last().expect("one at least");
    let what = step(like);
    scene.until(&format!("every stack is as {what:?} says"), |rest| {
        let fleet = form::fleet(rest, "r07-");
        let none = BTreeMap::new();
        let form = |name: &String| form::forms(fleet.get(name).unwrap_or(&none), name);
        let expected = form(like);
        let reached = match &what {
            // What it leaves to the garbage collector is left: there is none here.
            order::Message::DeletedStack(_) => {
                return names.iter().all(|name| !form(name).contains_key("stacks/STACK")).then_some(());
            }
            order::Message::ExistingStack(stack) => {
                expected.len() == 1 + stack.modules.len() + stack.static_clients.len()
                    && expected["stacks/STACK"]["spec"]["versionsFromFile"] == stack.versions
                    && expected
                        .values()
                        .all(|it| it["labels"]["formance.com/which"] == *stack.additional_labels["which"])
            }
            _ => false,
        };
        (reached && names.iter().all(|name| form(name) == expected)).then_some(())
    });
}

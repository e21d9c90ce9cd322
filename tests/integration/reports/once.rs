//! The end of a stack is told once, whoever brought it about.

use std::thread;

use serde_json::json;

use crate::{
    reports::{NEVER, ReportScene, WITHIN, named},
    support::{
        agent::while_it_lives,
        deeds::{await_there, delete, hold, let_go, set_status},
        objects::get,
        orders::{StackExt, deleted, stack},
    },
};

/// A scene with this stack and its ledger; `told`: with statuses that were told.
fn scene(name: &str, told: bool) -> ReportScene {
    let mut scene = ReportScene::set();
    scene.order(stack(name).modules(&["ledger"]).order());
    await_there(&scene.rest, "stacks", name);
    await_there(&scene.rest, "ledgers", name);
    if told {
        for (plural, what) in [("stacks", "statusChanged"), ("ledgers", "moduleStatusChanged")] {
            set_status(&scene.rest, plural, name, &json!({"ready": true}));
            scene.next(what, name);
        }
    }
    scene
}

#[test]
fn a_stack_that_is_absent_when_it_is_to_be_deleted() {
    let mut scene = ReportScene::set();
    scene.order(deleted("absent"));
    scene.exactly(1, "stackDeleted", "absent");
}

#[test]
fn a_stack_that_an_order_deletes() {
    for told in [true, false] {
        let mut scene = scene("ordered", told);
        scene.order(deleted("ordered"));
        scene.exactly(1, "stackDeleted", "ordered");
        scene.exactly(1, "moduleDeleted", "ordered");
    }
}

#[test]
fn a_stack_that_an_order_deletes_and_a_finalizer_holds() {
    let mut scene = scene("held", true);
    hold(&scene.rest, "stacks", "held");
    scene.order(deleted("held"));
    let rest = scene.rest.clone();
    while_it_lives(&mut scene.agent, "it is terminating", WITHIN, || {
        get(&rest, "stacks", "held")["metadata"]["deletionTimestamp"].is_string().then_some(())
    });
    // The operator's part: modules first.
    delete(&scene.rest, "ledgers", "held");
    scene.exactly(1, "moduleDeleted", "held");
    assert!(!scene.news().iter().any(|message| named(message).0 == "stackDeleted"), "it is there yet");
    // Once more, while it is on its way: nothing more comes of that.
    scene.order(deleted("held"));
    thread::sleep(NEVER);
    assert!(!scene.news().iter().any(|message| named(message).0 == "stackDeleted"), "it is there yet");
    let_go(&scene.rest, "stacks", "held");
    scene.exactly(1, "stackDeleted", "held");
    assert_eq!(scene.news().last().map(named), Some(("stackDeleted", "held")));
}

#[test]
fn a_stack_that_somebody_else_deletes() {
    for told in [true, false] {
        let mut scene = scene("elsewhere", told);
        delete(&scene.rest, "stacks", "elsewhere");
        scene.exactly(1, "stackDeleted", "elsewhere");
        // The garbage collector's doing.
        scene.exactly(1, "moduleDeleted", "elsewhere");
    }
}

#[test]
fn a_stack_that_is_made_again_and_deleted_again() {
    let mut scene = scene("twice", true);
    for _ in 0..3 {
        scene.forget();
        scene.order(deleted("twice"));
        scene.exactly(1, "stackDeleted", "twice");
        scene.until_there("stacks", "twice", false);
        scene.order(stack("twice").order());
        scene.until_there("stacks", "twice", true);
    }
}

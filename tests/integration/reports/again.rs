//! What is said again although nothing changed: after a join, and after an order.

use serde_json::json;

use crate::{
    reports::{ReportScene, WITHIN, named},
    support::{
        deeds::{await_there, create, delete, set_status},
        orders::{StackExt, deleted, stack},
    },
};

/// A scene with two stacks of the agent's and one of somebody else's, all with statuses told.
fn scene() -> ReportScene {
    let mut scene = ReportScene::set();
    for name in ["mine", "other"] {
        scene.order(stack(name).modules(&["ledger"]).order());
        for (plural, what) in [("stacks", "statusChanged"), ("ledgers", "moduleStatusChanged")] {
            await_there(&scene.rest, plural, name);
            set_status(&scene.rest, plural, name, &json!({"ready": true}));
            scene.next(what, name);
        }
    }
    create(&scene.rest, "stacks", "Stack", "foreign", &json!({}));
    set_status(&scene.rest, "stacks", "foreign", &json!({"ready": false}));
    scene.next("statusChanged", "foreign");
    scene.settle();
    scene
}

#[test]
fn everything_is_said_again_after_each_join() {
    let mut scene = scene();
    for _ in 0..3 {
        scene.joined.cut();
        scene.joined = scene.membership.joined(WITHIN);
        for name in ["mine", "other"] {
            scene.has("statusChanged", name);
            scene.has("moduleStatusChanged", name);
        }
        scene.has("statusChanged", "foreign");
        scene.settle();
    }
}

#[test]
fn what_was_removed_while_nobody_was_joined_is_told_after_the_join() {
    let mut scene = scene();
    scene.joined.cut();
    delete(&scene.rest, "stacks", "foreign");
    scene.joined = scene.membership.joined(WITHIN);
    scene.exactly(1, "stackDeleted", "foreign");
}

#[test]
fn a_stacks_objects_are_said_again_after_its_order_and_no_others() {
    let mut scene = scene();
    scene.order(stack("mine").modules(&["ledger"]).order());
    scene.exactly(1, "statusChanged", "mine");
    scene.exactly(1, "moduleStatusChanged", "mine");
    let of_others = scene.news().iter().filter(|message| named(message).1 != "mine").count();
    assert_eq!(of_others, 0, "{:#?}", scene.news());
}

#[test]
fn an_order_for_a_stack_that_is_gone_is_answered_every_time() {
    let mut scene = scene();
    for _ in 0..3 {
        scene.order(deleted("never-there"));
        scene.exactly(1, "stackDeleted", "never-there");
        scene.forget();
    }
}

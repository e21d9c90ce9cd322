//! Creates that come late. They cannot be made conditional: what they bring back is put right again.

use std::time::Duration;

use crate::{
    late_writes::{DEADLINE, LateWriteScene, WITHIN, is_gone, is_there, says},
    support::{
        now,
        orders::{StackExt, deleted, stack},
    },
};

/// "Within seconds".
const SOON: Duration = Duration::from_secs(10);

#[test]
fn row_08_a_stack_that_a_late_create_brings_back_is_deleted_again() {
    let Some(mut scene) = LateWriteScene::set() else { return };
    let name = "create-gone";
    let held = scene.hold("POST", "/stacks");
    scene.order(stack(name).order());
    let late = held.arrived(WITHIN);
    scene.order(deleted(name));
    // Absent it is anyway; past the deadline the deletion is done, too.
    std::thread::sleep(DEADLINE * 3);
    scene.stands("stacks", name, is_gone);
    let start = now();
    assert_eq!(late.release(), 201);
    scene.until("stacks", name, is_gone);
    assert!(start.elapsed() < SOON, "{:?}", start.elapsed());
    scene.stands("stacks", name, is_gone);
}

#[test]
fn row_08_a_module_that_a_late_create_brings_back_is_deleted_again() {
    let Some(mut scene) = LateWriteScene::set() else { return };
    let name = "create-module";
    let held = scene.hold("POST", "/ledgers");
    scene.order(stack(name).versions("v1").modules(&["ledger"]).order());
    let late = held.arrived(WITHIN);
    scene.order(stack(name).versions("v2").order());
    scene.until("stacks", name, says("v2"));
    std::thread::sleep(DEADLINE);
    scene.stands("ledgers", name, is_gone);
    let start = now();
    assert_eq!(late.release(), 201);
    scene.until("ledgers", name, is_gone);
    assert!(start.elapsed() < SOON, "{:?}", start.elapsed());
    scene.stands("ledgers", name, is_gone);
    scene.stands("stacks", name, says("v2"));
}

#[test]
fn row_08_a_late_create_does_not_undo_a_newer_one() {
    let Some(mut scene) = LateWriteScene::set() else { return };
    let name = "create-newer";
    let held = scene.hold("POST", "/stacks");
    scene.order(stack(name).versions("v1").order());
    let late = held.arrived(WITHIN);
    scene.order(stack(name).versions("v2").order());
    scene.until("stacks", name, says("v2"));
    assert_eq!(late.release(), 409);
    scene.stands("stacks", name, says("v2"));
}

#[test]
fn row_08_a_late_create_of_older_content_is_overwritten() {
    let Some(mut scene) = LateWriteScene::set() else { return };
    let name = "create-older";
    let held = scene.hold("POST", "/stacks");
    scene.order(stack(name).versions("v1").order());
    let late = held.arrived(WITHIN);
    scene.order(stack(name).versions("v2").order());
    // Delivered before the deadline of the first is over, unless the machine is very slow.
    let status = late.release();
    assert!(status == 201 || status == 409, "{status}");
    scene.until("stacks", name, says("v2"));
    scene.stands("stacks", name, is_there);
    scene.stands("stacks", name, says("v2"));
}

#[test]
fn row_08_a_stack_whose_deletion_was_done_before_the_late_create_can_be_made_again() {
    let Some(mut scene) = LateWriteScene::set() else { return };
    let name = "create-thrice";
    let held = scene.hold("POST", "/stacks");
    scene.order(stack(name).versions("v1").order());
    let late = held.arrived(WITHIN);
    scene.order(deleted(name));
    std::thread::sleep(DEADLINE * 2);
    scene.order(stack(name).versions("v3").modules(&["ledger"]).order());
    scene.until("ledgers", name, is_there);
    assert_eq!(late.release(), 409);
    scene.stands("stacks", name, says("v3"));
}

//! Deletions that come late.

use serde_json::Value;

use crate::{
    late_writes::{LateWriteScene, WITHIN, is_gone, is_there, says, version},
    support::orders::{StackExt, deleted, stack},
};

#[test]
fn row_08_a_late_deletion_does_not_kill_the_stack_that_was_made_again() {
    let Some(mut scene) = LateWriteScene::set() else { return };
    let order = || stack("delete-again").versions("v1").order();
    scene.order(order());
    let before = scene.until("stacks", "delete-again", says("v1"));
    let held = scene.hold("DELETE", "/stacks/delete-again");
    scene.order(deleted("delete-again"));
    let late = held.arrived(WITHIN);
    scene.order(order());
    // A deletion is never superseded: it is tried again past its deadline, and then the stack is made.
    let uid = |stack: &Value| stack["metadata"]["uid"].clone();
    scene.until("stacks", "delete-again", |stack| is_there(stack) && uid(stack) != uid(&before));
    let status = late.release();
    assert!(status == 404 || status == 409, "{status}");
    scene.stands("stacks", "delete-again", says("v1"));
}

#[test]
fn row_08_a_late_deletion_of_a_module_does_not_kill_it_once_it_is_wanted_again() {
    let Some(mut scene) = LateWriteScene::set() else { return };
    let name = "delete-fence";
    let with = || stack(name).modules(&["ledger"]).order();
    scene.order(with());
    let before = scene.until("ledgers", name, is_there);
    let held = scene.hold("DELETE", "/ledgers/delete-fence");
    scene.order(stack(name).order());
    let late = held.arrived(WITHIN);
    // It is there already, just as it shall be: nothing to write but the fence.
    scene.order(with());
    scene.until("ledgers", name, |ledger| is_there(ledger) && version(ledger) != version(&before));
    let status = late.release();
    assert_eq!(status, 409);
    scene.stands("ledgers", name, is_there);
}

#[test]
fn row_08_a_late_deletion_finds_nothing_where_a_second_one_was_faster() {
    let Some(mut scene) = LateWriteScene::set() else { return };
    scene.order(stack("delete-twice").order());
    scene.until("stacks", "delete-twice", is_there);
    let held = scene.hold("DELETE", "/stacks/delete-twice");
    scene.order(deleted("delete-twice"));
    let late = held.arrived(WITHIN);
    scene.until("stacks", "delete-twice", is_gone);
    let status = late.release();
    assert!(status == 404 || status == 409, "{status}");
    scene.stands("stacks", "delete-twice", is_gone);
}

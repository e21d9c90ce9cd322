//! Updates that come late.

use crate::{
    late_writes::{DEADLINE, LateWriteScene, WITHIN, is_gone, says, version},
    support::orders::{StackExt, deleted, disabled, enabled, stack},
};

#[test]
fn row_08_a_late_update_does_not_undo_a_newer_one() {
    let Some(mut scene) = LateWriteScene::set() else { return };
    let order = |versions| stack("update-newer").versions(versions).order();
    scene.order(order("v1"));
    scene.until("stacks", "update-newer", says("v1"));
    let held = scene.hold("PATCH", "/stacks/update-newer");
    scene.order(order("v2"));
    let late = held.arrived(WITHIN);
    scene.order(order("v3"));
    scene.until("stacks", "update-newer", says("v3"));
    assert_eq!(late.release(), 409);
    scene.stands("stacks", "update-newer", says("v3"));
}

#[test]
fn row_08_a_late_update_does_not_undo_an_order_that_needed_no_write() {
    let Some(mut scene) = LateWriteScene::set() else { return };
    let order = |versions| stack("update-fence").versions(versions).order();
    scene.order(order("v1"));
    let before = scene.until("stacks", "update-fence", says("v1"));
    let held = scene.hold("PATCH", "/stacks/update-fence");
    scene.order(order("v2"));
    let late = held.arrived(WITHIN);
    // The cluster says v1 already: there is nothing to write but the fence.
    scene.order(order("v1"));
    scene.until("stacks", "update-fence", |stack| version(stack) != version(&before));
    assert_eq!(late.release(), 409);
    scene.stands("stacks", "update-fence", says("v1"));
}

#[test]
fn row_08_a_late_update_of_a_child_is_fenced_off_as_well() {
    let Some(mut scene) = LateWriteScene::set() else { return };
    let name = "update-child";
    let order = |label| stack(name).modules(&["ledger"]).label("which", label).order();
    let which = |label: &'static str| {
        move |object: &serde_json::Value| object["metadata"]["labels"]["formance.com/which"] == label
    };
    scene.order(order("one"));
    let before = scene.until("ledgers", name, which("one"));
    let held = scene.hold("PATCH", "/ledgers/update-child");
    scene.order(order("two"));
    let late = held.arrived(WITHIN);
    scene.order(order("one"));
    scene.until("ledgers", name, |ledger| version(ledger) != version(&before));
    scene.until("stacks", name, which("one"));
    assert_eq!(late.release(), 409);
    scene.stands("ledgers", name, which("one"));
}

#[test]
fn row_08_a_late_update_does_not_bring_back_a_deleted_stack() {
    let Some(mut scene) = LateWriteScene::set() else { return };
    let order = |versions| stack("update-gone").versions(versions).order();
    scene.order(order("v1"));
    scene.until("stacks", "update-gone", says("v1"));
    let held = scene.hold("PATCH", "/stacks/update-gone");
    scene.order(order("v2"));
    let late = held.arrived(WITHIN);
    scene.order(deleted("update-gone"));
    scene.until("stacks", "update-gone", is_gone);
    let status = late.release();
    assert!(status == 404 || status == 409, "{status}");
    scene.stands("stacks", "update-gone", is_gone);
}

#[test]
fn row_08_a_late_disabling_does_not_disable_what_was_enabled_since() {
    let Some(mut scene) = LateWriteScene::set() else { return };
    scene.order(stack("update-toggle").order());
    let before = scene.until("stacks", "update-toggle", says("default"));
    let held = scene.hold("PATCH", "/stacks/update-toggle");
    scene.order(disabled("update-toggle"));
    let late = held.arrived(WITHIN);
    // It queues: the disabling is tried again past its deadline, and only then comes the enabling.
    scene.order(enabled("update-toggle"));
    std::thread::sleep(DEADLINE);
    let is_enabled = |stack: &serde_json::Value| stack["spec"]["disabled"] == false;
    let moved = |stack: &serde_json::Value| {
        let now: u64 = version(stack).as_str().unwrap().parse().unwrap();
        let then: u64 = version(&before).as_str().unwrap().parse().unwrap();
        now > then && is_enabled(stack)
    };
    scene.until("stacks", "update-toggle", moved);
    assert_eq!(late.release(), 409);
    scene.stands("stacks", "update-toggle", is_enabled);
}

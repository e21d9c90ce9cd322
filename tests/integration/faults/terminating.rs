//! Row 11: a stack that is ordered again while a finalizer holds the old one, behind a network that
//! breaks all the while.

use serde_json::Value;

use crate::{
    faults::scene::{FaultScene, uid},
    support::{
        deeds::{delete, hold, let_go},
        objects::of_stack,
        orders::{StackExt, deleted, stack},
    },
};

/// How often the network breaks while the old one is there.
const CUTS: usize = 4;

#[test]
fn row_11_nothing_is_made_under_a_dying_stack_however_often_connections_break() {
    let Some(mut scene) = FaultScene::set(&[]) else { return };
    let name = "r11-dying";
    scene.order(stack(name).versions("v1").modules(&["ledger"]).order());
    scene.until_object("ledgers", name, Value::is_object);
    hold(&scene.rest, "stacks", name);
    scene.order(deleted(name));
    let old = scene.until_object("stacks", name, |it| it["metadata"]["deletionTimestamp"].is_string());
    // The garbage collector's part.
    delete(&scene.rest, "ledgers", name);

    for round in 0..CUTS {
        let before = scene.watched("stacks");
        let order = stack(name).versions(&format!("v{}", round + 2)).modules(&["ledger", "payments"]);
        scene.order(order.client("web", true).order());
        if round % 2 == 0 {
            scene.network.cut();
        } else {
            scene.network.refuse();
            scene.network.restore();
        }
        scene.until_watched("stacks", before + 1);
        let there = of_stack(&scene.rest, name);
        assert_eq!(there.keys().collect::<Vec<_>>(), [&format!("stacks/{name}")], "under the dying Stack");
        let stack = &there[&format!("stacks/{name}")];
        assert_eq!((uid(stack), &stack["spec"]), (uid(&old), &old["spec"]));
    }
    let_go(&scene.rest, "stacks", name);
    let last = format!("v{}", CUTS + 1);
    let new = scene.until_object("stacks", name, |it| it["spec"]["versionsFromFile"] == *last);
    assert_ne!(uid(&new), uid(&old));
    for (plural, child) in [("ledgers", name), ("payments", name), ("authclients", "r11-dying-web")] {
        let child = scene.until_object(plural, child, Value::is_object);
        assert_eq!(child["metadata"]["ownerReferences"][0]["uid"], uid(&new), "{plural}");
        assert_eq!(child["metadata"]["ownerReferences"].as_array().unwrap().len(), 1, "{plural}");
    }
    println!("row 11: {CUTS} breaks while terminating");
}

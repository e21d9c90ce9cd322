//! Which statuses are told, and how.

use serde_json::{Value, json};
use stackherd::membership::wire::server::message::Message as Said;

use crate::{
    reports::{ReportScene, kind, status},
    support::{
        deeds::{change, create, delete, replace_status, set_status},
        orders::{StackExt, disabled, enabled, stack},
    },
};

#[test]
fn a_stacks_first_status_is_told_and_each_change_of_it() {
    let mut scene = ReportScene::set();
    scene.order(stack("first").order());
    scene.until_there("stacks", "first", true);
    scene.hears_nothing_of("first");
    set_status(&scene.rest, "stacks", "first", &json!({"ready": false}));
    let told = scene.next("statusChanged", "first");
    assert_eq!(status(&told), json!({"ready": false}));
    let Some(Said::StatusChanged(told)) = told.message else { unreachable!("as awaited") };
    assert_eq!((told.status, told.vk), (0, None), "neither is said");
    set_status(&scene.rest, "stacks", "first", &json!({"ready": true, "conditions": [{"n": 1}]}));
    assert_eq!(
        scene.next_status("statusChanged", "first"),
        json!({"ready": true, "conditions": [{"n": 1.0}]})
    );
}

#[test]
fn a_modules_status_is_told_with_its_kind() {
    let mut scene = ReportScene::set();
    let order = stack("org-modules").modules(&["ledger", "payments"]).auth().stargate(false);
    scene.given(order, &["stacks", "ledgers", "payments", "stargates"]);
    for (plural, word) in [("ledgers", "Ledger"), ("payments", "Payments"), ("stargates", "Stargate")] {
        for ready in [false, true] {
            scene.forget();
            set_status(&scene.rest, plural, "org-modules", &json!({ "ready": ready }));
            let told = scene.next("moduleStatusChanged", "org-modules");
            assert_eq!((kind(&told), status(&told)), (word, json!({ "ready": ready })));
        }
    }
}

#[test]
fn what_is_never_told_of_a_status_is_no_change() {
    let mut scene = ReportScene::set();
    scene.given(stack("reduced").modules(&["ledger"]), &["stacks", "ledgers"]);
    for (plural, what) in [("stacks", "statusChanged"), ("ledgers", "moduleStatusChanged")] {
        let full = json!({"ready": true, "info": "slow", "conditions": [], "uri": "x", "debug": {"a": 1}});
        set_status(&scene.rest, plural, "reduced", &full);
        let told = scene.next_status(what, "reduced");
        assert_eq!(told, json!({"ready": true, "info": "slow", "conditions": []}), "{plural}");
        set_status(&scene.rest, plural, "reduced", &json!({"uri": "y", "debug": null}));
        scene.hears_nothing_of("reduced");
        set_status(&scene.rest, plural, "reduced", &json!({"info": ""}));
        assert_eq!(scene.next_status(what, "reduced"), json!({"ready": true, "conditions": []}), "{plural}");
        replace_status(&scene.rest, plural, "reduced", &json!({"uri": "z"}));
        assert_eq!(scene.next_status(what, "reduced"), json!({"ready": false}), "{plural}");
    }
}

#[test]
fn nothing_is_told_of_a_status_that_is_none() {
    let mut scene = ReportScene::set();
    scene.given(stack("odd").modules(&["ledger"]), &["stacks", "ledgers"]);
    for (plural, what) in [("stacks", "statusChanged"), ("ledgers", "moduleStatusChanged")] {
        for odd in
            [json!({}), json!({"ready": "yes"}), json!({"ready": 1}), json!({"ready": true, "info": 3})]
        {
            replace_status(&scene.rest, plural, "odd", &odd);
        }
        scene.hears_nothing_of("odd");
        replace_status(&scene.rest, plural, "odd", &json!({"ready": true}));
        assert_eq!(scene.next_status(what, "odd"), json!({"ready": true}));
        replace_status(&scene.rest, plural, "odd", &json!({}));
        replace_status(&scene.rest, plural, "odd", &Value::Null);
        scene.hears_nothing_of("odd");
    }
}

#[test]
fn a_stack_that_is_disabled_or_enabled_is_told_again() {
    let mut scene = ReportScene::set();
    scene.given(stack("toggled"), &["stacks"]);
    set_status(&scene.rest, "stacks", "toggled", &json!({"ready": true}));
    scene.next("statusChanged", "toggled");
    scene.order(disabled("toggled"));
    assert_eq!(scene.next_status("statusChanged", "toggled"), json!({"ready": true}));
    scene.settle();
    scene.order(enabled("toggled"));
    assert_eq!(scene.next_status("statusChanged", "toggled"), json!({"ready": true}));
    // By somebody else, so that no order is the reason.
    scene.settle();
    change(&scene.rest, "stacks", "toggled", &json!({"spec": {"disabled": true}}));
    assert_eq!(scene.next_status("statusChanged", "toggled"), json!({"ready": true}));
    change(&scene.rest, "stacks", "toggled", &json!({"spec": {"debug": true}}));
    scene.hears_nothing_of("toggled");
}

#[test]
fn a_stack_without_a_status_is_not_told_when_it_is_disabled() {
    let mut scene = ReportScene::set();
    create(&scene.rest, "stacks", "Stack", "silent", &json!({}));
    change(&scene.rest, "stacks", "silent", &json!({"spec": {"disabled": true}}));
    scene.hears_nothing_of("silent");
    set_status(&scene.rest, "stacks", "silent", &json!({"ready": true}));
    scene.exactly(1, "statusChanged", "silent");
}

#[test]
fn objects_that_carry_no_labels_are_told_of_like_all_others() {
    let mut scene = ReportScene::set();
    create(&scene.rest, "stacks", "Stack", "foreign", &json!({}));
    create(&scene.rest, "wallets", "Wallets", "foreign", &json!({"stack": "foreign"}));
    set_status(&scene.rest, "stacks", "foreign", &json!({"ready": true}));
    set_status(&scene.rest, "wallets", "foreign", &json!({"ready": true}));
    scene.exactly(1, "statusChanged", "foreign");
    assert_eq!(kind(&scene.exactly(1, "moduleStatusChanged", "foreign")[0]), "Wallets");
    delete(&scene.rest, "wallets", "foreign");
    assert_eq!(kind(&scene.exactly(1, "moduleDeleted", "foreign")[0]), "Wallets");
    delete(&scene.rest, "stacks", "foreign");
    scene.exactly(1, "stackDeleted", "foreign");
}

#[test]
fn removals_are_told_of_objects_that_never_had_a_status() {
    let mut scene = ReportScene::set();
    create(&scene.rest, "stacks", "Stack", "blank", &json!({}));
    create(&scene.rest, "ledgers", "Ledger", "blank", &json!({"stack": "blank"}));
    scene.hears_nothing_of("blank");
    delete(&scene.rest, "ledgers", "blank");
    assert_eq!(kind(&scene.exactly(1, "moduleDeleted", "blank")[0]), "Ledger");
    delete(&scene.rest, "stacks", "blank");
    scene.exactly(1, "stackDeleted", "blank");
}

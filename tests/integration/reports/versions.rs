//! Versions objects.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use stackherd::membership::wire::server::{Message, message::Message as Said};

use crate::{
    reports::{ReportScene, WITHIN},
    support::deeds::{change, create, delete},
};

/// What an `addedVersion` or `updatedVersion` says.
fn content(message: &Message) -> (BTreeMap<String, String>, bool) {
    match message.message.clone() {
        Some(Said::AddedVersion(told)) => (told.versions.into_iter().collect(), told.deprecated),
        Some(Said::UpdatedVersion(told)) => (told.versions.into_iter().collect(), told.deprecated),
        other => panic!("no version: {other:?}"),
    }
}

fn entries(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, version)| ((*name).to_owned(), (*version).to_owned())).collect()
}

fn deprecated(value: &Value) -> Value {
    json!({"metadata": {"annotations": {"formance.com/deprecated": value}}})
}

#[test]
fn versions_are_told_as_they_come_change_and_go() {
    let mut scene = ReportScene::set();
    create(&scene.rest, "versions", "Versions", "v1", &json!({"ledger": "v1.0", "payments": "v2"}));
    let told = scene.exactly(1, "addedVersion", "v1");
    assert_eq!(content(&told[0]), (entries(&[("ledger", "v1.0"), ("payments", "v2")]), false));
    change(&scene.rest, "versions", "v1", &json!({"spec": {"ledger": "v1.1", "payments": null}}));
    let told = scene.exactly(1, "updatedVersion", "v1");
    assert_eq!(content(&told[0]), (entries(&[("ledger", "v1.1")]), false));
    delete(&scene.rest, "versions", "v1");
    scene.exactly(1, "deletedVersion", "v1");
}

#[test]
fn deprecation_alone_is_an_update_and_other_annotations_are_none() {
    let mut scene = ReportScene::set();
    create(&scene.rest, "versions", "Versions", "old", &json!({"ledger": "v1"}));
    scene.next("addedVersion", "old");
    change(&scene.rest, "versions", "old", &deprecated(&"true".into()));
    assert_eq!(content(&scene.next("updatedVersion", "old")), (entries(&[("ledger", "v1")]), true));
    change(
        &scene.rest,
        "versions",
        "old",
        &json!({"metadata": {"annotations": {"a": "b"}, "labels": {"c": "d"}}}),
    );
    scene.hears_nothing_of("old");
    // Anything else than "true" is no deprecation.
    change(&scene.rest, "versions", "old", &deprecated(&"yes".into()));
    assert_eq!(content(&scene.next("updatedVersion", "old")), (entries(&[("ledger", "v1")]), false));
    change(&scene.rest, "versions", "old", &deprecated(&Value::Null));
    scene.hears_nothing_of("old");
}

#[test]
fn every_versions_object_is_added_again_with_each_join_even_an_empty_one() {
    let mut scene = ReportScene::set();
    create(&scene.rest, "versions", "Versions", "empty", &json!({}));
    create(&scene.rest, "versions", "Versions", "full", &json!({"ledger": "v1"}));
    assert_eq!(content(&scene.next("addedVersion", "empty")), (entries(&[]), false));
    scene.settle();
    for _ in 0..2 {
        scene.joined.cut();
        scene.joined = scene.membership.joined(WITHIN);
        assert_eq!(content(&scene.has("addedVersion", "empty")), (entries(&[]), false));
        assert_eq!(content(&scene.has("addedVersion", "full")), (entries(&[("ledger", "v1")]), false));
        scene.settle();
    }
    change(&scene.rest, "versions", "full", &json!({"spec": {"ledger": "v2"}}));
    scene.exactly(1, "updatedVersion", "full");
}

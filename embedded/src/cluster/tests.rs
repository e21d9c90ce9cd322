use super::*;
use crate::{crds, selector::Selector};

pub(crate) fn now() -> Timestamp {
    Timestamp::from_second(1_700_000_000).expect("a date")
}

/// A cluster with all our kinds.
pub(crate) fn cluster() -> EmbeddedCluster {
    let mut cluster = EmbeddedCluster::new(7, 1000);
    for (file, yaml) in crds::manifests() {
        let definition = serde_saphyr::from_str(yaml).expect(file);
        cluster.install(&definition, now()).expect(file);
    }
    cluster
}

pub(crate) fn kind(cluster: &EmbeddedCluster, plural: &str) -> Rc<ServedKind> {
    cluster.kind("formance.com", "v1beta1", plural).expect(plural)
}

pub(crate) fn me() -> Caller<'static> {
    Caller::new("me", now())
}

#[allow(clippy::needless_pass_by_value, reason = "json!() values are handed over where they are written")]
pub(crate) fn object(kind: &str, name: &str, rest: Value) -> Value {
    let mut object = json!({"apiVersion": "formance.com/v1beta1", "kind": kind, "metadata": {"name": name}});
    crate::merge_patch::apply(&mut object, &rest);
    object
}

fn create(cluster: &mut EmbeddedCluster, rest: Value) -> Result<WriteResult, ApiFailure> {
    let kind = kind(cluster, "stacks");
    cluster.create(&kind, object("Stack", "a", rest), me())
}

fn patch(cluster: &mut EmbeddedCluster, patch: &Value) -> Result<WriteResult, ApiFailure> {
    let kind = kind(cluster, "stacks");
    cluster.patch(&kind, "a", WriteEndpoint::Main, patch, me())
}

fn remove(cluster: &mut EmbeddedCluster, options: &DeleteOptions) -> Result<Deleted, ApiFailure> {
    let kind = kind(cluster, "stacks");
    cluster.delete(&kind, "a", options, now())
}

fn spec(written: &WriteResult) -> &Value {
    &written.object.value()["spec"]
}

#[test]
fn a_created_object_has_identity_defaults_and_no_status() {
    let mut cluster = cluster();
    let rest = json!({"metadata": {"uid": "mine", "generation": 9, "creationTimestamp": "x"},
        "spec": {"disabled": true}, "status": {"ready": true}});
    let written = create(&mut cluster, rest).expect("created");
    let value = written.object.value();
    assert_eq!(value["spec"], json!({"debug": false, "dev": false, "disabled": true, "enableAudit": false}));
    assert!(value.get("status").is_none());
    assert_eq!(value["metadata"]["generation"], 1);
    assert_eq!(value["metadata"]["creationTimestamp"], "2023-11-14T22:13:20Z");
    assert_eq!(written.object.uid().len(), 36);
    assert_eq!(written.object.version(), cluster.version());
}

#[test]
fn the_seed_decides_uids() {
    let uid = |seed| {
        let mut cluster = EmbeddedCluster::new(seed, 10);
        cluster.uid()
    };
    assert_eq!(uid(1), uid(1));
    assert_ne!(uid(1), uid(2));
    assert_eq!(&uid(3)[14..15], "4");
}

#[test]
fn unknown_fields_are_dropped_with_a_warning() {
    let mut cluster = cluster();
    let written =
        create(&mut cluster, json!({"metadata": {"foo": 1}, "spec": {"bogus": {"x": 1}}})).expect("created");
    assert_eq!(written.warnings, ["unknown field \"metadata.foo\"", "unknown field \"spec.bogus\""]);
    assert!(spec(&written).get("bogus").is_none());
}

#[test]
fn strict_validation_refuses_unknown_fields() {
    let mut cluster = cluster();
    let kind = kind(&cluster, "stacks");
    let caller = Caller { validation: Validation::Strict, ..me() };
    let body = object("Stack", "a", json!({"spec": {"bogus": 1}}));
    assert_eq!(cluster.create(&kind, body, caller).expect_err("strict").code, 400);
}

#[test]
fn a_taken_name_is_a_conflict_and_says_so_of_a_terminating_one() {
    let mut cluster = cluster();
    create(&mut cluster, json!({"metadata": {"finalizers": ["x/y"]}})).expect("created");
    let taken = create(&mut cluster, json!({})).expect_err("taken");
    assert_eq!((taken.code, taken.reason), (409, "AlreadyExists"));
    assert_eq!(taken.message, r#"stacks.formance.com "a" already exists"#);
    remove(&mut cluster, &DeleteOptions::default()).expect("terminating");
    let taken = create(&mut cluster, json!({})).expect_err("taken");
    assert_eq!(taken.message, r#"object is being deleted: stacks.formance.com "a" already exists"#);
}

#[test]
fn content_that_the_schema_refuses_is_invalid_with_causes() {
    let mut cluster = cluster();
    let failure = create(&mut cluster, json!({"spec": {"dev": "x"}})).expect_err("a string");
    assert_eq!(
        failure.message,
        r#"Stack.formance.com "a" is invalid: spec.dev: Invalid value: "string": spec.dev in body must be of type boolean: "string""#
    );
    assert_eq!(failure.details["causes"][0]["reason"], "FieldValueTypeInvalid");
}

#[test]
fn another_kind_at_this_path_is_invalid() {
    let mut cluster = cluster();
    let stacks = kind(&cluster, "stacks");
    let failure = cluster.create(&stacks, object("Gateway", "c", json!({})), me()).expect_err("a gateway");
    assert_eq!(
        failure.message,
        r#"Gateway.formance.com "c" is invalid: kind: Invalid value: "Gateway": must be Stack"#
    );
}

#[test]
fn the_generation_counts_changes_of_the_spec_only() {
    let mut cluster = cluster();
    create(&mut cluster, json!({})).expect("created");
    let generation = |written: WriteResult| written.object.value()["metadata"]["generation"].as_i64();
    let labelled = patch(&mut cluster, &json!({"metadata": {"labels": {"a": "b"}}})).expect("patched");
    assert_eq!(generation(labelled), Some(1));
    let changed = patch(&mut cluster, &json!({"spec": {"dev": true}})).expect("patched");
    assert_eq!(generation(changed), Some(2));
    let stacks = kind(&cluster, "stacks");
    let status = json!({"status": {"ready": true}});
    let reported = cluster.patch(&stacks, "a", WriteEndpoint::Status, &status, me()).expect("patched");
    assert_eq!(generation(reported), Some(2));
}

#[test]
fn a_patch_that_changes_nothing_leaves_the_version() {
    let mut cluster = cluster();
    let version = create(&mut cluster, json!({"spec": {"version": "v1"}})).expect("created").object.version();
    for nothing in [
        json!({}),
        json!({"spec": {"version": "v1", "dev": false}}),
        json!({"metadata": {"labels": {"absent": null}, "deletionTimestamp": null}}),
        json!({"status": {"ready": true}}),
    ] {
        assert_eq!(patch(&mut cluster, &nothing).expect("patched").object.version(), version, "{nothing}");
    }
}

#[test]
fn a_patch_on_a_moved_object_is_a_conflict_and_on_an_absent_one_not_found() {
    let mut cluster = cluster();
    let conditional = json!({"metadata": {"resourceVersion": "1"}, "spec": {"dev": true}});
    assert_eq!(patch(&mut cluster, &conditional).expect_err("absent").code, 404);
    create(&mut cluster, json!({})).expect("created");
    let failure = patch(&mut cluster, &conditional).expect_err("moved");
    assert_eq!((failure.code, failure.reason), (409, "Conflict"));
    assert!(
        failure
            .message
            .starts_with(r#"Operation cannot be fulfilled on stacks.formance.com "a": the object has"#)
    );
}

#[test]
fn a_patch_cannot_take_the_version_away() {
    let mut cluster = cluster();
    create(&mut cluster, json!({})).expect("created");
    let failure =
        patch(&mut cluster, &json!({"metadata": {"resourceVersion": null}})).expect_err("no version");
    assert_eq!(failure.code, 422);
}

#[test]
fn null_on_a_defaulted_field_means_the_default() {
    let mut cluster = cluster();
    create(&mut cluster, json!({"spec": {"dev": true, "version": "v1"}})).expect("created");
    let written = patch(&mut cluster, &json!({"spec": {"dev": null, "version": null}})).expect("patched");
    assert_eq!((&spec(&written)["dev"], spec(&written).get("version")), (&json!(false), None));
}

#[test]
fn the_status_endpoint_writes_the_status_alone() {
    let mut cluster = cluster();
    create(&mut cluster, json!({"spec": {}})).expect("created");
    let stacks = kind(&cluster, "stacks");
    let change =
        json!({"status": {"ready": true}, "spec": {"dev": true}, "metadata": {"labels": {"a": "b"}}});
    let written = cluster.patch(&stacks, "a", WriteEndpoint::Status, &change, me()).expect("patched");
    let value = written.object.value();
    assert_eq!((&value["status"], &value["spec"]["dev"]), (&json!({"ready": true}), &json!(false)));
    assert!(value["metadata"].get("labels").is_none());
}

#[test]
fn an_update_replaces_the_spec_and_needs_the_version() {
    let mut cluster = cluster();
    let stacks = kind(&cluster, "stacks");
    let version = create(&mut cluster, json!({"spec": {"version": "v1"}})).expect("created").object.version();
    let mut update = |version: &str| {
        let rest = json!({"metadata": {"resourceVersion": version}, "spec": {"dev": true}});
        cluster.update(&stacks, "a", WriteEndpoint::Main, object("Stack", "a", rest), me())
    };
    assert_eq!(update("").expect_err("no version").code, 422);
    assert_eq!(update("1").expect_err("moved").code, 409);
    let written = update(&version.to_string()).expect("updated");
    assert_eq!((spec(&written).get("version"), &spec(&written)["dev"]), (None, &json!(true)));
}

#[test]
fn a_delete_without_finalizers_leaves_nothing_but_the_uid() {
    let mut cluster = cluster();
    let uid = create(&mut cluster, json!({})).expect("created").object.uid().to_string();
    let deleted = remove(&mut cluster, &DeleteOptions::default()).expect("deleted");
    assert!(matches!(deleted, Deleted::Gone { uid: gone } if gone == uid));
    assert_eq!(remove(&mut cluster, &DeleteOptions::default()).expect_err("gone").code, 404);
}

#[test]
fn a_delete_holds_its_preconditions() {
    let mut cluster = cluster();
    let object = create(&mut cluster, json!({})).expect("created").object;
    let wrong_uid = DeleteOptions { uid: Some("bad".into()), ..DeleteOptions::default() };
    let failure = remove(&mut cluster, &wrong_uid).expect_err("another uid");
    assert!(failure.message.contains("the UID in the precondition (bad) does not match"), "{failure}");
    let wrong_version = DeleteOptions { version: Some("1".into()), ..DeleteOptions::default() };
    assert_eq!(remove(&mut cluster, &wrong_version).expect_err("moved").code, 409);
    let right = DeleteOptions {
        uid: Some(object.uid().into()),
        version: Some(object.version().to_string()),
        ..DeleteOptions::default()
    };
    assert!(matches!(remove(&mut cluster, &right), Ok(Deleted::Gone { .. })));
}

#[test]
fn a_finalizer_holds_a_deleted_object_until_it_is_taken_away() {
    let mut cluster = cluster();
    create(&mut cluster, json!({"metadata": {"finalizers": ["x/y"]}})).expect("created");
    let Ok(Deleted::Held(held)) = remove(&mut cluster, &DeleteOptions::default()) else {
        panic!("it should be held")
    };
    assert!(held.terminating());
    assert_eq!(held.value()["metadata"]["generation"], 2);
    let Ok(Deleted::Held(again)) = remove(&mut cluster, &DeleteOptions::default()) else {
        panic!("it should still be held")
    };
    assert_eq!(again.version(), held.version(), "a second delete changes nothing");
    patch(&mut cluster, &json!({"spec": {"dev": true}})).expect("still writable");
    let version = cluster.version();
    patch(&mut cluster, &json!({"metadata": {"finalizers": null}})).expect("released");
    assert_eq!(patch(&mut cluster, &json!({})).expect_err("gone").code, 404);
    let stacks = kind(&cluster, "stacks");
    let last =
        cluster.log().after(&stacks.full_name(), version).expect("in the window").last().expect("an event");
    assert_eq!(last.change.word(), "DELETED");
    assert_eq!(last.object.version(), cluster.version());
}

#[test]
fn pages_show_one_moment() {
    let mut cluster = cluster();
    let stacks = kind(&cluster, "stacks");
    for name in ["a", "b", "c"] {
        cluster.create(&stacks, object("Stack", name, json!({})), me()).expect("created");
    }
    let mut options = ListOptions { limit: 2, ..ListOptions::default() };
    let first = cluster.list(&stacks, &options).expect("a page");
    assert_eq!((first.objects.len(), first.remaining), (2, Some(1)));
    cluster.delete(&stacks, "c", &DeleteOptions::default(), now()).expect("deleted");
    cluster.create(&stacks, object("Stack", "d", json!({})), me()).expect("created");
    options.next = Some(first.next);
    let second = cluster.list(&stacks, &options).expect("a page");
    let names: Vec<&str> = second.objects.iter().map(|o| o.name()).collect();
    assert_eq!((names, second.version, second.next.as_str()), (vec!["c"], first.version, ""));
    cluster.expire();
    let expired = cluster.list(&stacks, &options).expect_err("expired");
    assert_eq!((expired.code, expired.reason), (410, "Expired"));
    options.next = expired.next;
    let rest = cluster.list(&stacks, &options).expect("an inconsistent page");
    assert_eq!(rest.objects.iter().map(|o| o.name()).collect::<Vec<_>>(), ["d"]);
}

#[test]
fn a_list_from_the_future_times_out() {
    let cluster = cluster();
    let stacks = kind(&cluster, "stacks");
    let failure =
        cluster.list(&stacks, &ListOptions { version: 9999, ..ListOptions::default() }).expect_err("future");
    assert_eq!((failure.code, failure.retry_after), (504, Some(1)));
}

#[test]
fn a_collection_is_deleted_by_selector() {
    let mut cluster = cluster();
    let stacks = kind(&cluster, "stacks");
    for (name, tier) in [("a", "x"), ("b", "y"), ("c", "x")] {
        let rest = json!({"metadata": {"labels": {"tier": tier}}});
        cluster.create(&stacks, object("Stack", name, rest), me()).expect("created");
    }
    let list =
        ListOptions { selector: Selector::parse("tier=x").expect("a selector"), ..ListOptions::default() };
    let deleted =
        cluster.delete_collection(&stacks, &list, &DeleteOptions::default(), now()).expect("deleted");
    assert_eq!(deleted.objects.len(), 2);
    assert_eq!(cluster.objects(&stacks).map(|o| o.name()).collect::<Vec<_>>(), ["b"]);
}

#[test]
fn a_removed_definition_takes_kind_and_objects_along() {
    let mut cluster = cluster();
    create(&mut cluster, json!({})).expect("created");
    let stacks = kind(&cluster, "stacks");
    let before = cluster.version();
    let definitions = cluster.kind(DEFINITIONS_GROUP, "v1", DEFINITIONS).expect("definitions");
    cluster.delete(&definitions, "stacks.formance.com", &DeleteOptions::default(), now()).expect("deleted");
    assert!(cluster.kind("formance.com", "v1beta1", "stacks").is_none());
    let events = cluster.log().after(&stacks.full_name(), before).expect("in the window");
    assert_eq!(events.last().map(|e| e.change.word()), Some("DELETED"));
}

#[test]
fn a_generated_name_starts_with_its_prefix() {
    let mut cluster = cluster();
    let written =
        create(&mut cluster, json!({"metadata": {"name": null, "generateName": "gn-"}})).expect("created");
    assert!(written.object.name().starts_with("gn-") && written.object.name().len() == 8);
}

#[test]
fn what_etcd_would_not_take_is_not_stored() {
    let mut cluster = cluster();
    let failure =
        create(&mut cluster, json!({"spec": {"version": "x".repeat(1_700_000)}})).expect_err("too large");
    assert_eq!((failure.code, failure.message.as_str()), (500, "etcdserver: request is too large"));
    create(&mut cluster, json!({})).expect("created");
    let patched = patch(&mut cluster, &json!({"spec": {"version": "x".repeat(1_700_000)}}));
    assert_eq!(patched.expect_err("too large").code, 500);
}

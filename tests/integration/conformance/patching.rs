//! PATCH with a JSON merge patch: how the agent updates.

use serde_json::json;

use super::target::{GROUP, at, create, current, object, refused, text, version};
use crate::support::rest::Rest;

scenarios! {
    a_patch_leaves_what_it_does_not_name,
    a_patch_that_changes_nothing_moves_nothing,
    a_spec_change_moves_the_generation_and_a_label_does_not,
    a_patch_on_a_moved_object_is_a_conflict,
    a_patch_on_the_current_version_is_stored,
    a_patch_of_nothing_but_the_current_version_moves_nothing,
    a_patch_that_changes_nothing_still_checks_its_version,
    a_patch_on_an_absent_object_is_not_found,
    null_removes,
    null_on_an_absent_label_moves_nothing,
    null_on_all_labels_takes_every_label,
    null_below_an_absent_parent_creates_the_parent,
    null_on_a_default_brings_the_default_back,
    a_list_is_replaced_as_a_whole,
    unknown_fields_are_warned_of_and_move_nothing,
    another_uid_is_refused,
    another_name_is_refused,
    a_status_is_written_through_its_own_path_alone,
    a_status_path_writes_nothing_else,
}

fn a_patch_leaves_what_it_does_not_name(server: &Rest) {
    let before =
        create(server, "partly", json!({ "labels": { "a": "1", "b": "2" } }), json!({ "version": "v1" }));
    let patch = json!({ "metadata": { "labels": { "b": "3" } }, "spec": { "dev": true } });
    let after = server.patch(&at("partly"), &patch).expect(200).json;
    assert_eq!(after["metadata"]["labels"], json!({ "a": "1", "b": "3" }));
    assert_eq!(after["spec"]["version"], "v1");
    assert_eq!(after["spec"]["dev"], true);
    assert_eq!(after["metadata"]["uid"], before["metadata"]["uid"]);
    assert!(version(&after) > version(&before));
    assert_eq!(after, current(server, "partly"));
}

fn a_patch_that_changes_nothing_moves_nothing(server: &Rest) {
    let before = create(server, "no-op", json!({ "labels": { "a": "1" } }), json!({ "dev": true }));
    let patch = json!({ "metadata": { "labels": { "a": "1" } }, "spec": { "dev": true, "debug": false } });
    assert_eq!(server.patch(&at("no-op"), &patch).expect(200).json, before);
    assert_eq!(current(server, "no-op"), before);
}

fn a_spec_change_moves_the_generation_and_a_label_does_not(server: &Rest) {
    create(server, "generation", json!({}), json!({}));
    let labels = json!({ "metadata": { "labels": { "a": "1" }, "annotations": { "a": "1" } } });
    let labelled = server.patch(&at("generation"), &labels).expect(200).json;
    assert_eq!(labelled["metadata"]["generation"], 1);
    let changed = server.patch(&at("generation"), &json!({ "spec": { "dev": true } })).expect(200).json;
    assert_eq!(changed["metadata"]["generation"], 2);
}

fn a_patch_on_a_moved_object_is_a_conflict(server: &Rest) {
    let old = create(server, "moved", json!({}), json!({}));
    let new = server.patch(&at("moved"), &json!({ "spec": { "dev": true } })).expect(200).json;
    let patch = json!({ "metadata": { "resourceVersion": old["metadata"]["resourceVersion"] }, "spec": { "dev": false } });
    let reply = server.patch(&at("moved"), &patch);
    let message = "Operation cannot be fulfilled on stacks.formance.com \"moved\": the object has been modified; \
                   please apply your changes to the latest version and try again";
    refused(&reply, 409, "Conflict", message);
    assert_eq!(reply.json["details"], json!({ "name": "moved", "group": "formance.com", "kind": "stacks" }));
    assert_eq!(current(server, "moved"), new);
}

fn a_patch_on_the_current_version_is_stored(server: &Rest) {
    let before = create(server, "unmoved", json!({}), json!({}));
    let rv = &before["metadata"]["resourceVersion"];
    let patch = json!({ "metadata": { "resourceVersion": rv }, "spec": { "dev": true } });
    let after = server.patch(&at("unmoved"), &patch).expect(200).json;
    assert_eq!(after["spec"]["dev"], true);
    assert!(version(&after) > version(&before));
}

fn a_patch_of_nothing_but_the_current_version_moves_nothing(server: &Rest) {
    let before = create(server, "no-op-current", json!({ "labels": { "a": "1" } }), json!({}));
    let rv = &before["metadata"]["resourceVersion"];
    let patch = json!({ "metadata": { "resourceVersion": rv, "labels": { "a": "1", "b": null } } });
    assert_eq!(server.patch(&at("no-op-current"), &patch).expect(200).json, before);
}

fn a_patch_that_changes_nothing_still_checks_its_version(server: &Rest) {
    let before = create(server, "no-op-moved", json!({}), json!({}));
    server.patch(&at("no-op-moved"), &json!({ "spec": { "dev": true } })).expect(200);
    let patch = json!({ "metadata": { "resourceVersion": before["metadata"]["resourceVersion"] }, "spec": { "dev": true } });
    let reply = server.patch(&at("no-op-moved"), &patch);
    assert_eq!((reply.status, reply.reason()), (409, "Conflict"), "{reply}");
}

fn a_patch_on_an_absent_object_is_not_found(server: &Rest) {
    for patch in [json!({ "metadata": { "resourceVersion": "1" }, "spec": {} }), json!({ "spec": {} })] {
        let reply = server.patch(&at("nowhere"), &patch);
        refused(&reply, 404, "NotFound", r#"stacks.formance.com "nowhere" not found"#);
    }
    server.get(&at("nowhere")).expect(404);
}

fn null_removes(server: &Rest) {
    create(server, "remove", json!({ "labels": { "a": "1", "b": "2" } }), json!({ "version": "v1" }));
    let patch = json!({ "metadata": { "labels": { "a": null } }, "spec": { "version": null } });
    let after = server.patch(&at("remove"), &patch).expect(200).json;
    assert_eq!(after["metadata"]["labels"], json!({ "b": "2" }));
    assert!(after["spec"].get("version").is_none());
    let bare =
        server.patch(&at("remove"), &json!({ "metadata": { "labels": { "b": null } } })).expect(200).json;
    assert!(bare["metadata"].get("labels").is_none(), "{bare}");
}

fn null_on_an_absent_label_moves_nothing(server: &Rest) {
    let before = create(server, "absent-label", json!({ "labels": { "a": "1" } }), json!({}));
    let patch = json!({ "metadata": { "labels": { "b": null }, "annotations": { "c": null } } });
    assert_eq!(server.patch(&at("absent-label"), &patch).expect(200).json, before);
    let bare = create(server, "absent-labels", json!({}), json!({}));
    assert_eq!(server.patch(&at("absent-labels"), &patch).expect(200).json, bare);
}

fn null_on_all_labels_takes_every_label(server: &Rest) {
    create(server, "all-labels", json!({ "labels": { "a": "1", "b": "2" } }), json!({}));
    let after = server.patch(&at("all-labels"), &json!({ "metadata": { "labels": null } })).expect(200).json;
    assert!(after["metadata"].get("labels").is_none());
}

fn null_below_an_absent_parent_creates_the_parent(server: &Rest) {
    let path = format!("{GROUP}/auths/parent");
    server
        .post(&format!("{GROUP}/auths"), &object("Auth", "parent", json!({}), json!({ "stack": "a" })))
        .expect(201);
    let patch = json!({ "spec": { "delegatedOIDCServer": { "issuer": null } } });
    let after = server.patch(&path, &patch).expect(200).json;
    assert_eq!(after["spec"]["delegatedOIDCServer"], json!({}));
    assert_eq!(after["metadata"]["generation"], 2);
    let whole = server.patch(&path, &json!({ "spec": { "delegatedOIDCServer": null } })).expect(200).json;
    assert!(whole["spec"].get("delegatedOIDCServer").is_none());
    let again = server.patch(&path, &json!({ "spec": { "delegatedOIDCServer": null } })).expect(200).json;
    assert_eq!(again, whole, "null on an absent member of spec moves nothing");
}

fn null_on_a_default_brings_the_default_back(server: &Rest) {
    create(server, "default-back", json!({}), json!({ "dev": true }));
    let after = server.patch(&at("default-back"), &json!({ "spec": { "dev": null } })).expect(200).json;
    assert_eq!(after["spec"]["dev"], false);
}

fn a_list_is_replaced_as_a_whole(server: &Rest) {
    let owner =
        |uid: &str| json!({ "apiVersion": "formance.com/v1beta1", "kind": "Stack", "name": "o", "uid": uid });
    // Finalizers are a list that no garbage collector looks at.
    create(server, "lists", json!({ "finalizers": ["example.com/a", "example.com/b"] }), json!({}));
    let patch = json!({ "metadata": { "finalizers": ["example.com/c"], "ownerReferences": [] } });
    let after = server.patch(&at("lists"), &patch).expect(200).json;
    assert_eq!(after["metadata"]["finalizers"], json!(["example.com/c"]));
    assert!(after["metadata"].get("ownerReferences").is_none());
    let real = create(server, "o", json!({}), json!({}));
    let patch = json!({ "metadata": { "ownerReferences": [owner(text(&real["metadata"]["uid"]))] } });
    let owned = server.patch(&at("lists"), &patch).expect(200).json;
    assert_eq!(owned["metadata"]["ownerReferences"], patch["metadata"]["ownerReferences"]);
}

fn unknown_fields_are_warned_of_and_move_nothing(server: &Rest) {
    let before = create(server, "unknown-patch", json!({}), json!({}));
    let reply = server.patch(&at("unknown-patch"), &json!({ "spec": { "nope": 1 } })).expect(200);
    assert_eq!(reply.header("warning"), Some(r#"299 - "unknown field \"spec.nope\"""#));
    assert_eq!(reply.json, before);
}

fn another_uid_is_refused(server: &Rest) {
    create(server, "other-uid", json!({}), json!({}));
    let reply = server.patch(&at("other-uid"), &json!({ "metadata": { "uid": "x" } }));
    let message =
        r#"Stack.formance.com "other-uid" is invalid: metadata.uid: Invalid value: "x": field is immutable"#;
    refused(&reply, 422, "Invalid", message);
}

fn another_name_is_refused(server: &Rest) {
    create(server, "same-name", json!({}), json!({}));
    let reply = server.patch(&at("same-name"), &json!({ "metadata": { "name": "x" } }));
    let message = "the name of the object (x) does not match the name on the URL (same-name)";
    refused(&reply, 400, "BadRequest", message);
}

fn a_status_is_written_through_its_own_path_alone(server: &Rest) {
    let before = create(server, "status", json!({}), json!({}));
    let aside = server.patch(&at("status"), &json!({ "status": { "ready": true } })).expect(200).json;
    assert_eq!(aside, before);
    let path = format!("{}/status", at("status"));
    let after = server.patch(&path, &json!({ "status": { "ready": true, "info": "x" } })).expect(200).json;
    assert_eq!(after["status"], json!({ "ready": true, "info": "x" }));
    assert_eq!(after["metadata"]["generation"], 1);
    assert!(version(&after) > version(&before));
    let changed = server.patch(&at("status"), &json!({ "spec": { "dev": true } })).expect(200).json;
    assert_eq!(changed["status"], after["status"]);
}

fn a_status_path_writes_nothing_else(server: &Rest) {
    create(server, "status-only", json!({ "labels": { "a": "1" } }), json!({}));
    let patch = json!({ "metadata": { "labels": { "a": "2" } }, "spec": { "dev": true }, "status": { "ready": true } });
    let after = server.patch(&format!("{}/status", at("status-only")), &patch).expect(200).json;
    assert_eq!(after["spec"]["dev"], false);
    assert_eq!(after["metadata"]["labels"], json!({ "a": "1" }));
    assert_eq!(after["status"], json!({ "ready": true }));
}

//! PUT: how the operator and the Go agent update.

use serde_json::json;

use super::target::{at, create, current, refused, stack, version};
use crate::support::rest::Rest;

scenarios! {
    a_replacement_is_stored,
    a_replacement_needs_a_version,
    a_replacement_of_a_moved_object_is_a_conflict,
    a_replacement_of_an_absent_object_is_not_found,
    a_replacement_that_changes_nothing_moves_nothing,
    a_replacement_cannot_change_the_uid,
    a_replacement_keeps_the_status,
    a_status_replacement_keeps_the_rest,
}

fn a_replacement_is_stored(server: &Rest) {
    let mut object = create(server, "put", json!({ "labels": { "a": "1" } }), json!({ "version": "v1" }));
    let before = version(&object);
    object["metadata"]["labels"] = json!({ "b": "2" });
    object["spec"] = json!({ "dev": true });
    let after = server.put(&at("put"), &object).expect(200).json;
    assert_eq!(after["metadata"]["labels"], json!({ "b": "2" }));
    assert_eq!(
        after["spec"],
        json!({ "debug": false, "dev": true, "disabled": false, "enableAudit": false })
    );
    assert_eq!(after["metadata"]["generation"], 2);
    assert!(version(&after) > before);
}

fn a_replacement_needs_a_version(server: &Rest) {
    create(server, "put-blind", json!({}), json!({}));
    let reply = server.put(&at("put-blind"), &stack("put-blind", json!({}), json!({})));
    let message = "stacks.formance.com \"put-blind\" is invalid: metadata.resourceVersion: \
                   Invalid value: 0: must be specified for an update";
    refused(&reply, 422, "Invalid", message);
}

fn a_replacement_of_a_moved_object_is_a_conflict(server: &Rest) {
    let old = create(server, "put-moved", json!({}), json!({}));
    server.patch(&at("put-moved"), &json!({ "spec": { "dev": true } })).expect(200);
    let reply = server.put(&at("put-moved"), &old);
    let message = "Operation cannot be fulfilled on stacks.formance.com \"put-moved\": the object has been \
                   modified; please apply your changes to the latest version and try again";
    refused(&reply, 409, "Conflict", message);
}

fn a_replacement_of_an_absent_object_is_not_found(server: &Rest) {
    for metadata in [json!({}), json!({ "resourceVersion": "5" })] {
        let reply = server.put(&at("put-nowhere"), &stack("put-nowhere", metadata, json!({})));
        refused(&reply, 404, "NotFound", r#"stacks.formance.com "put-nowhere" not found"#);
    }
}

fn a_replacement_that_changes_nothing_moves_nothing(server: &Rest) {
    let object = create(server, "put-same", json!({ "labels": { "a": "1" } }), json!({}));
    assert_eq!(server.put(&at("put-same"), &object).expect(200).json, object);
    assert_eq!(current(server, "put-same"), object);
}

fn a_replacement_cannot_change_the_uid(server: &Rest) {
    let mut object = create(server, "put-uid", json!({}), json!({}));
    object["metadata"]["uid"] = "x".into();
    let reply = server.put(&at("put-uid"), &object);
    assert_eq!((reply.status, reply.reason()), (409, "Conflict"), "{reply}");
}

fn a_replacement_keeps_the_status(server: &Rest) {
    create(server, "put-status", json!({}), json!({}));
    let patch = json!({ "status": { "ready": true } });
    let mut object = server.patch(&format!("{}/status", at("put-status")), &patch).expect(200).json;
    object["status"] = json!({ "ready": false });
    object["spec"]["dev"] = true.into();
    assert_eq!(server.put(&at("put-status"), &object).expect(200).json["status"], json!({ "ready": true }));
}

fn a_status_replacement_keeps_the_rest(server: &Rest) {
    let mut object = create(server, "put-only-status", json!({}), json!({}));
    object["status"] = json!({ "ready": true });
    object["spec"]["dev"] = true.into();
    let after = server.put(&format!("{}/status", at("put-only-status")), &object).expect(200).json;
    assert_eq!(after["status"], json!({ "ready": true }));
    assert_eq!(after["spec"]["dev"], false);
    assert_eq!(after["metadata"]["generation"], 1);
}

//! POST.

use serde_json::json;

use super::target::{GROUP, STACKS, at, create, current, object, refused, stack, text, version};
use crate::support::rest::Rest;

scenarios! {
    the_server_gives_identity_generation_and_time,
    defaults_are_filled_in,
    defaults_below_an_absent_parent_are_not,
    a_name_that_is_taken_is_already_exists,
    a_status_is_not_taken_from_a_create,
    unknown_fields_are_warned_of_and_not_stored,
    what_the_client_says_of_the_servers_fields_does_not_count,
    a_version_must_not_be_named,
    a_name_can_be_made_by_the_server,
    what_was_deleted_can_be_created_anew,
}

fn the_server_gives_identity_generation_and_time(server: &Rest) {
    let created = create(server, "identity", json!({}), json!({}));
    let metadata = &created["metadata"];
    assert_eq!(text(&metadata["uid"]).len(), 36);
    assert_eq!(metadata["generation"], 1);
    assert!(text(&metadata["creationTimestamp"]).ends_with('Z'));
    assert!(version(&created) > 0);
    let second = create(server, "identity-2", json!({}), json!({}));
    assert!(version(&second) > version(&created));
    assert_ne!(second["metadata"]["uid"], metadata["uid"]);
}

fn defaults_are_filled_in(server: &Rest) {
    let created = create(server, "defaults", json!({}), json!({ "version": "v1" }));
    let spec =
        json!({ "debug": false, "dev": false, "disabled": false, "enableAudit": false, "version": "v1" });
    assert_eq!(created["spec"], spec);
    let chosen = create(server, "defaults-2", json!({}), json!({ "debug": true }));
    assert_eq!(chosen["spec"]["debug"], true);
}

fn defaults_below_an_absent_parent_are_not(server: &Rest) {
    let create = |name: &str, spec| {
        server.post(&format!("{GROUP}/gateways"), &object("Gateway", name, json!({}), spec)).expect(201).json
    };
    let without = create("gateway-1", json!({ "stack": "a" }));
    assert!(without["spec"].get("ingress").is_none());
    let with = create("gateway-2", json!({ "stack": "a", "ingress": { "host": "h" } }));
    assert_eq!(with["spec"]["ingress"], json!({ "host": "h", "scheme": "https" }));
}

fn a_name_that_is_taken_is_already_exists(server: &Rest) {
    let created = create(server, "taken", json!({}), json!({}));
    let reply = server.post(STACKS, &stack("taken", json!({}), json!({ "version": "v9" })));
    refused(&reply, 409, "AlreadyExists", r#"stacks.formance.com "taken" already exists"#);
    assert_eq!(reply.json["details"], json!({ "name": "taken", "group": "formance.com", "kind": "stacks" }));
    assert_eq!(current(server, "taken"), created);
}

fn a_status_is_not_taken_from_a_create(server: &Rest) {
    let mut body = stack("no-status", json!({}), json!({}));
    body["status"] = json!({ "ready": true });
    let created = server.post(STACKS, &body).expect(201).json;
    assert!(created.get("status").is_none());
}

fn unknown_fields_are_warned_of_and_not_stored(server: &Rest) {
    let reply = server.post(STACKS, &stack("unknown", json!({}), json!({ "bogus": { "x": 1 } }))).expect(201);
    assert_eq!(reply.header("warning"), Some(r#"299 - "unknown field \"spec.bogus\"""#));
    assert!(reply.json["spec"].get("bogus").is_none());
    assert!(current(server, "unknown")["spec"].get("bogus").is_none());
    let known = server.post(STACKS, &stack("known", json!({}), json!({}))).expect(201);
    assert_eq!(known.header("warning"), None);
}

fn what_the_client_says_of_the_servers_fields_does_not_count(server: &Rest) {
    let metadata = json!({
        "uid": "mine", "generation": 7, "creationTimestamp": "2020-01-01T00:00:00Z",
        "deletionTimestamp": "2020-01-01T00:00:00Z",
    });
    let created = create(server, "presumed", metadata, json!({}));
    assert_ne!(created["metadata"]["uid"], "mine");
    assert_eq!(created["metadata"]["generation"], 1);
    assert_ne!(created["metadata"]["creationTimestamp"], "2020-01-01T00:00:00Z");
    assert!(created["metadata"].get("deletionTimestamp").is_none());
}

fn a_version_must_not_be_named(server: &Rest) {
    let reply = server.post(STACKS, &stack("versioned", json!({ "resourceVersion": "5" }), json!({})));
    refused(&reply, 500, "", "resourceVersion should not be set on objects to be created");
}

fn a_name_can_be_made_by_the_server(server: &Rest) {
    let mut body = stack("", json!({ "generateName": "made-" }), json!({}));
    body["metadata"].as_object_mut().expect("object").remove("name");
    let created = server.post(STACKS, &body).expect(201).json;
    let name = text(&created["metadata"]["name"]);
    assert!(name.starts_with("made-") && name.len() == "made-".len() + 5, "{name}");
}

fn what_was_deleted_can_be_created_anew(server: &Rest) {
    let old = create(server, "anew", json!({}), json!({}));
    server.delete(&at("anew")).expect(200);
    let new = create(server, "anew", json!({}), json!({}));
    assert_ne!(old["metadata"]["uid"], new["metadata"]["uid"]);
    assert_eq!(new["metadata"]["generation"], 1);
    assert!(version(&new) > version(&old));
}

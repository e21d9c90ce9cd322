//! DELETE, finalizers, and objects that are on their way out.

use serde_json::{Value, json};

use super::target::{STACKS, at, create, current, names, refused, stack, text, version};
use crate::support::rest::Rest;

const HELD: &str = "example.com/held";

scenarios! {
    an_immediate_delete_answers_a_status_with_the_uid,
    an_absent_object_cannot_be_deleted,
    a_delete_on_another_uid_is_a_conflict,
    a_delete_on_another_version_is_a_conflict,
    a_delete_on_uid_and_version_is_done,
    a_finalizer_holds_a_deleted_object,
    a_second_delete_moves_nothing,
    a_second_delete_on_an_older_version_is_a_conflict,
    a_terminating_object_keeps_its_name,
    a_terminating_object_can_be_changed,
    a_terminating_object_takes_no_new_finalizer,
    the_last_finalizer_takes_the_object_with_it,
    a_collection_is_deleted_by_label,
    a_background_delete_needs_no_kind_in_its_options,
    an_unknown_propagation_is_invalid,
    a_broken_body_deletes_nothing,
}

fn held(server: &Rest, name: &str) -> Value {
    create(server, name, json!({ "finalizers": [HELD] }), json!({}))
}

fn an_immediate_delete_answers_a_status_with_the_uid(server: &Rest) {
    let created = create(server, "gone", json!({}), json!({}));
    let reply = server.delete_if(&at("gone"), &json!({})).expect(200).json;
    assert_eq!(reply["kind"], "Status");
    assert_eq!(reply["status"], "Success");
    let uid = &created["metadata"]["uid"];
    assert_eq!(
        reply["details"],
        json!({ "name": "gone", "group": "formance.com", "kind": "stacks", "uid": uid })
    );
    assert_eq!(reply["metadata"], json!({}));
    server.get(&at("gone")).expect(404);
}

fn an_absent_object_cannot_be_deleted(server: &Rest) {
    let reply = server.delete(&at("never"));
    refused(&reply, 404, "NotFound", r#"stacks.formance.com "never" not found"#);
}

fn a_delete_on_another_uid_is_a_conflict(server: &Rest) {
    let created = create(server, "other", json!({}), json!({}));
    let uid = text(&created["metadata"]["uid"]);
    let rv = &created["metadata"]["resourceVersion"];
    let reply = server.delete_if(&at("other"), &json!({ "uid": "bad", "resourceVersion": rv }));
    let message = format!(
        "Operation cannot be fulfilled on Stack.formance.com \"other\": the UID in the precondition (bad) does not \
         match the UID in record ({uid}). The object might have been deleted and then recreated"
    );
    refused(&reply, 409, "Conflict", &message);
    assert_eq!(reply.json["details"], json!({ "name": "other", "group": "formance.com", "kind": "Stack" }));
    assert_eq!(current(server, "other"), created);
}

fn a_delete_on_another_version_is_a_conflict(server: &Rest) {
    let created = create(server, "older", json!({}), json!({}));
    let moved = server.patch(&at("older"), &json!({ "spec": { "dev": true } })).expect(200).json;
    let (uid, rv) = (&created["metadata"]["uid"], &created["metadata"]["resourceVersion"]);
    let reply = server.delete_if(&at("older"), &json!({ "uid": uid, "resourceVersion": rv }));
    let message = format!(
        "Operation cannot be fulfilled on Stack.formance.com \"older\": the ResourceVersion in the precondition ({}) \
         does not match the ResourceVersion in record ({}). The object might have been modified",
        text(rv),
        version(&moved)
    );
    refused(&reply, 409, "Conflict", &message);
    assert_eq!(current(server, "older"), moved);
}

fn a_delete_on_uid_and_version_is_done(server: &Rest) {
    let created = create(server, "exactly", json!({}), json!({}));
    let (uid, rv) = (&created["metadata"]["uid"], &created["metadata"]["resourceVersion"]);
    server.delete_if(&at("exactly"), &json!({ "uid": uid, "resourceVersion": rv })).expect(200);
    server.get(&at("exactly")).expect(404);
}

fn a_finalizer_holds_a_deleted_object(server: &Rest) {
    let before = held(server, "held");
    let after = server.delete(&at("held")).expect(200).json;
    assert_eq!(after["kind"], "Stack");
    assert!(text(&after["metadata"]["deletionTimestamp"]).ends_with('Z'));
    assert_eq!(after["metadata"]["deletionGracePeriodSeconds"], 0);
    assert_eq!(after["metadata"]["generation"], 2);
    assert_eq!(after["metadata"]["finalizers"], json!([HELD]));
    assert!(version(&after) > version(&before));
    assert_eq!(current(server, "held"), after);
}

fn a_second_delete_moves_nothing(server: &Rest) {
    held(server, "twice");
    let first = server.delete(&at("twice")).expect(200).json;
    assert_eq!(server.delete(&at("twice")).expect(200).json, first);
    let (uid, rv) = (&first["metadata"]["uid"], &first["metadata"]["resourceVersion"]);
    let third =
        server.delete_if(&at("twice"), &json!({ "uid": uid, "resourceVersion": rv })).expect(200).json;
    assert_eq!(third, first);
}

fn a_second_delete_on_an_older_version_is_a_conflict(server: &Rest) {
    let before = held(server, "twice-older");
    server.delete(&at("twice-older")).expect(200);
    let (uid, rv) = (&before["metadata"]["uid"], &before["metadata"]["resourceVersion"]);
    let reply = server.delete_if(&at("twice-older"), &json!({ "uid": uid, "resourceVersion": rv }));
    assert_eq!((reply.status, reply.reason()), (409, "Conflict"), "{reply}");
}

fn a_terminating_object_keeps_its_name(server: &Rest) {
    held(server, "dying");
    let dying = server.delete(&at("dying")).expect(200).json;
    let reply = server.post(STACKS, &stack("dying", json!({}), json!({})));
    let message = r#"object is being deleted: stacks.formance.com "dying" already exists"#;
    refused(&reply, 409, "AlreadyExists", message);
    assert_eq!(current(server, "dying"), dying);
}

fn a_terminating_object_can_be_changed(server: &Rest) {
    held(server, "dying-changed");
    server.delete(&at("dying-changed")).expect(200);
    let patch =
        json!({ "metadata": { "labels": { "a": "1" }, "deletionTimestamp": null }, "spec": { "dev": true } });
    let after = server.patch(&at("dying-changed"), &patch).expect(200).json;
    assert_eq!(after["spec"]["dev"], true);
    assert_eq!(after["metadata"]["labels"], json!({ "a": "1" }));
    assert_eq!(after["metadata"]["generation"], 3);
    assert!(after["metadata"].get("deletionTimestamp").is_some(), "what was deleted stays deleted");
}

fn a_terminating_object_takes_no_new_finalizer(server: &Rest) {
    held(server, "dying-held");
    server.delete(&at("dying-held")).expect(200);
    let patch = json!({ "metadata": { "finalizers": [HELD, "example.com/more"] } });
    let reply = server.patch(&at("dying-held"), &patch);
    let message = "Stack.formance.com \"dying-held\" is invalid: metadata.finalizers: Forbidden: no new finalizers can \
                   be added if the object is being deleted, found new finalizers []string{\"example.com/more\"}";
    refused(&reply, 422, "Invalid", message);
}

fn the_last_finalizer_takes_the_object_with_it(server: &Rest) {
    create(server, "released", json!({ "finalizers": [HELD, "example.com/more"] }), json!({}));
    server.delete(&at("released")).expect(200);
    server.patch(&at("released"), &json!({ "metadata": { "finalizers": [HELD] } })).expect(200);
    current(server, "released");
    let last = server.patch(&at("released"), &json!({ "metadata": { "finalizers": null } })).expect(200).json;
    assert!(last["metadata"].get("finalizers").is_none());
    server.get(&at("released")).expect(404);
}

fn a_collection_is_deleted_by_label(server: &Rest) {
    for (name, label) in [("many-1", "x"), ("many-2", "x"), ("many-3", "y")] {
        create(server, name, json!({ "labels": { "many": label } }), json!({}));
    }
    create(server, "many-4", json!({ "labels": { "many": "x" }, "finalizers": [HELD] }), json!({}));
    let reply = server.delete(&format!("{STACKS}?labelSelector=many%3Dx")).expect(200);
    assert_eq!(reply.json["kind"], "StackList", "{reply}");
    let left = server.get(&format!("{STACKS}?labelSelector=many")).expect(200).json;
    assert_eq!(names(&left), ["many-3", "many-4"]);
    assert!(current(server, "many-4")["metadata"].get("deletionTimestamp").is_some());
    let none = server.delete(&format!("{STACKS}?labelSelector=many%3Dz")).expect(200);
    assert_eq!(names(&none.json), [""; 0]);
}

fn a_broken_body_deletes_nothing(server: &Rest) {
    create(server, "unbroken", json!({}), json!({}));
    let reply = server.send("DELETE", &at("unbroken"), "application/json", Some(b"{bad".to_vec()));
    assert_eq!((reply.status, reply.reason()), (400, "BadRequest"), "{reply}");
    current(server, "unbroken");
}

fn a_background_delete_needs_no_kind_in_its_options(server: &Rest) {
    let created = create(server, "background", json!({}), json!({}));
    let uid = &created["metadata"]["uid"];
    let options = json!({ "preconditions": { "uid": uid }, "propagationPolicy": "Background" });
    let reply =
        server.send("DELETE", &at("background"), "application/json", Some(options.to_string().into()));
    assert_eq!(reply.expect(200).json["details"]["uid"], *uid);
    server.get(&at("background")).expect(404);
}

fn an_unknown_propagation_is_invalid(server: &Rest) {
    create(server, "propagation", json!({}), json!({}));
    let options = json!({ "propagationPolicy": "Bogus" }).to_string();
    let reply = server.send("DELETE", &at("propagation"), "application/json", Some(options.into()));
    let message = "DeleteOptions.meta.k8s.io \"\" is invalid: propagationPolicy: Unsupported value: \"Bogus\": \
                   supported values: \"Foreground\", \"Background\", \"Orphan\", \"nil\"";
    refused(&reply, 422, "Invalid", message);
    current(server, "propagation");
}

//! `metadata.managedFields`: who set what, from which the agent learns what it may take back.

use serde_json::{Value, json};

use super::target::{GROUP, STACKS, at, by, create, current, object, owners, stack, text};
use crate::support::rest::Rest;

scenarios! {
    a_creator_owns_what_it_set_and_the_defaults,
    an_entry_says_who_when_and_what,
    the_manager_is_the_agents_name_where_none_is_given,
    without_a_user_agent_the_manager_is_unknown,
    the_same_value_takes_no_ownership,
    another_value_moves_ownership,
    a_new_key_belongs_to_who_added_it,
    a_removed_key_belongs_to_nobody,
    a_manager_without_fields_has_no_entry,
    a_patch_by_the_creator_stays_in_its_entry,
    a_replacement_is_booked_like_a_patch,
    what_the_go_agent_wrote_can_be_told,
    a_status_has_an_entry_of_its_own,
    owner_references_are_booked_by_uid,
    finalizers_are_booked_by_value,
    nested_objects_are_booked_key_by_key,
    free_maps_are_booked_key_by_key_and_lists_as_a_whole,
    ten_managers_stand_side_by_side,
    the_eleventh_manager_folds_the_oldest,
    a_folded_manager_gets_a_new_entry,
}

const DEFAULTS: [&str; 4] = ["f:debug", "f:dev", "f:disabled", "f:enableAudit"];

/// `f:spec` of somebody who owns the defaults of a Stack and these.
fn spec_with_defaults(more: &[&str]) -> Value {
    let mut spec = json!({ ".": {} });
    for field in DEFAULTS.iter().chain(more) {
        spec[*field] = json!({});
    }
    spec
}

fn a_creator_owns_what_it_set_and_the_defaults(server: &Rest) {
    let metadata = json!({ "labels": { "formance.com/stack": "x" }, "annotations": { "a": "1" } });
    let created = create(server, "creator", metadata, json!({ "version": "v1" }));
    let fields = json!({
        "f:metadata": {
            "f:annotations": { ".": {}, "f:a": {} },
            "f:labels": { ".": {}, "f:formance.com/stack": {} },
        },
        "f:spec": spec_with_defaults(&["f:version"]),
    });
    assert_eq!(owners(&created), [("creator Update".to_owned(), fields)].into());
}

fn an_entry_says_who_when_and_what(server: &Rest) {
    let created = create(server, "entry", json!({}), json!({}));
    let entry = &created["metadata"]["managedFields"][0];
    assert_eq!(entry["apiVersion"], "formance.com/v1beta1");
    assert_eq!(entry["fieldsType"], "FieldsV1");
    assert_eq!(entry["manager"], "creator");
    assert_eq!(entry["operation"], "Update");
    assert!(entry.get("subresource").is_none());
    assert_eq!(entry["time"], created["metadata"]["creationTimestamp"]);
}

fn the_manager_is_the_agents_name_where_none_is_given(server: &Rest) {
    let agent = server.as_agent("some-agent/v1.2 (linux)");
    let created = agent.post(STACKS, &stack("agent-name", json!({}), json!({}))).expect(201).json;
    assert_eq!(owners(&created).keys().collect::<Vec<_>>(), ["some-agent Update"]);
}

fn without_a_user_agent_the_manager_is_unknown(server: &Rest) {
    let created = server.as_agent("").post(STACKS, &stack("no-agent", json!({}), json!({}))).expect(201).json;
    assert_eq!(owners(&created).keys().collect::<Vec<_>>(), ["unknown Update"]);
}

fn the_same_value_takes_no_ownership(server: &Rest) {
    let before = create(server, "same-value", json!({ "labels": { "a": "1" } }), json!({ "version": "v1" }));
    let patch = json!({ "metadata": { "labels": { "a": "1" } }, "spec": { "version": "v1" } });
    let same = server.patch(&by("same-value", "other"), &patch).expect(200).json;
    assert_eq!(same, before);
    let patch = json!({ "metadata": { "labels": { "a": "1", "b": "2" } }, "spec": { "version": "v1" } });
    let after = server.patch(&by("same-value", "other"), &patch).expect(200).json;
    assert_eq!(owners(&after)["other Update"], json!({ "f:metadata": { "f:labels": { "f:b": {} } } }));
    assert_eq!(owners(&after)["creator Update"], owners(&before)["creator Update"]);
}

fn another_value_moves_ownership(server: &Rest) {
    create(server, "moves", json!({ "labels": { "a": "1", "b": "1" } }), json!({ "version": "v1" }));
    let patch = json!({ "metadata": { "labels": { "a": "2" } }, "spec": { "version": "v2", "dev": true } });
    let after = owners(&server.patch(&by("moves", "other"), &patch).expect(200).json);
    let theirs =
        json!({ "f:metadata": { "f:labels": { "f:a": {} } }, "f:spec": { "f:dev": {}, "f:version": {} } });
    assert_eq!(after["other Update"], theirs);
    let mut spec = spec_with_defaults(&[]);
    spec.as_object_mut().expect("object").remove("f:dev");
    let ours = json!({ "f:metadata": { "f:labels": { ".": {}, "f:b": {} } }, "f:spec": spec });
    assert_eq!(after["creator Update"], ours);
}

fn a_new_key_belongs_to_who_added_it(server: &Rest) {
    create(server, "new-key", json!({}), json!({}));
    let patch = json!({ "metadata": { "labels": { "a": "1" }, "annotations": { "b": "2" } } });
    let after = owners(&server.patch(&by("new-key", "other"), &patch).expect(200).json);
    let theirs = json!({ "f:metadata": { "f:annotations": { ".": {}, "f:b": {} }, "f:labels": { ".": {}, "f:a": {} } } });
    assert_eq!(after["other Update"], theirs);
}

fn a_removed_key_belongs_to_nobody(server: &Rest) {
    create(server, "removed", json!({ "labels": { "a": "1", "b": "1" } }), json!({ "version": "v1" }));
    let patch = json!({ "metadata": { "labels": { "a": null } }, "spec": { "version": null } });
    let after = owners(&server.patch(&by("removed", "other"), &patch).expect(200).json);
    let ours =
        json!({ "f:metadata": { "f:labels": { ".": {}, "f:b": {} } }, "f:spec": spec_with_defaults(&[]) });
    assert_eq!(after, [("creator Update".to_owned(), ours)].into());
}

fn a_manager_without_fields_has_no_entry(server: &Rest) {
    create(server, "no-fields", json!({}), json!({}));
    let add = json!({ "metadata": { "labels": { "a": "1" } } });
    let added = server.patch(&by("no-fields", "other"), &add).expect(200).json;
    assert!(owners(&added).contains_key("other Update"));
    let take = json!({ "metadata": { "labels": { "a": null } } });
    let taken = server.patch(&by("no-fields", "third"), &take).expect(200).json;
    assert_eq!(owners(&taken).keys().collect::<Vec<_>>(), ["creator Update"]);
}

fn a_patch_by_the_creator_stays_in_its_entry(server: &Rest) {
    create(server, "own-patch", json!({ "labels": { "a": "1" } }), json!({}));
    let patch = json!({ "metadata": { "labels": { "a": "2", "b": "1" } }, "spec": { "version": "v1" } });
    let after = owners(&server.patch(&by("own-patch", "creator"), &patch).expect(200).json);
    let ours = json!({
        "f:metadata": { "f:labels": { ".": {}, "f:a": {}, "f:b": {} } },
        "f:spec": spec_with_defaults(&["f:version"]),
    });
    assert_eq!(after, [("creator Update".to_owned(), ours)].into());
}

fn a_replacement_is_booked_like_a_patch(server: &Rest) {
    let mut body = create(server, "replaced", json!({ "labels": { "a": "1", "b": "1" } }), json!({}));
    body["metadata"]["labels"] = json!({ "a": "1", "c": "1" });
    body["spec"]["version"] = "v1".into();
    let after = owners(&server.put(&by("replaced", "other"), &body).expect(200).json);
    let theirs = json!({ "f:metadata": { "f:labels": { "f:c": {} } }, "f:spec": { "f:version": {} } });
    assert_eq!(after["other Update"], theirs);
    assert_eq!(after["creator Update"]["f:metadata"], json!({ "f:labels": { ".": {}, "f:a": {} } }));
}

fn what_the_go_agent_wrote_can_be_told(server: &Rest) {
    let go = server.as_agent("Go-http-client/2.0");
    let labels = json!({ "labels": { "formance.com/created-by-agent": "true", "formance.com/old": "1" } });
    go.post(STACKS, &stack("go-agent", labels, json!({ "versionsFromFile": "default" }))).expect(201);
    let patch = json!({ "metadata": { "labels": { "formance.com/new": "1" } } });
    let after = owners(&server.patch(&by("go-agent", "stackherd"), &patch).expect(200).json);
    let labels = &after["Go-http-client Update"]["f:metadata"]["f:labels"];
    assert_eq!(*labels, json!({ ".": {}, "f:formance.com/created-by-agent": {}, "f:formance.com/old": {} }));
    assert_eq!(
        after["stackherd Update"],
        json!({ "f:metadata": { "f:labels": { "f:formance.com/new": {} } } })
    );
    let patch = json!({ "metadata": { "labels": { "formance.com/old": null } } });
    let taken = owners(&server.patch(&by("go-agent", "stackherd"), &patch).expect(200).json);
    let labels = &taken["Go-http-client Update"]["f:metadata"]["f:labels"];
    assert_eq!(*labels, json!({ ".": {}, "f:formance.com/created-by-agent": {} }));
}

fn a_status_has_an_entry_of_its_own(server: &Rest) {
    create(server, "status-owner", json!({}), json!({}));
    let path = format!("{}/status?fieldManager=creator", at("status-owner"));
    let patch = json!({ "status": { "ready": true, "info": "x" } });
    let after = owners(&server.patch(&path, &patch).expect(200).json);
    let fields = json!({ "f:status": { ".": {}, "f:info": {}, "f:ready": {} } });
    assert_eq!(after["creator Update status"], fields);
    assert_eq!(after["creator Update"], json!({ "f:spec": spec_with_defaults(&[]) }));
}

fn owner_references_are_booked_by_uid(server: &Rest) {
    let owner = create(server, "the-owner", json!({}), json!({}));
    let uid = text(&owner["metadata"]["uid"]);
    let reference =
        json!({ "apiVersion": "formance.com/v1beta1", "kind": "Stack", "name": "the-owner", "uid": uid });
    create(server, "owned", json!({ "ownerReferences": [reference] }), json!({}));
    let mut expected = json!({ ".": {} });
    expected[format!("k:{{\"uid\":\"{uid}\"}}")] = json!({});
    let ours = &owners(&current(server, "owned"))["creator Update"];
    assert_eq!(ours["f:metadata"]["f:ownerReferences"], expected);
}

fn finalizers_are_booked_by_value(server: &Rest) {
    create(server, "finalized", json!({ "finalizers": ["example.com/a"] }), json!({}));
    let patch = json!({ "metadata": { "finalizers": ["example.com/a", "example.com/b"] } });
    let after = owners(&server.patch(&by("finalized", "other"), &patch).expect(200).json);
    let ours = &after["creator Update"]["f:metadata"]["f:finalizers"];
    assert_eq!(*ours, json!({ ".": {}, "v:\"example.com/a\"": {} }));
    let theirs = &after["other Update"]["f:metadata"]["f:finalizers"];
    assert_eq!(*theirs, json!({ "v:\"example.com/b\"": {} }));
}

fn nested_objects_are_booked_key_by_key(server: &Rest) {
    let oidc = json!({ "issuer": "i", "clientID": "c", "clientSecret": "s" });
    let spec = json!({ "stack": "a", "delegatedOIDCServer": oidc });
    let body = object("Auth", "nested", json!({}), spec);
    server.post(&format!("{GROUP}/auths?fieldManager=creator"), &body).expect(201);
    let patch = json!({ "spec": { "delegatedOIDCServer": { "issuer": "j", "clientSecret": null } } });
    let path = format!("{GROUP}/auths/nested?fieldManager=other");
    let after = owners(&server.patch(&path, &patch).expect(200).json);
    let ours = &after["creator Update"]["f:spec"]["f:delegatedOIDCServer"];
    assert_eq!(*ours, json!({ ".": {}, "f:clientID": {} }));
    assert_eq!(after["other Update"], json!({ "f:spec": { "f:delegatedOIDCServer": { "f:issuer": {} } } }));
}

fn free_maps_are_booked_key_by_key_and_lists_as_a_whole(server: &Rest) {
    let ingress = json!({ "host": "h", "hosts": ["a"], "annotations": { "x/y": "1" } });
    let body = object("Gateway", "maps", json!({}), json!({ "stack": "a", "ingress": ingress }));
    server.post(&format!("{GROUP}/gateways?fieldManager=creator"), &body).expect(201);
    let patch = json!({ "spec": { "ingress": { "hosts": ["a", "b"], "annotations": { "z": "2" } } } });
    let path = format!("{GROUP}/gateways/maps?fieldManager=human");
    let after = owners(&server.patch(&path, &patch).expect(200).json);
    let ours = &after["creator Update"]["f:spec"]["f:ingress"];
    let expected =
        json!({ ".": {}, "f:annotations": { ".": {}, "f:x/y": {} }, "f:host": {}, "f:scheme": {} });
    assert_eq!(*ours, expected);
    let theirs = json!({ "f:annotations": { "f:z": {} }, "f:hosts": {} });
    assert_eq!(after["human Update"], json!({ "f:spec": { "f:ingress": theirs } }));
}

/// One label by each of so many managers, with the creator before them.
fn crowd(server: &Rest, name: &str, managers: usize) -> Value {
    let mut last = create(server, name, json!({}), json!({}));
    for number in 1..=managers {
        let mut patch = json!({ "metadata": { "labels": {} } });
        patch["metadata"]["labels"][format!("l{number:02}")] = "1".into();
        last = server.patch(&by(name, &format!("manager-{number:02}")), &patch).expect(200).json;
    }
    last
}

fn ten_managers_stand_side_by_side(server: &Rest) {
    let object = crowd(server, "ten", 9);
    let owners = owners(&object);
    assert_eq!(owners.len(), 10, "{owners:?}");
    assert!(owners.contains_key("creator Update") && owners.contains_key("manager-09 Update"));
}

fn the_eleventh_manager_folds_the_oldest(server: &Rest) {
    let object = crowd(server, "eleven", 11);
    let owners = owners(&object);
    assert_eq!(owners.len(), 10, "{owners:?}");
    let ancient = &owners["ancient-changes Update"];
    // Entries of one second are in the order of their managers' names: the creator is the first of them.
    assert!(!owners.contains_key("creator Update"), "{owners:?}");
    assert_eq!(ancient["f:spec"], spec_with_defaults(&[]));
    assert!(owners.contains_key("manager-11 Update"));
}

fn a_folded_manager_gets_a_new_entry(server: &Rest) {
    crowd(server, "folded", 11);
    // Times have seconds: within the same one, "creator" would come before "manager" and be folded at once.
    std::thread::sleep(std::time::Duration::from_millis(1100));
    let patch = json!({ "spec": { "version": "v1" } });
    let object = server.patch(&by("folded", "creator"), &patch).expect(200).json;
    let owners = owners(&object);
    assert_eq!(owners.len(), 10, "{owners:?}");
    assert_eq!(owners["creator Update"], json!({ "f:spec": { "f:version": {} } }));
}

use serde_json::{Value, json};

use super::*;
use crate::{
    order::{Snapshot, Stargate, StargateWish},
    stack::{
        desired::desired,
        testing::{ModelCluster, base_url, catalog, key, snapshot, stack_name},
        write::WriteAnswer,
    },
};

const STACK: &str = "org-stack";
const UID: &str = "stack-uid";

fn wish(snapshot: &Snapshot) -> Desired {
    desired(&stack_name(), snapshot, &catalog(), &base_url())
}

/// The action for the child `plural/name` where the world holds it as `json` says, as written
/// by `manager`.
fn act(snapshot: &Snapshot, child_key: &str, manager: &str, json: Value) -> (Action, ModelCluster) {
    let key = key(&catalog(), child_key);
    let mut world = ModelCluster::default();
    assert!(matches!(world.create(manager, &key, json), WriteAnswer::Stored(_)));
    (act_again(snapshot, child_key, &world), world)
}

fn act_again(snapshot: &Snapshot, child_key: &str, world: &ModelCluster) -> Action {
    let key = key(&catalog(), child_key);
    let desired = wish(snapshot);
    child(STACK, &desired, desired.child(&key).expect("wanted"), world.get(&key).as_ref(), UID)
}

/// The body of a patch, without the condition.
fn patch_of(action: Action) -> Value {
    let Action::Write(Write::Patch { mut body, .. }) = action else { panic!("no patch: {action:?}") };
    let metadata = body["metadata"].as_object_mut().expect("metadata");
    metadata.remove("resourceVersion").expect("a condition");
    if metadata.is_empty() {
        body.as_object_mut().expect("a body").remove("metadata");
    }
    body
}

fn labels() -> Value {
    json!({"formance.com/created-by-agent": "true", "formance.com/stack": STACK})
}

fn owner(uid: &str) -> Value {
    json!({"apiVersion": "formance.com/v1beta1", "kind": "Stack", "name": STACK, "uid": uid})
}

fn ledger() -> Value {
    json!({"metadata": {"labels": labels(), "ownerReferences": [owner(UID)]}, "spec": {"stack": STACK}})
}

fn auth(oidc: Value) -> Value {
    let mut json = ledger();
    json["spec"]["delegatedOIDCServer"] = oidc;
    json
}

#[test]
fn an_absent_child_is_created_with_labels_owner_and_spec() {
    let desired = wish(&snapshot());
    let key = key(&catalog(), "ledgers/org-stack");
    let Action::Write(Write::Create { body, .. }) =
        child(STACK, &desired, desired.child(&key).expect("wanted"), None, UID)
    else {
        panic!("a create");
    };
    assert_eq!(
        body,
        json!({
            "apiVersion": "formance.com/v1beta1", "kind": "Ledger",
            "metadata": {"name": STACK, "labels": labels(), "ownerReferences": [owner(UID)]},
            "spec": {"stack": STACK},
        })
    );
}

#[test]
fn the_stack_has_no_owner() {
    let Action::Write(Write::Create { body, .. }) = stack(STACK, &wish(&snapshot()), None) else {
        panic!("a create");
    };
    assert_eq!(body["metadata"].get("ownerReferences"), None);
    assert_eq!(body["spec"], json!({"versionsFromFile": "v2", "disabled": false}));
}

#[test]
fn what_is_as_it_shall_be_needs_nothing() {
    assert_eq!(act(&snapshot(), "ledgers/org-stack", "stackherd", ledger()).0, Action::Nothing);
}

#[test]
fn a_patch_carries_its_condition_and_changed_leaves_alone() {
    let mut json = auth(json!({"issuer": "https://id.example", "clientID": "old", "clientSecret": "hush"}));
    json["spec"]["signingKey"] = "a person's".into();
    let (action, world) = act(&snapshot(), "auths/org-stack", "stackherd", json);
    let Action::Write(Write::Patch { body, resource_version, .. }) = &action else { panic!("{action:?}") };
    let version = world.get(&key(&catalog(), "auths/org-stack")).expect("there").resource_version;
    assert_eq!(*resource_version, version);
    assert_eq!(
        *body,
        json!({"metadata": {"resourceVersion": version}, "spec": {"delegatedOIDCServer": {"clientID": "cid"}}})
    );
}

#[test]
fn labels_that_the_agent_set_and_nobody_wants_go_and_those_of_others_stay() {
    for (manager, expected) in [
        ("stackherd", Some(json!({"metadata": {"labels": {"formance.com/old": null}}}))),
        ("Go-http-client", Some(json!({"metadata": {"labels": {"formance.com/old": null}}}))),
        ("kubectl-label", None),
    ] {
        let mut json = ledger();
        json["metadata"]["labels"]["formance.com/old"] = "x".into();
        json["metadata"]["labels"]["formance.com/stackherd-fence"] = "1".into();
        let (action, _) = act(&snapshot(), "ledgers/org-stack", manager, json);
        match expected {
            Some(expected) => assert_eq!(patch_of(action), expected, "{manager}"),
            None => assert_eq!(action, Action::Nothing, "{manager}"),
        }
    }
}

#[test]
fn a_label_that_the_order_got_wrong_stays_as_it_is() {
    let mut json = ledger();
    json["metadata"]["labels"]["formance.com/plan"] = "pro".into();
    let wrong = Snapshot { spared: ["formance.com/plan".to_owned()].into(), ..snapshot() };
    assert_eq!(act(&wrong, "ledgers/org-stack", "stackherd", json).0, Action::Nothing);
}

#[test]
fn the_lock_survives_and_dropped_annotations_go() {
    let mut json = ledger();
    json["metadata"]["annotations"] = json!({"formance.com/skip": "true", "formance.com/old": "x"});
    let (action, _) = act(&snapshot(), "ledgers/org-stack", "Go-http-client", json);
    assert_eq!(patch_of(action), json!({"metadata": {"annotations": {"formance.com/old": null}}}));
}

#[test]
fn empty_annotations_and_none_are_equal() {
    let mut json = ledger();
    json["metadata"]["annotations"] = json!({});
    assert_eq!(act(&snapshot(), "ledgers/org-stack", "stackherd", json).0, Action::Nothing);
}

#[test]
fn the_openid_server_goes_as_a_whole_where_it_is_the_agents_alone() {
    let bare = Snapshot { auth: None, ..snapshot() };
    let json = auth(json!({"issuer": "i", "clientID": "c", "clientSecret": "s"}));
    let (action, _) = act(&bare, "auths/org-stack", "Go-http-client", json);
    assert_eq!(patch_of(action), json!({"spec": {"delegatedOIDCServer": null}}));
}

#[test]
fn of_an_openid_server_that_holds_others_keys_only_the_agents_go() {
    let bare = Snapshot { auth: None, ..snapshot() };
    let json = auth(json!({"issuer": "i", "clientID": "c"}));
    let (_, mut world) = act(&bare, "auths/org-stack", "stackherd", json);
    let secret = json!({"spec": {"delegatedOIDCServer": {"clientSecretFromSecret": {"key": "k"}}}});
    world.patch("kubectl-edit", &key(&catalog(), "auths/org-stack"), &secret);
    assert_eq!(
        patch_of(act_again(&bare, "auths/org-stack", &world)),
        json!({"spec": {"delegatedOIDCServer": {"issuer": null, "clientID": null}}})
    );
}

#[test]
fn an_openid_server_of_somebody_else_stays() {
    let bare = Snapshot { auth: None, ..snapshot() };
    for oidc in [json!({"issuer": "theirs"}), json!({})] {
        assert_eq!(act(&bare, "auths/org-stack", "kubectl", auth(oidc)).0, Action::Nothing);
    }
}

#[test]
fn nothing_is_nulled_where_there_is_nothing() {
    let bare = Snapshot { auth: None, ..snapshot() };
    let (action, _) = act(&bare, "auths/org-stack", "stackherd", ledger());
    assert_eq!(action, Action::Nothing);
}

fn with_stargate(disable_tls: bool) -> Snapshot {
    let stargate =
        Stargate { url: "u".into(), disable_tls, organization_id: "org".into(), stack_id: "stack".into() };
    Snapshot { stargate: StargateWish::On(stargate), ..snapshot() }
}

fn stargate(tls: Option<Value>) -> Value {
    let desired = wish(&with_stargate(false));
    let wanted = desired.child(&key(&catalog(), "stargates/org-stack")).expect("wanted");
    let mut json = ledger();
    json["spec"] = wanted.spec.clone();
    json["spec"].as_object_mut().expect("spec").remove("tls");
    if let Some(tls) = tls {
        json["spec"]["tls"] = tls;
    }
    json
}

#[test]
fn tls_disable_follows_the_order_and_absent_equals_false() {
    let cases = [
        (false, None, None),
        (false, Some(json!({})), None),
        (false, Some(json!({"disable": false})), None),
        (false, Some(json!({"disable": true})), Some(json!({"spec": {"tls": {"disable": false}}}))),
        (true, None, Some(json!({"spec": {"tls": {"disable": true}}}))),
        (true, Some(json!({"disable": false})), Some(json!({"spec": {"tls": {"disable": true}}}))),
        (true, Some(json!({"disable": true})), None),
    ];
    for (wanted, tls, expected) in cases {
        let shown = format!("{wanted} {tls:?}");
        let (action, _) = act(&with_stargate(wanted), "stargates/org-stack", "Go-http-client", stargate(tls));
        match expected {
            Some(expected) => assert_eq!(patch_of(action), expected, "{shown}"),
            None => assert_eq!(action, Action::Nothing, "{shown}"),
        }
    }
}

#[test]
fn a_tls_disable_that_somebody_else_set_is_not_taken_back() {
    let (action, _) = act(
        &with_stargate(false),
        "stargates/org-stack",
        "kubectl",
        stargate(Some(json!({"disable": true}))),
    );
    assert_eq!(action, Action::Nothing);
}

#[test]
fn our_owner_is_appended_where_no_stack_owns_the_object() {
    let mut json = ledger();
    let other = json!({"apiVersion": "v1", "kind": "ConfigMap", "name": "c", "uid": "c1", "blockOwnerDeletion": false});
    json["metadata"]["ownerReferences"] = json!([other]);
    let (action, _) = act(&snapshot(), "ledgers/org-stack", "stackherd", json);
    assert_eq!(patch_of(action), json!({"metadata": {"ownerReferences": [other, owner(UID)]}}));
}

#[test]
fn the_operators_own_reference_to_the_stack_is_as_good_as_ours() {
    let mut json = ledger();
    json["metadata"]["ownerReferences"][0]["controller"] = true.into();
    json["metadata"]["ownerReferences"][0]["blockOwnerDeletion"] = true.into();
    assert_eq!(act(&snapshot(), "ledgers/org-stack", "stackherd", json).0, Action::Nothing);
}

#[test]
fn what_an_earlier_stack_owned_is_deleted_to_be_made_anew() {
    let mut json = ledger();
    json["metadata"]["ownerReferences"] = json!([owner("dead-uid")]);
    let (action, world) = act(&snapshot(), "ledgers/org-stack", "stackherd", json);
    let object = world.get(&key(&catalog(), "ledgers/org-stack")).expect("there");
    assert_eq!(
        action,
        Action::Write(Write::Delete {
            key: object.key,
            uid: object.uid,
            resource_version: object.resource_version
        })
    );
}

#[test]
fn what_is_somebody_elses_is_never_touched() {
    let controller = |uid: &str| json!({"apiVersion": "formance.com/v1beta1", "kind": "Wallets", "name": "w", "uid": uid, "controller": true});
    let cases = [
        (
            "another stack's label",
            json!({"labels": {"formance.com/created-by-agent": "true", "formance.com/stack": "org"}}),
        ),
        ("another stack's label alone", json!({"labels": {"formance.com/stack": "org"}})),
        ("a foreign controller", json!({"ownerReferences": [controller("w1")]})),
        ("a Stack of another uid, no label", json!({"ownerReferences": [owner("other")]})),
    ];
    for (case, metadata) in cases {
        let (action, _) = act(
            &snapshot(),
            "authclients/org-stack-web",
            "manager",
            json!({"metadata": metadata, "spec": {}}),
        );
        assert!(matches!(action, Action::Clash(_)), "{case}: {action:?}");
    }
}

#[test]
fn an_unclaimed_object_of_the_wanted_name_is_adopted() {
    let json = json!({"metadata": {"labels": {"team": "a"}}, "spec": {"stack": STACK, "debug": true}});
    let (action, _) = act(&snapshot(), "ledgers/org-stack", "kubectl", json);
    assert_eq!(patch_of(action), json!({"metadata": {"labels": labels(), "ownerReferences": [owner(UID)]}}));
}

#[test]
fn an_object_with_the_agents_labels_and_a_foreign_controller_is_still_the_agents() {
    let mut json = ledger();
    json["metadata"]["ownerReferences"] =
        json!([{"apiVersion": "v1", "kind": "X", "name": "x", "uid": "x", "controller": true}]);
    let (action, _) = act(&snapshot(), "ledgers/org-stack", "stackherd", json);
    assert_eq!(
        patch_of(action)["metadata"]["ownerReferences"].as_array().map(Vec::len),
        Some(2),
        "both owners"
    );
}

#[test]
fn a_terminating_object_is_waited_for() {
    let mut json = ledger();
    json["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into();
    assert_eq!(act(&snapshot(), "ledgers/org-stack", "stackherd", json).0, Action::Wait);
}

#[test]
fn only_labelled_objects_that_are_not_wanted_are_deleted() {
    let catalog = catalog();
    let payments = key(&catalog, "payments/org-stack");
    let desired = wish(&snapshot());
    let mut world = ModelCluster::default();
    world.create("stackherd", &payments, ledger());
    let object = world.get(&payments).expect("there");
    assert!(is_unwanted(&desired, &payments));
    assert!(matches!(unwanted(STACK, Some(&object)), Action::Write(Write::Delete { .. })));
    assert_eq!(unwanted("other", Some(&object)), Action::Nothing);
    assert_eq!(unwanted(STACK, Some(&Object { terminating: true, ..object })), Action::Nothing);

    assert!(!is_unwanted(&desired, &key(&catalog, "ledgers/org-stack")));
    assert!(is_unwanted(&desired, &key(&catalog, "ledgers/second")), "the operator fails on two");
    assert!(is_unwanted(&desired, &key(&catalog, "authclients/org-stack-old")));
    assert!(!is_unwanted(&desired, &key(&catalog, "authclients/org-stack-web")));
    assert!(!is_unwanted(&desired, &key(&catalog, "stacks/org-stack")));
}

fn stack_object(json: Value) -> Object {
    let key = key(&catalog(), "stacks/org-stack");
    let mut world = ModelCluster::default();
    world.create("stackherd", &key, json);
    world.get(&key).expect("there")
}

#[test]
fn a_toggle_changes_disabled_and_nothing_else() {
    for (disabled, spec, expected) in [
        (true, json!({"disabled": false}), Some(json!({"spec": {"disabled": true}}))),
        (true, json!({"disabled": true}), None),
        (false, json!({}), None),
        (false, json!({"disabled": true}), Some(json!({"spec": {"disabled": false}}))),
    ] {
        let object = stack_object(json!({"metadata": {}, "spec": spec}));
        let action = toggled(STACK, Some(&object), disabled);
        match expected {
            Some(expected) => assert_eq!(patch_of(action), expected),
            None => assert_eq!(action, Action::Nothing),
        }
    }
}

#[test]
fn a_stack_to_delete_goes_on_uid_and_version_unless_it_is_going_or_anothers() {
    let object = stack_object(json!({"metadata": {}, "spec": {}}));
    let Action::Write(Write::Delete { uid, resource_version, .. }) = deleted_stack(STACK, Some(&object))
    else {
        panic!("a delete");
    };
    assert_eq!((uid, resource_version), (object.uid.clone(), object.resource_version.clone()));
    assert_eq!(deleted_stack(STACK, None), Action::Nothing);
    assert_eq!(deleted_stack(STACK, Some(&Object { terminating: true, ..object })), Action::Nothing);
    let other = stack_object(json!({"metadata": {"labels": {"formance.com/stack": "x"}}, "spec": {}}));
    assert!(matches!(deleted_stack(STACK, Some(&other)), Action::Clash(_)));
}

#[test]
fn a_fence_toggles_one_label() {
    let key = key(&catalog(), "stacks/org-stack");
    let mut world = ModelCluster::default();
    world.create("stackherd", &key, json!({"metadata": {}, "spec": {"versionsFromFile": "v"}}));
    for expected in [Some("1"), None, Some("1")] {
        let before = world.get(&key).expect("there");
        assert!(matches!(world.write(&fence(&before)), WriteAnswer::Stored(_)));
        let after = world.get(&key).expect("there");
        assert_eq!(after.label(labels::FENCE), expected);
        assert_ne!(after.resource_version, before.resource_version);
        assert_eq!(after.spec, before.spec);
    }
}

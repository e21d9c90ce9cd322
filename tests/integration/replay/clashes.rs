//! Names that two owners could claim: the agent reports them and keeps its hands off.

use serde_json::json;

use crate::{
    replay::on_each_server,
    support::{
        objects::{client_spec, find, get, object, path},
        orders::{StackExt, stack},
        playback::told_deleted,
        rest::GROUP_PATH,
    },
};

#[test]
fn a_client_that_another_stack_has_is_reported_and_left_alone() {
    on_each_server(|rest, playback| {
        playback.applied([stack("clash-one").client("web", true).order()]);
        let before = get(rest, "authclients", "clash-one-web");
        // Stack `clash`, client `one-web`: the same name.
        let outcome = playback.run([stack("clash").modules(&["ledger"]).client("one-web", false).order()]);
        assert_eq!(before, get(rest, "authclients", "clash-one-web"));
        assert!(
            outcome.stderr.lines().any(|line| line.contains("clash-one-web") && line.contains("clash")),
            "{outcome:#?}"
        );
        assert!(find(rest, "ledgers", "clash").is_some(), "the rest of the order is applied");
        // Once the other stack has dropped it, the name is free.
        playback.applied([stack("clash-one").order()]);
        playback.applied([stack("clash").client("one-web", false).order()]);
        assert_eq!(get(rest, "authclients", "clash-one-web")["spec"], client_spec("clash", "one-web", false));
    });
}

#[test]
fn the_operators_own_client_is_never_touched() {
    on_each_server(|rest, playback| {
        let name = "clash-operator";
        playback.applied([stack(name).modules(&["wallets"]).order()]);
        let wallets = get(rest, "wallets", name);
        let mut theirs = object(
            "AuthClient",
            "clash-operator-wallets",
            json!({}),
            json!({ "stack": name, "id": "wallets" }),
        );
        theirs["metadata"]["ownerReferences"] = json!([{
            "apiVersion": "formance.com/v1beta1", "kind": "Wallets", "name": name,
            "uid": wallets["metadata"]["uid"], "controller": true, "blockOwnerDeletion": true,
        }]);
        rest.as_agent("operator/3").post(&format!("{GROUP_PATH}/authclients"), &theirs).expect(201);
        let before = get(rest, "authclients", "clash-operator-wallets");

        // It is no surplus one of ours,
        playback.applied([stack(name).modules(&["wallets"]).order()]);
        assert_eq!(before, get(rest, "authclients", "clash-operator-wallets"));
        // nor ours to write where an order names a client so,
        let order = || stack(name).modules(&["wallets"]).client("wallets", true).client("web", true).order();
        let outcome = playback.run([order()]);
        assert_eq!(before, get(rest, "authclients", "clash-operator-wallets"));
        assert!(outcome.stderr.contains("clash-operator-wallets"), "{outcome:#?}");
        assert!(find(rest, "authclients", "clash-operator-web").is_some(), "the other client is made");
        // nor ours to delete with the stack.
        playback.applied([stack(name).order()]);
        assert_eq!(before, get(rest, "authclients", "clash-operator-wallets"));
    });
}

#[test]
fn a_module_without_our_labels_is_not_deleted() {
    on_each_server(|rest, playback| {
        let name = "clash-module";
        let theirs = object("Ledger", name, json!({}), json!({ "stack": name }));
        rest.post(&format!("{GROUP_PATH}/ledgers"), &theirs).expect(201);
        let before = get(rest, "ledgers", name);
        let outcome = playback.applied([stack(name).order()]);
        assert_eq!(before, get(rest, "ledgers", name));
        assert!(told_deleted(&outcome.stdout).is_empty());
        rest.delete(&path("ledgers", name)).expect(200);
    });
}

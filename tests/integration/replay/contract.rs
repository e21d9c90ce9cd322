//! What the four orders leave behind, by section 3 of the contract.

use std::{collections::BTreeMap, thread, time::Duration};

use serde_json::{Value, json};

use crate::{
    replay::on_each_server,
    support::{
        objects::{
            Expected, all, assert_has_exactly, auth_spec, client_spec, find, gateway_spec, get, module_spec,
            of_stack, path, stack_spec, stargate_spec, versions,
        },
        orders::{StackExt, deleted, disabled, enabled, stack},
        playback::told_deleted,
    },
};

#[test]
fn an_existing_stack_becomes_all_its_objects_and_no_more() {
    on_each_server(|rest, playback| {
        let order = stack("contract-all")
            .versions("v2.3")
            .modules(&["Ledger", "gateway", "AUTH", "Payments", "wallets", "TransactionPlane"])
            .auth()
            .stargate(true)
            .client("web", true)
            .client("service", false)
            .label("tier", "gold")
            .label("created-by-agent", "somebody-else")
            .label("stack", "another")
            .annotation("note", "two words");
        playback.applied([order.order()]);

        assert_has_exactly(
            rest,
            "contract-all",
            &[
                "stacks/contract-all",
                "authclients/contract-all-service",
                "authclients/contract-all-web",
                "auths/contract-all",
                "gateways/contract-all",
                "ledgers/contract-all",
                "payments/contract-all",
                "stargates/contract-all",
                "transactionplanes/contract-all",
                "wallets/contract-all",
            ],
        );
        let name = "contract-all";
        let expected = Expected {
            labels: &[("formance.com/tier", "gold")],
            annotations: &[("formance.com/note", "two words")],
            ..Expected::of(name)
        };
        expected.stack(rest, stack_spec("v2.3", false));
        for plural in ["ledgers", "payments", "transactionplanes", "wallets"] {
            expected.child(rest, plural, name, module_spec(name));
        }
        expected.child(rest, "gateways", name, gateway_spec(name));
        expected.child(rest, "auths", name, auth_spec(name, true));
        expected.child(rest, "stargates", name, stargate_spec(name, "contract", "all", true));
        expected.child(rest, "authclients", "contract-all-web", client_spec(name, "web", true));
        expected.child(rest, "authclients", "contract-all-service", client_spec(name, "service", false));
    });
}

#[test]
fn an_existing_stack_of_a_name_alone_is_a_stack_with_default_versions() {
    on_each_server(|rest, playback| {
        playback.applied([stack("contractbare").order()]);
        assert_has_exactly(rest, "contractbare", &["stacks/contractbare"]);
        Expected::of("contractbare").stack(rest, stack_spec("default", false));
    });
}

#[test]
fn the_last_existing_order_of_a_file_is_the_one_that_stands() {
    on_each_server(|rest, playback| {
        let old = stack("contract-new").versions("v1").modules(&["ledger", "payments"]).label("old", "1");
        let new = stack("contract-new").versions("v2").modules(&["ledger", "webhooks"]).label("new", "2");
        playback.applied([old.order(), new.order()]);
        assert_has_exactly(
            rest,
            "contract-new",
            &["stacks/contract-new", "ledgers/contract-new", "webhooks/contract-new"],
        );
        let expected = Expected { labels: &[("formance.com/new", "2")], ..Expected::of("contract-new") };
        expected.stack(rest, stack_spec("v2", false));
        expected.child(rest, "ledgers", "contract-new", module_spec("contract-new"));
        expected.child(rest, "webhooks", "contract-new", module_spec("contract-new"));
    });
}

#[test]
fn disabling_and_enabling_change_that_alone() {
    on_each_server(|rest, playback| {
        let full = |name| stack(name).versions("v1").modules(&["ledger"]).annotation("a", "b");
        playback.applied([
            full("toggle-off").order(),
            disabled("toggle-off"),
            full("toggle-on").disabled().order(),
            enabled("toggle-on"),
            full("toggle-twice").order(),
            disabled("toggle-twice"),
            enabled("toggle-twice"),
            full("toggle-born").disabled().order(),
        ]);
        for (name, is_disabled) in
            [("toggle-off", true), ("toggle-on", false), ("toggle-twice", false), ("toggle-born", true)]
        {
            let expected = Expected { annotations: &[("formance.com/a", "b")], ..Expected::of(name) };
            expected.stack(rest, stack_spec("v1", is_disabled));
            expected.child(rest, "ledgers", name, module_spec(name));
        }
        // A second run of the toggles alone, on what stands already.
        playback.applied([enabled("toggle-off"), disabled("toggle-on")]);
        Expected { annotations: &[("formance.com/a", "b")], ..Expected::of("toggle-off") }
            .stack(rest, stack_spec("v1", false));
        Expected { annotations: &[("formance.com/a", "b")], ..Expected::of("toggle-on") }
            .stack(rest, stack_spec("v1", true));
    });
}

#[test]
fn toggling_a_stack_that_is_not_there_makes_none() {
    on_each_server(|rest, playback| {
        let outcome = playback.applied([disabled("toggle-none"), enabled("toggle-never")]);
        assert!(outcome.stderr.contains("toggle-none"), "a log line: {}", outcome.stderr);
        assert_eq!(find(rest, "stacks", "toggle-none"), None);
        assert_eq!(find(rest, "stacks", "toggle-never"), None);
    });
}

#[test]
fn a_deleted_stack_goes_and_one_that_was_never_there_is_reported() {
    on_each_server(|rest, playback| {
        playback.applied([stack("gone-later").modules(&["ledger"]).order()]);
        assert!(find(rest, "stacks", "gone-later").is_some());
        let outcome = playback.applied([
            deleted("gone-later"),
            deleted("gone-before"),
            stack("gone-at-once").modules(&["ledger"]).order(),
            deleted("gone-at-once"),
            stack("stays-here").order(),
        ]);
        for name in ["gone-later", "gone-before", "gone-at-once"] {
            assert_eq!(find(rest, "stacks", name), None, "{name}");
        }
        assert!(find(rest, "stacks", "stays-here").is_some());
        let told = told_deleted(&outcome.stdout);
        assert!(told.contains(&"gone-before".to_owned()), "{told:?}");
        assert!(!told.contains(&"stays-here".to_owned()), "{told:?}");
    });
}

#[test]
fn a_stack_made_again_gets_children_of_its_own() {
    on_each_server(|rest, playback| {
        let order = || stack("made-again").modules(&["ledger", "gateway"]).client("web", true).order();
        playback.applied([order()]);
        let before = of_stack(rest, "made-again");
        playback.applied([deleted("made-again")]);
        // No garbage collector here: the children of the dead Stack are still there.
        assert!(find(rest, "ledgers", "made-again").is_some());
        playback.applied([order()]);
        let after = of_stack(rest, "made-again");
        assert_eq!(before.keys().collect::<Vec<_>>(), after.keys().collect::<Vec<_>>());
        let uid = &after["stacks/made-again"]["metadata"]["uid"];
        for (key, object) in &after {
            assert_ne!(object["metadata"]["uid"], before[key]["metadata"]["uid"], "{key} is the old one");
            if key != "stacks/made-again" {
                assert_eq!(object["metadata"]["ownerReferences"][0]["uid"], *uid, "owner of {key}");
            }
        }
    });
}

#[test]
fn a_stack_that_is_still_going_is_made_again_once_it_is_gone() {
    on_each_server(|rest, playback| {
        let name = "still-going";
        let finalizers = |names: Value| {
            let patch = json!({ "metadata": { "finalizers": names } });
            rest.patch(&path("stacks", name), &patch).expect(200);
        };
        playback.applied([stack(name).order()]);
        finalizers(json!(["example.com/hold"]));
        // Terminating is as good as deleted: the run ends.
        playback.applied([deleted(name)]);
        let dying = get(rest, "stacks", name)["metadata"].clone();
        assert!(dying["deletionTimestamp"].is_string(), "{dying:#}");

        let mut replay = playback.start([stack(name).versions("v2").modules(&["ledger"]).order()]);
        thread::sleep(Duration::from_secs(2));
        replay.lives();
        assert_eq!(find(rest, "ledgers", name), None, "nothing is made for a dying stack");
        finalizers(json!([]));
        let outcome = replay.outcome(Duration::from_secs(30));
        assert_eq!(outcome.code, Some(0), "{outcome:#?}");
        assert_ne!(get(rest, "stacks", name)["metadata"]["uid"], dying["uid"]);
        Expected::of(name).stack(rest, stack_spec("v2", false));
        Expected::of(name).child(rest, "ledgers", name, module_spec(name));
    });
}

#[test]
fn the_same_file_a_second_time_moves_nothing() {
    on_each_server(|rest, playback| {
        let fleet = || {
            (0..30).map(|i| {
                let mut order = stack(&format!("again-{i}")).versions("v1").label("number", &i.to_string());
                if i % 2 == 0 {
                    order = order.modules(&["ledger", "gateway", "auth"]).auth().annotation("even", "yes");
                }
                if i % 3 == 0 {
                    order = order.auth().client("web", true).client("service", false);
                }
                if i % 6 == 0 {
                    order = order.stargate(i % 12 == 0);
                }
                if i % 5 == 0 {
                    order = order.disabled();
                }
                order.order()
            })
        };
        let again = |rest: &_| -> BTreeMap<String, String> {
            let objects = all(rest).into_iter();
            versions(&objects.filter(|(key, _)| key.contains("/again-")).collect())
        };
        playback.applied(fleet());
        let first = again(rest);
        assert!(first.len() > 90, "{}", first.len());
        playback.applied(fleet());
        assert_eq!(first, again(rest));
    });
}

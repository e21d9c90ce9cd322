//! What an order no longer says is taken back; what others said stays.

use serde_json::{Value, json};

use crate::{
    replay::on_each_server,
    support::{
        objects::{
            Expected, assert_has_exactly, auth_spec, client_spec, gateway_spec, get, module_spec, path,
            stack_spec, stargate_spec, versions,
        },
        orders::{StackExt, stack},
    },
};

#[test]
fn labels_and_annotations_that_were_dropped_go_from_every_object() {
    on_each_server(|rest, playback| {
        let base = || stack("back-labels").modules(&["ledger"]).client("web", true);
        let first =
            base().label("stays", "1").label("goes", "2").annotation("stays", "3").annotation("goes", "4");
        playback.applied([first.order()]);
        assert_eq!(get(rest, "ledgers", "back-labels")["metadata"]["labels"]["formance.com/goes"], "2");
        playback.applied([base().label("stays", "1").annotation("stays", "changed").order()]);
        let name = "back-labels";
        let expected = Expected {
            labels: &[("formance.com/stays", "1")],
            annotations: &[("formance.com/stays", "changed")],
            ..Expected::of(name)
        };
        expected.stack(rest, stack_spec("default", false));
        expected.child(rest, "ledgers", name, module_spec(name));
        expected.child(rest, "authclients", "back-labels-web", client_spec(name, "web", true));
        playback.applied([base().order()]);
        Expected::of(name).stack(rest, stack_spec("default", false));
        Expected::of(name).child(rest, "ledgers", name, module_spec(name));
    });
}

#[test]
fn modules_clients_and_a_stargate_that_were_dropped_are_deleted() {
    on_each_server(|rest, playback| {
        let first = stack("back-parts")
            .modules(&["ledger", "payments", "gateway"])
            .auth()
            .stargate(false)
            .client("one", true)
            .client("two", false);
        playback.applied([first.order()]);
        assert!(get(rest, "stargates", "back-parts").is_object());
        playback.applied([stack("back-parts").modules(&["gateway"]).auth().client("two", true).order()]);
        assert_has_exactly(
            rest,
            "back-parts",
            &["stacks/back-parts", "gateways/back-parts", "authclients/back-parts-two"],
        );
        Expected::of("back-parts").child(
            rest,
            "authclients",
            "back-parts-two",
            client_spec("back-parts", "two", true),
        );
    });
}

#[test]
fn tls_goes_back_to_enabled() {
    on_each_server(|rest, playback| {
        let order = |disable| stack("back-tls").auth().stargate(disable).order();
        for disable in [true, false, true] {
            playback.applied([order(disable)]);
            let spec = stargate_spec("back-tls", "back", "tls", disable);
            Expected::of("back-tls").child(rest, "stargates", "back-tls", spec);
        }
    });
}

#[test]
fn a_login_that_was_dropped_goes_as_a_whole() {
    on_each_server(|rest, playback| {
        playback.applied([stack("back-login").modules(&["auth"]).auth().order()]);
        Expected::of("back-login").child(rest, "auths", "back-login", auth_spec("back-login", true));
        // It is told as a fault, since it seldom is meant.
        let outcome = playback.run([stack("back-login").modules(&["auth"]).order()]);
        assert!(outcome.stderr.contains("authConfig"), "{outcome:#?}");
        Expected::of("back-login").child(rest, "auths", "back-login", auth_spec("back-login", false));
    });
}

#[test]
fn what_others_set_survives_updates() {
    on_each_server(|rest, playback| {
        let name = "theirs-stay";
        let order = |versions: &str, label: &str| {
            stack(name)
                .versions(versions)
                .modules(&["ledger", "gateway", "auth"])
                .auth()
                .label(label, "1")
                .order()
        };
        playback.applied([order("v1", "ours-before")]);
        let metadata = json!({
            "labels": { "team": "blue", "formance.com/theirs": "yes" },
            "annotations": { "formance.com/skip": "true", "example.com/note": "kept" },
            "finalizers": ["example.com/hold"],
        });
        let person = rest.as_agent("kubectl/v1.36.1");
        let patch = |plural: &str, spec: Value| {
            person.patch(&path(plural, name), &json!({ "metadata": metadata, "spec": spec })).expect(200);
        };
        patch("stacks", json!({ "debug": true, "version": "v9", "enableAudit": true }));
        patch("ledgers", json!({ "version": "v9", "dev": true }));
        patch("auths", json!({ "signingKey": "a-key" }));
        let ingress = json!({ "hosts": ["b.example.com"], "annotations": { "x": "y" } });
        patch("gateways", json!({ "ingress": ingress, "debug": true }));
        let status = json!({ "status": { "ready": true, "info": "well" } });
        person.patch(&format!("{}/status", path("stacks", name)), &status).expect(200);

        playback.applied([order("v2", "ours-after")]);

        let mut spec = stack_spec("v2", false);
        (spec["debug"], spec["version"], spec["enableAudit"]) = (true.into(), "v9".into(), true.into());
        assert_eq!(get(rest, "stacks", name)["spec"], spec);
        let mut spec = module_spec(name);
        (spec["version"], spec["dev"]) = ("v9".into(), true.into());
        assert_eq!(get(rest, "ledgers", name)["spec"], spec);
        let mut spec = auth_spec(name, true);
        spec["signingKey"] = "a-key".into();
        assert_eq!(get(rest, "auths", name)["spec"], spec);
        let mut spec = gateway_spec(name);
        (spec["ingress"]["hosts"], spec["debug"]) = (json!(["b.example.com"]), true.into());
        spec["ingress"]["annotations"] = json!({ "x": "y" });
        assert_eq!(get(rest, "gateways", name)["spec"], spec);
        let status = &get(rest, "stacks", name)["status"];
        assert_eq!((&status["ready"], &status["info"]), (&json!(true), &json!("well")));
        for plural in ["stacks", "ledgers", "gateways", "auths"] {
            let metadata = &get(rest, plural, name)["metadata"];
            let labels = json!({
                "formance.com/created-by-agent": "true", "formance.com/stack": name,
                "formance.com/ours-after": "1", "formance.com/theirs": "yes", "team": "blue",
            });
            assert_eq!(metadata["labels"], labels, "{plural}");
            let annotations = json!({ "formance.com/skip": "true", "example.com/note": "kept" });
            assert_eq!(metadata["annotations"], annotations, "{plural}");
            assert_eq!(metadata["finalizers"], json!(["example.com/hold"]), "{plural}");
        }
    });
}

#[test]
fn a_login_with_somebody_elses_key_in_it_loses_ours_alone() {
    on_each_server(|rest, playback| {
        let name = "theirs-login";
        playback.applied([stack(name).modules(&["auth"]).auth().order()]);
        let person = rest.as_agent("kubectl/v1.36.1");
        // Another value takes the key over, so it is theirs from now on.
        let theirs = json!({ "spec": { "delegatedOIDCServer": { "issuer": "https://theirs.example.com" } } });
        person.patch(&path("auths", name), &theirs).expect(200);
        playback.run([stack(name).modules(&["auth"]).order()]);
        let spec = &get(rest, "auths", name)["spec"]["delegatedOIDCServer"];
        assert_eq!(*spec, json!({ "issuer": "https://theirs.example.com" }));
    });
}

#[test]
fn a_change_of_theirs_to_a_field_of_ours_is_put_right() {
    on_each_server(|rest, playback| {
        let name = "ours-hold";
        let order = || stack(name).versions("v1").modules(&["gateway"]).order();
        playback.applied([order()]);
        rest.patch(
            &path("stacks", name),
            &json!({ "spec": { "versionsFromFile": "other", "disabled": true } }),
        )
        .expect(200);
        rest.patch(&path("gateways", name), &json!({ "spec": { "ingress": { "scheme": "http" } } }))
            .expect(200);
        playback.applied([order()]);
        Expected::of(name).stack(rest, stack_spec("v1", false));
        Expected::of(name).child(rest, "gateways", name, gateway_spec(name));
        let settled = versions(&crate::support::objects::of_stack(rest, name));
        playback.applied([order()]);
        assert_eq!(settled, versions(&crate::support::objects::of_stack(rest, name)));
    });
}

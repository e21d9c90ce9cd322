//! Tests of [`super`].

use super::*;
use crate::stack::testing::{base_url, catalog, snapshot, stack_name};

fn wanted(snapshot: &Snapshot) -> Desired {
    desired(&stack_name(), snapshot, &catalog(), &base_url())
}

fn spec_of(desired: &Desired, key: &str) -> Option<Value> {
    desired.children.iter().find(|w| w.key.to_string() == key).map(|w| w.spec.clone())
}

fn unwanted(desired: &Desired) -> Vec<&str> {
    desired.unwanted.iter().map(|r| r.singular.as_str()).collect()
}

fn faults(desired: &Desired) -> Vec<&str> {
    desired.faults.iter().map(|f| f.field.as_str()).collect()
}

#[test]
fn the_stack_carries_versions_and_disabled() {
    let stack = wanted(&Snapshot { versions: "v3".into(), disabled: true, ..snapshot() }).stack;
    assert_eq!(stack.key.to_string(), "stacks/org-stack");
    assert_eq!(stack.spec, json!({"versionsFromFile": "v3", "disabled": true}));
}

#[test]
fn no_versions_means_the_default_ones() {
    let stack = wanted(&Snapshot { versions: String::new(), ..snapshot() }).stack;
    assert_eq!(stack.spec["versionsFromFile"], "default");
}

#[test]
fn the_agents_two_labels_win_over_additional_ones() {
    let mut snapshot = snapshot();
    snapshot.labels.insert("formance.com/stack".into(), "other".into());
    snapshot.labels.insert("formance.com/team".into(), "a".into());
    let labels = wanted(&snapshot).labels;
    assert_eq!(labels["formance.com/stack"], "org-stack");
    assert_eq!(labels["formance.com/created-by-agent"], "true");
    assert_eq!(labels["formance.com/team"], "a");
}

#[test]
fn a_plain_module_carries_the_stacks_name_alone() {
    let desired = wanted(&snapshot());
    assert_eq!(spec_of(&desired, "ledgers/org-stack"), Some(json!({"stack": "org-stack"})));
    assert_eq!(unwanted(&desired), ["payments", "stargate"]);
    assert!(desired.faults.is_empty());
}

#[test]
fn auth_delegates_to_the_orders_server() {
    let spec = spec_of(&wanted(&snapshot()), "auths/org-stack").expect("auth");
    assert_eq!(
        spec["delegatedOIDCServer"],
        json!({"issuer": "https://id.example", "clientID": "cid", "clientSecret": "hush"})
    );
}

#[test]
fn auth_without_auth_config_stands_alone_and_is_a_fault() {
    let desired = wanted(&Snapshot { auth: None, ..snapshot() });
    assert_eq!(spec_of(&desired, "auths/org-stack"), Some(json!({"stack": "org-stack"})));
    assert_eq!(faults(&desired), ["authConfig"]);
}

#[test]
fn without_auth_and_stargate_nobody_misses_the_auth_config() {
    let desired = wanted(&Snapshot { auth: None, modules: ["ledger".into()].into(), ..snapshot() });
    assert!(desired.faults.is_empty());
}

#[test]
fn the_gateways_host_keeps_port_and_case_of_the_base_url() {
    let spec = spec_of(&wanted(&snapshot()), "gateways/org-stack").expect("gateway");
    assert_eq!(spec["ingress"], json!({"host": "org-stack.Eu.Example.com:8443", "scheme": "https"}));
}

#[test]
fn an_unknown_module_is_a_fault_by_name_and_the_rest_stands() {
    let mut snapshot = snapshot();
    snapshot.modules.insert("leger".into());
    let desired = wanted(&snapshot);
    assert_eq!(faults(&desired), ["modules[leger]"]);
    assert_eq!(desired.children.len(), 4);
}

#[test]
fn the_name_of_an_unknown_module_stays_on_its_line() {
    let desired = wanted(&Snapshot { modules: ["a\n\u{1b}[31m".into()].into(), ..snapshot() });
    assert_eq!(faults(&desired), ["modules[a\\n\\u{1b}[31m]"]);
}

fn stargate() -> StargateWish {
    StargateWish::On(Stargate {
        url: "grpc.example:443".into(),
        disable_tls: true,
        organization_id: "org".into(),
        stack_id: "stack".into(),
    })
}

#[test]
fn stargate_is_made_of_its_config_and_the_auth_config() {
    let desired = wanted(&Snapshot { stargate: stargate(), ..snapshot() });
    assert_eq!(
        spec_of(&desired, "stargates/org-stack"),
        Some(json!({
            "stack": "org-stack", "organizationID": "org", "stackID": "stack",
            "serverURL": "grpc.example:443", "tls": {"disable": true},
            "auth": {"issuer": "https://id.example", "clientID": "cid", "clientSecret": "hush"},
        }))
    );
    assert!(!unwanted(&desired).contains(&"stargate"));
}

#[test]
fn a_stargate_that_cannot_be_had_is_neither_wanted_nor_unwanted() {
    for snapshot in [
        Snapshot { stargate: StargateWish::Unusable, ..snapshot() },
        Snapshot { stargate: stargate(), auth: None, ..snapshot() },
    ] {
        let desired = wanted(&snapshot);
        assert_eq!(spec_of(&desired, "stargates/org-stack"), None);
        assert!(!unwanted(&desired).contains(&"stargate"));
    }
}

#[test]
fn stargate_among_the_modules_says_nothing() {
    let mut snapshot = snapshot();
    snapshot.modules.insert("stargate".into());
    let desired = wanted(&snapshot);
    assert!(desired.faults.is_empty());
    assert!(unwanted(&desired).contains(&"stargate"));
}

fn withholding(kinds: &[&str]) -> Catalog {
    let all = catalog();
    let (out, modules) = all.modules.into_iter().partition(|kind| kinds.contains(&&*kind.singular));
    Catalog::new(modules).withholding(out)
}

fn withheld(desired: &Desired) -> Vec<&str> {
    desired.withheld.iter().map(|kind| kind.singular.as_str()).collect()
}

#[test]
fn a_kind_out_of_play_is_no_fault_and_the_rest_stands() {
    let order = Snapshot { stargate: stargate(), ..snapshot() };
    let desired = desired(&stack_name(), &order, &withholding(&["ledger", "stargate"]), &base_url());
    assert_eq!(withheld(&desired), ["ledger", "stargate"]);
    assert!(desired.faults.is_empty(), "{:?}", desired.faults);
    assert!(spec_of(&desired, "auths/org-stack").is_some());
    assert_eq!(spec_of(&desired, "ledgers/org-stack"), None);
    assert_eq!(unwanted(&desired), ["payments"], "neither wanted nor unwanted");
}

#[test]
fn a_kind_out_of_play_that_is_not_wanted_leaves_the_order_whole() {
    let catalog = withholding(&["payments", "stargate"]);
    let order = Snapshot { modules: ["ledger".into(), "stargate".into()].into(), ..snapshot() };
    let desired = desired(&stack_name(), &order, &catalog, &base_url());
    assert_eq!(withheld(&desired), Vec::<&str>::new());
    assert_eq!(unwanted(&desired), ["auth", "gateway"], "nothing of the two goes");
    assert!(desired.faults.is_empty(), "{:?}", desired.faults);
}

#[test]
fn clients_out_of_play_are_neither_made_nor_deleted() {
    let all = catalog();
    let catalog = Catalog::clone(&all).withholding(vec![Arc::clone(&all.auth_client)]);
    let desired = desired(&stack_name(), &snapshot(), &catalog, &base_url());
    assert_eq!(withheld(&desired), ["authclient"]);
    assert_eq!(spec_of(&desired, "authclients/org-stack-web"), None);
    let other = ObjectKey::new(&all.auth_client, "org-stack-old");
    assert!(!crate::stack::plan::is_unwanted(&desired, &other));
    let none = Snapshot { clients: [].into(), ..snapshot() };
    let desired = super::desired(&stack_name(), &none, &catalog, &base_url());
    assert_eq!(withheld(&desired), Vec::<&str>::new(), "an order without clients lacks nothing");
}

#[test]
fn a_client_is_named_after_stack_and_id() {
    let desired = wanted(&snapshot());
    assert_eq!(
        spec_of(&desired, "authclients/org-stack-web"),
        Some(json!({"stack": "org-stack", "id": "web", "public": true}))
    );
}

#[test]
fn a_client_whose_name_cannot_be_is_a_fault_and_left_out() {
    for id in ["Upper", "", "a/b", "a_b", &"x".repeat(250)] {
        let desired = wanted(&Snapshot { clients: [(id.to_owned(), false)].into(), ..snapshot() });
        assert_eq!(desired.faults.len(), 1, "{id}");
        assert!(desired.faults[0].field.starts_with("staticClients["), "{id}");
        assert_eq!(desired.children.len(), 3, "{id}");
    }
}

#[test]
fn everything_that_is_wanted_is_compared_and_what_others_set_is_not() {
    let desired = wanted(&Snapshot { stargate: stargate(), ..snapshot() });
    for wanted in desired.children.iter().chain([&desired.stack]) {
        let mut spec = wanted.spec.clone();
        spec["debug"] = true.into();
        if let Some(ingress) = spec.get_mut("ingress") {
            ingress["annotations"] = json!({"a": "b"});
        }
        assert_eq!(compared(&spec), wanted.spec, "{}", wanted.key);
    }
    assert_eq!(compared(&Value::Null), Value::Null);
    assert_eq!(compared(&json!({"tls": "odd"})), json!({"tls": "odd"}));
}

#[test]
fn the_doors_findings_come_first() {
    let door = OrderFault { field: "additionalLabels[x]".into(), reason: "bad".into() };
    let desired = wanted(&Snapshot { faults: vec![door.clone()], auth: None, ..snapshot() });
    assert_eq!(desired.faults[0], door);
    assert_eq!(desired.faults.len(), 2);
}

//! CustomResourceDefinitions, from which the agent learns the modules.

use serde_json::Value;

use super::target::{names, refused, text};
use crate::support::rest::Rest;

const DEFINITIONS: &str = "apis/apiextensions.k8s.io/v1/customresourcedefinitions";

scenarios! {
    modules_are_the_definitions_with_the_label,
    enterprise_modules_bear_a_label_of_their_own,
    a_definition_can_be_read_by_name,
    an_absent_definition_is_not_found,
}

fn modules_are_the_definitions_with_the_label(server: &Rest) {
    let list = server.get(&format!("{DEFINITIONS}?labelSelector=formance.com%2Fkind%3Dmodule")).expect(200);
    assert_eq!(list.json["kind"], "CustomResourceDefinitionList");
    assert_eq!(list.json["apiVersion"], "apiextensions.k8s.io/v1");
    assert!(!list.resource_version().is_empty());
    let modules = [
        "auths",
        "gateways",
        "ledgers",
        "orchestrations",
        "payments",
        "reconciliations",
        "searches",
        "stargates",
        "transactionplanes",
        "wallets",
        "webhooks",
    ];
    assert_eq!(names(&list.json), modules.map(|plural| format!("{plural}.formance.com")));
    let ledger = &list.json["items"][2]["spec"];
    assert_eq!(ledger["group"], "formance.com");
    assert_eq!(ledger["scope"], "Cluster");
    assert_eq!(ledger["names"]["kind"], "Ledger");
    assert_eq!(ledger["names"]["singular"], "ledger");
    assert_eq!(ledger["names"]["plural"], "ledgers");
    assert_eq!(ledger["versions"][0]["name"], "v1beta1");
    assert_eq!(ledger["versions"][0]["served"], true);
}

fn enterprise_modules_bear_a_label_of_their_own(server: &Rest) {
    let selector = "formance.com%2Fkind%3Dmodule%2Cformance.com%2Fis-ee%3Dtrue";
    let list = server.get(&format!("{DEFINITIONS}?labelSelector={selector}")).expect(200).json;
    assert!(names(&list).contains(&"auths.formance.com".to_owned()));
    assert!(!names(&list).contains(&"ledgers.formance.com".to_owned()));
}

fn a_definition_can_be_read_by_name(server: &Rest) {
    let stacks = server.get(&format!("{DEFINITIONS}/stacks.formance.com")).expect(200).json;
    assert_eq!(stacks["kind"], "CustomResourceDefinition");
    assert_eq!(stacks["spec"]["names"]["kind"], "Stack");
    let conditions = stacks["status"]["conditions"].as_array().expect("conditions");
    let holds = |type_: &str| {
        let of_type = |condition: &&Value| text(&condition["type"]) == type_;
        conditions.iter().find(of_type).is_some_and(|condition| condition["status"] == "True")
    };
    assert!(holds("Established") && holds("NamesAccepted"), "{conditions:?}");
}

fn an_absent_definition_is_not_found(server: &Rest) {
    let reply = server.get(&format!("{DEFINITIONS}/absent.formance.com"));
    let message = r#"customresourcedefinitions.apiextensions.k8s.io "absent.formance.com" not found"#;
    refused(&reply, 404, "NotFound", message);
}

use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::order::{Snapshot, Stargate, StargateWish};

fn existing(json: &str) -> Snapshot {
    let text = format!("{{\"existingStack\":{{{json}}}}}");
    let message: server::Order = serde_json::from_str(&text).unwrap();
    match order(&message).unwrap().unwrap().change {
        Change::Existing(snapshot) => *snapshot,
        change => panic!("{change:?}"),
    }
}

fn faults(snapshot: &Snapshot) -> Vec<&str> {
    snapshot.faults.iter().map(|fault| fault.field.as_str()).collect()
}

#[test]
fn every_order_with_a_stack_comes_through() {
    for (json, change) in [
        (r#"{"deletedStack":{"clusterName":"a-b"}}"#, Change::Deleted),
        (r#"{"disabledStack":{"clusterName":"a-b"}}"#, Change::Disabled(true)),
        (r#"{"enabledStack":{"clusterName":"a-b"}}"#, Change::Disabled(false)),
    ] {
        let order = order(&serde_json::from_str(json).unwrap()).unwrap().unwrap();
        assert_eq!((order.stack.as_str(), order.change), ("a-b", change));
    }
}

#[test]
fn messages_without_a_stack_are_no_orders() {
    for json in ["{}", r#"{"connected":{}}"#, r#"{"ping":{}}"#] {
        assert_eq!(order(&serde_json::from_str(json).unwrap()), Ok(None));
    }
}

#[test]
fn a_bad_name_is_refused_with_the_order_and_the_name() {
    let long = "x".repeat(300);
    for (name, part) in [("", "empty"), ("../x", "../x"), ("Upper", "Upper"), (long.as_str(), "300 bytes")] {
        let stack = server::DeletedStack { cluster_name: name.to_owned() };
        let message = server::Order { message: Some(Message::DeletedStack(stack)), ..Default::default() };
        let error = order(&message).unwrap_err().to_string();
        assert!(error.contains("deletedStack") && error.contains(part), "{error}");
    }
}

#[test]
fn a_snapshot_takes_over_every_field() {
    let snapshot = existing(
        r#""clusterName":"org-id-more","versions":"v2.1","disabled":true,
           "authConfig":{"clientId":"id","clientSecret":"secret","issuer":"https://issuer"},
           "staticClients":[{"id":"one","public":true}],
           "stargateConfig":{"enabled":true,"url":"star:443","disableTLS":true},
           "additionalLabels":{"plan":"pro"},"additionalAnnotations":{"note":"Hi there"},
           "modules":[{"name":"Ledger"},{"name":"auth"}]"#,
    );
    assert_eq!(snapshot.faults, []);
    assert_eq!((snapshot.versions.as_str(), snapshot.disabled), ("v2.1", true));
    assert_eq!(snapshot.labels, BTreeMap::from([("formance.com/plan".into(), "pro".into())]));
    assert_eq!(snapshot.annotations, BTreeMap::from([("formance.com/note".into(), "Hi there".into())]));
    assert_eq!(snapshot.modules, BTreeSet::from(["auth".into(), "ledger".into()]));
    assert_eq!(snapshot.clients, BTreeMap::from([("one".into(), true)]));
    assert_eq!(
        snapshot.stargate,
        StargateWish::On(Stargate {
            url: "star:443".into(),
            disable_tls: true,
            organization_id: "org".into(),
            stack_id: "id-more".into()
        })
    );
}

#[test]
fn versions_default_where_membership_named_none() {
    assert_eq!(existing(r#""clusterName":"a""#).versions, "default");
}

#[test]
fn one_bad_label_is_left_out_by_name_and_the_rest_stands() {
    let snapshot = existing(
        r#""clusterName":"a","additionalLabels":{"good":"yes","bad key":"x","bad":"no spaces please"}"#,
    );
    assert_eq!(snapshot.labels, BTreeMap::from([("formance.com/good".into(), "yes".into())]));
    assert_eq!(faults(&snapshot), ["additionalLabels[\"bad\"]", "additionalLabels[\"bad key\"]"]);
    assert!(snapshot.spared.contains("formance.com/bad"));
}

#[test]
fn the_agents_own_labels_win_silently() {
    let snapshot =
        existing(r#""clusterName":"a","additionalLabels":{"stack":"b","created-by-agent":"false"}"#);
    assert!(snapshot.labels.is_empty());
    assert_eq!(snapshot.faults, []);
}

#[test]
fn stargate_without_a_dash_in_the_name_is_unusable_and_says_so() {
    let snapshot = existing(r#""clusterName":"nodash","stargateConfig":{"enabled":true,"url":"u"}"#);
    assert_eq!(snapshot.stargate, StargateWish::Unusable);
    assert_eq!(faults(&snapshot), ["stargateConfig"]);
}

#[test]
fn clients_without_a_usable_id_are_left_out() {
    let snapshot = existing(r#""clusterName":"a","staticClients":[{"id":""},{"id":"Upper"},{"id":"ok"}]"#);
    assert_eq!(snapshot.clients, BTreeMap::from([("ok".into(), false)]));
    assert_eq!(faults(&snapshot), ["staticClients[0].id", "staticClients[1].id"]);
}

#[test]
fn each_report_is_a_message_of_its_own_kind() {
    let status = serde_json::json!({"ready": true, "conditions": [{"type": "A"}]});
    let stack = std::sync::Arc::<str>::from("a-b");
    let said = |body| {
        let mut json = serde_json::to_value(message(&Report { body, trace: None })).unwrap();
        json.as_object_mut().unwrap().remove("metadata");
        json
    };
    let vk = serde_json::json!({"version": "v1beta1", "kind": "Ledger"});
    let versions = Versions { of_parts: [("ledger".into(), "v2".into())].into(), deprecated: true };
    let name = stack.clone();
    assert_eq!(
        said(ReportBody::Stack { stack: stack.clone(), status: status.clone() }),
        serde_json::json!({"statusChanged": {"clusterName": "a-b", "statuses": status}})
    );
    assert_eq!(
        said(ReportBody::Module { stack: stack.clone(), kind: "Ledger".into(), status: status.clone() }),
        serde_json::json!({"moduleStatusChanged": {"clusterName": "a-b", "status": status, "vk": vk}})
    );
    assert_eq!(
        said(ReportBody::ModuleDeleted { stack, kind: "Ledger".into() }),
        serde_json::json!({"moduleDeleted": {"clusterName": "a-b", "vk": vk}})
    );
    let listed = serde_json::json!({"name": "a-b", "versions": {"ledger": "v2"}, "deprecated": true});
    assert_eq!(
        said(ReportBody::Versions { name: name.clone(), updated: false, versions: versions.clone() }),
        serde_json::json!({"addedVersion": listed})
    );
    assert_eq!(
        said(ReportBody::Versions { name: name.clone(), updated: true, versions }),
        serde_json::json!({"updatedVersion": listed})
    );
    assert_eq!(
        said(ReportBody::VersionsDeleted { name }),
        serde_json::json!({"deletedVersion": {"name": "a-b"}})
    );
}

#[test]
fn a_report_carries_the_trace_of_its_order() {
    let context = r#"{"b3":"64fe8b2a57d3eff7-e457b5a2e4d86bd1-1"}"#;
    let order = server::Order { metadata: [("_otelCtx".into(), context.into())].into(), message: None };
    let body = ReportBody::StackDeleted { stack: "a".into() };
    let report = Report { body, trace: trace(&order) };
    assert_eq!(message(&report).metadata["_otelCtx"], context);
    assert_eq!(trace(&server::Order::default()), None);
}

#[test]
fn every_message_carries_the_trace_contexts_key() {
    let report = Report { body: ReportBody::StackDeleted { stack: "a-b".into() }, trace: None };
    let json = serde_json::to_value(message(&report)).unwrap();
    assert_eq!(
        json,
        serde_json::json!({"stackDeleted": {"clusterName": "a-b"}, "metadata": {"_otelCtx": "{}"}})
    );
}

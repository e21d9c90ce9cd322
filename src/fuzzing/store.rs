//! What the agent keeps of objects, and reports of them.

use std::{collections::BTreeSet, sync::Arc};

use prost::Message as _;
use serde_json::Value;

use super::{
    kubernetes::{catalog, ledgers},
    script,
};
use crate::{
    cluster::store::Store,
    membership::wire::{self, server},
    stack::{
        desired,
        object::{Catalog, Object, Resource},
        report::{Report, ReportBody},
    },
    time,
};

/// Objects as JSON, one in each line: what decisions look at comes out of the store as it went in,
/// whatever else is kept there; and what there is to say of it reaches membership.
pub fn store(data: &[u8]) {
    let now = time::now();
    let (catalog, ledgers) = (catalog(), ledgers());
    let mut store = Store::new(now);
    let mut told = BTreeSet::new();
    let mut rest = data;
    while !rest.is_empty() {
        let (line, after) = script::first_line(rest);
        rest = after;
        let Ok(json) = serde_json::from_str::<Value>(line) else { continue };
        let Ok(object) = Object::from_json(kind(&json, &catalog, &ledgers), json) else { continue };
        store.listed(&object, now);
        // Of two that bear one version, only one can be what the server has.
        let is_first = told.insert((object.key.clone(), object.resource_version.clone()));
        if let Some(stack) = object.belongs_to().filter(|_| is_first) {
            check_kept(&store, stack, &object);
        }
        if let Some(stack) = object.leftover_of().filter(|_| is_first) {
            store.leftover_listed(&object, now);
            check_kept(&store, stack, &object);
        }
        check_report(&object);
    }
}

fn kind<'a>(json: &Value, catalog: &'a Catalog, other: &'a Arc<Resource>) -> &'a Arc<Resource> {
    match json["kind"].as_str() {
        Some("Stack") => &catalog.stack,
        Some("AuthClient") => &catalog.auth_client,
        Some("Versions") => &catalog.versions,
        _ => other,
    }
}

/// The store has this object, or a newer one of its name.
fn check_kept(store: &Store, stack: &str, object: &Object) {
    let kept = store.objects(stack);
    let kept = kept.iter().find(|kept| kept.key == object.key).expect("an object is not lost");
    if kept.resource_version != object.resource_version || kept.uid != object.uid {
        return;
    }
    assert_eq!(kept.terminating, object.terminating);
    assert_eq!(kept.spec, desired::compared(&object.spec));
    assert_eq!(kept.status, object.status);
    assert_eq!(kept.owners, object.owners);
    for (key, value) in object.labels.iter().filter(|(key, _)| key.starts_with("formance.com/")) {
        assert_eq!(kept.labels.get(key), Some(value));
    }
}

/// A status that says something is in the message, and the message is read as it was sent.
fn check_report(object: &Object) {
    let Some(body) = ReportBody::status(&object.key, object.status.clone()) else { return };
    let message = wire::message(&Report { body, trace: None });
    let body = message.message.clone().expect("a message says something");
    let status = match body {
        server::message::Message::StatusChanged(changed) => changed.statuses,
        server::message::Message::ModuleStatusChanged(changed) => changed.status,
        other => panic!("{other:?}"),
    };
    assert!(status.is_some(), "{}: lost on the way", object.status);
    // This decoder goes less deep than that of membership.
    if let Ok(read) = server::Message::decode(message.encode_to_vec().as_slice()) {
        assert_eq!(read, message);
    }
}

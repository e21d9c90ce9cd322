//! A message from membership, through `wire::convert`, to the objects that shall be.

use std::collections::BTreeSet;

use prost::Message as _;

use super::kubernetes::{catalog, check_annotations, check_labels, check_text, check_write, is_subdomain};
use crate::{
    membership::wire::{self, server},
    order::{Change, Order, Snapshot, StackName, StargateWish},
    replay::lines::{self, LineError},
    stack::{
        desired::{self, Desired, StackBaseUrl},
        labels,
        plan::{self, Action},
    },
};

/// Longest text about one thing that is wrong with an order, in bytes.
const LONGEST_FAULT: usize = 2 << 10;

/// The protobuf of an Order: what `wire::convert` lets through can be carried out, says the same each time,
/// and says the same in JSON.
pub fn orders(data: &[u8]) {
    let Ok(message) = server::Order::decode(data) else {
        // It may be read all the same, but for a nesting that is too deep for the generated type.
        let _ = wire::decode(data, &|_| false);
        return;
    };
    let again = server::Order::decode(data).expect("what was decoded before");
    let order = wire::order(&message);
    assert_eq!(order, wire::order(&again), "maps have no order, and no part in what an order says");
    reads_the_same_in_json(&message, &order);
    let read = wire::decode(data, &|_| false).expect("what the generated type can read");
    assert_eq!(read, order.clone().map(|order| (order, wire::trace(&message))), "in place and as a whole");
    let kind = match message.message {
        Some(server::order::Message::Ping(_)) => wire::MessageKind::Ping,
        Some(server::order::Message::Connected(_)) => wire::MessageKind::Connected,
        _ => wire::MessageKind::Other,
    };
    assert_eq!(wire::message_kind(data), kind);
    match order {
        Ok(Some(order)) => check(&order),
        Ok(None) => {}
        Err(error) => check_text(&error.to_string(), LONGEST_FAULT),
    }
}

/// An order that `wire::convert` let through.
pub(super) fn check(order: &Order) {
    let name = order.stack.as_str();
    assert!(is_subdomain(name) && name.len() <= 63, "stack {name:?}");
    if let Change::Existing(snapshot) = &order.change {
        check_snapshot(&order.stack, snapshot);
    }
}

fn reads_the_same_in_json(message: &server::Order, order: &Result<Option<Order>, wire::OrderError>) {
    let json = serde_json::to_vec(message).expect("JSON");
    match (order, lines::order(&json, &|_| false)) {
        (Ok(Some(order)), Ok((read, trace))) => {
            assert_eq!(*order, read);
            assert_eq!(wire::trace(message), trace);
        }
        (Ok(None), Err(LineError::Empty)) => {}
        (Err(error), Err(LineError::Order(read))) => assert_eq!(*error, read),
        (order, read) => panic!("{order:?}, but in JSON {read:?}"),
    }
}

fn check_snapshot(stack: &StackName, snapshot: &Snapshot) {
    let base = StackBaseUrl { scheme: "https".into(), host: "example.com:8443".into() };
    let catalog = catalog();
    let desired = desired::desired(stack, snapshot, &catalog, &base);
    assert_eq!(desired, desired::desired(stack, snapshot, &catalog, &base));
    check_labels(&desired.labels);
    check_annotations(&desired.annotations);
    assert_eq!(desired.labels[labels::CREATED_BY_AGENT], labels::CREATED_BY_AGENT_VALUE);
    assert_eq!(desired.labels[labels::STACK], stack.as_str());
    for lock in [labels::SKIP, labels::FENCE] {
        assert!(!desired.labels.contains_key(lock), "{lock} is not for orders to set");
    }
    assert!(!desired.annotations.contains_key(labels::SKIP));
    if let StargateWish::On(stargate) = &snapshot.stargate {
        assert_eq!(format!("{}-{}", stargate.organization_id, stargate.stack_id), stack.as_str());
    }
    for fault in &desired.faults {
        check_text(&fault.to_string(), LONGEST_FAULT);
    }
    check_objects(stack, &desired);
}

fn check_objects(stack: &StackName, desired: &Desired) {
    let mut keys = BTreeSet::from([&desired.stack.key]);
    for child in &desired.children {
        assert!(keys.insert(&child.key), "{} is wanted twice", child.key);
        assert_eq!(child.spec["stack"], stack.as_str());
    }
    for kind in &desired.unwanted {
        assert!(keys.iter().all(|key| key.resource != *kind), "{} is wanted and unwanted", kind.kind);
    }
    let stack_write = plan::stack(stack.as_str(), desired, None);
    let children = desired.children.iter();
    let child_writes = children.map(|child| plan::child(stack.as_str(), desired, child, None, "uid"));
    for action in std::iter::once(stack_write).chain(child_writes) {
        let Action::Write(write) = action else { panic!("what is not there is made, not {action:?}") };
        check_write(&write);
    }
    for wanted in desired.children.iter().chain([&desired.stack]) {
        assert!(is_subdomain(&wanted.key.name), "{}", wanted.key);
        assert_eq!(desired::compared(&wanted.spec), wanted.spec, "{}: all of it is compared", wanted.key);
    }
}

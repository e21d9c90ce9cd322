//! What a shard's store costs, in bytes for each stack, and how fast a fleet is replayed against it.
//!
//! A stack here is a Stack, six modules and a client, as a cluster really has them: labels, an
//! annotation, owners, managedFields, a status with three conditions.
//!
//! `cargo bench --bench store`

#![allow(clippy::expect_used, clippy::panic, reason = "a bench that cannot be set up has nothing to say")]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    hint::black_box,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
    time::Duration,
};

use prost::Message as _;
use serde_json::{Value, json};
use stackherd::{
    cluster::store::Store,
    membership::wire::{self, server},
    order::{Change, Order},
    stack::{
        desired::{StackBaseUrl, desired, fingerprint},
        object::{Catalog, Object, ObjectKey, Resource},
        plan::{self, Action},
    },
    time::{Instant, now},
};

/// Bytes for each stack that are allowed.
const MOST_BYTES: usize = 2048;
/// Stacks that a core has to replay in a second.
const LEAST_REPLAYED: f64 = 50_000.0;

/// Counts what is allocated, with what malloc adds: rounded up to 16 bytes, and 8 before it.
struct Counting;

static ALLOCATED: AtomicUsize = AtomicUsize::new(0);

fn real(size: usize) -> usize {
    (size + 8).next_multiple_of(16).max(32)
}

#[allow(unsafe_code, reason = "there is no other way to count what is allocated")]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATED.fetch_add(real(layout.size()), Relaxed);
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        ALLOCATED.fetch_sub(real(layout.size()), Relaxed);
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

const MODULES: [&str; 6] = ["Auth", "Gateway", "Ledger", "Payments", "Wallets", "Webhooks"];

fn catalog() -> Catalog {
    let resource = |kind: &str| {
        let singular = kind.to_lowercase();
        Resource::new(kind, &singular, &format!("{}s", singular.trim_end_matches('s')))
    };
    Catalog::new(MODULES.into_iter().map(resource).collect())
}

fn base_url() -> StackBaseUrl {
    StackBaseUrl { scheme: "https".into(), host: "eu-west-1.example.com".into() }
}

fn name(n: usize) -> String {
    format!("{:012x}-{:04}", n * 7919, n % 10_000)
}

fn order(n: usize) -> server::Order {
    let json = json!({"existingStack": {
        "clusterName": name(n), "versions": "v2.1", "seed": "s",
        "authConfig": {"clientId": format!("client-{n}"), "clientSecret": format!("secret-{:032x}", n * 31), "issuer": "https://login.example.com/api"},
        "staticClients": [{"id": "console", "public": true}],
        "stargateConfig": {"enabled": false},
        "additionalLabels": {"plan": "pro", "team": format!("team-{}", n % 97)},
        "additionalAnnotations": {"contact": format!("ops-{}@example.com", n % 97)},
        "modules": MODULES.map(|module| json!({"name": module})),
    }});
    serde_json::from_value(json).expect("an order")
}

fn parsed(message: &server::Order) -> Order {
    wire::order(message).expect("valid").expect("an order")
}

/// The objects of a stack as the API server shows them once the operator has seen them, as JSON.
fn objects(n: usize, catalog: &Catalog) -> Vec<Object> {
    let Order { stack, change: Change::Existing(snapshot) } = parsed(&order(n)) else { panic!("an order") };
    let wanted = desired(&stack, &snapshot, catalog, &base_url());
    let uid = |k: usize| format!("{:08x}-1c7d-4b2a-9e55-{:012x}", n * 16 + k, n * 104_729 + k);
    let all = std::iter::once(&wanted.stack).chain(&wanted.children).enumerate();
    let object = |(k, object): (usize, &stackherd::stack::desired::Wanted)| {
        let mut spec = object.spec.clone();
        spec["debug"] = false.into();
        spec["dev"] = false.into();
        let keys = |map: &std::collections::BTreeMap<String, String>| -> Value {
            map.keys().map(|key| (format!("f:{key}"), json!({}))).collect()
        };
        let owners = match k {
            0 => json!([]),
            _ => json!([{"apiVersion": "formance.com/v1beta1", "kind": "Stack", "name": stack.as_str(),
                "uid": uid(0), "controller": true, "blockOwnerDeletion": true}]),
        };
        let condition = |kind: &str| {
            json!({"type": kind, "status": "True", "reason": "Ready",
            "message": format!("{kind} is up to date"), "observedGeneration": 1 + n % 3,
            "lastTransitionTime": format!("2026-11-{:02}T{:02}:{:02}:{:02}Z", 1 + n % 28, n % 24, n % 60, k)})
        };
        let conditions: Vec<Value> = ["DeploymentReady", "DatabaseReady", "Reconciled"].map(condition).into();
        let json = json!({
            "metadata": {
                "name": &*object.key.name, "uid": uid(k), "generation": 1,
                "resourceVersion": (4_000_000 + 8 * n + k).to_string(),
                "labels": wanted.labels, "annotations": wanted.annotations, "ownerReferences": owners,
                "managedFields": [
                    {"manager": "stackherd", "operation": "Update", "fieldsV1": {
                        "f:metadata": {"f:labels": keys(&wanted.labels), "f:annotations": keys(&wanted.annotations)},
                        "f:spec": {"f:delegatedOIDCServer": {"f:issuer": {}, "f:clientID": {}, "f:clientSecret": {}}}}},
                    {"manager": "operator", "operation": "Update", "subresource": "status", "fieldsV1": {"f:status": {}}},
                ],
            },
            "spec": spec,
            "status": {"ready": true, "conditions": conditions},
        });
        Object::from_json(&object.key.resource, json).expect("an object")
    };
    all.map(object).collect()
}

fn fill(stacks: usize, catalog: &Catalog) -> (Store, usize) {
    let start = now();
    let mut store = Store::new(start);
    let before = ALLOCATED.load(Relaxed);
    for n in 0..stacks {
        for object in objects(n, catalog) {
            black_box(store.changed(&object, start));
        }
    }
    let held = ALLOCATED.load(Relaxed) - before;
    (store, held)
}

fn rate(what: &str, count: usize, unit: &str, began: Instant) -> f64 {
    let rate = count as f64 / began.elapsed().as_secs_f64();
    println!("{what:<58} {rate:>12.0} {unit}/s");
    rate
}

fn bytes(catalog: &Catalog) {
    for stacks in [10_000, 100_000] {
        let (store, held) = fill(stacks, catalog);
        let each = held / stacks;
        println!(
            "{stacks:>7} stacks of {} objects: {each} bytes each ({MOST_BYTES} allowed)",
            store.len().1 / stacks
        );
        assert!(each <= MOST_BYTES, "{each} bytes for each stack");
    }
}

fn speed(stacks: usize, catalog: &Catalog) {
    let (mut store, _) = fill(stacks, catalog);
    let replay: Vec<Vec<u8>> = (0..stacks).map(|n| order(n).encode_to_vec()).collect();
    // As the stream's messages are.
    let is_module = |name: &str| MODULES.iter().any(|module| module.eq_ignore_ascii_case(name));
    let decode = |bytes: &Vec<u8>| {
        let (order, _) = wire::decode(bytes, &is_module).expect("a message").expect("valid");
        order.expect("an order")
    };

    let began = now();
    for bytes in &replay {
        let Order { stack, change: Change::Existing(snapshot) } = decode(bytes) else { panic!("an order") };
        let wanted = desired(&stack, &snapshot, catalog, &base_url());
        let objects = store.objects(stack.as_str());
        let find = |key: &ObjectKey| objects.iter().find(|object| object.key == *key);
        let owner = find(&wanted.stack.key).expect("the Stack");
        assert_eq!(plan::stack(stack.as_str(), &wanted, Some(owner)), Action::Nothing);
        for child in &wanted.children {
            let action = plan::child(stack.as_str(), &wanted, child, find(&child.key), &owner.uid);
            assert_eq!(action, Action::Nothing);
        }
        store.mark_converged(stack.as_str(), fingerprint(&snapshot));
    }
    rate("a first replay: decoded, planned object by object", stacks, "stacks", began);

    let began = now();
    for bytes in &replay {
        let Order { stack, change: Change::Existing(snapshot) } = decode(bytes) else { panic!("an order") };
        assert!(store.is_converged(stack.as_str(), fingerprint(&snapshot)));
    }
    let replayed = rate("an unchanged replay: decoded, known as settled", stacks, "stacks", began);
    let verdict = if replayed >= LEAST_REPLAYED { "met" } else { "MISSED" };
    println!("{:<58} {LEAST_REPLAYED:>12.0} stacks/s {verdict}", "  target for one core");

    let events: Vec<Object> = (0..5_000).flat_map(|n| objects(n, catalog)).collect();
    let moved = |mut object: Object| {
        object.resource_version =
            (9_000_000 + object.resource_version.parse::<u64>().expect("a number")).to_string();
        object
    };
    let events: Vec<Object> = events.into_iter().map(moved).collect();
    let began = now();
    for event in &events {
        black_box(store.changed(event, began + Duration::from_secs(1)));
    }
    rate("events taken in (parsed before)", events.len(), "events", began);
}

fn main() {
    // `cargo test --benches` asks for a run that is quick.
    let quick = std::env::args().any(|argument| argument == "--test");
    let catalog = catalog();
    if !quick {
        bytes(&catalog);
    }
    speed(if quick { 100 } else { 100_000 }, &catalog);
}

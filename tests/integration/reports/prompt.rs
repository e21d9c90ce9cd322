//! How soon a status is told, in a full cluster.

use std::{thread, time::Duration};

use serde_json::{Value, json};
use stackherd::embedded::{
    cluster::{Caller, EmbeddedCluster, WriteEndpoint},
    server::ServerOptions,
};

use crate::{
    reports::ReportScene,
    support::{agent::while_it_lives, cluster::TestCluster, membership::TestMembership, now, view::Believed},
};

const STACKS: usize = 5000;
const TRIES: usize = 20;
const LIMIT: Duration = Duration::from_secs(1);
const PATIENCE: Duration = Duration::from_secs(120);

fn create(
    model: &mut EmbeddedCluster,
    caller: Caller<'_>,
    plural: &str,
    kind: &str,
    name: &str,
    owner: &Value,
) -> Value {
    let served = model.kind("formance.com", "v1beta1", plural).expect(plural);
    let object = json!({
        "apiVersion": "formance.com/v1beta1", "kind": kind, "spec": {},
        "metadata": { "name": name, "ownerReferences": owner },
    });
    let made = model.create(&served, object, caller).expect("created");
    json!([{ "apiVersion": "formance.com/v1beta1", "kind": kind, "name": name, "uid": made.object.uid() }])
}

fn set_ready(model: &mut EmbeddedCluster, caller: Caller<'_>, plural: &str, name: &str) {
    let served = model.kind("formance.com", "v1beta1", plural).expect(plural);
    let status = json!({"status": {"ready": true}});
    model.patch(&served, name, WriteEndpoint::Status, &status, caller).expect("patched");
}

/// A Stack and two modules of it, with statuses.
fn fill(model: &mut EmbeddedCluster, caller: Caller<'_>, name: &str) {
    let stack = create(model, caller, "stacks", "Stack", name, &json!([]));
    for (plural, kind) in [("ledgers", "Ledger"), ("payments", "Payments")] {
        create(model, caller, plural, kind, name, &stack);
        set_ready(model, caller, plural, name);
    }
    set_ready(model, caller, "stacks", name);
}

#[test]
fn a_status_that_is_set_right_after_a_creation_is_told_within_a_second() {
    let cluster = TestCluster::with(ServerOptions { window: 20_000, ..ServerOptions::default() });
    let model = cluster.server().handle();
    let filled = model.with_model(|model, now| {
        (0..STACKS).for_each(|index| fill(model, Caller::new("tests", now), &format!("full-{index}")));
    });
    filled.expect("the server runs");
    let (start, membership) = (now(), TestMembership::start());
    let agent = cluster.agent(&membership);
    let objects = cluster.reported();
    let mut scene = ReportScene::start(cluster.rest(), membership, agent, Some(cluster));
    while_it_lives(&mut scene.agent, "all is told", PATIENCE, || {
        thread::sleep(Duration::from_millis(200));
        Believed::of(scene.membership.heard()).differences(&objects).is_empty().then_some(())
    });
    println!("{} objects were told {:?} after the start", objects.len(), start.elapsed());

    let mut slowest = Duration::ZERO;
    for index in 0..TRIES {
        let name = format!("new-{index}");
        scene.forget();
        let (made, ready) = (name.clone(), name.clone());
        model.with_model(move |model, now| {
            create(model, Caller::new("tests", now), "stacks", "Stack", &made, &json!([]));
        });
        thread::sleep(Duration::from_millis(10));
        model.with_model(move |model, now| set_ready(model, Caller::new("tests", now), "stacks", &ready));
        let set = now();
        while !scene.news().iter().any(|message| crate::reports::is(message, "statusChanged", &name)) {
            assert!(set.elapsed() < LIMIT, "the status of {name} was not told within {LIMIT:?}");
            thread::sleep(Duration::from_millis(1));
        }
        slowest = slowest.max(set.elapsed());
    }
    println!("the slowest of {TRIES} statuses was told after {slowest:?}");
}

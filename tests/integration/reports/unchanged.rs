//! Orders that change nothing cost nothing: the count is the real API server's own.

use std::{collections::BTreeSet, thread, time::Duration};

use serde_json::json;

use crate::{
    reports::{ReportScene, is, named},
    support::{
        agent::{Invocation, while_it_lives},
        api_server::RealApiServer,
        crds::Crds,
        deeds::set_status,
        membership::TestMembership,
        metrics::Metrics,
        now,
        objects::all,
        orders::{StackExt, stack},
    },
};

const STACKS: usize = 1000;
/// A Stack, two modules and a client.
const OBJECTS: usize = 4 * STACKS;
const PATIENCE: Duration = Duration::from_secs(240);

fn send(scene: &ReportScene) {
    for index in 0..STACKS {
        let order = stack(&name(index)).modules(&["ledger", "payments"]).client("web", true);
        scene.order(order.order());
    }
}

fn name(index: usize) -> String {
    format!("same-{index}")
}

/// Waits until the server was asked nothing for a while: for so many looks in a row, since on a busy
/// machine one look alone may take as long.
#[track_caller]
fn quiet(scene: &mut ReportScene) -> Metrics {
    let mut last = (Metrics::read(&scene.rest), 0);
    let rest = scene.rest.clone();
    while_it_lives(&mut scene.agent, "the agent is quiet", PATIENCE, || {
        thread::sleep(Duration::from_millis(250));
        let metrics = Metrics::read(&rest);
        let same = metrics.but_watches() == last.0.but_watches();
        last = (metrics, if same { last.1 + 1 } else { 0 });
        (last.1 >= 8).then(|| last.0.clone())
    })
}

/// Waits until each stack was told.
#[track_caller]
fn all_told(scene: &mut ReportScene) {
    while_it_lives(&mut scene.agent, "every stack is told", PATIENCE, || {
        let news = scene.membership.heard()[scene.read..].iter();
        let told = news.filter(|message| is(message, "statusChanged", named(message).1));
        let told: BTreeSet<&str> = told.map(|message| named(message).1).collect();
        (told.len() == STACKS).then_some(())
    });
}

#[test]
fn a_thousand_orders_once_more_are_no_request_at_all() {
    let Some(server) = RealApiServer::start(Crds::Ours) else { return };
    let membership = TestMembership::start();
    // The sweep would say everything again by itself.
    let agent = Invocation::agent(&membership.address(), &server.kubeconfig()).args([
        "--kube-qps",
        "0",
        "--resync-period",
        "0",
    ]);
    let mut scene = ReportScene::start(server.rest(), membership, agent, None);
    let start = now();
    let begin = Metrics::read(&scene.rest);
    send(&scene);
    let rest = scene.rest.clone();
    while_it_lives(&mut scene.agent, "all objects are there", PATIENCE, || {
        thread::sleep(Duration::from_millis(500));
        (all(&rest).len() == OBJECTS).then_some(())
    });
    let first = quiet(&mut scene);
    let cost = first.since(&begin);
    println!("{STACKS} stacks took {:?}: {cost:?}", start.elapsed());
    assert_eq!(cost.get("POST"), Some(&(OBJECTS as u64)), "each object is created once: {cost:?}");

    for index in 0..STACKS {
        set_status(&scene.rest, "stacks", &name(index), &json!({"ready": true}));
    }
    all_told(&mut scene);
    let before = quiet(&mut scene);
    scene.forget();
    send(&scene);
    // That it is said again shows that the order was applied.
    all_told(&mut scene);
    let mut grown = quiet(&mut scene).since(&before);
    println!("{STACKS} orders that change nothing: {grown:?}");
    // Those that came to their time meanwhile.
    grown.remove("WATCH");
    assert!(grown.is_empty(), "{grown:?}");
}

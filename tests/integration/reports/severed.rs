//! Removals that nobody could see.

use std::time::Duration;

use serde_json::json;

use crate::{
    reports::{ReportScene, WITHIN, kind},
    support::{
        agent::{Invocation, while_it_lives},
        api_server::RealApiServer,
        crds::Crds,
        deeds::{create, delete, set_status},
        holdback::Holdback,
        membership::TestMembership,
        view::{self, Believed},
    },
};

/// Objects of this test begin so: others are on the same server.
const PREFIX: &str = "cut-off-";

#[test]
fn what_was_deleted_behind_a_broken_connection_is_told_when_it_stands_again() {
    let Some(server) = RealApiServer::shared(Crds::Ours) else { return };
    let network = Holdback::before(server.rest());
    let membership = TestMembership::start();
    let agent = Invocation::agent(&membership.address(), &network.kubeconfig());
    let mut scene = ReportScene::start(server.rest(), membership, agent, None);
    let [stays, goes] = ["stays", "goes"].map(|name| format!("{PREFIX}{name}"));
    for name in [&stays, &goes] {
        create(&scene.rest, "stacks", "Stack", name, &json!({}));
        create(&scene.rest, "payments", "Payments", name, &json!({"stack": name}));
        set_status(&scene.rest, "stacks", name, &json!({"ready": true}));
        set_status(&scene.rest, "payments", name, &json!({"ready": true}));
        scene.has("statusChanged", name);
        scene.has("moduleStatusChanged", name);
    }
    // One that was never told of.
    let blank = format!("{PREFIX}blank");
    create(&scene.rest, "ledgers", "Ledger", &blank, &json!({"stack": blank}));
    scene.settle();

    network.sever();
    delete(&scene.rest, "payments", &stays);
    delete(&scene.rest, "payments", &goes);
    delete(&scene.rest, "stacks", &goes);
    delete(&scene.rest, "ledgers", &blank);
    set_status(&scene.rest, "stacks", &stays, &json!({"ready": false}));
    // The agent notices and tries again, in vain.
    std::thread::sleep(Duration::from_secs(1));
    scene.agent.lives();
    scene.hears_nothing_of(&goes);
    network.restore();

    for name in [&stays, &goes] {
        assert_eq!(kind(&scene.has("moduleDeleted", name)), "Payments");
    }
    scene.exactly(1, "stackDeleted", &goes);
    assert_eq!(kind(&scene.has("moduleDeleted", &blank)), "Ledger");
    let rest = scene.rest.clone();
    let ours = |place: &str| place.split_once('/').is_some_and(|(_, name)| name.starts_with(PREFIX));
    while_it_lives(&mut scene.agent, "membership knows all of it", WITHIN, || {
        let mut objects = view::objects(&rest);
        objects.retain(|place, _| ours(place));
        let mut believed = Believed::of(scene.membership.heard());
        believed.statuses.retain(|(_, name), _| name.starts_with(PREFIX));
        believed.versions.clear();
        believed.differences(&objects).is_empty().then_some(())
    });
}

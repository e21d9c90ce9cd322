//! Row 18: connections that are dead and say nothing of it. The product's own bounds are waited for
//! (150 s of silence on a watch, 45 s on HTTP/2), all of them at once.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use serde_json::json;

use crate::{
    faults::scene::{FaultScene, network},
    support::{
        agent::Invocation,
        api_server::RealApiServer,
        crds::Crds,
        deeds::{create, set_status},
        holdback::{Http1Request, LineFate, RequestFate},
        kubeconfig,
        membership::TestMembership,
        now,
        relay::Relay,
    },
};

/// Silence for 150 s, and some time for the list that follows.
const SILENT: Duration = Duration::from_secs(170);
/// A ping after 30 s, 15 s to answer it, and some time for what follows.
const PINGED: Duration = Duration::from_secs(60);

#[test]
fn row_18_dead_connections_and_missing_bookmarks_never_leave_a_stuck_view() {
    let Some((rest, network)) = network() else { return };
    let muted = network.rule(1, |request| request.watches("stacks"), RequestFate::Mute);
    let dropped = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&dropped);
    let no_bookmarks = RequestFate::lines(move |line| {
        if !line.contains("\"type\":\"BOOKMARK\"") {
            return LineFate::Pass;
        }
        count.fetch_add(1, Ordering::AcqRel);
        LineFate::Drop
    });
    // No other test touches this kind: without bookmarks nothing comes at all.
    network.rule(usize::MAX, |request: &Http1Request| request.watches("searches"), no_bookmarks);
    let start = now();
    let mut scene = FaultScene::on(rest, network, &["--shards", "1"]);
    let name = "r18-silent";
    create(&scene.rest, "stacks", "Stack", name, &json!({}));
    set_status(&scene.rest, "stacks", name, &json!({"ready": true}));
    create(&scene.rest, "searches", "Search", name, &json!({ "stack": name }));
    set_status(&scene.rest, "searches", name, &json!({"ready": true}));
    scene.until_module_told("Search", name, &json!({"ready": true}), SILENT);

    // Meanwhile, an agent of its own finds out by pings.
    let pinged = pinged();

    scene.until_told(name, &json!({"ready": true}), SILENT.saturating_sub(start.elapsed()));
    let told = start.elapsed();
    assert_eq!(muted.times(), 1);
    scene.agent.says(SILENT, &["nothing was heard", "stacks"]);
    // The kind without bookmarks is listed afresh as well, and goes on.
    scene.agent.says(SILENT.saturating_sub(start.elapsed()), &["nothing was heard", "searches"]);
    let bookmarks = dropped.load(Ordering::Acquire);
    assert!(bookmarks > 0, "no bookmark came that could be dropped");
    set_status(&scene.rest, "searches", name, &json!({"ready": false}));
    scene.until_module_told("Search", name, &json!({"ready": false}), PINGED);
    println!(
        "row 18: a dead watch was found out after {told:?}, a dead HTTP/2 connection after {pinged:?}, \
         {bookmarks} bookmarks were dropped"
    );
}

/// How long it took until an agent whose HTTP/2 connection is dead told of a change.
#[track_caller]
fn pinged() -> Duration {
    let server = RealApiServer::shared(Crds::Ours).expect("it was there");
    let (relay, membership) = (Relay::before(&server.url), TestMembership::start());
    let folder = tempfile::TempDir::new().expect("temporary folder");
    let path = folder.path().join("kubeconfig");
    kubeconfig::write(&path, &relay.url(), Some(&server.ca_pem), Some(server.token));
    let agent = Invocation::agent(&membership.address(), &path).args(["--shards", "1"]);
    let mut scene = FaultScene::with(server.rest(), network().expect("as before").1, membership, agent);
    let name = "r18-pinged";
    create(&scene.rest, "stacks", "Stack", name, &json!({}));
    set_status(&scene.rest, "stacks", name, &json!({"ready": true}));
    scene.until_told(name, &json!({"ready": true}), PINGED);
    relay.hush();
    let start = now();
    set_status(&scene.rest, "stacks", name, &json!({"ready": false}));
    scene.until_told(name, &json!({"ready": false}), PINGED);
    assert!(relay.swallowed() > 0, "nothing was swallowed");
    start.elapsed()
}

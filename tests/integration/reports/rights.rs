//! With the rights that deployments have today and no more.

use std::{path::Path, thread, time::Duration};

use serde_json::{Value, json};

use crate::{
    reports::definitions::DefinedRegion,
    support::{
        api_server::{LIMITED_USER, RealApiServer},
        crds::Crds,
        deeds::{await_there, set_status},
        rest::Rest,
    },
};

const RBAC: &str = "apis/rbac.authorization.k8s.io/v1";

/// Everything on the agent's group; get and list on definitions.
fn grant(rest: &Rest) {
    let rule = |group: &str, resource: &str, verbs: &[&str]| -> Value {
        json!({ "apiGroups": [group], "resources": [resource], "verbs": verbs })
    };
    let role = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": { "name": "agent" },
        "rules": [
            rule("formance.com", "*", &["*"]),
            rule("apiextensions.k8s.io", "customresourcedefinitions", &["get", "list"]),
        ],
    });
    rest.post(&format!("{RBAC}/clusterroles"), &role).expect(201);
    let binding = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
        "metadata": { "name": "agent" },
        "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "agent" },
        "subjects": [{ "apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": LIMITED_USER }],
    });
    rest.post(&format!("{RBAC}/clusterrolebindings"), &binding).expect(201);
}

#[test]
fn without_the_right_to_watch_definitions_it_says_so_once_and_lists_them_now_and_then() {
    let Some(server) = RealApiServer::start(Crds::Ours) else { return };
    let rest = server.rest();
    grant(&rest);
    let kubeconfig: &Path = &server.limited_kubeconfig();
    let mut region = DefinedRegion::start(rest.clone(), kubeconfig, &["--resync-period", "2s"]);
    region.order("modest", &["ledger"]);
    await_there(&rest, "ledgers", "modest");
    set_status(&rest, "ledgers", "modest", &json!({"ready": true}));
    region.hears_of("Ledger", "modest");
    // Three sweeps and more.
    thread::sleep(Duration::from_secs(7));
    let said = region.agent.lines(&["customresourcedefinitions"]);
    assert_eq!(said.len(), 1, "{said:#?}");
    assert!(said[0].contains("watch"), "{said:#?}");

    region.gets_beacons();
    region.order("lit", &["beacon"]);
    await_there(&rest, "beacons", "lit");
    set_status(&rest, "beacons", "lit", &json!({"ready": true}));
    region.hears_of("Beacon", "lit");
    assert_eq!(region.agent.lines(&["customresourcedefinitions"]).len(), 1, "{}", region.agent.log());
}

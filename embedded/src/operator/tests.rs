use super::*;
use crate::cluster::{
    Deleted,
    tests::{cluster, kind, me, now, object},
};

/// A cluster with the operator of these options beside it.
struct OperatorScene {
    cluster: EmbeddedCluster,
    operator: Operator,
    at: Duration,
}

impl OperatorScene {
    fn set(finalizer: bool) -> Self {
        let options = OperatorOptions { finalizer, ..OperatorOptions::default() };
        Self { cluster: cluster(), operator: Operator::new(1, options), at: Duration::ZERO }
    }

    fn after(&mut self, millis: u64) {
        self.at += Duration::from_millis(millis);
        self.operator.step(&mut self.cluster, self.at, now());
    }

    /// A Stack `a`, and its Ledger.
    fn with_stack(mut self) -> Self {
        let uid = self.create("stacks", "Stack", json!({}));
        let owner = json!([{"apiVersion": "formance.com/v1beta1", "kind": "Stack", "name": "a", "uid": uid}]);
        self.create("ledgers", "Ledger", json!({"metadata": {"ownerReferences": owner}}));
        self
    }

    fn create(&mut self, plural: &str, name: &str, rest: Value) -> String {
        let kind = kind(&self.cluster, plural);
        let written = self.cluster.create(&kind, object(name, "a", rest), me()).expect("created");
        written.object.uid().to_owned()
    }

    fn get(&self, plural: &str) -> Option<Value> {
        let kind = kind(&self.cluster, plural);
        self.cluster.get(&kind, "a").ok().map(|object| object.value().clone())
    }

    fn delete_stack(&mut self) -> Deleted {
        let stacks = kind(&self.cluster, "stacks");
        self.cluster.delete(&stacks, "a", &DeleteOptions::default(), now()).expect("deleted")
    }
}

#[test]
fn a_new_object_is_in_progress_at_once_and_ready_later() {
    let mut scene = OperatorScene::set(false).with_stack();
    scene.after(0);
    for plural in ["stacks", "ledgers"] {
        let status = &scene.get(plural).expect("there")["status"];
        assert_eq!(status["ready"], false, "{plural}");
        assert_eq!(status["conditions"][0]["status"], "False");
    }
    scene.after(49);
    assert_eq!(scene.get("stacks").expect("there")["status"]["ready"], false, "not before its time");
    scene.after(252);
    let ledger = scene.get("ledgers").expect("there");
    assert_eq!(ledger["status"]["ready"], true);
    assert_eq!(
        ledger["status"]["conditions"][1],
        json!({
            "type": "Deployed", "status": "True", "reason": "Done", "message": "generation 1 of a",
            "lastTransitionTime": "2023-11-14T22:13:20Z", "observedGeneration": 1,
        })
    );
    assert!(ledger["metadata"]["managedFields"].to_string().contains(MANAGER));
}

#[test]
fn a_new_generation_is_in_progress_again_and_the_old_one_never_gets_ready() {
    let mut scene = OperatorScene::set(false).with_stack();
    scene.after(0);
    let stacks = kind(&scene.cluster, "stacks");
    let patch = json!({"spec": {"disabled": true}});
    scene.cluster.patch(&stacks, "a", WriteEndpoint::Main, &patch, me()).expect("patched");
    scene.after(1);
    let versions = scene.cluster.version();
    assert_eq!(scene.get("stacks").expect("there")["status"]["conditions"][0]["observedGeneration"], 2);
    scene.after(1000);
    scene.after(1000);
    assert_eq!(scene.get("stacks").expect("there")["status"]["ready"], true);
    assert_eq!(scene.cluster.version(), versions + 2, "one more write for each of both objects");
}

#[test]
fn nothing_is_written_where_nothing_happened() {
    let mut scene = OperatorScene::set(true).with_stack();
    scene.after(0);
    scene.after(1000);
    scene.after(0);
    let version = scene.cluster.version();
    scene.after(1000);
    assert_eq!(scene.cluster.version(), version);
}

#[test]
fn a_deleted_stack_is_held_until_its_modules_are_gone() {
    let mut scene = OperatorScene::set(true).with_stack();
    scene.after(0);
    assert!(matches!(scene.delete_stack(), Deleted::Held(_)));
    scene.after(1);
    assert!(scene.get("ledgers").is_some(), "it takes a while");
    scene.after(300);
    assert!(scene.get("ledgers").is_none() && scene.get("stacks").is_some(), "modules go first");
    scene.after(300);
    assert!(scene.get("stacks").is_none());
}

#[test]
fn without_the_option_a_deleted_stack_is_gone_at_once() {
    let mut scene = OperatorScene::set(false).with_stack();
    scene.after(0);
    assert!(matches!(scene.delete_stack(), Deleted::Gone { .. }));
    scene.after(1000);
}

#[test]
fn modules_are_what_their_definitions_say() {
    let scene = OperatorScene::set(false);
    let modules = |scene: &OperatorScene| {
        kinds(&scene.cluster).iter().map(|kind| kind.plural.clone()).collect::<Vec<_>>()
    };
    assert!(modules(&scene).contains(&"ledgers".to_owned()));
    assert!(!modules(&scene).iter().any(|plural| plural == "versions" || plural == "authclients"));
}

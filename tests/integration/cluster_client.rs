//! The cluster client against a real API server: what the answers mean was read from there.

use std::time::Duration;

use serde_json::{Value, json};
use stackherd::{
    cluster::{ClientLimits, ClusterConfig, KubeClient},
    net,
    stack::{
        object::{Catalog, Object, ObjectKey, Resource},
        write::{ReadError, Write, WriteAnswer},
    },
};

use crate::support::{api_server::RealApiServer, crds::Crds, machine::MachineShare};

const LIMITS: ClientLimits =
    ClientLimits { qps: 0.0, burst: 1, max_in_flight: 32, deadline: Duration::from_secs(20) };

/// Runs a test with a client of the shared server; does nothing where there is no server.
fn with_client<Fut: Future<Output = ()>>(test: impl FnOnce(KubeClient, Catalog) -> Fut) {
    let _share = MachineShare::take();
    let Some(server) = RealApiServer::shared(Crds::Ours) else { return };
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("kubeconfig");
    crate::support::kubeconfig::write(&path, &server.url, Some(&server.ca_pem), Some(server.token));
    let config = ClusterConfig::load(Some(&path)).unwrap();
    net::block_on(async {
        let client = KubeClient::new(&config, LIMITS);
        let catalog = client.catalog().await.unwrap();
        test(client, catalog).await;
    })
    .unwrap();
}

async fn perform(client: &KubeClient, write: &Write) -> WriteAnswer {
    client.write(client.permit().await, write).await
}

async fn put(client: &KubeClient, key: &ObjectKey, spec: &Value) -> WriteAnswer {
    let body = json!({
        "apiVersion": "formance.com/v1beta1", "kind": key.resource.kind,
        "metadata": {"name": &*key.name, "labels": {
            "formance.com/created-by-agent": "true", "formance.com/stack": &*key.name,
        }},
        "spec": spec,
    });
    perform(client, &Write::Create { key: key.clone(), body }).await
}

fn stored(answer: WriteAnswer) -> Object {
    match answer {
        WriteAnswer::Stored(object) => *object,
        other => panic!("{other:?}"),
    }
}

fn patch(object: &Object, spec: &Value) -> Write {
    Write::Patch {
        key: object.key.clone(),
        resource_version: object.resource_version.clone(),
        body: json!({"metadata": {"resourceVersion": object.resource_version}, "spec": spec}),
    }
}

fn delete(object: &Object) -> Write {
    Write::Delete {
        key: object.key.clone(),
        uid: object.uid.clone(),
        resource_version: object.resource_version.clone(),
    }
}

#[test]
fn modules_are_discovered() {
    with_client(|_, catalog| async move {
        assert!(catalog.modules.len() >= 11, "{:?}", catalog.modules);
        let ledger = catalog.module("ledger").unwrap();
        assert_eq!((&*ledger.kind, &*ledger.plural), ("Ledger", "ledgers"));
        assert!(catalog.module("stack").is_none());
    });
}

#[test]
fn an_object_lives_and_every_stale_write_is_turned_away() {
    with_client(|client, catalog| async move {
        let key = ObjectKey::new(&catalog.stack, "life");
        let made = stored(put(&client, &key, &json!({"versionsFromFile": "v1"})).await);
        assert_eq!(made.label("formance.com/stack"), Some("life"));
        assert_eq!(put(&client, &key, &json!({})).await, WriteAnswer::AlreadyExists);

        let newer = stored(perform(&client, &patch(&made, &json!({"disabled": true}))).await);
        assert_ne!(newer.resource_version, made.resource_version);
        assert_eq!(newer.spec["versionsFromFile"], "v1");
        assert_eq!(perform(&client, &patch(&made, &json!({"disabled": false}))).await, WriteAnswer::Conflict);
        assert_eq!(perform(&client, &delete(&made)).await, WriteAnswer::Conflict);

        let unchanged = stored(perform(&client, &patch(&newer, &json!({"disabled": true}))).await);
        assert_eq!(unchanged.resource_version, newer.resource_version);
        assert_eq!(perform(&client, &delete(&newer)).await, WriteAnswer::Gone { uid: made.uid.clone() });
        assert_eq!(perform(&client, &delete(&newer)).await, WriteAnswer::NotFound);
        assert_eq!(perform(&client, &patch(&newer, &json!({}))).await, WriteAnswer::NotFound);
    });
}

#[test]
fn a_finalizer_holds_what_is_deleted() {
    with_client(|client, catalog| async move {
        let key = ObjectKey::new(&catalog.stack, "held");
        let made = stored(put(&client, &key, &json!({})).await);
        let with = |finalizers: Value, of: &Object| Write::Patch {
            key: key.clone(),
            resource_version: of.resource_version.clone(),
            body: json!({"metadata": {"resourceVersion": of.resource_version, "finalizers": finalizers}}),
        };
        let held = stored(perform(&client, &with(json!(["formance.com/test"]), &made)).await);
        let dying = stored(perform(&client, &delete(&held)).await);
        assert!(dying.terminating);
        assert_eq!(put(&client, &key, &json!({})).await, WriteAnswer::AlreadyExists);
        let last = stored(perform(&client, &with(json!([]), &dying)).await);
        assert_eq!(last.uid, made.uid);
        let read = client.read(std::slice::from_ref(&key)).await.unwrap();
        assert!(read.is_empty());
    });
}

#[test]
fn content_that_the_server_does_not_take_is_refused() {
    with_client(|client, catalog| async move {
        let stack = |name: &str| ObjectKey::new(&catalog.stack, name);
        let wrong_type = put(&client, &stack("wrong"), &json!({"disabled": "yes"})).await;
        assert!(matches!(&wrong_type, WriteAnswer::Refused(r) if r.code == 422), "{wrong_type:?}");
        let unknown = put(&client, &stack("unknown"), &json!({"noSuchField": 1})).await;
        assert!(
            matches!(&unknown, WriteAnswer::Refused(r) if r.code == 200 && r.message.contains("noSuchField")),
            "{unknown:?}"
        );
        let huge = json!({"versionsFromFile": "x".repeat(4 << 20)});
        let huge = put(&client, &stack("huge"), &huge).await;
        assert!(matches!(&huge, WriteAnswer::Refused(_)), "{huge:?}");
        let kind = Resource::new("Nothing", "nothing", "nothings");
        let no_kind = put(&client, &ObjectKey::new(&kind, "a"), &json!({})).await;
        assert!(matches!(&no_kind, WriteAnswer::Refused(r) if r.code == 404), "{no_kind:?}");
        let read = client.read(&[ObjectKey::new(&kind, "a")]).await;
        assert!(matches!(read, Err(ReadError::Refused { .. })), "{read:?}");
    });
}

#[test]
fn what_is_there_is_read_and_what_is_absent_left_out() {
    with_client(|client, catalog| async move {
        let keys = ["here", "not-here"].map(|name| ObjectKey::new(&catalog.stack, name));
        stored(put(&client, &keys[0], &json!({})).await);
        let read = client.read(&keys).await.unwrap();
        assert_eq!(read.len(), 1);
        assert_eq!(read[0].label("formance.com/stack"), Some("here"));
    });
}

#[test]
fn two_hundred_writes_go_over_one_connection_together() {
    with_client(|client, catalog| async move {
        let keys: Vec<_> = (0..200).map(|n| ObjectKey::new(&catalog.stack, &format!("many-{n}"))).collect();
        let spec = json!({});
        let answers = futures::future::join_all(keys.iter().map(|key| put(&client, key, &spec))).await;
        let made: Vec<_> = answers.into_iter().map(stored).collect();
        let deletes: Vec<_> = made.iter().map(delete).collect();
        let answers = futures::future::join_all(deletes.iter().map(|write| perform(&client, write))).await;
        assert!(answers.iter().all(|answer| matches!(answer, WriteAnswer::Gone { .. })), "{answers:?}");
        assert_eq!(client.counts().writes, 400);
    });
}

#[test]
fn a_wrong_token_is_not_applied() {
    let _share = MachineShare::take();
    let Some(server) = RealApiServer::shared(Crds::Ours) else { return };
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("kubeconfig");
    crate::support::kubeconfig::write(&path, &server.url, Some(&server.ca_pem), Some("wrong"));
    let config = ClusterConfig::load(Some(&path)).unwrap();
    net::block_on(async {
        let client = KubeClient::new(&config, LIMITS);
        let key = ObjectKey::new(&Catalog::new(vec![]).stack, "wrong-token");
        let answer = put(&client, &key, &json!({})).await;
        assert!(matches!(answer, WriteAnswer::NotApplied { .. }), "{answer:?}");
    })
    .unwrap();
}

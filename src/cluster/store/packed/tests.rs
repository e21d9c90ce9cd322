use proptest::{collection, prelude::*};
use serde_json::json;

use super::*;
use crate::{
    cluster::store::json::tests::some_json,
    stack::{
        object::Resource,
        plan,
        testing::{base_url, catalog, snapshot, stack_name},
    },
};

const STACK: &str = "org-stack";

fn some_text() -> impl Strategy<Value = String> {
    "[a-b]{0,2}|.{0,8}"
}

fn some_uid() -> impl Strategy<Value = String> {
    let canonical = any::<u128>().prop_map(hyphenated);
    prop_oneof![3 => canonical.clone(), 1 => canonical.prop_map(|uid| uid.to_uppercase()), 1 => ".{1,40}"]
}

fn some_owner() -> impl Strategy<Value = Owner> {
    let name = prop_oneof![Just(STACK.to_owned()), some_text()];
    let kind = prop_oneof![Just("Stack".to_owned()), some_text()];
    let version = prop_oneof![Just(API_VERSION.to_owned()), some_text()];
    (kind, version, name, some_uid(), any::<bool>(), any::<Option<bool>>()).prop_map(
        |(kind, api_version, name, uid, controller, block_owner_deletion)| Owner {
            kind,
            api_version,
            name,
            uid,
            controller,
            block_owner_deletion,
        },
    )
}

fn some_map() -> impl Strategy<Value = BTreeMap<String, String>> {
    let key = prop_oneof![
        "formance.com/[a-c]{1,2}",
        Just(labels::STACK.to_owned()),
        Just(labels::CREATED_BY_AGENT.to_owned()),
        Just(labels::FENCE.to_owned()),
        "[a-z]{1,3}",
    ];
    let value = prop_oneof![Just(STACK.to_owned()), Just("true".to_owned()), some_text()];
    collection::btree_map(key, value, 0..5)
}

fn some_spec() -> impl Strategy<Value = Value> {
    let field = prop::sample::select(vec![
        "stack",
        "disabled",
        "tls",
        "auth",
        "ingress",
        "debug",
        "delegatedOIDCServer",
    ]);
    let odd = collection::btree_map(field, some_json(), 0..4)
        .prop_map(|fields| fields.into_iter().map(|(name, field)| (name.to_owned(), field)).collect());
    let usual = json!({"stack": STACK, "debug": false, "ingress": {"host": "h", "annotations": {"a": "b"}}});
    prop_oneof![odd.prop_map(Value::Object), Just(usual), Just(Value::Null)]
}

fn some_object() -> impl Strategy<Value = Object> {
    let version = prop_oneof![any::<u64>().prop_map(|n| n.to_string()), "0[0-9]{0,3}|[1-9][0-9]{20,30}|x"];
    let name = prop_oneof![Just(STACK.to_owned()), "[a-z]{1,8}"];
    (
        (name, some_uid(), version, any::<bool>()),
        (some_map(), some_map(), collection::vec(some_owner(), 0..3)),
        (some_spec(), prop_oneof![Just(Value::Null), some_json()]),
        (collection::btree_set("[a-c]", 0..3), any::<bool>(), any::<bool>(), any::<bool>()),
    )
        .prop_map(
            |((name, uid, version, terminating), (labels, annotations, owners), (spec, status), own)| {
                let (oidc, oidc_whole, tls_disable, own_labels) = own;
                let keys = |map: &BTreeMap<String, String>| -> BTreeSet<String> {
                    map.keys().filter(|key| own_labels && key.starts_with(labels::PREFIX)).cloned().collect()
                };
                let removable = Removable {
                    labels: keys(&labels),
                    annotations: keys(&annotations),
                    oidc,
                    oidc_whole,
                    tls_disable,
                };
                Object {
                    key: ObjectKey::new(&Resource::new("Ledger", "ledger", "ledgers"), &name),
                    uid,
                    resource_version: version,
                    terminating,
                    labels,
                    annotations,
                    owners,
                    spec,
                    status,
                    removable,
                }
            },
        )
}

/// What decisions look at of an object.
fn pruned(mut object: Object) -> Object {
    object.labels.retain(|key, _| key.starts_with(labels::PREFIX));
    object.annotations.retain(|key, _| key.starts_with(labels::PREFIX));
    // These two are never taken back, whoever set them.
    let stay =
        object.label(labels::STACK) == Some(STACK) && object.label(labels::CREATED_BY_AGENT) == Some("true");
    object
        .removable
        .labels
        .retain(|key| !(stay && matches!(key.as_str(), labels::STACK | labels::CREATED_BY_AGENT)));
    object.spec = desired::compared(&object.spec);
    object
}

fn unpacked(record: &PackedObject, names: &Interner) -> Object {
    let ledgers = Resource::new("Ledger", "ledger", "ledgers");
    record.unpack(|name| ObjectKey::new(&ledgers, name), STACK, names).expect("a record")
}

proptest! {
    #[test]
    fn an_object_is_unpacked_as_it_was_packed_but_for_what_nobody_looks_at(
        objects in collection::vec(some_object(), 1..4),
    ) {
        let mut names = Interner::default();
        for object in objects.iter().chain(&objects) {
            let record = PackedObject::pack(object, STACK, &mut names);
            prop_assert_eq!(unpacked(&record, &names), pruned(object.clone()));
            prop_assert_eq!(record.version(&names), Some(ObjectVersion::of(object)));
            prop_assert_eq!(record.name(STACK, &names), Some(&*object.key.name));
            prop_assert_eq!(record.status(STACK, &names), Some(object.status.clone()));
        }
    }

    #[test]
    fn decisions_come_out_the_same(object in some_object()) {
        let mut names = Interner::default();
        let wanted = desired::desired(&stack_name(), &snapshot(), &catalog(), &base_url());
        let again = unpacked(&PackedObject::pack(&object, STACK, &mut names), &names);
        for child in &wanted.children {
            let decide = |object: &Object| plan::child(STACK, &wanted, child, Some(object), "u-1");
            prop_assert_eq!(decide(&object), decide(&again));
        }
        prop_assert_eq!(plan::deleted_stack(STACK, Some(&object)), plan::deleted_stack(STACK, Some(&again)));
        prop_assert_eq!(plan::toggled(STACK, Some(&object), true), plan::toggled(STACK, Some(&again), true));
        prop_assert_eq!(plan::unwanted(STACK, Some(&object)), plan::unwanted(STACK, Some(&again)));
        prop_assert_eq!(plan::fence(&object), plan::fence(&again));
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in collection::vec(any::<u8>(), 0..80)) {
        let (record, names) = (PackedObject(bytes.into()), Interner::default());
        record.unpack(|name| ObjectKey::new(&catalog().stack, name), STACK, &names);
        record.version(&names);
        record.name(STACK, &names);
        record.status(STACK, &names);
    }
}

#[test]
fn a_new_version_or_status_decides_as_the_old_one_and_a_new_label_does_not() {
    let mut names = Interner::default();
    let json =
        json!({"metadata": {"name": STACK, "uid": "u", "resourceVersion": "1"}, "spec": {"stack": STACK}});
    let ledgers = Resource::new("Ledger", "ledger", "ledgers");
    let mut object = Object::from_json(&ledgers, json).expect("an object");
    let mut pack = |object: &Object| {
        PackedObject::pack(object, STACK, &mut names);
        PackedObject::pack(object, STACK, &mut names)
    };
    let first = pack(&object);
    object.resource_version = "2".into();
    object.status = json!({"ready": true});
    let second = pack(&object);
    object.labels.insert("formance.com/a".into(), "b".into());
    let third = pack(&object);
    let same = |one: &PackedObject, other: &PackedObject| one.decides_as(other, &object.key, STACK, &names);
    assert!(same(&first, &second) && !same(&second, &third));
}

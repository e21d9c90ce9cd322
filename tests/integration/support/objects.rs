//! Objects as the contract says they shall be, written down once more, and as a server has them.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use crate::support::rest::{GROUP_PATH, Rest};

/// Every kind of the contract but Versions: kind and plural.
pub const KINDS: [(&str, &str); 13] = [
    ("Stack", "stacks"),
    ("AuthClient", "authclients"),
    ("Auth", "auths"),
    ("Gateway", "gateways"),
    ("Ledger", "ledgers"),
    ("Orchestration", "orchestrations"),
    ("Payments", "payments"),
    ("Reconciliation", "reconciliations"),
    ("Search", "searches"),
    ("Stargate", "stargates"),
    ("TransactionPlane", "transactionplanes"),
    ("Wallets", "wallets"),
    ("Webhooks", "webhooks"),
];

/// Path of an object.
pub fn path(plural: &str, name: &str) -> String {
    format!("{GROUP_PATH}/{plural}/{name}")
}

/// The object, if it is there.
pub fn find(rest: &Rest, plural: &str, name: &str) -> Option<Value> {
    let reply = rest.get(&path(plural, name));
    match reply.status {
        404 => None,
        _ => Some(reply.expect(200).json),
    }
}

/// The object; it must be there.
#[track_caller]
pub fn get(rest: &Rest, plural: &str, name: &str) -> Value {
    find(rest, plural, name).unwrap_or_else(|| panic!("{plural}/{name} is not there"))
}

/// Every object of this stack by `plural/name`, found by its label.
pub fn of_stack(rest: &Rest, stack: &str) -> BTreeMap<String, Value> {
    labelled(rest, &format!("formance.com/stack={stack}"))
}

/// Every object that an agent wrote, by `plural/name`.
pub fn all(rest: &Rest) -> BTreeMap<String, Value> {
    labelled(rest, "formance.com/created-by-agent=true")
}

fn labelled(rest: &Rest, selector: &str) -> BTreeMap<String, Value> {
    let selector = selector.replace('/', "%2F").replace('=', "%3D");
    let mut found = BTreeMap::new();
    for (_, plural) in KINDS {
        let list = rest.get(&format!("{GROUP_PATH}/{plural}?labelSelector={selector}")).expect(200);
        for item in list.json["items"].as_array().expect("a list") {
            let name = item["metadata"]["name"].as_str().expect("a name");
            found.insert(format!("{plural}/{name}"), item.clone());
        }
    }
    found
}

/// resourceVersions of objects, to see that nothing moved.
pub fn versions(objects: &BTreeMap<String, Value>) -> BTreeMap<String, String> {
    let version = |object: &Value| object["metadata"]["resourceVersion"].as_str().expect("one").to_owned();
    objects.iter().map(|(key, object)| (key.clone(), version(object))).collect()
}

/// Asserts which objects a stack has: `plural/name`, the Stack itself included.
#[track_caller]
pub fn assert_has_exactly(rest: &Rest, stack: &str, expected: &[&str]) {
    let found: BTreeSet<String> = of_stack(rest, stack).into_keys().collect();
    let expected: BTreeSet<String> = expected.iter().map(|key| (*key).to_owned()).collect();
    assert_eq!(found, expected, "objects of {stack}");
}

/// What an object shall be, in whole.
pub struct Expected<'a> {
    pub stack: &'a str,
    /// Additional ones, keys complete.
    pub labels: &'a [(&'a str, &'a str)],
    /// Keys complete.
    pub annotations: &'a [(&'a str, &'a str)],
}

impl<'a> Expected<'a> {
    pub fn of(stack: &'a str) -> Self {
        Self { stack, labels: &[], annotations: &[] }
    }

    /// The Stack with this spec, defaults included.
    #[track_caller]
    pub fn stack(&self, rest: &Rest, spec: Value) {
        self.check(&get(rest, "stacks", self.stack), spec, None);
    }

    /// A child, owned by the Stack, with this spec, defaults included.
    #[track_caller]
    pub fn child(&self, rest: &Rest, plural: &str, name: &str, spec: Value) {
        let stack = get(rest, "stacks", self.stack);
        let mut object = get(rest, plural, name);
        if plural == "stargates" && object["spec"]["tls"]["disable"].is_null() {
            // Absent and false are equal.
            object["spec"]["tls"] = json!({ "disable": false });
        }
        self.check(&object, spec, Some(&stack["metadata"]["uid"]));
    }

    #[track_caller]
    fn check(&self, object: &Value, spec: Value, owner: Option<&Value>) {
        let key = format!("{} {}", object["kind"], object["metadata"]["name"]);
        let own = [("formance.com/created-by-agent", "true"), ("formance.com/stack", self.stack)];
        let metadata = &object["metadata"];
        assert_eq!(object["spec"], spec, "spec of {key}");
        assert_eq!(map(&metadata["labels"]), pairs(self.labels.iter().chain(&own)), "labels of {key}");
        assert_eq!(map(&metadata["annotations"]), pairs(self.annotations), "annotations of {key}");
        let reference = |uid: &Value| json!([{ "apiVersion": "formance.com/v1beta1", "kind": "Stack", "name": self.stack, "uid": uid }]);
        assert_eq!(metadata["ownerReferences"], owner.map_or(Value::Null, reference), "owners of {key}");
    }
}

fn map(value: &Value) -> Map<String, Value> {
    value.as_object().cloned().unwrap_or_default()
}

fn pairs<'a>(pairs: impl IntoIterator<Item = &'a (&'a str, &'a str)>) -> Map<String, Value> {
    pairs.into_iter().map(|(key, value)| ((*key).to_owned(), json!(value))).collect()
}

/// Spec of a Stack.
pub fn stack_spec(versions: &str, disabled: bool) -> Value {
    json!({
        "versionsFromFile": versions, "disabled": disabled,
        "debug": false, "dev": false, "enableAudit": false,
    })
}

/// Spec of a module without settings of its own.
pub fn module_spec(stack: &str) -> Value {
    json!({ "stack": stack, "debug": false, "dev": false })
}

/// Spec of a Gateway under the tests' base URL.
pub fn gateway_spec(stack: &str) -> Value {
    let mut spec = module_spec(stack);
    spec["ingress"] = json!({ "host": format!("{stack}.region.example.com:8443"), "scheme": "https" });
    spec
}

/// Spec of an Auth, with the tests' login where there is one.
pub fn auth_spec(stack: &str, login: bool) -> Value {
    let mut spec = module_spec(stack);
    spec["enableScopes"] = false.into();
    if login {
        spec["delegatedOIDCServer"] = self::login();
    }
    spec
}

/// Spec of a Stargate with the tests' login.
pub fn stargate_spec(stack: &str, organization: &str, id: &str, disable_tls: bool) -> Value {
    let mut spec = module_spec(stack);
    spec["organizationID"] = organization.into();
    spec["stackID"] = id.into();
    spec["serverURL"] = "gate.example.com:443".into();
    spec["auth"] = login();
    spec["tls"] = json!({ "disable": disable_tls });
    spec
}

/// Spec of an AuthClient.
pub fn client_spec(stack: &str, id: &str, public: bool) -> Value {
    json!({ "stack": stack, "id": id, "public": public })
}

fn login() -> Value {
    json!({ "issuer": "https://login.example.com", "clientID": "a-client", "clientSecret": "a-secret" })
}

/// An object as somebody else would write it, owned by nobody.
pub fn object(kind: &str, name: &str, labels: Value, spec: Value) -> Value {
    json!({
        "apiVersion": "formance.com/v1beta1", "kind": kind,
        "metadata": { "name": name, "labels": labels }, "spec": spec,
    })
}

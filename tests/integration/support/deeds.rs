//! What operators and people do to objects, through an API server.

use serde_json::{Value, json};

use super::objects::{find, get, path};
use crate::support::{eventually, rest::Rest};

/// The finalizer that tests hold Stacks with.
pub const FINALIZER: &str = "tests.example.com/hold";

/// Merges into the status of an object.
#[track_caller]
pub fn set_status(rest: &Rest, plural: &str, name: &str, status: &Value) {
    let patch = json!({ "status": status });
    rest.patch(&format!("{}/status", path(plural, name)), &patch).expect(200);
}

/// Replaces the status of an object; `Null` takes it away.
#[track_caller]
pub fn replace_status(rest: &Rest, plural: &str, name: &str, status: &Value) {
    let mut object = get(rest, plural, name);
    object["status"] = status.clone();
    if status.is_null() {
        object.as_object_mut().expect("an object").remove("status");
    }
    rest.put(&format!("{}/status", path(plural, name)), &object).expect(200);
}

/// Adds the tests' finalizer.
#[track_caller]
pub fn hold(rest: &Rest, plural: &str, name: &str) {
    let patch = json!({ "metadata": { "finalizers": [FINALIZER] } });
    rest.patch(&path(plural, name), &patch).expect(200);
}

/// Takes all finalizers away.
#[track_caller]
pub fn let_go(rest: &Rest, plural: &str, name: &str) {
    let patch = json!({ "metadata": { "finalizers": null } });
    rest.patch(&path(plural, name), &patch).expect(200);
}

/// Merges into an object.
#[track_caller]
pub fn change(rest: &Rest, plural: &str, name: &str, patch: &Value) {
    rest.patch(&path(plural, name), patch).expect(200);
}

/// Creates an object of this kind with this spec, labelled by nobody; returns its uid.
#[track_caller]
pub fn create(rest: &Rest, plural: &str, kind: &str, name: &str, spec: &Value) -> String {
    let object = json!({
        "apiVersion": "formance.com/v1beta1", "kind": kind, "metadata": { "name": name }, "spec": spec,
    });
    let made = rest.post(path(plural, name).rsplit_once('/').expect("a path").0, &object);
    made.expect(201).uid().to_owned()
}

#[track_caller]
pub fn delete(rest: &Rest, plural: &str, name: &str) {
    rest.delete(&path(plural, name)).expect(200);
}

/// Waits until the object is there, and returns it.
#[track_caller]
pub fn await_there(rest: &Rest, plural: &str, name: &str) -> Value {
    let within = std::time::Duration::from_secs(60);
    eventually(&format!("{plural}/{name} is there"), within, || find(rest, plural, name))
}

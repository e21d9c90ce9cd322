//! The server that a scenario is asked of, and the words that scenarios share.

use std::{collections::BTreeMap, sync::OnceLock};

use serde_json::{Value, json};

use stackherd::embedded::server::{EmbeddedServer, ServerOptions};

use crate::support::{
    api_server::RealApiServer,
    crds::Crds,
    machine::MachineShare,
    rest::{Rest, RestReply},
};

/// Path of the kinds of the group.
pub(crate) const GROUP: &str = "apis/formance.com/v1beta1";
/// Path of kind Stack.
pub(crate) const STACKS: &str = "apis/formance.com/v1beta1/stacks";

/// Runs a scenario against the real API server with this project's CRDs.
pub(crate) fn real(scenario: fn(&Rest)) {
    let _share = MachineShare::take();
    if let Some(server) = RealApiServer::shared(Crds::Ours) {
        scenario(&server.rest());
    }
}

/// Runs a scenario against the real API server with the CRDs of real clusters, where they are there.
pub(crate) fn operators(scenario: fn(&Rest)) {
    let _share = MachineShare::take();
    if let Some(server) = RealApiServer::shared(Crds::Operators) {
        scenario(&server.rest());
    }
}

/// Runs a scenario against the embedded API server.
pub(crate) fn embedded(scenario: fn(&Rest)) {
    let _share = MachineShare::take();
    scenario(&embedded_server());
}

/// Hands both over, the real one with this project's CRDs first.
pub(crate) fn with_both(compare: impl Fn(&Rest, &Rest)) {
    let _share = MachineShare::take();
    if let Some(real) = RealApiServer::shared(Crds::Ours) {
        compare(&real.rest(), &embedded_server());
    }
}

fn embedded_server() -> Rest {
    static URL: OnceLock<String> = OnceLock::new();
    let url = URL.get_or_init(|| {
        // As beside the real one, nobody collects garbage.
        let server = EmbeddedServer::start(ServerOptions { garbage: None, ..ServerOptions::default() })
            .expect("starts");
        let url = server.url();
        // It serves every scenario, and ends with the process.
        std::mem::forget(server);
        url
    });
    Rest::new(url, None, None)
}

/// The path of a Stack.
pub(crate) fn at(name: &str) -> String {
    format!("{STACKS}/{name}")
}

/// The path of a Stack, written to by this field manager.
pub(crate) fn by(name: &str, manager: &str) -> String {
    format!("{STACKS}/{name}?fieldManager={manager}")
}

/// A Stack object with these further members of `metadata`.
pub(crate) fn stack(name: &str, metadata: Value, spec: Value) -> Value {
    object("Stack", name, metadata, spec)
}

/// An object with these further members of `metadata`.
pub(crate) fn object(kind: &str, name: &str, mut metadata: Value, spec: Value) -> Value {
    metadata["name"] = name.into();
    json!({ "apiVersion": "formance.com/v1beta1", "kind": kind, "metadata": metadata, "spec": spec })
}

/// Creates a Stack and returns what was stored.
#[track_caller]
pub(crate) fn create(server: &Rest, name: &str, metadata: Value, spec: Value) -> Value {
    let path = format!("{STACKS}?fieldManager=creator");
    server.post(&path, &stack(name, metadata, spec)).expect(201).json
}

/// The Stack as it stands.
#[track_caller]
pub(crate) fn current(server: &Rest, name: &str) -> Value {
    server.get(&at(name)).expect(200).json
}

/// `metadata.resourceVersion` as a number.
#[track_caller]
pub(crate) fn version(object: &Value) -> u64 {
    text(&object["metadata"]["resourceVersion"]).parse().expect("resourceVersions are numbers")
}

/// A member that has to be a string.
#[track_caller]
pub(crate) fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("a string expected, not {value}"))
}

/// The refusal is exactly this one.
#[track_caller]
pub(crate) fn refused(reply: &RestReply, code: u16, reason: &str, message: &str) {
    assert_eq!(reply.status, code, "{reply}");
    assert_eq!(reply.json["kind"], "Status", "{reply}");
    assert_eq!(reply.json["status"], "Failure", "{reply}");
    assert_eq!(reply.json["code"], code, "{reply}");
    assert_eq!(reply.reason(), reason, "{reply}");
    assert_eq!(reply.message(), message, "{reply}");
}

/// The names in a list, as they come.
pub(crate) fn names(list: &Value) -> Vec<String> {
    let items = list["items"].as_array().expect("a list has items");
    items.iter().map(|item| text(&item["metadata"]["name"]).to_owned()).collect()
}

/// `managedFields`, as fields by manager, operation and subresource: `creator Update`, `x Update status`.
pub(crate) fn owners(object: &Value) -> BTreeMap<String, Value> {
    let entries = object["metadata"]["managedFields"].as_array().cloned().unwrap_or_default();
    let key = |entry: &Value| {
        let words =
            ["manager", "operation", "subresource"].map(|part| entry[part].as_str().unwrap_or_default());
        words.join(" ").trim_end().to_owned()
    };
    entries.iter().map(|entry| (key(entry), entry["fieldsV1"].clone())).collect()
}

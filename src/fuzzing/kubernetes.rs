//! The API server's rules for names, labels and annotations, as its source states them
//! (`k8s.io/apimachinery/pkg/util/validation`), and a cluster's kinds to make objects of.

use std::{collections::BTreeMap, sync::Arc};

use serde_json::Value;

use crate::{
    cluster::request,
    stack::{
        object::{Catalog, Object, Resource},
        write::Write,
    },
};

/// The kinds of a cluster that has everything that the agent treats in a way of its own.
pub(super) fn catalog() -> Catalog {
    Catalog::new(vec![
        Resource::new("Auth", "auth", "auths"),
        Resource::new("Gateway", "gateway", "gateways"),
        ledgers(),
        Resource::new("Stargate", "stargate", "stargates"),
    ])
}

/// A kind that has nothing special.
pub(super) fn ledgers() -> Arc<Resource> {
    Resource::new("Ledger", "ledger", "ledgers")
}

/// `IsDNS1123Subdomain`.
pub(super) fn is_subdomain(name: &str) -> bool {
    let edge = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    name.len() <= 253
        && name.split('.').all(|part| {
            part.starts_with(edge) && part.ends_with(edge) && part.chars().all(|c| edge(c) || c == '-')
        })
}

/// `IsValidLabelValue`.
fn is_label_value(value: &str) -> bool {
    let edge = |c: char| c.is_ascii_alphanumeric();
    value.is_empty()
        || (value.len() <= 63
            && value.starts_with(edge)
            && value.ends_with(edge)
            && value.chars().all(|c| edge(c) || "-_.".contains(c)))
}

/// `IsQualifiedName`.
fn is_qualified_name(key: &str) -> bool {
    let (prefix, name) = key.split_once('/').unwrap_or(("example.com", key));
    is_subdomain(prefix) && !name.is_empty() && is_label_value(name)
}

/// `ValidateLabels`.
pub(super) fn check_labels(labels: &BTreeMap<String, String>) {
    for (key, value) in labels {
        assert!(is_qualified_name(key) && is_label_value(value), "label {key:?}={value:?}");
    }
}

/// `ValidateAnnotations`.
pub(super) fn check_annotations(annotations: &BTreeMap<String, String>) {
    for key in annotations.keys() {
        assert!(is_qualified_name(key), "annotation {key:?}");
    }
    let bytes: usize = annotations.iter().map(|(key, value)| key.len() + value.len()).sum();
    assert!(bytes <= 256 << 10, "{bytes} bytes of annotations");
}

/// An object that was read can be told from others and from itself at other times.
pub(super) fn check_object(object: &Object) {
    assert!(!object.key.name.is_empty() && !object.uid.is_empty() && !object.resource_version.is_empty());
}

/// A write becomes a request, and one about its object and no other.
pub(super) fn check_write(write: &Write) {
    let key = write.key();
    let request = request::write(write).expect("a request");
    let collection = format!("/apis/formance.com/v1beta1/{}", key.resource.plural);
    match write {
        Write::Create { .. } => assert_eq!(request.uri().path(), collection),
        Write::Patch { .. } | Write::Delete { .. } => {
            assert_eq!(request.uri().path(), format!("{collection}/{}", key.name));
        }
    }
    serde_json::from_slice::<Value>(request.body()).expect("a body in JSON");
}

/// What is logged or told to a person is one line, and not a long one.
pub(super) fn check_text(text: &str, longest: usize) {
    assert!(text.len() <= longest, "{} bytes: {text:.200}…", text.len());
    assert!(!text.contains(char::is_control), "{text:?}");
}

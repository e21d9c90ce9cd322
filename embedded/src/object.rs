//! A stored object: its JSON, and the JSON's bytes once they were needed.

use std::cell::OnceCell;

use bytes::Bytes;
use serde_json::Value;

/// One version of an object. Versions are never changed, only replaced.
#[derive(Debug)]
pub struct ServedObject {
    value: Value,
    bytes: OnceCell<Bytes>,
}

impl ServedObject {
    /// A version of an object.
    pub fn new(value: Value) -> Self {
        Self { value, bytes: OnceCell::new() }
    }

    /// The object as JSON.
    pub fn value(&self) -> &Value {
        &self.value
    }

    /// The JSON as bytes; written once, shared by all who read it.
    pub fn bytes(&self) -> Bytes {
        self.bytes.get_or_init(|| Bytes::from(self.value.to_string())).clone()
    }

    fn metadata(&self, field: &str) -> &str {
        self.value["metadata"][field].as_str().unwrap_or_default()
    }

    /// `metadata.name`
    pub fn name(&self) -> &str {
        self.metadata("name")
    }

    /// `metadata.uid`
    pub fn uid(&self) -> &str {
        self.metadata("uid")
    }

    /// `metadata.resourceVersion` as a number.
    pub fn version(&self) -> u64 {
        self.metadata("resourceVersion").parse().unwrap_or_default()
    }

    /// `metadata.deletionTimestamp` is set.
    pub fn terminating(&self) -> bool {
        !self.value["metadata"]["deletionTimestamp"].is_null()
    }

    /// `metadata.ownerReferences`
    pub fn owners(&self) -> &[Value] {
        self.value["metadata"]["ownerReferences"].as_array().map(Vec::as_slice).unwrap_or_default()
    }

    /// Whether a finalizer of this name holds it.
    pub fn held_by(&self, finalizer: &str) -> bool {
        self.finalizers().iter().any(|f| f == finalizer)
    }

    /// `metadata.finalizers`
    pub fn finalizers(&self) -> &[Value] {
        self.value["metadata"]["finalizers"].as_array().map(Vec::as_slice).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn metadata_is_read_with_defaults() {
        let object = ServedObject::new(json!({"metadata": {"name": "a", "uid": "u", "resourceVersion": "7",
            "finalizers": ["x/y"], "deletionTimestamp": "t"}}));
        assert_eq!((object.name(), object.uid(), object.version()), ("a", "u", 7));
        assert!(object.terminating() && object.held_by("x/y") && object.owners().is_empty());
        let bare = ServedObject::new(json!({}));
        assert_eq!((bare.name(), bare.version(), bare.terminating()), ("", 0, false));
    }
}

//! One line of a watch.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::Value;

use crate::stack::object::{Object, Resource};

/// What a line says.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Event {
    /// Nothing happened up to this version.
    Bookmark(String),
    /// ADDED or MODIFIED.
    Changed(Box<Object>),
    /// DELETED, with the last state.
    Removed(Box<Object>),
    /// The version that was watched from is forgotten.
    Expired,
}

#[derive(Deserialize)]
struct Line {
    r#type: String,
    #[serde(default)]
    object: Value,
}

impl Event {
    /// Reads a line. The error says why the stream cannot be followed any further: an event that
    /// is not understood may have been any.
    pub(super) fn read(resource: &Arc<Resource>, line: &[u8]) -> Result<Self, String> {
        let Line { r#type, object } =
            serde_json::from_slice(line).map_err(|error| format!("an event cannot be read: {error}"))?;
        let as_object = |object| {
            Object::from_json(resource, object).map(Box::new).map_err(|error| format!("{}: {error}", r#type))
        };
        match r#type.as_str() {
            "ADDED" | "MODIFIED" => as_object(object).map(Self::Changed),
            "DELETED" => as_object(object).map(Self::Removed),
            "BOOKMARK" => {
                let version = object.pointer("/metadata/resourceVersion").and_then(Value::as_str);
                let version = version.filter(|version| !version.is_empty());
                version.map(|version| Self::Bookmark(version.into())).ok_or("a bookmark of no version".into())
            }
            "ERROR" => {
                let text = |field: &str| object.get(field).and_then(Value::as_str).unwrap_or_default();
                let expired = object["code"] == 410 || matches!(text("reason"), "Expired" | "Gone");
                if expired {
                    return Ok(Self::Expired);
                }
                Err(format!(
                    "the server ends the watch: {} ({} {})",
                    text("message"),
                    object["code"],
                    text("reason")
                ))
            }
            unknown => {
                let shown: String = unknown.chars().take(40).collect();
                Err(format!("an event of unknown type {shown:?}"))
            }
        }
    }
}

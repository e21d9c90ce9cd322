//! A line of a watch, read: what it says of an object, of a version, or of the watch itself.

use std::{str::Utf8Error, sync::Arc};

use serde::Deserialize;
use serde_json::Value;

use crate::{
    cluster::json_scanner::{self, TooManyValues},
    stack::object::{Object, ObjectError, Resource},
};

/// What a line says.
#[derive(Debug, PartialEq)]
pub(super) enum WatchEvent {
    /// ADDED or MODIFIED.
    Changed(Box<Object>),
    /// DELETED. The version is that of the removal.
    Removed(Box<Object>),
    /// How far the watch is.
    Bookmark(String),
    /// The version that it went on from is too old.
    Expired(String),
    /// Another ERROR: the server's words.
    Error(String),
}

#[derive(Deserialize)]
struct WatchEventJson {
    r#type: String,
    #[serde(default)]
    object: Value,
}

/// Why a line cannot be read.
#[derive(Debug, PartialEq, thiserror::Error)]
pub(super) enum WatchEventError {
    #[error("an event that is no object")]
    NotAnObject,
    #[error("an event with {0}")]
    TooManyValues(#[from] TooManyValues),
    #[error("an event that is no text: {0}")]
    NotText(#[from] Utf8Error),
    #[error("an event that cannot be read: {0}")]
    Syntax(String),
    #[error("a bookmark without a version")]
    Bookmark,
    #[error("an event of the unknown type {0:?}")]
    Type(String),
    #[error("an event about {name}: {source}")]
    Object { name: String, source: ObjectError },
}

/// Reads a line.
pub(super) fn read(resource: &Arc<Resource>, line: &[u8]) -> Result<WatchEvent, WatchEventError> {
    // serde takes a list of its fields for a struct as well.
    if line.trim_ascii_start().first() != Some(&b'{') {
        return Err(WatchEventError::NotAnObject);
    }
    json_scanner::check(line)?;
    // All of it: fields that are of no interest are skipped without a look at their bytes.
    let line = std::str::from_utf8(line)?;
    let WatchEventJson { r#type, object } =
        serde_json::from_str(line).map_err(|error| WatchEventError::Syntax(error.to_string()))?;
    match r#type.as_str() {
        "ADDED" | "MODIFIED" => self::object(resource, object).map(WatchEvent::Changed),
        "DELETED" => self::object(resource, object).map(WatchEvent::Removed),
        "BOOKMARK" => match object.pointer("/metadata/resourceVersion").and_then(Value::as_str) {
            Some(version) if !version.is_empty() => Ok(WatchEvent::Bookmark(version.to_owned())),
            _ => Err(WatchEventError::Bookmark),
        },
        "ERROR" => Ok(error(&object)),
        other => Err(WatchEventError::Type(other.chars().take(40).collect())),
    }
}

fn object(resource: &Arc<Resource>, json: Value) -> Result<Box<Object>, WatchEventError> {
    let name = json.pointer("/metadata/name").and_then(Value::as_str).unwrap_or("without a name").to_owned();
    let object = Object::from_json(resource, json);
    object.map(Box::new).map_err(|source| WatchEventError::Object { name, source })
}

fn error(status: &Value) -> WatchEvent {
    let text = |name: &str| status.get(name).and_then(Value::as_str).unwrap_or_default();
    let (code, reason, message) = (&status["code"], text("reason"), text("message"));
    let cause = format!("{message} ({code} {reason})");
    if code.as_u64() == Some(410) || matches!(reason, "Expired" | "Gone") {
        return WatchEvent::Expired(cause);
    }
    WatchEvent::Error(cause)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn ledgers() -> Arc<Resource> {
        Resource::new("Ledger", "ledger", "ledgers")
    }

    fn event(r#type: &str, object: &Value) -> Result<WatchEvent, WatchEventError> {
        read(&ledgers(), json!({"type": r#type, "object": object}).to_string().as_bytes())
    }

    #[test]
    fn objects_come_with_what_became_of_them() {
        let json = json!({"metadata": {"name": "a", "uid": "u", "resourceVersion": "7"}});
        let object = Box::new(Object::from_json(&ledgers(), json.clone()).unwrap());
        assert_eq!(event("ADDED", &json), Ok(WatchEvent::Changed(object.clone())));
        assert_eq!(event("MODIFIED", &json), Ok(WatchEvent::Changed(object.clone())));
        assert_eq!(event("DELETED", &json), Ok(WatchEvent::Removed(object)));
    }

    #[test]
    fn a_bookmark_is_a_version() {
        let json = json!({"kind": "Ledger", "metadata": {"resourceVersion": "9", "name": ""}});
        assert_eq!(event("BOOKMARK", &json), Ok(WatchEvent::Bookmark("9".into())));
        assert!(event("BOOKMARK", &json!({"metadata": {"resourceVersion": ""}})).is_err());
        assert!(event("BOOKMARK", &json!({})).is_err());
    }

    #[test]
    fn a_version_that_expired_is_told_from_other_errors() {
        for status in
            [json!({"code": 410}), json!({"reason": "Expired"}), json!({"reason": "Gone", "code": 0})]
        {
            assert!(matches!(event("ERROR", &status), Ok(WatchEvent::Expired(_))), "{status}");
        }
        let other = json!({"code": 500, "reason": "InternalError", "message": "etcd is away"});
        assert_eq!(event("ERROR", &other), Ok(WatchEvent::Error("etcd is away (500 InternalError)".into())));
        assert!(matches!(event("ERROR", &Value::Null), Ok(WatchEvent::Error(_))));
    }

    #[test]
    fn what_cannot_be_read_says_why() {
        assert!(event("SYNC", &json!({})).unwrap_err().to_string().contains("SYNC"));
        let nameless = json!({"metadata": {"name": "a", "resourceVersion": "7"}});
        let error = event("ADDED", &nameless).unwrap_err().to_string();
        assert!(error.contains("about a") && error.contains("metadata.uid"), "{error}");
        assert!(read(&ledgers(), br#"{"type":"ADDED","object":{"metadata":{"na"#).is_err());
        assert!(read(&ledgers(), b"{}").is_err());
        let list = br#"["ADDED",{"metadata":{"name":"a","uid":"u","resourceVersion":"7"}}]"#;
        assert!(read(&ledgers(), list).is_err());
        assert!(read(&ledgers(), b"{\"more\":\"\xff\",\"type\":\"ERROR\"}").is_err());
    }
}

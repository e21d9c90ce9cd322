//! The trace context in an order's metadata.

use serde_json::{Map, Value};

use crate::order::Trace;

/// The text under `_otelCtx`: what is kept of it are the known keys as they were sent, it names a
/// trace, and it reads as itself.
pub fn trace(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Some(trace) = Trace::read(text) else { return };
    assert_eq!(Trace::read(trace.as_str()).as_ref(), Some(&trace));
    let sent: Map<String, Value> = serde_json::from_str(text).expect("an object");
    let kept: Map<String, Value> = serde_json::from_str(trace.as_str()).expect("an object");
    for (key, value) in &kept {
        assert!(["b3", "traceparent", "tracestate"].contains(&&**key), "{key}");
        assert_eq!(sent.get(key), Some(value));
        let value = value.as_str().expect("a string");
        assert!(value.len() <= 1024, "{} bytes of {key}", value.len());
        // It is sent on to membership, and from there as a header.
        assert!(!value.contains(char::is_control), "{key}: {value:?}");
    }
    let id =
        |value: &Value| value.as_str().is_some_and(|text| text.contains(|c: char| ('1'..='f').contains(&c)));
    assert!(kept.get("b3").or(kept.get("traceparent")).is_some_and(id), "{trace:?} names no trace");
}

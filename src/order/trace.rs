//! The trace that an order belongs to, as it travels: an OpenTelemetry text-map carrier.

use std::{fmt, sync::Arc};

use serde_json::{Map, Value};

/// The keys of the two propagations in use: B3 (one header) and W3C.
const KEYS: [&str; 3] = ["b3", "traceparent", "tracestate"];
/// Larger than any of their values may be by its specification.
const MAX_VALUE: usize = 1024;

/// A trace context: JSON of string pairs, as it stands in a message's metadata. Cheap to clone;
/// crosses cores.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Trace(Arc<str>);

impl Trace {
    /// Reads the text of a message's metadata. `None` where it names no trace, which is normal:
    /// a missing or broken context is no error.
    pub fn read(text: &str) -> Option<Self> {
        // Nearly every order of an untraced control plane says this.
        if text.is_empty() || text == "{}" {
            return None;
        }
        let carrier: Map<String, Value> = serde_json::from_str(text).ok()?;
        let known = |(key, value): (&String, &Value)| {
            let text = value.as_str().filter(|text| !text.is_empty() && text.len() <= MAX_VALUE)?;
            KEYS.contains(&key.as_str()).then(|| (key.clone(), Value::from(text)))
        };
        let kept: Map<String, Value> = carrier.iter().filter_map(known).collect();
        let names_one = kept.contains_key("b3") || kept.contains_key("traceparent");
        names_one.then(|| Self(Value::Object(kept).to_string().into()))
    }

    /// The JSON for a message's metadata.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn either_propagation_is_read_and_what_else_a_carrier_has_is_not() {
        for text in [r#"{"b3":"1-2-1"}"#, r#"{"traceparent":"00-1-2-01","tracestate":"a=b"}"#] {
            assert_eq!(Trace::read(text).unwrap().as_str(), text);
        }
        let trace = Trace::read(r#"{"b3":"1-2-1","baggage":"x","traceparent":7}"#).unwrap();
        assert_eq!(trace.as_str(), r#"{"b3":"1-2-1"}"#);
    }

    #[test]
    fn no_trace_is_read_from_what_names_none() {
        for text in ["", "{}", "nonsense", "[]", r#"{"b3":""}"#, r#"{"tracestate":"a=b"}"#, "null"] {
            assert_eq!(Trace::read(text), None, "{text}");
        }
        assert_eq!(Trace::read(&format!(r#"{{"b3":"{}"}}"#, "x".repeat(2000))), None);
    }
}

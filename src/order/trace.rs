//! The trace that an order belongs to, as it travels: an OpenTelemetry text-map carrier.

use std::{fmt, sync::Arc};

use serde_json::{Map, Value};

use super::limits::MAX_TRACE;

/// The keys of the two propagations in use: B3 in one header, and W3C in two.
const B3: &str = "b3";
const PARENT: &str = "traceparent";
const STATE: &str = "tracestate";
/// Twice what everybody has to pass on of a state, and far beyond the others.
const LONGEST: usize = 1024;

/// A trace context: JSON of string pairs, as it stands in a message's metadata. Cheap to clone;
/// crosses cores.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Trace(Arc<str>);

impl Trace {
    /// Reads the text of a message's metadata. `None` where it names no trace, which is normal:
    /// a missing or broken context is no error.
    pub fn read(text: &str) -> Option<Self> {
        // Nearly every order of an untraced control plane says this.
        if text.is_empty() || text == "{}" || text.len() > MAX_TRACE {
            return None;
        }
        let carrier: Map<String, Value> = serde_json::from_str(text).ok()?;
        let known = |(key, value): (&String, &Value)| {
            // They come from headers and end up in headers.
            let is_header =
                |text: &&str| text.len() <= LONGEST && text.bytes().all(|b| matches!(b, b' '..=b'~'));
            let text = value.as_str().filter(is_header)?;
            let good = match key.as_str() {
                B3 => is_b3(text),
                PARENT => is_parent(text),
                STATE => !text.is_empty(),
                _ => false,
            };
            good.then(|| (key.clone(), Value::from(text)))
        };
        let kept: Map<String, Value> = carrier.iter().filter_map(known).collect();
        let names_one = kept.contains_key(B3) || kept.contains_key(PARENT);
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

/// `<version>-<trace>-<span>-<flags>`, of which a version after the first may have more.
fn is_parent(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let [version, trace, span, flags, ref more @ ..] = parts[..] else { return false };
    let is_version = is_hex(version, 2) && version != "ff" && (version != "00" || more.is_empty());
    is_version && is_id(trace, 32) && is_id(span, 16) && is_hex(flags, 2)
}

/// `<trace>-<span>`, and whether it is sampled, and the span above.
fn is_b3(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let [trace, span, ref rest @ ..] = parts[..] else { return false };
    (is_id(trace, 32) || is_id(trace, 16)) && is_id(span, 16) && rest.len() <= 2
}

fn is_id(text: &str, length: usize) -> bool {
    is_hex(text, length) && text.bytes().any(|byte| byte != b'0')
}

fn is_hex(text: &str, length: usize) -> bool {
    text.len() == length && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    const B3_TEXT: &str = r#"{"b3":"80f198ee56343ba864fe8b2a57d3eff7-e457b5a2e4d86bd1-1"}"#;

    use super::*;

    #[test]
    fn either_propagation_is_read_and_what_else_a_carrier_has_is_not() {
        const W3C: &str =
            r#"{"traceparent":"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01","tracestate":"a=b"}"#;
        for text in [B3_TEXT, W3C, r#"{"b3":"64fe8b2a57d3eff7-e457b5a2e4d86bd1"}"#] {
            assert_eq!(Trace::read(text).unwrap().as_str(), text);
        }
        let more = B3_TEXT.replace('}', r#","baggage":"x","traceparent":7}"#);
        assert_eq!(Trace::read(&more).unwrap().as_str(), B3_TEXT);
    }

    #[test]
    fn a_carrier_of_any_size_is_not_even_read() {
        let padded = |n: usize| B3_TEXT.replace('}', &format!(r#","baggage":"{}"}}"#, "x".repeat(n)));
        assert!(Trace::read(&padded(8 << 10)).is_some());
        assert_eq!(Trace::read(&padded(MAX_TRACE)), None);
    }

    #[test]
    fn no_trace_is_read_from_what_names_none() {
        for text in ["", "{}", "nonsense", "[]", r#"{"b3":""}"#, r#"{"tracestate":"a=b"}"#, "null"] {
            assert_eq!(Trace::read(text), None, "{text}");
        }
        for value in [
            "nonsense",
            "00-1-2-01",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more",
            "01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-\\n",
            &format!("01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-{}", "x".repeat(1024)),
        ] {
            assert_eq!(Trace::read(&format!(r#"{{"traceparent":"{value}"}}"#)), None, "{value}");
        }
        for value in ["0", "1-2-1", "64fe8b2a57d3eff7-e457b5a2e4d86bd1-1-2-3"] {
            assert_eq!(Trace::read(&format!(r#"{{"b3":"{value}"}}"#)), None, "{value}");
        }
    }
}

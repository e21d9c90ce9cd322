//! `null` in proto3 JSON: for a field it is the default, as if the field were not there.
//!
//! The generated code knows that for messages alone, and of several members of a oneof that are there
//! it says "duplicate field" even where all but one are null.

use serde_json::Value;

use crate::membership::wire::server::Order;

/// Fields that are maps: what stands in those are no fields, and a value there may not be null.
const MAPS: [&str; 5] =
    ["metadata", "additionalLabels", "additional_labels", "additionalAnnotations", "additional_annotations"];

/// The order in a text, with fields that are null taken for absent.
pub(super) fn without(text: &[u8]) -> Result<Order, serde_json::Error> {
    serde_json::from_slice(text).or_else(|error| {
        // Nearly every text that is no order has none, and its error says where it is wrong.
        if !text.windows(4).any(|word| word == b"null") {
            return Err(error);
        }
        let mut value: Value = serde_json::from_slice(text)?;
        strip(&mut value);
        serde_json::from_value(value)
    })
}

fn strip(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|_, value| !value.is_null());
            fields
                .iter_mut()
                .filter(|(name, _)| !MAPS.contains(&name.as_str()))
                .for_each(|(_, value)| strip(value));
        }
        Value::Array(list) => list.iter_mut().for_each(strip),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Order {
        without(text.as_bytes()).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn null_is_as_good_as_absent_for_every_field() {
        const FULL: &str = r#"{"existingStack":{"clusterName":"a-b","seed":"s","versions":"v","disabled":true,
            "authConfig":{"clientId":"i","clientSecret":"s","issuer":"u"},
            "staticClients":[{"id":"one","public":true}],
            "stargateConfig":{"enabled":true,"url":"u","disableTLS":true},
            "additionalLabels":{"a":"1"},"additionalAnnotations":{"a":"1"},"modules":[{"name":"ledger"}]},
            "metadata":{"a":"1"}}"#;
        let full: Value = serde_json::from_str(FULL).unwrap();
        let mut tried = 0;
        for at in paths(&full, "") {
            let (mut null, mut absent) = (full.clone(), full.clone());
            *null.pointer_mut(&at).unwrap() = Value::Null;
            let (parent, name) = at.rsplit_once('/').unwrap();
            absent.pointer_mut(parent).unwrap().as_object_mut().unwrap().remove(name);
            assert_eq!(read(&null.to_string()), serde_json::from_value(absent).unwrap(), "{at}");
            tried += 1;
        }
        assert_eq!(tried, 2 + 10 + 3 + 2 + 3 + 1);
    }

    /// Every field of every message, as JSON pointers.
    fn paths(value: &Value, at: &str) -> Vec<String> {
        match value {
            Value::Object(fields) => fields
                .iter()
                .flat_map(|(name, value)| {
                    let here = format!("{at}/{name}");
                    let deeper = if MAPS.contains(&name.as_str()) { Vec::new() } else { paths(value, &here) };
                    [here].into_iter().chain(deeper)
                })
                .collect(),
            Value::Array(list) => {
                list.iter().enumerate().flat_map(|(n, value)| paths(value, &format!("{at}/{n}"))).collect()
            }
            _ => Vec::new(),
        }
    }

    #[test]
    fn members_of_a_oneof_that_are_null_do_not_count() {
        let one = r#""existingStack":{"clusterName":"a-b"}"#;
        let alone = read(&format!("{{{one}}}"));
        let null = r#""deletedStack":null,"ping":null,"disabledStack":null"#;
        assert_eq!(read(&format!("{{{one},{null}}}")), alone);
        assert_eq!(read(&format!("{{{null},{one}}}")), alone);
        assert_eq!(read(r#"{"existingStack":null,"deletedStack":null,"metadata":null}"#), Order::default());
    }

    #[test]
    fn null_is_no_order_no_list_entry_and_no_value_of_a_map() {
        for text in [
            "null",
            r#"{"existingStack":{"modules":[null]}}"#,
            r#"{"existingStack":{"additionalLabels":{"a":null}}}"#,
            r#"{"metadata":{"a":null}}"#,
            r#"{"existingStack":{},"deletedStack":{}}"#,
            r#"{"existingStak":null}"#,
        ] {
            let read = without(text.as_bytes());
            assert!(read.is_err() || text.contains("Stak"), "{text}: {read:?}");
        }
    }
}

//! JSON merge patch (RFC 7386).

use serde_json::{Map, Value};

/// Applies `patch` to `target`: null removes, objects merge, everything else replaces.
pub fn apply(target: &mut Value, patch: &Value) {
    let Value::Object(changes) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let Value::Object(fields) = target else { return };
    for (key, change) in changes {
        if change.is_null() {
            fields.remove(key);
        } else {
            apply(fields.entry(key).or_insert(Value::Null), change);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn patched(mut target: Value, patch: &Value) -> Value {
        apply(&mut target, patch);
        target
    }

    #[test]
    fn null_removes_and_objects_merge() {
        let got = patched(json!({"a": {"b": 1, "c": 2}, "d": 3}), &json!({"a": {"b": null, "e": 4}}));
        assert_eq!(got, json!({"a": {"c": 2, "e": 4}, "d": 3}));
    }

    #[test]
    fn lists_are_replaced_whole() {
        assert_eq!(patched(json!({"a": [1, 2]}), &json!({"a": [3]})), json!({"a": [3]}));
    }

    #[test]
    fn null_under_an_absent_parent_creates_the_parent() {
        assert_eq!(patched(json!({}), &json!({"tls": {"disable": null}})), json!({"tls": {}}));
    }

    #[test]
    fn an_object_replaces_a_scalar() {
        assert_eq!(patched(json!({"a": "x"}), &json!({"a": {"b": 1}})), json!({"a": {"b": 1}}));
    }
}

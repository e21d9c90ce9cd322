//! Validation against a schema: types, required fields, enums and lengths.

use serde_json::Value;

use super::{
    failure::Cause,
    schema::{Schema, join},
};

/// The faults of a value, in the order in which the real server lists them: a level's fields first,
/// then what is missing on that level.
pub fn faults(schema: &Schema, value: &Value) -> Vec<Cause> {
    let mut causes = Vec::new();
    check(schema, value, "", &mut causes);
    causes
}

fn check(schema: &Schema, value: &Value, path: &str, causes: &mut Vec<Cause>) {
    if value.is_null() && schema.nullable {
        return;
    }
    if !is_a(value, &schema.kind) {
        let found = type_name(value);
        causes.push(Cause {
            reason: "FieldValueTypeInvalid",
            message: format!(
                "Invalid value: {found:?}: {path} in body must be of type {}: {found:?}",
                schema.kind
            ),
            field: path.to_string(),
        });
        return;
    }
    limits(schema, value, path, causes);
    match value {
        Value::Object(fields) => {
            for (name, inner) in fields {
                if let Some(schema) = schema.field(name) {
                    check(schema, inner, &join(path, name), causes);
                }
            }
            let missing = schema.required.iter().filter(|name| !fields.contains_key(*name));
            causes.extend(missing.map(|name| Cause::required(join(path, name))));
        }
        Value::Array(items) => {
            if let Some(schema) = &schema.items {
                for (index, item) in items.iter().enumerate() {
                    check(schema, item, &format!("{path}[{index}]"), causes);
                }
            }
        }
        _ => {}
    }
}

fn limits(schema: &Schema, value: &Value, path: &str, causes: &mut Vec<Cause>) {
    if !schema.allowed.is_empty() && !schema.allowed.contains(value) {
        let allowed: Vec<String> = schema.allowed.iter().map(ToString::to_string).collect();
        causes.push(Cause {
            reason: "FieldValueNotSupported",
            message: format!("Unsupported value: {value}: supported values: {}", allowed.join(", ")),
            field: path.to_string(),
        });
    }
    let Value::String(text) = value else { return };
    let length = text.chars().count() as u64;
    if schema.max_length.is_some_and(|max| length > max) {
        let max = schema.max_length.unwrap_or_default();
        causes.push(Cause {
            reason: "FieldValueTooLong",
            message: format!("Too long: may not be more than {max} bytes"),
            field: path.to_string(),
        });
    }
    if schema.min_length.is_some_and(|min| length < min) {
        let min = schema.min_length.unwrap_or_default();
        let detail = format!("{path} in body should be at least {min} chars long");
        causes.push(Cause::invalid(path, text, &detail));
    }
}

fn is_a(value: &Value, kind: &str) -> bool {
    match kind {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        _ => true,
    }
}

fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(n) if n.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::kind::tests::kind_of;

    fn words(file: &str, object: &Value) -> Vec<String> {
        faults(&kind_of(file).schema, object).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn wrong_types_are_named_with_what_was_found() {
        let object = json!({"spec": {"id": "x", "public": "x", "redirectUris": [1]}});
        assert_eq!(
            words("authclients.yaml", &object),
            [
                r#"spec.public: Invalid value: "string": spec.public in body must be of type boolean: "string""#,
                r#"spec.redirectUris[0]: Invalid value: "integer": spec.redirectUris[0] in body must be of type string: "integer""#
            ]
        );
    }

    #[test]
    fn missing_fields_are_listed_per_level() {
        let object = json!({"spec": {"auth": {}}});
        assert_eq!(
            words("stargates.yaml", &object),
            [
                "spec.auth.clientID: Required value",
                "spec.auth.clientSecret: Required value",
                "spec.auth.issuer: Required value",
                "spec.organizationID: Required value",
                "spec.serverURL: Required value",
                "spec.stackID: Required value"
            ]
        );
    }

    #[test]
    fn an_absent_spec_is_fine() {
        assert!(words("stargates.yaml", &json!({})).is_empty());
    }

    #[test]
    fn lengths_and_enums_hold() {
        let schema = Schema::read(&json!({"properties": {
            "a": {"type": "string", "maxLength": 2}, "b": {"type": "string", "enum": ["x"]}}}));
        assert_eq!(faults(&schema, &json!({"a": "abc", "b": "y"})).len(), 2);
        assert!(faults(&schema, &json!({"a": "ab", "b": "x"})).is_empty());
    }
}

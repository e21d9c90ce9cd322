//! Structural schemas of custom resources: pruning of unknown fields, and defaults.
//!
//! Lists are atomic here (no `x-kubernetes-list-type`), and of the value validations those
//! in [`super::validate`] are known; the rest of a schema is ignored.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

/// One level of a schema.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Schema {
    /// `object`, `array`, `string`, `boolean`, `integer`, `number`; empty where anything goes.
    pub kind: String,
    /// Fields by name.
    pub properties: BTreeMap<String, Schema>,
    /// Schema of the values of a map.
    pub additional: Option<Box<Schema>>,
    /// Schema of a list's items.
    pub items: Option<Box<Schema>>,
    /// Fields that must be there.
    pub required: Vec<String>,
    /// Value of an absent field.
    pub default: Option<Value>,
    /// Allowed values; empty: all.
    pub allowed: Vec<Value>,
    /// `maxLength`
    pub max_length: Option<u64>,
    /// `minLength`
    pub min_length: Option<u64>,
    /// `x-kubernetes-preserve-unknown-fields`
    pub preserve: bool,
    /// `nullable`
    pub nullable: bool,
    /// `x-kubernetes-map-type: atomic`
    pub atomic: bool,
}

impl Schema {
    /// A schema that takes anything and keeps it.
    pub fn anything() -> Self {
        Self { preserve: true, ..Self::default() }
    }

    /// Reads an `openAPIV3Schema`; an absent one takes anything.
    pub fn read(schema: &Value) -> Self {
        let Value::Object(fields) = schema else { return Self::anything() };
        let nested = |key: &str| match fields.get(key) {
            Some(inner @ Value::Object(_)) => Some(Box::new(Self::read(inner))),
            _ => None,
        };
        let list = |key: &str| fields.get(key).and_then(Value::as_array).cloned().unwrap_or_default();
        let flag = |key: &str| fields.get(key) == Some(&Value::Bool(true));
        let properties = fields.get("properties").and_then(Value::as_object);
        Self {
            kind: fields.get("type").and_then(Value::as_str).unwrap_or_default().to_string(),
            properties: properties
                .map(|p| p.iter().map(|(k, v)| (k.clone(), Self::read(v))).collect())
                .unwrap_or_default(),
            additional: nested("additionalProperties"),
            items: nested("items"),
            required: list("required").iter().filter_map(Value::as_str).map(str::to_string).collect(),
            default: fields.get("default").cloned(),
            allowed: list("enum"),
            max_length: fields.get("maxLength").and_then(Value::as_u64),
            min_length: fields.get("minLength").and_then(Value::as_u64),
            preserve: flag("x-kubernetes-preserve-unknown-fields"),
            nullable: flag("nullable"),
            atomic: fields.get("x-kubernetes-map-type").and_then(Value::as_str) == Some("atomic"),
        }
    }

    /// The schema of a field, where the field is known.
    pub fn field(&self, name: &str) -> Option<&Schema> {
        self.properties.get(name).or(self.additional.as_deref())
    }

    /// Removes fields that the schema does not know and returns their paths.
    /// `path` is that of `value`; the root's is empty.
    pub fn prune(&self, value: &mut Value, path: &str, unknown: &mut Vec<String>) {
        match value {
            Value::Object(fields) => self.prune_object(fields, path, unknown),
            Value::Array(items) => {
                let Some(schema) = &self.items else { return };
                for (index, item) in items.iter_mut().enumerate() {
                    schema.prune(item, &format!("{path}[{index}]"), unknown);
                }
            }
            _ => {}
        }
    }

    fn prune_object(&self, fields: &mut Map<String, Value>, path: &str, unknown: &mut Vec<String>) {
        let names: Vec<String> = fields.keys().cloned().collect();
        for name in names {
            let inner = join(path, &name);
            match (self.field(&name), fields.get_mut(&name)) {
                (Some(schema), Some(value)) => schema.prune(value, &inner, unknown),
                _ if self.preserve => {}
                _ => {
                    fields.remove(&name);
                    unknown.push(inner);
                }
            }
        }
    }

    /// Drops nulls that are not allowed, then fills in defaults: the order that makes a null on a
    /// field with a default mean the default.
    pub fn complete(&self, value: &mut Value) {
        match value {
            Value::Object(fields) => {
                fields.retain(|name, inner| {
                    !inner.is_null() || self.field(name).is_none_or(|schema| schema.nullable)
                });
                for (name, schema) in &self.properties {
                    if let (Some(default), false) = (&schema.default, fields.contains_key(name)) {
                        fields.insert(name.clone(), default.clone());
                    }
                }
                for (name, inner) in fields.iter_mut() {
                    if let Some(schema) = self.field(name) {
                        schema.complete(inner);
                    }
                }
            }
            Value::Array(items) => {
                if let Some(schema) = &self.items {
                    items.iter_mut().for_each(|item| schema.complete(item));
                }
            }
            _ => {}
        }
    }
}

/// `path.name`, or `name` at the root.
pub(super) fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_string() } else { format!("{path}.{name}") }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn schema() -> Schema {
        Schema::read(&json!({"type": "object", "properties": {
            "spec": {"type": "object", "properties": {
                "debug": {"type": "boolean", "default": false},
                "name": {"type": "string"},
                "note": {"type": "string", "nullable": true},
                "ports": {"type": "array", "items": {"type": "object", "properties": {
                    "port": {"type": "integer", "default": 80}}}},
                "map": {"type": "object", "additionalProperties": {"type": "string"}},
            }},
            "status": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
        }}))
    }

    #[test]
    fn unknown_fields_are_pruned_and_named() {
        let mut value = json!({"spec": {"bogus": {"x": 1}, "name": "a", "ports": [{"port": 1, "q": 2}],
                                        "map": {"any": "thing"}},
                               "status": {"what": "ever"}, "extra": 1});
        let mut unknown = Vec::new();
        schema().prune(&mut value, "", &mut unknown);
        unknown.sort();
        assert_eq!(unknown, ["extra", "spec.bogus", "spec.ports[0].q"]);
        assert_eq!(
            value,
            json!({"spec": {"name": "a", "ports": [{"port": 1}], "map": {"any": "thing"}},
                   "status": {"what": "ever"}})
        );
    }

    #[test]
    fn defaults_fill_present_parents_only() {
        let mut value = json!({"spec": {"ports": [{}]}});
        schema().complete(&mut value);
        assert_eq!(value, json!({"spec": {"debug": false, "ports": [{"port": 80}]}}));
        let mut empty = json!({});
        schema().complete(&mut empty);
        assert_eq!(empty, json!({}));
    }

    #[test]
    fn a_null_means_the_default_or_nothing_unless_nullable() {
        let mut value = json!({"spec": {"debug": null, "name": null, "note": null}});
        schema().complete(&mut value);
        assert_eq!(value, json!({"spec": {"debug": false, "note": null}}));
    }
}

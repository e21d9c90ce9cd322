//! `metadata` at the door: its types, the fields it has, and what may stand in them.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::{failure::Cause, names};

const KNOWN: [&str; 15] = [
    "annotations",
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "deletionTimestamp",
    "finalizers",
    "generateName",
    "generation",
    "labels",
    "managedFields",
    "name",
    "namespace",
    "ownerReferences",
    "resourceVersion",
    "selfLink",
    "uid",
];

const OWNER: [&str; 6] = ["apiVersion", "blockOwnerDeletion", "controller", "kind", "name", "uid"];

/// Brings the metadata of a request into shape: unknown fields go (and are named in `unknown`), empty
/// ones too. The error is the JSON decoder's complaint about a wrong type.
pub fn shape(object: &mut Map<String, Value>, unknown: &mut Vec<String>) -> Result<(), String> {
    let metadata = object.entry("metadata").or_insert_with(|| Value::Object(Map::new()));
    let found = go_type(metadata);
    let Value::Object(fields) = metadata else {
        return Err(format!("cannot unmarshal {found} into Go value of type v1.ObjectMeta"));
    };
    fields.retain(|name, value| {
        let known = KNOWN.contains(&name.as_str());
        if !known {
            unknown.push(format!("metadata.{name}"));
        }
        known && !value.is_null()
    });
    for name in ["name", "generateName", "namespace", "resourceVersion", "uid"] {
        text(fields, name, name)?;
    }
    for name in ["labels", "annotations"] {
        map(fields, name)?;
    }
    list(fields, "finalizers", "[]string", |item| text_in(item, "finalizers"))?;
    let mut strange = Vec::new();
    let mut index = 0;
    list(fields, "ownerReferences", "[]v1.OwnerReference", |item| {
        owner(item, index, &mut strange)?;
        index += 1;
        Ok(())
    })?;
    unknown.append(&mut strange);
    list(fields, "managedFields", "[]v1.ManagedFieldsEntry", |_| Ok(()))?;
    fields.retain(|_, value| !is_empty(value));
    Ok(())
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        _ => false,
    }
}

fn wrong(found: &Value, field: &str, wanted: &str) -> String {
    format!("cannot unmarshal {} into Go struct field ObjectMeta.{field} of type {wanted}", go_type(found))
}

fn text(fields: &Map<String, Value>, name: &str, field: &str) -> Result<(), String> {
    match fields.get(name) {
        None | Some(Value::String(_)) => Ok(()),
        Some(other) => Err(wrong(other, field, "string")),
    }
}

fn text_in(value: &Value, field: &str) -> Result<(), String> {
    if value.is_string() { Ok(()) } else { Err(wrong(value, field, "string")) }
}

fn map(fields: &mut Map<String, Value>, name: &str) -> Result<(), String> {
    match fields.get_mut(name) {
        None => Ok(()),
        Some(Value::Object(entries)) => entries.values_mut().try_for_each(|value| {
            if value.is_null() {
                *value = Value::String(String::new());
            }
            text_in(value, name)
        }),
        Some(other) => Err(wrong(other, name, "map[string]string")),
    }
}

fn list(
    fields: &mut Map<String, Value>,
    name: &str,
    wanted: &str,
    each: impl FnMut(&mut Value) -> Result<(), String>,
) -> Result<(), String> {
    match fields.get_mut(name) {
        None => Ok(()),
        Some(Value::Array(items)) => items.iter_mut().try_for_each(each),
        Some(other) => Err(wrong(other, name, wanted)),
    }
}

fn owner(item: &mut Value, index: usize, unknown: &mut Vec<String>) -> Result<(), String> {
    let Value::Object(fields) = item else {
        return Err(wrong(item, "ownerReferences", "v1.OwnerReference"));
    };
    fields.retain(|name, value| {
        let known = OWNER.contains(&name.as_str());
        if !known {
            unknown.push(format!("metadata.ownerReferences[{index}].{name}"));
        }
        known && !value.is_null()
    });
    for name in ["apiVersion", "kind", "name", "uid"] {
        text(fields, name, "ownerReferences")?;
        fields.entry(name).or_insert_with(|| Value::String(String::new()));
    }
    Ok(())
}

fn go_type(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// What the API server would not take in shaped metadata.
pub fn faults(metadata: &Value) -> Vec<Cause> {
    let name = metadata["name"].as_str().unwrap_or_default();
    if name.is_empty() {
        return vec![Cause {
            message: "Required value: name or generateName is required".into(),
            ..Cause::required("metadata.name")
        }];
    }
    let mut causes = names::object_name(name);
    causes.extend(names::labels(&texts(&metadata["labels"])));
    causes.extend(names::annotations(&texts(&metadata["annotations"])));
    let owners = metadata["ownerReferences"].as_array().map(Vec::as_slice).unwrap_or_default();
    for owner in owners {
        for (field, detail) in [
            ("apiVersion", "version must not be empty"),
            ("kind", "must not be empty"),
            ("name", "must not be empty"),
            ("uid", "must not be empty"),
        ] {
            if owner[field] == "" {
                causes.push(Cause::invalid(format!("metadata.ownerReferences.{field}"), "", detail));
            }
        }
    }
    causes.extend(two_controllers(owners));
    causes
}

fn two_controllers(owners: &[Value]) -> Option<Cause> {
    let mut controllers = owners.iter().filter(|owner| owner["controller"] == true);
    let (first, second) = (controllers.next()?, controllers.next()?);
    let text = |owner: &Value, field: &str| owner[field].as_str().unwrap_or_default().to_string();
    let name = |owner: &Value| format!("{}/{}", text(owner, "kind"), text(owner, "name"));
    // In the order of the real server's fields.
    let words = |owner: &Value| {
        let fields = ["apiVersion", "kind", "name", "uid", "controller", "blockOwnerDeletion"];
        let field = |field: &&str| owner.get(*field).map(|value| format!("\"{field}\":{value}"));
        format!("{{{}}}", fields.iter().filter_map(field).collect::<Vec<_>>().join(","))
    };
    let list: Vec<String> = owners.iter().map(words).collect();
    Some(Cause {
        reason: "FieldValueInvalid",
        message: format!(
            "Invalid value: [{}]: Only one reference can have Controller set to true. Found \"true\" in references \
             for {} and {}",
            list.join(","),
            name(first),
            name(second)
        ),
        field: "metadata.ownerReferences".into(),
    })
}

/// Finalizers that an update would add to an object that is being deleted.
pub fn late_finalizers(before: &Value, after: &Value) -> Option<Cause> {
    if before["deletionTimestamp"].is_null() {
        return None;
    }
    let old = before["finalizers"].as_array().cloned().unwrap_or_default();
    let new = after["finalizers"].as_array().cloned().unwrap_or_default();
    let added: Vec<String> = new.iter().filter(|f| !old.contains(f)).map(ToString::to_string).collect();
    (!added.is_empty()).then(|| {
        let detail = format!(
            "no new finalizers can be added if the object is being deleted, found new finalizers []string{{{}}}",
            added.join(", ")
        );
        Cause::forbidden("metadata.finalizers", &detail)
    })
}

/// Warnings about finalizers without a domain.
pub fn finalizer_warnings(metadata: &Value) -> Vec<String> {
    let finalizers = metadata["finalizers"].as_array().map(Vec::as_slice).unwrap_or_default();
    let bare = finalizers.iter().filter_map(Value::as_str);
    bare.filter(|name| !name.contains('/') && !matches!(*name, "orphan" | "foregroundDeletion"))
        .map(|name| {
            format!(
                "metadata.finalizers: {name:?}: prefer a domain-qualified finalizer name to avoid accidental \
                 conflicts with other finalizer writers"
            )
        })
        .collect()
}

fn texts(map: &Value) -> BTreeMap<String, String> {
    let Some(map) = map.as_object() else { return BTreeMap::new() };
    map.iter().filter_map(|(k, v)| Some((k.clone(), v.as_str()?.to_string()))).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn shaped(mut object: Value) -> Result<(Value, Vec<String>), String> {
        let mut unknown = Vec::new();
        shape(object.as_object_mut().expect("an object"), &mut unknown)?;
        Ok((object, unknown))
    }

    #[test]
    fn unknown_and_empty_fields_go() {
        let object = json!({"metadata": {"name": "a", "foo": 5, "labels": {}, "finalizers": [], "uid": "",
            "ownerReferences": [{"apiVersion": "v1", "kind": "K", "name": "n", "uid": "u", "bar": 1}]}});
        let (got, unknown) = shaped(object).expect("shaped");
        assert_eq!(
            got,
            json!({"metadata": {"name": "a", "ownerReferences": [
                {"apiVersion": "v1", "kind": "K", "name": "n", "uid": "u"}]}})
        );
        assert_eq!(unknown, ["metadata.foo", "metadata.ownerReferences[0].bar"]);
    }

    #[test]
    fn wrong_types_sound_like_the_decoder() {
        let error = shaped(json!({"metadata": {"labels": {"a": 5}}})).expect_err("a number");
        assert_eq!(error, "cannot unmarshal number into Go struct field ObjectMeta.labels of type string");
        let error = shaped(json!({"metadata": "x"})).expect_err("no object");
        assert_eq!(error, "cannot unmarshal string into Go value of type v1.ObjectMeta");
    }

    #[test]
    fn a_name_is_required() {
        assert_eq!(
            faults(&json!({}))[0].to_string(),
            "metadata.name: Required value: name or generateName is required"
        );
    }

    #[test]
    fn a_terminating_object_takes_no_new_finalizer() {
        let before = json!({"deletionTimestamp": "x", "finalizers": ["a/b"]});
        assert!(late_finalizers(&before, &json!({"finalizers": ["a/b"]})).is_none());
        let cause = late_finalizers(&before, &json!({"finalizers": ["a/b", "q.y/z"]})).expect("a cause");
        assert!(cause.message.ends_with(r#"found new finalizers []string{"q.y/z"}"#), "{cause}");
    }

    #[test]
    fn two_controllers_are_one_too_many() {
        let owner = |name: &str, controller: bool| json!({"apiVersion": "v1", "kind": "K", "name": name, "uid": name, "controller": controller});
        let of = |owners: Value| faults(&json!({"name": "a", "ownerReferences": owners}));
        assert!(of(json!([owner("p", true), owner("q", false)])).is_empty());
        let causes = of(json!([owner("p", true), owner("q", true)]));
        assert!(causes[0].message.ends_with("Found \"true\" in references for K/p and K/q"), "{}", causes[0]);
    }

    #[test]
    fn half_an_owner_is_refused_field_by_field() {
        let metadata = json!({"name": "a", "ownerReferences": [{"kind": "Stack", "apiVersion": "", "name": "", "uid": ""}]});
        let fields: Vec<String> = faults(&metadata).into_iter().map(|c| c.field).collect();
        assert_eq!(
            fields,
            [
                "metadata.ownerReferences.apiVersion",
                "metadata.ownerReferences.name",
                "metadata.ownerReferences.uid"
            ]
        );
    }
}

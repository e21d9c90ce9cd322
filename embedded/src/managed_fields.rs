//! `metadata.managedFields` for operation `Update`: who set which field.
//!
//! A field belongs to whoever changed its value last; setting it to the value that it has takes
//! nothing. At most ten managers are kept by name: older ones fold into `ancient-changes`.

pub mod compare;
pub mod field_set;

use std::collections::BTreeMap;

use serde_json::{Value, json};

use self::{compare::Difference, field_set::FieldSet};
use super::kind::ServedKind;

const MANAGERS_MAX: usize = 10;
const ANCIENT: &str = "ancient-changes";

/// Who writes, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldWriter<'a> {
    /// `fieldManager`, or what the User-Agent begins with.
    pub manager: &'a str,
    /// Written through the status subresource.
    pub status: bool,
    /// RFC 3339, whole seconds.
    pub time: &'a str,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Manager {
    name: String,
    operation: String,
    api_version: String,
    subresource: String,
}

#[derive(Debug, Clone, PartialEq)]
struct ManagedEntry {
    fields: FieldSet,
    time: String,
}

type Managers = BTreeMap<Manager, ManagedEntry>;

/// The `managedFields` of `new`, an update of `old` (`Null` for a create). An empty list means none.
pub fn book(kind: &ServedKind, old: &Value, new: &Value, writer: &FieldWriter<'_>) -> Vec<Value> {
    let given = new["metadata"]["managedFields"].as_array().map(Vec::as_slice).unwrap_or_default();
    let live = &old["metadata"]["managedFields"];
    let mut managers = if matches!(given, [Value::Object(entry)] if entry.is_empty()) {
        Managers::new()
    } else {
        let given = read(&new["metadata"]["managedFields"]);
        if given.is_empty() || writer.status { read(live) } else { given }
    };
    // What was never tracked is not tracked from its middle on.
    if managers.is_empty() && !old.is_null() {
        return Vec::new();
    }
    let difference = Difference::between(kind, old, new);
    for entry in managers.values_mut() {
        entry.fields.remove(&difference.taken);
        entry.fields.remove(&difference.removed);
    }
    if !difference.taken.is_empty() {
        let manager = Manager {
            name: writer.manager.to_string(),
            operation: "Update".into(),
            api_version: kind.api_version(),
            subresource: if writer.status { "status".into() } else { String::new() },
        };
        let entry = managers
            .entry(manager)
            .or_insert_with(|| ManagedEntry { fields: FieldSet::default(), time: String::new() });
        entry.fields.add(&difference.taken);
        entry.time = writer.time.to_string();
    }
    managers.retain(|_, entry| !entry.fields.is_empty());
    fold(&mut managers);
    write(managers)
}

/// Folds the oldest managers into one until few enough are left.
fn fold(managers: &mut Managers) {
    let mut updaters: Vec<(String, Manager)> = managers
        .iter()
        .filter(|(manager, _)| manager.operation == "Update")
        .map(|(manager, entry)| (entry.time.clone(), manager.clone()))
        .collect();
    updaters.sort();
    let mut count = updaters.len();
    let mut firsts: BTreeMap<String, Manager> = BTreeMap::new();
    for (time, manager) in updaters {
        if count <= MANAGERS_MAX {
            break;
        }
        let version = manager.api_version.clone();
        let Some(first) = firsts.get(&version) else {
            firsts.insert(version, manager);
            continue;
        };
        let bucket = Manager {
            name: ANCIENT.into(),
            operation: "Update".into(),
            api_version: version,
            subresource: String::new(),
        };
        if !managers.contains_key(&bucket)
            && let Some(entry) = managers.remove(first)
        {
            managers.insert(bucket.clone(), entry);
        }
        if let Some(merged) = managers.remove(&manager)
            && let Some(entry) = managers.get_mut(&bucket)
        {
            entry.fields.add(&merged.fields);
            entry.time = time;
            count -= 1;
        }
    }
}

fn read(entries: &Value) -> Managers {
    let entries = entries.as_array().map(Vec::as_slice).unwrap_or_default();
    let text = |entry: &Value, field: &str| entry[field].as_str().unwrap_or_default().to_string();
    entries
        .iter()
        .filter(|entry| matches!(entry["operation"].as_str(), Some("Update" | "Apply")))
        .map(|entry| {
            let manager = Manager {
                name: text(entry, "manager"),
                operation: text(entry, "operation"),
                api_version: text(entry, "apiVersion"),
                subresource: text(entry, "subresource"),
            };
            let fields = FieldSet::read(&entry["fieldsV1"]);
            (manager, ManagedEntry { fields, time: text(entry, "time") })
        })
        .collect()
}

fn write(managers: Managers) -> Vec<Value> {
    let mut entries: Vec<(Manager, ManagedEntry)> = managers.into_iter().collect();
    entries.sort_by(|(a, x), (b, y)| {
        (&a.operation, &x.time, &a.name, &a.api_version, &a.subresource).cmp(&(
            &b.operation,
            &y.time,
            &b.name,
            &b.api_version,
            &b.subresource,
        ))
    });
    let entry = |(manager, entry): (Manager, ManagedEntry)| {
        let mut value = json!({
            "manager": manager.name,
            "operation": manager.operation,
            "apiVersion": manager.api_version,
            "time": entry.time,
            "fieldsType": "FieldsV1",
            "fieldsV1": entry.fields.write(),
        });
        if !manager.subresource.is_empty() {
            value["subresource"] = manager.subresource.into();
        }
        value
    };
    entries.into_iter().map(entry).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kind::tests::stack_kind;

    fn by<'a>(manager: &'a str, time: &'a str) -> FieldWriter<'a> {
        FieldWriter { manager, status: false, time }
    }

    fn with(mut object: Value, entries: Vec<Value>) -> Value {
        object["metadata"]["managedFields"] = entries.into();
        object
    }

    fn stack(spec: Value) -> Value {
        let mut object = json!({"metadata": {"name": "a"}});
        object["spec"] = spec;
        object
    }

    fn created(spec: Value) -> Value {
        let object = stack(spec);
        let entries = book(&stack_kind(), &Value::Null, &object, &by("maker", "2026-01-01T00:00:00Z"));
        with(object, entries)
    }

    fn fields_of(entries: &[Value], manager: &str) -> Value {
        let entry = entries.iter().find(|e| e["manager"] == manager);
        entry.map_or(Value::Null, |e| e["fieldsV1"].clone())
    }

    #[test]
    fn the_creator_owns_all_it_made() {
        let object = created(json!({"debug": false, "version": "v1"}));
        assert_eq!(
            object["metadata"]["managedFields"],
            json!([{"manager": "maker", "operation": "Update", "apiVersion": "formance.com/v1beta1",
                "time": "2026-01-01T00:00:00Z", "fieldsType": "FieldsV1",
                "fieldsV1": {"f:spec": {".": {}, "f:debug": {}, "f:version": {}}}}])
        );
    }

    #[test]
    fn another_value_moves_a_field_and_the_same_value_does_not() {
        let old = created(json!({"debug": false, "version": "v1"}));
        let new = with(stack(json!({"debug": true, "version": "v1"})), vec![]);
        let entries = book(&stack_kind(), &old, &new, &by("other", "2026-01-02T00:00:00Z"));
        assert_eq!(fields_of(&entries, "maker"), json!({"f:spec": {".": {}, "f:version": {}}}));
        assert_eq!(fields_of(&entries, "other"), json!({"f:spec": {"f:debug": {}}}));
        assert_eq!(book(&stack_kind(), &old, &old, &by("other", "x")).len(), 1);
    }

    #[test]
    fn the_status_has_an_entry_of_its_own() {
        let old = created(json!({"debug": false}));
        let mut new = old.clone();
        new["status"] = json!({"ready": true});
        let writer = FieldWriter { manager: "maker", status: true, time: "2026-01-02T00:00:00Z" };
        let entries = book(&stack_kind(), &old, &new, &writer);
        assert_eq!(entries.len(), 2);
        assert_eq!(entries[1]["subresource"], "status");
        assert_eq!(entries[1]["fieldsV1"], json!({"f:status": {".": {}, "f:ready": {}}}));
    }

    #[test]
    fn the_eleventh_manager_folds_the_two_oldest() {
        let mut object = created(json!({"versionsFromFile": "default"}));
        for n in 1..=10 {
            let mut new = object.clone();
            new["metadata"]["labels"][format!("l{n}")] = "x".into();
            let time = format!("2026-01-01T00:00:{n:02}Z");
            let entries = book(&stack_kind(), &object, &new, &by(&format!("m{n}"), &time));
            object = with(new, entries);
        }
        let entries = object["metadata"]["managedFields"].as_array().expect("a list");
        assert_eq!(entries.len(), 10);
        assert_eq!(entries[0]["manager"], "ancient-changes");
        assert_eq!(entries[0]["time"], "2026-01-01T00:00:01Z");
        assert_eq!(fields_of(entries, "ancient-changes")["f:metadata"]["f:labels"]["f:l1"], json!({}));
        assert_eq!(fields_of(entries, "m1"), Value::Null);
    }

    #[test]
    fn one_empty_entry_resets_and_later_updates_are_not_tracked() {
        let old = created(json!({"debug": false}));
        let mut new = old.clone();
        new["metadata"]["managedFields"] = json!([{}]);
        assert!(book(&stack_kind(), &old, &new, &by("other", "x")).is_empty());
        let bare = stack(json!({"debug": false}));
        let changed = stack(json!({"debug": true}));
        assert!(book(&stack_kind(), &bare, &changed, &by("other", "x")).is_empty());
    }
}

//! Which fields two versions of an object differ in.

use serde_json::{Map, Value};

use super::field_set::FieldSet;
use crate::{kind::ServedKind, schema::Schema};

/// The fields that an update added, changed and removed. Fields that the server itself sets are left out.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Difference {
    /// In the new version only, or with another value there.
    pub taken: FieldSet,
    /// In the old version only.
    pub removed: FieldSet,
}

impl Difference {
    /// Compares two versions; `Null` stands for "none".
    pub fn between(kind: &ServedKind, old: &Value, new: &Value) -> Self {
        let mut walk = Walk { path: Vec::new(), difference: Self::default() };
        walk.metadata(&old["metadata"], &new["metadata"]);
        let (none, anything) = (Map::new(), Schema::anything());
        let (old, new) = (old.as_object().unwrap_or(&none), new.as_object().unwrap_or(&none));
        for name in names(old, new) {
            if !matches!(name.as_str(), "apiVersion" | "kind" | "metadata") {
                let schema = kind.schema.field(name).unwrap_or(&anything);
                walk.below(format!("f:{name}"), |walk| walk.compare(schema, old.get(name), new.get(name)));
            }
        }
        walk.difference
    }

    /// Nothing differs.
    pub fn is_empty(&self) -> bool {
        self.taken.is_empty() && self.removed.is_empty()
    }
}

fn names<'a>(old: &'a Map<String, Value>, new: &'a Map<String, Value>) -> Vec<&'a String> {
    let mut names: Vec<&String> = old.keys().chain(new.keys()).collect();
    names.sort_unstable();
    names.dedup();
    names
}

struct Walk {
    path: Vec<String>,
    difference: Difference,
}

impl Walk {
    fn below(&mut self, step: String, go: impl FnOnce(&mut Self)) {
        self.path.push(step);
        go(self);
        self.path.pop();
    }

    fn metadata(&mut self, old: &Value, new: &Value) {
        let text = Schema::anything();
        self.path.push("f:metadata".into());
        for name in ["annotations", "labels", "generateName"] {
            self.below(format!("f:{name}"), |walk| walk.compare(&text, old.get(name), new.get(name)));
        }
        let finalizer = |item: &Value| format!("v:{item}");
        self.items("finalizers", old, new, finalizer);
        let owner = |item: &Value| format!("k:{{\"uid\":{}}}", item["uid"]);
        self.items("ownerReferences", old, new, owner);
        self.path.pop();
    }

    /// A list whose items have keys: each item is a leaf of its own.
    fn items(&mut self, name: &str, old: &Value, new: &Value, step: impl Fn(&Value) -> String) {
        let list = |from: &Value| from.get(name).and_then(Value::as_array).cloned();
        let (old, new) = (list(old), list(new));
        self.path.push(format!("f:{name}"));
        self.presence(old.is_some(), new.is_some());
        let (old, new) = (old.unwrap_or_default(), new.unwrap_or_default());
        let find = |list: &[Value], key: &str| list.iter().find(|item| step(item) == key).cloned();
        for item in &new {
            let key = step(item);
            let before = find(&old, &key);
            self.below(key, |walk| walk.leaf(before.as_ref(), Some(item)));
        }
        for item in &old {
            let key = step(item);
            if find(&new, &key).is_none() {
                self.below(key, |walk| walk.leaf(Some(item), None));
            }
        }
        self.path.pop();
    }

    fn compare(&mut self, schema: &Schema, old: Option<&Value>, new: Option<&Value>) {
        if old.is_none() && new.is_none() {
            return;
        }
        let fields = |value: Option<&Value>| match value {
            None => Some(Map::new()),
            Some(Value::Object(fields)) if !schema.atomic => Some(fields.clone()),
            Some(_) => None,
        };
        let (Some(before), Some(after)) = (fields(old), fields(new)) else {
            return self.leaf(old, new);
        };
        // An empty map on both sides is a leaf: it differs from an absent one.
        if before.is_empty() && after.is_empty() {
            return self.leaf(old, new);
        }
        let anything = Schema::anything();
        for name in names(&before, &after) {
            let schema = schema.field(name).unwrap_or(&anything);
            self.below(format!("f:{name}"), |walk| walk.compare(schema, before.get(name), after.get(name)));
        }
        self.presence(old.is_some(), new.is_some());
    }

    fn leaf(&mut self, old: Option<&Value>, new: Option<&Value>) {
        match (old, new) {
            (Some(_), None) => self.difference.removed.insert(&self.path),
            (old, Some(new)) if old != Some(new) => self.difference.taken.insert(&self.path),
            _ => {}
        }
    }

    fn presence(&mut self, old: bool, new: bool) {
        match (old, new) {
            (false, true) => self.difference.taken.insert(&self.path),
            (true, false) => self.difference.removed.insert(&self.path),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::kind::tests::kind_of;

    fn between(old: &Value, new: &Value) -> Difference {
        Difference::between(&kind_of("gateways.yaml"), old, new)
    }

    #[test]
    fn a_new_object_is_taken_whole_with_lists_as_leaves() {
        let new = json!({"metadata": {"name": "a", "labels": {"x": "1"}},
            "spec": {"stack": "a", "ingress": {"host": "h", "hosts": ["b"]}}});
        assert_eq!(
            between(&Value::Null, &new).taken.write(),
            json!({"f:metadata": {"f:labels": {".": {}, "f:x": {}}},
                "f:spec": {".": {}, "f:stack": {}, "f:ingress": {".": {}, "f:host": {}, "f:hosts": {}}}})
        );
    }

    #[test]
    fn only_what_differs_is_taken_or_removed() {
        let old = json!({"spec": {"stack": "a", "debug": false, "version": "v1"}});
        let new = json!({"spec": {"stack": "a", "debug": true}});
        let got = between(&old, &new);
        assert_eq!(got.taken.write(), json!({"f:spec": {"f:debug": {}}}));
        assert_eq!(got.removed.write(), json!({"f:spec": {"f:version": {}}}));
        assert!(between(&old, &old).is_empty());
    }

    #[test]
    fn an_empty_map_is_a_leaf_of_its_own() {
        let got = between(&json!({"spec": {"stack": "a"}}), &json!({"spec": {"stack": "a", "ingress": {}}}));
        assert_eq!(got.taken.write(), json!({"f:spec": {"f:ingress": {}}}));
    }

    #[test]
    fn owners_are_told_apart_by_uid() {
        let owner = |uid: &str, controller: bool| json!({"uid": uid, "controller": controller});
        let old = json!({"metadata": {"ownerReferences": [owner("1", false), owner("2", false)]}});
        let new = json!({"metadata": {"ownerReferences": [owner("1", true), owner("3", false)]}});
        let got = between(&old, &new);
        assert_eq!(
            got.taken.write(),
            json!({"f:metadata": {"f:ownerReferences": {"k:{\"uid\":\"1\"}": {}, "k:{\"uid\":\"3\"}": {}}}})
        );
        assert_eq!(
            got.removed.write(),
            json!({"f:metadata": {"f:ownerReferences": {"k:{\"uid\":\"2\"}": {}}}})
        );
    }
}

//! A set of field paths, in the shape that `fieldsV1` gives it.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

/// Paths below one field. Steps are written as `fieldsV1` has them: `f:name`, `k:{...}`, `v:...`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FieldSet {
    /// This field itself is in the set.
    own: bool,
    below: BTreeMap<String, FieldSet>,
}

impl FieldSet {
    /// Nothing in it, here or below.
    pub fn is_empty(&self) -> bool {
        !self.own && self.below.is_empty()
    }

    /// Adds one path.
    pub fn insert(&mut self, path: &[String]) {
        match path.split_first() {
            None => self.own = true,
            Some((step, rest)) => self.below.entry(step.clone()).or_default().insert(rest),
        }
    }

    /// Adds everything in `other`.
    pub fn add(&mut self, other: &FieldSet) {
        self.own |= other.own;
        for (step, set) in &other.below {
            self.below.entry(step.clone()).or_default().add(set);
        }
    }

    /// Takes out everything in `other`, path by path: what stands below a path stays.
    pub fn remove(&mut self, other: &FieldSet) {
        self.own &= !other.own;
        for (step, set) in &other.below {
            if let Some(mine) = self.below.get_mut(step) {
                mine.remove(set);
            }
        }
        self.below.retain(|_, set| !set.is_empty());
    }

    /// Reads `fieldsV1`; what is no object reads as an empty set.
    pub fn read(fields: &Value) -> Self {
        Self { own: false, ..Self::read_field(fields) }
    }

    fn read_field(fields: &Value) -> Self {
        let Value::Object(fields) = fields else { return Self::default() };
        let below: BTreeMap<String, FieldSet> = fields
            .iter()
            .filter(|(step, _)| *step != ".")
            .map(|(step, inner)| (step.clone(), Self::read_field(inner)))
            .collect();
        Self { own: below.is_empty() || fields.contains_key("."), below }
    }

    /// Writes `fieldsV1`: a field with fields below it says so of itself by a dot.
    pub fn write(&self) -> Value {
        let mut fields = Map::new();
        if self.own && !self.below.is_empty() {
            fields.insert(".".into(), Value::Object(Map::new()));
        }
        for (step, set) in &self.below {
            fields.insert(step.clone(), set.write());
        }
        Value::Object(fields)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_read_is_written() {
        let fields = json!({"f:metadata": {"f:labels": {".": {}, "f:a": {}}}, "f:spec": {"f:debug": {}}});
        assert_eq!(FieldSet::read(&fields).write(), fields);
        assert!(FieldSet::read(&json!({})).is_empty());
    }

    #[test]
    fn removing_a_field_leaves_what_is_below_it() {
        let mut set = FieldSet::read(&json!({"f:spec": {".": {}, "f:a": {}}}));
        set.remove(&FieldSet::read(&json!({"f:spec": {}})));
        assert_eq!(set.write(), json!({"f:spec": {"f:a": {}}}));
        set.remove(&FieldSet::read(&json!({"f:spec": {"f:a": {}}})));
        assert!(set.is_empty());
    }

    #[test]
    fn sets_add_up() {
        let mut set = FieldSet::read(&json!({"f:spec": {}}));
        set.add(&FieldSet::read(&json!({"f:spec": {"f:a": {}}})));
        assert_eq!(set.write(), json!({"f:spec": {".": {}, "f:a": {}}}));
    }
}

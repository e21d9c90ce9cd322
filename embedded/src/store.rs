//! Objects by kind and name, the version counter, the log, and who owns whom.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    rc::Rc,
};

use serde_json::Value;

use super::{
    object::ServedObject,
    watch_log::{ChangeType, LoggedEvent, WatchLog},
};

/// Where an object stands: its kind's full name and its own.
pub type ObjectPlace = (String, String);

/// How often an object's name was written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct WriteTally {
    /// Objects created under it.
    pub creates: u64,
    /// Versions after the first.
    pub updates: u64,
    /// Deletions asked for and granted.
    pub deletes: u64,
}

/// All objects of a cluster.
#[derive(Debug)]
pub struct ObjectStore {
    version: u64,
    kinds: BTreeMap<String, BTreeMap<String, Rc<ServedObject>>>,
    log: WatchLog,
    places: BTreeMap<String, ObjectPlace>,
    dependents: BTreeMap<String, BTreeSet<ObjectPlace>>,
    suspects: VecDeque<ObjectPlace>,
    tallies: BTreeMap<ObjectPlace, WriteTally>,
}

impl ObjectStore {
    /// An empty store whose log remembers `window` events a kind.
    pub fn new(window: usize) -> Self {
        Self {
            version: 0,
            kinds: BTreeMap::new(),
            log: WatchLog::new(window),
            places: BTreeMap::new(),
            dependents: BTreeMap::new(),
            suspects: VecDeque::new(),
            tallies: BTreeMap::new(),
        }
    }

    /// The newest resourceVersion.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// An object.
    pub fn get(&self, kind: &str, name: &str) -> Option<&Rc<ServedObject>> {
        self.kinds.get(kind)?.get(name)
    }

    /// The objects of a kind, by name.
    pub fn of<'a>(&'a self, kind: &str) -> impl Iterator<Item = &'a Rc<ServedObject>> + use<'a> {
        self.kinds.get(kind).into_iter().flat_map(BTreeMap::values)
    }

    /// The objects of a kind as they were at a version, by name.
    pub fn of_at(&self, kind: &str, version: u64) -> Option<BTreeMap<String, Rc<ServedObject>>> {
        let mut objects = self.kinds.get(kind).cloned().unwrap_or_default();
        for event in self.log.after(kind, version).ok()?.rev() {
            match &event.previous {
                Some(previous) => objects.insert(previous.name().to_string(), Rc::clone(previous)),
                None => objects.remove(event.object.name()),
            };
        }
        Some(objects)
    }

    /// What happened.
    pub fn log(&self) -> &WatchLog {
        &self.log
    }

    /// Begins the history of a kind.
    pub fn begin(&mut self, kind: &str) {
        self.log.begin(kind, self.version);
    }

    /// Forgets all that happened so far, as compaction does: older watches and lists expire.
    pub fn expire(&mut self) {
        self.log.expire(self.version);
    }

    /// Stores a new version of an object under the next resourceVersion.
    pub fn put(&mut self, kind: &str, mut value: Value) -> Rc<ServedObject> {
        self.version += 1;
        value["metadata"]["resourceVersion"] = self.version.to_string().into();
        let object = Rc::new(ServedObject::new(value));
        let place = (kind.to_string(), object.name().to_string());
        let objects = self.kinds.entry(kind.to_string()).or_default();
        let previous = objects.insert(place.1.clone(), Rc::clone(&object));
        let tally = self.tallies.entry(place.clone()).or_default();
        let change = if let Some(previous) = &previous {
            tally.updates += 1;
            if previous.owners() != object.owners() {
                self.disown(&place, previous);
                self.own(&place, &object);
            }
            ChangeType::Modified
        } else {
            tally.creates += 1;
            self.own(&place, &object);
            self.places.insert(object.uid().to_string(), place);
            ChangeType::Added
        };
        self.log
            .push(kind, LoggedEvent { version: self.version, change, object: Rc::clone(&object), previous });
        object
    }

    /// Removes an object; its last state carries the removal's resourceVersion.
    pub fn remove(&mut self, kind: &str, name: &str) -> Option<Rc<ServedObject>> {
        let previous = self.kinds.get_mut(kind)?.remove(name)?;
        self.version += 1;
        let mut value = previous.value().clone();
        value["metadata"]["resourceVersion"] = self.version.to_string().into();
        let object = Rc::new(ServedObject::new(value));
        let place = (kind.to_string(), name.to_string());
        self.disown(&place, &previous);
        self.places.remove(previous.uid());
        // Its dependents may have lost their last owner, its owners their last dependent.
        self.suspects.extend(self.dependents.get(previous.uid()).into_iter().flatten().cloned());
        for owner in previous.owners() {
            let place = owner["uid"].as_str().and_then(|uid| self.places.get(uid));
            self.suspects.extend(place.cloned());
        }
        let event = LoggedEvent {
            version: self.version,
            change: ChangeType::Deleted,
            object: Rc::clone(&object),
            previous: Some(previous),
        };
        self.log.push(kind, event);
        Some(object)
    }

    /// Counts a deletion that was granted.
    pub fn count_delete(&mut self, kind: &str, name: &str) {
        self.tallies.entry((kind.to_string(), name.to_string())).or_default().deletes += 1;
    }

    /// How often each object was written.
    pub fn tallies(&self) -> &BTreeMap<ObjectPlace, WriteTally> {
        &self.tallies
    }

    fn own(&mut self, place: &ObjectPlace, object: &ServedObject) {
        for uid in object.owners().iter().filter_map(|owner| owner["uid"].as_str()) {
            self.dependents.entry(uid.to_string()).or_default().insert(place.clone());
        }
        if !object.owners().is_empty() {
            self.suspects.push_back(place.clone());
        }
    }

    fn disown(&mut self, place: &ObjectPlace, object: &ServedObject) {
        for uid in object.owners().iter().filter_map(|owner| owner["uid"].as_str()) {
            if let Some(places) = self.dependents.get_mut(uid) {
                places.remove(place);
                if places.is_empty() {
                    self.dependents.remove(uid);
                }
            }
        }
    }

    /// Whether an object of this uid and kind exists.
    pub fn lives(&self, uid: &str, kind: &str) -> bool {
        let place = self.places.get(uid);
        place.and_then(|(full, name)| self.get(full, name)).is_some_and(|o| o.value()["kind"] == kind)
    }

    /// The objects that name this uid as an owner.
    pub fn dependents(&self, uid: &str) -> Vec<ObjectPlace> {
        self.dependents.get(uid).into_iter().flatten().cloned().collect()
    }

    /// Has the garbage collector look at an object.
    pub fn suspect(&mut self, place: ObjectPlace) {
        self.suspects.push_back(place);
    }

    /// The next object for the garbage collector to look at.
    pub fn next_suspect(&mut self) -> Option<ObjectPlace> {
        self.suspects.pop_front()
    }

    /// How many objects the garbage collector has yet to look at.
    pub fn suspects(&self) -> usize {
        self.suspects.len()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn named(name: &str, n: u64) -> Value {
        json!({"kind": "K", "metadata": {"name": name, "uid": format!("u-{name}")}, "n": n})
    }

    #[test]
    fn one_counter_versions_all_kinds() {
        let mut store = ObjectStore::new(10);
        assert_eq!(store.put("a", named("x", 1)).version(), 1);
        assert_eq!(store.put("b", named("y", 1)).version(), 2);
        assert_eq!(store.remove("a", "x").map(|o| o.version()), Some(3));
        assert!(store.get("a", "x").is_none() && store.remove("a", "x").is_none());
    }

    #[test]
    fn the_past_can_be_read_while_the_log_has_it() {
        let mut store = ObjectStore::new(10);
        store.put("a", named("x", 1));
        store.put("a", named("y", 1));
        let then = store.version();
        store.put("a", named("x", 2));
        store.remove("a", "y");
        store.put("a", named("z", 1));
        let old = store.of_at("a", then).expect("in the window");
        assert_eq!(old.keys().collect::<Vec<_>>(), ["x", "y"]);
        assert_eq!(old["x"].value()["n"], 1);
        store.expire();
        assert!(store.of_at("a", then).is_none());
    }

    #[test]
    fn a_removed_owner_makes_its_dependents_suspect() {
        let mut store = ObjectStore::new(10);
        store.put("a", named("owner", 1));
        let mut child = named("child", 1);
        child["metadata"]["ownerReferences"] = json!([{"kind": "K", "uid": "u-owner"}]);
        store.put("b", child);
        assert!(store.lives("u-owner", "K") && !store.lives("u-owner", "L"));
        while store.next_suspect().is_some() {}
        store.remove("a", "owner");
        assert!(!store.lives("u-owner", "K"));
        assert_eq!(store.next_suspect(), Some(("b".to_string(), "child".to_string())));
    }

    #[test]
    fn writes_are_tallied_by_name() {
        let mut store = ObjectStore::new(10);
        store.put("a", named("x", 1));
        store.put("a", named("x", 2));
        store.remove("a", "x");
        store.count_delete("a", "x");
        store.put("a", named("x", 3));
        let tally = store.tallies()[&("a".to_string(), "x".to_string())];
        assert_eq!(tally, WriteTally { creates: 2, updates: 1, deletes: 1 });
    }
}

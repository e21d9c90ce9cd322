//! What happened, by kind, as far back as the window reaches.

use std::{
    collections::{BTreeMap, VecDeque},
    rc::Rc,
};

use super::{object::ServedObject, selector::Selector};

/// What happened to an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChangeType {
    /// It is new.
    Added,
    /// It has a new version.
    Modified,
    /// It is gone; the version is that of its removal.
    Deleted,
}

impl ChangeType {
    /// The `type` of a watch event.
    pub fn word(self) -> &'static str {
        match self {
            Self::Added => "ADDED",
            Self::Modified => "MODIFIED",
            Self::Deleted => "DELETED",
        }
    }
}

/// One step in the life of an object.
#[derive(Debug)]
pub struct LoggedEvent {
    /// The cluster's resourceVersion after it.
    pub version: u64,
    /// What happened.
    pub change: ChangeType,
    /// The object afterwards; of a removal its last state, under the removal's version.
    pub object: Rc<ServedObject>,
    /// The object before.
    pub previous: Option<Rc<ServedObject>>,
}

impl LoggedEvent {
    /// What a watch with this selector sees of it: objects that enter or leave the selection are added
    /// and deleted.
    pub fn through(&self, selector: &Selector) -> Option<(ChangeType, Rc<ServedObject>)> {
        if selector.is_empty() {
            return Some((self.change, Rc::clone(&self.object)));
        }
        let before = self.previous.as_ref().filter(|object| selector.matches(object.value()));
        let after = self.change != ChangeType::Deleted && selector.matches(self.object.value());
        match (before, after) {
            (None, false) => None,
            (None, true) => Some((ChangeType::Added, Rc::clone(&self.object))),
            (Some(_), true) => Some((ChangeType::Modified, Rc::clone(&self.object))),
            (Some(last), false) => {
                let mut value = last.value().clone();
                value["metadata"]["resourceVersion"] = self.version.to_string().into();
                Some((ChangeType::Deleted, Rc::new(ServedObject::new(value))))
            }
        }
    }
}

/// The version asked for lies before the window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too old resource version: {asked} ({oldest})")]
pub struct TooOld {
    /// What was asked for.
    pub asked: u64,
    /// The oldest that can be had.
    pub oldest: u64,
}

/// Events of all kinds, a bounded number of each.
#[derive(Debug)]
pub struct WatchLog {
    window: usize,
    floor: u64,
    kinds: BTreeMap<String, Window>,
}

#[derive(Debug, Default)]
struct Window {
    floor: u64,
    events: VecDeque<Rc<LoggedEvent>>,
}

impl WatchLog {
    /// Remembers `window` events of each kind.
    pub fn new(window: usize) -> Self {
        Self { window: window.max(1), floor: 0, kinds: BTreeMap::new() }
    }

    /// Begins the history of a kind: what came before cannot be watched.
    pub fn begin(&mut self, kind: &str, version: u64) {
        let window = || Window { floor: version, events: VecDeque::new() };
        self.kinds.entry(kind.to_string()).or_insert_with(window);
    }

    /// Remembers an event of a kind.
    pub fn push(&mut self, kind: &str, event: LoggedEvent) {
        if !self.kinds.contains_key(kind) {
            self.kinds.insert(kind.to_string(), Window::default());
        }
        let Some(window) = self.kinds.get_mut(kind) else { return };
        window.events.push_back(Rc::new(event));
        while window.events.len() > self.window {
            if let Some(dropped) = window.events.pop_front() {
                window.floor = dropped.version;
            }
        }
    }

    /// Events of a kind after a version, oldest first.
    pub fn after<'a>(
        &'a self,
        kind: &str,
        version: u64,
    ) -> Result<impl DoubleEndedIterator<Item = &'a Rc<LoggedEvent>> + use<'a>, TooOld> {
        let window = self.kinds.get(kind);
        let oldest = self.floor.max(window.map_or(0, |w| w.floor));
        if version < oldest {
            return Err(TooOld { asked: version, oldest });
        }
        let events = window.map(|w| w.events.range(w.events.partition_point(|e| e.version <= version)..));
        Ok(events.into_iter().flatten())
    }

    /// Forgets everything up to a version, as compaction does.
    pub fn expire(&mut self, version: u64) {
        self.floor = self.floor.max(version);
        for window in self.kinds.values_mut() {
            window.events.retain(|event| event.version > version);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn object(labels: &Value) -> Rc<ServedObject> {
        Rc::new(ServedObject::new(json!({"metadata": {"name": "a", "labels": labels}})))
    }

    fn event(
        version: u64,
        change: ChangeType,
        labels: &Value,
        previous: Option<Rc<ServedObject>>,
    ) -> LoggedEvent {
        LoggedEvent { version, change, object: object(labels), previous }
    }

    fn versions(log: &WatchLog, after: u64) -> Result<Vec<u64>, TooOld> {
        Ok(log.after("k", after)?.map(|e| e.version).collect())
    }

    #[test]
    fn events_after_a_version_come_in_order() {
        let mut log = WatchLog::new(10);
        for version in [3, 5, 9] {
            log.push("k", event(version, ChangeType::Modified, &json!({}), None));
        }
        assert_eq!(versions(&log, 3), Ok(vec![5, 9]));
        assert_eq!(versions(&log, 4), Ok(vec![5, 9]));
        assert_eq!(versions(&log, 99), Ok(vec![]));
        assert_eq!(log.after("other", 0).map(Iterator::count), Ok(0));
    }

    #[test]
    fn what_fell_out_of_the_window_cannot_be_watched_from() {
        let mut log = WatchLog::new(2);
        for version in 1..=4 {
            log.push("k", event(version, ChangeType::Modified, &json!({}), None));
        }
        assert_eq!(versions(&log, 1), Err(TooOld { asked: 1, oldest: 2 }));
        assert_eq!(versions(&log, 2), Ok(vec![3, 4]));
        log.expire(4);
        assert_eq!(versions(&log, 3), Err(TooOld { asked: 3, oldest: 4 }));
        assert_eq!(versions(&log, 4), Ok(vec![]));
    }

    #[test]
    fn a_kind_has_no_history_from_before_it_was_there() {
        let mut log = WatchLog::new(2);
        log.begin("k", 7);
        assert_eq!(versions(&log, 6), Err(TooOld { asked: 6, oldest: 7 }));
        assert_eq!(versions(&log, 7), Ok(vec![]));
    }

    #[test]
    fn an_object_that_loses_the_label_is_deleted_for_the_selector() {
        let selector = Selector::parse("x=1").expect("a selector");
        let (with, without) = (json!({"x": "1"}), json!({}));
        let seen = |event: LoggedEvent| event.through(&selector).map(|(change, _)| change);
        assert_eq!(
            seen(event(2, ChangeType::Modified, &without, Some(object(&with)))),
            Some(ChangeType::Deleted)
        );
        assert_eq!(
            seen(event(2, ChangeType::Modified, &with, Some(object(&without)))),
            Some(ChangeType::Added)
        );
        assert_eq!(
            seen(event(2, ChangeType::Modified, &with, Some(object(&with)))),
            Some(ChangeType::Modified)
        );
        assert_eq!(seen(event(2, ChangeType::Deleted, &without, Some(object(&without)))), None);
        assert_eq!(
            seen(event(2, ChangeType::Deleted, &with, Some(object(&with)))),
            Some(ChangeType::Deleted)
        );
    }
}

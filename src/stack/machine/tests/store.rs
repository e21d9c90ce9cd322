//! A model of what a shard knows of one stack: what watches have delivered so far, and the
//! agent's own answers at once.

use std::collections::VecDeque;

use super::*;
use crate::stack::{object::Object, version::is_newer};

/// The newer one of two sights of an object wins, and what is gone does not come back.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct ModelStore {
    objects: BTreeMap<ObjectKey, Object>,
    gone: BTreeSet<String>,
}

impl ModelStore {
    /// The stack's objects, whatever their labels.
    pub(super) fn of(&self, stack: &str) -> Vec<Object> {
        self.objects.values().filter(|object| object.is_of(stack)).cloned().collect()
    }

    /// The answer to a write of the agent's.
    pub(super) fn answer(&mut self, write: &Write, answer: &WriteAnswer) {
        match answer {
            WriteAnswer::Stored(object) => drop(self.put((**object).clone())),
            WriteAnswer::Gone { uid } => drop(self.remove(write.key(), uid)),
            _ => {}
        }
    }

    /// The uids of objects that are about to be read by name.
    pub(super) fn uids(&self, keys: &[ObjectKey]) -> Vec<Option<String>> {
        keys.iter().map(|key| self.objects.get(key).map(|object| object.uid.clone())).collect()
    }

    /// What a read by name found; what it did not find is gone, as it was known before.
    pub(super) fn read(&mut self, keys: &[ObjectKey], uids: &[Option<String>], objects: &[Object]) {
        for (key, uid) in keys.iter().zip(uids) {
            match (objects.iter().find(|object| object.key == *key), uid) {
                (Some(object), _) => drop(self.put(object.clone())),
                (None, Some(uid)) => drop(self.remove(key, uid)),
                (None, None) => {}
            }
        }
    }

    fn put(&mut self, object: Object) -> bool {
        let is_news = |known: &Object| is_newer(&object.resource_version, &known.resource_version);
        let taken = !self.gone.contains(&object.uid) && self.objects.get(&object.key).is_none_or(is_news);
        if taken {
            self.objects.insert(object.key.clone(), object);
        }
        taken
    }

    fn remove(&mut self, key: &ObjectKey, uid: &str) -> bool {
        self.gone.insert(uid.to_owned());
        let there = self.objects.get(key).is_some_and(|object| object.uid == uid);
        if there {
            self.objects.remove(key);
        }
        there
    }

    /// An event; whether the store has changed by it.
    pub(super) fn take(&mut self, event: ModelEvent) -> bool {
        match event {
            ModelEvent::Shows(object) => self.put(*object),
            ModelEvent::Gone(key, uid) => self.remove(&key, &uid),
        }
    }

    fn is_old(&self, event: &ModelEvent) -> bool {
        !self.clone().take(event.clone())
    }
}

/// What a watch says of an object.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum ModelEvent {
    Shows(Box<Object>),
    Gone(ObjectKey, String),
}

/// The watches: events under way, of each object in order.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct ModelWatch {
    /// uid and resourceVersion of what was seen last.
    heads: BTreeMap<ObjectKey, (String, String)>,
    queues: BTreeMap<ObjectKey, VecDeque<ModelEvent>>,
}

impl ModelWatch {
    /// Sees what has become of the world since the last time.
    pub(super) fn follow(&mut self, world: &ModelCluster) {
        let heads = world.heads();
        for (key, (uid, _)) in &self.heads {
            if heads.get(key).is_none_or(|(now, _)| now != uid) {
                self.queues
                    .entry(key.clone())
                    .or_default()
                    .push_back(ModelEvent::Gone(key.clone(), uid.clone()));
            }
        }
        for (key, head) in &heads {
            if self.heads.get(key) != Some(head) {
                let object = world.get(key).expect("there");
                self.queues.entry(key.clone()).or_default().push_back(ModelEvent::Shows(Box::new(object)));
            }
        }
        self.heads = heads;
    }

    /// Drops events that tell the store nothing.
    pub(super) fn tidy(&mut self, store: &ModelStore) {
        for queue in self.queues.values_mut() {
            while queue.front().is_some_and(|event| store.is_old(event)) {
                queue.pop_front();
            }
        }
        self.queues.retain(|_, queue| !queue.is_empty());
    }

    /// The objects of which there is news.
    pub(super) fn keys(&self) -> Vec<ObjectKey> {
        self.queues.keys().cloned().collect()
    }

    /// The next event of an object.
    pub(super) fn pop(&mut self, key: &ObjectKey) -> Option<ModelEvent> {
        let event = self.queues.get_mut(key)?.pop_front();
        self.queues.retain(|_, queue| !queue.is_empty());
        event
    }
}

//! A queue with at most one entry for each key, from whose middle can be taken.

use std::{collections::BTreeMap, hash::Hash};

use ahash::AHashMap;

/// First come, first served; an entry that is added anew keeps its place.
#[derive(Debug)]
pub(super) struct Lane<K, V> {
    next: u64,
    entries: BTreeMap<u64, (K, V)>,
    places: AHashMap<K, u64>,
}

impl<K, V> Default for Lane<K, V> {
    fn default() -> Self {
        Self { next: 0, entries: BTreeMap::new(), places: AHashMap::new() }
    }
}

impl<K: Hash + Eq + Clone, V> Lane<K, V> {
    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        let (_, value) = self.entries.get_mut(self.places.get(key)?)?;
        Some(value)
    }

    /// Adds an entry at the end; where the key has one, its value changes in place.
    pub(super) fn push(&mut self, key: K, value: V) {
        if let Some(waiting) = self.get_mut(&key) {
            *waiting = value;
            return;
        }
        self.places.insert(key.clone(), self.next);
        self.entries.insert(self.next, (key, value));
        self.next += 1;
    }

    pub(super) fn pop(&mut self) -> Option<(K, V)> {
        let (_, (key, value)) = self.entries.pop_first()?;
        self.places.remove(&key);
        Some((key, value))
    }

    pub(super) fn remove(&mut self, key: &K) -> Option<V> {
        let place = self.places.remove(key)?;
        self.entries.remove(&place).map(|(_, value)| value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_order_and_one_entry_for_each_key() {
        let mut lane = Lane::default();
        for (key, value) in [("a", 1), ("b", 2), ("a", 3), ("c", 4)] {
            lane.push(key, value);
        }
        assert_eq!(lane.remove(&"b"), Some(2));
        assert_eq!(lane.len(), 2);
        let all: Vec<_> = std::iter::from_fn(|| lane.pop()).collect();
        assert_eq!(all, [("a", 3), ("c", 4)]);
        assert!(lane.is_empty() && lane.places.is_empty());
    }
}

//! A map that keeps so many of its smallest keys, and counts what it did not keep.

use std::collections::BTreeMap;

/// See the [module](self). What is kept does not depend on the order in which it came, as long as no
/// key comes twice and none is taken out.
#[derive(Debug)]
pub(super) struct Smallest<V> {
    kept: BTreeMap<String, V>,
    most: usize,
    /// How many were not kept.
    pub(super) beyond: u64,
}

impl<V> Smallest<V> {
    pub(super) fn new(most: usize) -> Self {
        Self { kept: BTreeMap::new(), most, beyond: 0 }
    }

    /// Keeps a key, if it is among the smallest; gives what it had before. Copies nothing otherwise.
    pub(super) fn insert(&mut self, key: &str, value: V) -> Option<V> {
        if let Some(known) = self.kept.get_mut(key) {
            return Some(std::mem::replace(known, value));
        }
        if self.kept.len() >= self.most {
            self.beyond += 1;
            if self.kept.last_key_value().is_none_or(|(last, _)| key > last.as_str()) {
                return None;
            }
            self.kept.pop_last();
        }
        self.kept.insert(key.to_owned(), value);
        None
    }

    pub(super) fn remove(&mut self, key: &str) {
        if !self.kept.is_empty() {
            self.kept.remove(key);
        }
    }

    pub(super) fn into_kept(self) -> BTreeMap<String, V> {
        self.kept
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smallest_are_kept_in_whatever_order_they_come() {
        for keys in [["a", "b", "c", "d"], ["d", "c", "b", "a"], ["c", "a", "d", "b"]] {
            let mut smallest = Smallest::new(2);
            for key in keys {
                assert_eq!(smallest.insert(key, ()), None);
            }
            assert_eq!(smallest.beyond, 2);
            assert_eq!(smallest.into_kept().into_keys().collect::<Vec<_>>(), ["a", "b"]);
        }
    }

    #[test]
    fn a_key_that_comes_again_has_its_last_value() {
        let mut smallest = Smallest::new(1);
        assert_eq!(smallest.insert("a", 1), None);
        assert_eq!(smallest.insert("a", 2), Some(1));
        assert_eq!((smallest.beyond, smallest.into_kept().len()), (0, 1));
    }
}

//! Additional labels and annotations as they come in, one at a time, and the bounded map that keeps them.

use std::collections::{BTreeMap, BTreeSet};

use super::snapshot::Findings;
use crate::{
    order::limits::{MAX_ANNOTATIONS, MAX_LABELS},
    stack::labels::{self, PairFault},
};

/// Keys with something wrong that are told apart, and spared.
const MOST_FAULTS: usize = 1_000;

/// Which of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PairField {
    Labels,
    Annotations,
}

impl PairField {
    /// As the wire calls it.
    pub(super) fn name(self) -> &'static str {
        match self {
            PairField::Labels => "additionalLabels",
            PairField::Annotations => "additionalAnnotations",
        }
    }

    fn fault(self, key: &str, value: &str) -> Option<PairFault> {
        match self {
            PairField::Labels => labels::label_fault(key, value),
            PairField::Annotations => labels::annotation_fault(key, value),
        }
    }

    fn most(self) -> usize {
        match self {
            PairField::Labels => MAX_LABELS,
            PairField::Annotations => MAX_ANNOTATIONS,
        }
    }
}

/// The labels, or the annotations, of an order.
#[derive(Debug)]
pub(super) struct Pairs {
    field: PairField,
    good: Smallest<String>,
    bad: Smallest<PairFault>,
}

/// What came of them.
pub(super) struct SortedPairs {
    /// Those that can be used, their keys complete.
    pub(super) used: BTreeMap<String, String>,
    /// Complete keys of which nothing is taken away.
    pub(super) spared: BTreeSet<String>,
    /// Nothing of the field is taken away.
    pub(super) spares: bool,
}

impl Pairs {
    pub(super) fn new(field: PairField) -> Self {
        Self { field, good: Smallest::new(field.most()), bad: Smallest::new(MOST_FAULTS) }
    }

    /// The next one. Of two with one key the last one counts.
    pub(super) fn add(&mut self, key: &str, value: &str) {
        // The agent's own two win, as the contract says: nothing is wrong with the order.
        let own = [labels::CREATED_BY_AGENT, labels::STACK];
        let is_own = || own.iter().any(|own| own.strip_prefix(labels::PREFIX) == Some(key));
        if self.field == PairField::Labels && is_own() {
            return;
        }
        match self.field.fault(key, value) {
            Some(fault) => {
                self.good.remove(key);
                self.bad.insert(key, fault);
            }
            None => {
                self.bad.remove(key);
                self.good.insert(key, value.to_owned());
            }
        }
    }

    pub(super) fn finish(self, findings: &mut Findings) -> SortedPairs {
        let Self { field, good, bad } = self;
        let (beyond, beyond_bad) = (good.beyond, bad.beyond);
        let mut bad = bad.into_kept();
        let (mut used, mut bytes) = (BTreeMap::new(), 0);
        let mut too_much = 0_u64;
        for (key, value) in good.into_kept() {
            let full = format!("{}{key}", labels::PREFIX);
            bytes += full.len() + value.len();
            if field == PairField::Annotations && bytes > labels::MAX_ANNOTATION_BYTES {
                bytes -= full.len() + value.len();
                // Beyond what is told apart it is a number.
                if bad.len() < MOST_FAULTS {
                    bad.insert(key, PairFault::TooMuch);
                } else {
                    too_much += 1;
                }
                continue;
            }
            used.insert(full, value);
        }
        let named = bad.iter().map(|(key, fault)| (Some(format!("{:?}", shown(key))), fault.to_string()));
        findings.many(field.name(), "", named, bad.len() as u64 + beyond_bad + too_much, "cannot be used");
        findings.beyond(field.name(), beyond, field.most());
        let may_stand = bad.iter().filter(|(_, fault)| fault.may_stand());
        SortedPairs {
            used,
            spared: may_stand.map(|(key, _)| format!("{}{key}", labels::PREFIX)).collect(),
            spares: beyond + beyond_bad + too_much > 0,
        }
    }
}

/// The beginning of a text from outside, short enough for a log line.
pub(super) fn shown(text: &str) -> String {
    text.chars().take(80).collect()
}

/// A map that keeps so many of its smallest keys, and counts what it did not keep. What is kept does not depend on the order in which it came, as long as no
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

//! Additional labels and annotations as they come in, one at a time.

use std::collections::{BTreeMap, BTreeSet};

use super::{draft::Findings, smallest::Smallest};
use crate::{
    order::limits::{MAX_ANNOTATIONS, MAX_LABELS},
    stack::labels::{self, PairFault},
};

/// Keys with something wrong that are told apart, and spared.
const MOST_FAULTS: usize = 1_000;

/// Which of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Field {
    Labels,
    Annotations,
}

impl Field {
    /// As the wire calls it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Field::Labels => "additionalLabels",
            Field::Annotations => "additionalAnnotations",
        }
    }

    fn fault(self, key: &str, value: &str) -> Option<PairFault> {
        match self {
            Field::Labels => labels::label_fault(key, value),
            Field::Annotations => labels::annotation_fault(key, value),
        }
    }

    fn most(self) -> usize {
        match self {
            Field::Labels => MAX_LABELS,
            Field::Annotations => MAX_ANNOTATIONS,
        }
    }
}

/// The labels, or the annotations, of an order.
#[derive(Debug)]
pub(super) struct Pairs {
    field: Field,
    good: Smallest<String>,
    bad: Smallest<PairFault>,
}

/// What came of them.
pub(super) struct Sorted {
    /// Those that can be used, their keys complete.
    pub(super) used: BTreeMap<String, String>,
    /// Complete keys of which nothing is taken away.
    pub(super) spared: BTreeSet<String>,
    /// Nothing of the field is taken away.
    pub(super) spares: bool,
}

impl Pairs {
    pub(super) fn new(field: Field) -> Self {
        Self { field, good: Smallest::new(field.most()), bad: Smallest::new(MOST_FAULTS) }
    }

    /// The next one. Of two with one key the last one counts.
    pub(super) fn add(&mut self, key: &str, value: &str) {
        // The agent's own two win, as the contract says: nothing is wrong with the order.
        let own = [labels::CREATED_BY_AGENT, labels::STACK];
        let is_own = || own.iter().any(|own| own.strip_prefix(labels::PREFIX) == Some(key));
        if self.field == Field::Labels && is_own() {
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

    pub(super) fn finish(self, findings: &mut Findings) -> Sorted {
        let Self { field, good, bad } = self;
        let (beyond, beyond_bad) = (good.beyond, bad.beyond);
        let mut bad = bad.into_kept();
        let (mut used, mut bytes) = (BTreeMap::new(), 0);
        let mut too_much = 0_u64;
        for (key, value) in good.into_kept() {
            let full = format!("{}{key}", labels::PREFIX);
            bytes += full.len() + value.len();
            if field == Field::Annotations && bytes > labels::MAX_ANNOTATION_BYTES {
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
        Sorted {
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

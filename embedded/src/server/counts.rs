//! How many requests the server saw, by verb, answer and fault.

use std::collections::BTreeMap;

use crate::faults::writes;

/// Requests, as the server counted them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RequestCounts {
    /// All that reached it, refused ones too.
    pub requests: u64,
    /// Those of them that would change something.
    pub writes: u64,
    /// By verb: `get`, `list`, `watch`, `create`, `patch`, `update`, `delete`, `deletecollection`, `other`.
    pub verbs: BTreeMap<&'static str, u64>,
    /// Answers by status code; a broken connection counts as 0.
    pub codes: BTreeMap<u16, u64>,
    /// Faults by name: `refuse`, `deny`, `drop-before`, `drop-after`, `hold`.
    pub faults: BTreeMap<&'static str, u64>,
}

impl RequestCounts {
    /// Counts a request.
    pub fn request(&mut self, verb: &'static str) {
        self.requests += 1;
        self.writes += u64::from(writes(verb));
        *self.verbs.entry(verb).or_default() += 1;
    }

    /// Counts an answer.
    pub fn answer(&mut self, code: u16) {
        *self.codes.entry(code).or_default() += 1;
    }

    /// Requests of one verb.
    pub fn verb(&self, verb: &str) -> u64 {
        self.verbs.get(verb).copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_are_counted_apart() {
        let mut counts = RequestCounts::default();
        for verb in ["get", "watch", "create", "patch", "delete"] {
            counts.request(verb);
        }
        assert_eq!((counts.requests, counts.writes, counts.verb("patch")), (5, 3, 1));
    }
}

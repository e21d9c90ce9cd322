//! The environment behind a trait, so that tests bring their own.

use std::collections::BTreeMap;

/// Where variables come from.
pub trait Environment {
    /// The variable's value, where it is set.
    fn get(&self, name: &str) -> Option<String>;
    /// All names, in any order.
    fn names(&self) -> Vec<String>;
}

/// The environment of this process. Bytes that are no UTF-8 show as U+FFFD, which no setting
/// takes for valid.
#[derive(Debug, Clone, Copy)]
pub struct Process;

impl Environment for Process {
    fn get(&self, name: &str) -> Option<String> {
        std::env::var_os(name).map(|value| value.to_string_lossy().into_owned())
    }

    fn names(&self) -> Vec<String> {
        std::env::vars_os().map(|(name, _)| name.to_string_lossy().into_owned()).collect()
    }
}

impl Environment for BTreeMap<String, String> {
    fn get(&self, name: &str) -> Option<String> {
        BTreeMap::get(self, name).cloned()
    }

    fn names(&self) -> Vec<String> {
        self.keys().cloned().collect()
    }
}

//! What happened last, for whoever has to find out why.

use std::{cell::RefCell, collections::VecDeque, time::Duration};

/// So many lines are kept.
const KEPT: usize = 4000;

/// A short history. Costs nothing unless it is on.
#[derive(Debug)]
pub(crate) struct RunTrace {
    on: bool,
    lines: RefCell<VecDeque<String>>,
}

impl RunTrace {
    pub(crate) fn new(on: bool) -> Self {
        Self { on, lines: RefCell::default() }
    }

    pub(crate) fn say(&self, at: Duration, line: impl FnOnce() -> String) {
        if self.on {
            let mut lines = self.lines.borrow_mut();
            if lines.len() >= KEPT {
                lines.pop_front();
            }
            lines.push_back(format!("{:>9.3} {}", at.as_secs_f64(), line()));
        }
    }

    /// The lines that mention one of these words, all where there are none; the last `n` of them.
    pub(crate) fn last(&self, n: usize, words: &[&str]) -> String {
        let lines = self.lines.borrow();
        let told: Vec<&String> = lines
            .iter()
            .filter(|line| words.is_empty() || words.iter().any(|word| line.contains(word)))
            .collect();
        let from = told.len().saturating_sub(n);
        told[from..].iter().fold(String::new(), |text, line| text + line + "\n")
    }
}

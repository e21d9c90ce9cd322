//! What is to be told to membership and has not safely gone. Pure.
//!
//! The protocol has no acknowledgements. A report that was handed to a stream counts as
//! *in doubt* for a while: if the stream breaks in that time it is sent again on the next one,
//! unless a newer report or order for its object has overtaken it. All is keyed by object, so
//! both halves are bounded by the number of objects, however long membership is away.

use std::{
    collections::{BTreeMap, HashMap},
    time::{Duration, Instant},
};

use crate::{order::StackName, stack::report::Report};

/// What a report is about; a newer report about it makes an older one needless.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Key {
    Stack(StackName),
}

impl Key {
    fn of(report: &Report) -> Self {
        match report {
            Report::StackDeleted { stack } => Self::Stack(stack.clone()),
        }
    }
}

/// Reports in the order in which they came, at most one for each object.
#[derive(Debug)]
pub struct Outbox {
    waiting: Line,
    in_doubt: Line,
    doubt: Duration,
}

/// A queue from whose middle can be taken.
#[derive(Debug, Default)]
struct Line {
    next: u64,
    reports: BTreeMap<u64, (Report, Option<Instant>)>,
    places: HashMap<Key, u64>,
}

impl Line {
    fn push(&mut self, report: Report, at: Option<Instant>) {
        let key = Key::of(&report);
        self.remove(&key);
        self.places.insert(key, self.next);
        self.reports.insert(self.next, (report, at));
        self.next += 1;
    }

    fn remove(&mut self, key: &Key) {
        if let Some(place) = self.places.remove(key) {
            self.reports.remove(&place);
        }
    }

    fn pop(&mut self) -> Option<Report> {
        let (_, (report, _)) = self.reports.pop_first()?;
        self.places.remove(&Key::of(&report));
        Some(report)
    }
}

impl Outbox {
    /// Reports stay in doubt for `doubt` after they were taken: at least as long as the
    /// connection may leave sent data unacknowledged.
    pub fn new(doubt: Duration) -> Self {
        Self { waiting: Line::default(), in_doubt: Line::default(), doubt }
    }

    /// Adds a report, at the end. Where the same already waits it keeps its place.
    pub fn push(&mut self, report: Report) {
        let key = Key::of(&report);
        self.in_doubt.remove(&key);
        let same = |place| self.waiting.reports.get(place).is_some_and(|(waiting, _)| *waiting == report);
        if !self.waiting.places.get(&key).is_some_and(same) {
            self.waiting.push(report, None);
        }
    }

    /// The next report, which is about to be handed to a stream. It is in doubt from now on.
    pub fn take(&mut self, now: Instant) -> Option<Report> {
        let report = self.waiting.pop()?;
        self.in_doubt.push(report.clone(), Some(now));
        Some(report)
    }

    /// The stream stands and works: what was handed to it long enough ago has arrived.
    pub fn settle(&mut self, now: Instant) {
        while let Some(entry) = self.in_doubt.reports.first_entry() {
            let taken = entry.get().1;
            if taken.is_some_and(|taken| now.saturating_duration_since(taken) < self.doubt) {
                break;
            }
            let (report, _) = entry.remove();
            self.in_doubt.places.remove(&Key::of(&report));
        }
    }

    /// An order for this stack came after what was reported of it: whether that had arrived no
    /// longer matters, and telling it again could undo what the order wants.
    pub fn order_came(&mut self, stack: &str) {
        if let Ok(stack) = StackName::new(stack) {
            self.in_doubt.remove(&Key::Stack(stack));
        }
    }

    /// The stream broke, or was never accepted: what is in doubt goes first on the next one.
    pub fn broke(&mut self) {
        let mut again = std::mem::take(&mut self.in_doubt);
        let mut later = std::mem::take(&mut self.waiting);
        while let Some(report) = again.pop() {
            self.waiting.push(report, None);
        }
        while let Some(report) = later.pop() {
            self.waiting.push(report, None);
        }
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.waiting.reports.len()
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.reports.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time;

    const DOUBT: Duration = Duration::from_secs(30);

    fn deleted(name: &str) -> Report {
        Report::StackDeleted { stack: StackName::new(name).unwrap() }
    }

    fn all(outbox: &mut Outbox, now: Instant) -> Vec<Report> {
        std::iter::from_fn(|| outbox.take(now)).collect()
    }

    #[test]
    fn keeps_the_order_and_one_report_for_each_object() {
        let mut outbox = Outbox::new(DOUBT);
        for name in ["a", "b", "a", "c", "b"] {
            outbox.push(deleted(name));
        }
        assert_eq!(outbox.len(), 3);
        assert_eq!(all(&mut outbox, time::now()), [deleted("a"), deleted("b"), deleted("c")]);
        assert!(outbox.is_empty());
    }

    #[test]
    fn a_break_brings_back_what_was_sent_a_moment_ago_and_in_order() {
        let mut outbox = Outbox::new(DOUBT);
        let begun = time::now();
        outbox.push(deleted("old"));
        outbox.take(begun);
        outbox.push(deleted("recent"));
        let now = begun + DOUBT;
        outbox.take(now);
        outbox.settle(now);
        outbox.push(deleted("waiting"));
        outbox.broke();
        assert_eq!(all(&mut outbox, now), [deleted("recent"), deleted("waiting")]);
    }

    #[test]
    fn a_refused_join_loses_nothing_however_long_it_took() {
        let mut outbox = Outbox::new(DOUBT);
        let now = time::now();
        outbox.push(deleted("a"));
        outbox.take(now);
        outbox.broke();
        assert_eq!(all(&mut outbox, now + 10 * DOUBT), [deleted("a")]);
    }

    #[test]
    fn what_an_order_has_overtaken_is_not_told_again() {
        let mut outbox = Outbox::new(DOUBT);
        outbox.push(deleted("a"));
        outbox.take(time::now());
        outbox.order_came("a");
        outbox.broke();
        assert!(outbox.is_empty());
    }

    #[test]
    fn a_report_that_is_in_doubt_and_waits_anew_is_told_once() {
        let mut outbox = Outbox::new(DOUBT);
        let now = time::now();
        outbox.push(deleted("a"));
        outbox.take(now);
        outbox.push(deleted("a"));
        outbox.broke();
        assert_eq!(all(&mut outbox, now), [deleted("a")]);
    }

    #[test]
    fn a_million_reports_about_ten_objects_take_the_room_of_ten() {
        let mut outbox = Outbox::new(DOUBT);
        let now = time::now();
        for round in 0..100_000 {
            for name in 0..10 {
                outbox.push(deleted(&name.to_string()));
            }
            if round % 3 == 0 {
                outbox.take(now);
            }
            if round % 7 == 0 {
                outbox.broke();
            }
            assert!(outbox.len() <= 10 && outbox.in_doubt.reports.len() <= 10);
        }
    }
}

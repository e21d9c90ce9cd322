use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
};

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::{stack::object::Catalog, time};

/// A shard's objects: their status as a number.
#[derive(Debug, Default)]
struct FakeShard(RefCell<BTreeMap<ObjectKey, u32>>);

impl FakeShard {
    fn with(objects: &[(&str, u32)]) -> Self {
        Self(RefCell::new(objects.iter().map(|(name, status)| (stack(name), *status)).collect()))
    }

    fn set(&self, name: &str, status: u32) -> ObjectKey {
        self.0.borrow_mut().insert(stack(name), status);
        stack(name)
    }

    fn remove(&self, name: &str) -> ObjectKey {
        self.0.borrow_mut().remove(&stack(name));
        stack(name)
    }
}

impl Present for FakeShard {
    type Cursor = Option<ObjectKey>;

    fn say(&self, key: &ObjectKey, _updated: bool) -> Option<ReportBody> {
        let status = json!({"ready": true, "n": self.0.borrow().get(key)?});
        ReportBody::status(key, status)
    }

    fn stands(&self, key: &ObjectKey) -> bool {
        self.0.borrow().contains_key(key)
    }

    fn of_stack(&self, name: &str) -> Vec<ObjectKey> {
        self.0.borrow().keys().filter(|key| *key.name == *name).cloned().collect()
    }

    fn begin(&self) -> Self::Cursor {
        None
    }

    fn next(&self, cursor: &mut Self::Cursor, n: usize) -> Vec<ObjectKey> {
        let objects = self.0.borrow();
        let after = |key: &&ObjectKey| cursor.as_ref().is_none_or(|seen| *key > seen);
        let next: Vec<ObjectKey> = objects.keys().filter(after).take(n).cloned().collect();
        *cursor = next.last().cloned().or_else(|| cursor.take());
        next
    }
}

/// Lets so many through.
struct Left(usize);

impl Pace for Left {
    fn take(&mut self, now: Instant) -> Result<(), Instant> {
        self.0 = self.0.checked_sub(1).ok_or(now + Duration::from_secs(1))?;
        Ok(())
    }
}

fn stack(name: &str) -> ObjectKey {
    ObjectKey::new(&Catalog::new(Vec::new()).stack, name)
}

/// `a1` is stack `a` with status 1, `a-` its deletion.
fn told(reports: &[Report]) -> Vec<String> {
    let word = |report: &Report| match &report.body {
        ReportBody::Stack { stack, status } => format!("{stack}{}", status["n"]),
        ReportBody::StackDeleted { stack } => format!("{stack}-"),
        other => format!("{other:?}"),
    };
    reports.iter().map(word).collect()
}

type Box = Outbox<Option<ObjectKey>>;

fn all(outbox: &mut Box, shard: &FakeShard) -> Vec<String> {
    told(&outbox.take(time::now(), usize::MAX, shard, &mut Left(usize::MAX)).reports)
}

#[test]
fn the_newest_status_is_told_once_and_in_the_place_of_the_first() {
    let (mut outbox, shard) = (Box::default(), FakeShard::default());
    for (name, status) in [("a", 1), ("b", 1), ("a", 2)] {
        outbox.changed(shard.set(name, status), false, None);
    }
    assert_eq!(all(&mut outbox, &shard), ["a2", "b1"]);
    assert!(outbox.is_empty());
}

#[test]
fn a_removal_is_never_swallowed_by_a_status() {
    let (mut outbox, shard) = (Box::default(), FakeShard::default());
    outbox.changed(shard.set("a", 1), false, None);
    outbox.gone(shard.remove("a"), None);
    assert_eq!(all(&mut outbox, &shard), ["a-"]);

    outbox.gone(shard.remove("a"), None);
    outbox.changed(shard.set("a", 2), false, None);
    outbox.changed(shard.set("a", 3), false, None);
    assert_eq!(all(&mut outbox, &shard), ["a-", "a3"]);
}

#[test]
fn an_object_without_a_status_is_told_of_when_it_goes() {
    let (mut outbox, shard) = (Box::default(), FakeShard::default());
    outbox.appeared(&stack("a"));
    outbox.gone(stack("a"), None);
    assert_eq!(all(&mut outbox, &shard), ["a-"]);
}

#[test]
fn a_join_tells_everything_with_changes_and_removals_first() {
    let (mut outbox, shard) = (Box::default(), FakeShard::with(&[("a", 1), ("b", 1), ("c", 1)]));
    outbox.changed(shard.set("c", 2), false, None);
    outbox.gone(stack("x"), None);
    outbox.joined(&shard);
    assert_eq!(all(&mut outbox, &shard), ["c2", "x-", "a1", "b1", "c2"]);
}

#[test]
fn a_second_join_begins_anew_and_repeats_what_was_removed() {
    let (mut outbox, shard) = (Box::default(), FakeShard::with(&[("a", 1), ("b", 1)]));
    outbox.joined(&shard);
    outbox.gone(shard.remove("b"), None);
    assert_eq!(all(&mut outbox, &shard), ["b-", "a1"]);
    outbox.joined(&shard);
    assert_eq!(all(&mut outbox, &shard), ["b-", "a1"]);
}

#[test]
fn changes_go_at_once_and_the_rest_at_its_pace() {
    let (mut outbox, shard) = (Box::default(), FakeShard::with(&[("a", 1), ("b", 1), ("c", 1)]));
    outbox.joined(&shard);
    outbox.applied(&"c".into(), None);
    outbox.changed(shard.set("b", 2), false, None);
    let now = time::now();
    let taken = outbox.take(now, 10, &shard, &mut Left(2));
    assert_eq!(told(&taken.reports), ["b2", "c1", "a1"]);
    assert_eq!(taken.more_at, Some(now + Duration::from_secs(1)));
    outbox.changed(shard.set("a", 2), false, None);
    let taken = outbox.take(now, 10, &shard, &mut Left(0));
    assert_eq!(told(&taken.reports), ["a2"], "a change does not wait for the pace");
    let taken = outbox.take(now, 10, &shard, &mut Left(10));
    assert_eq!((told(&taken.reports), taken.more_at), (vec!["b2".into(), "c1".into()], None));
}

#[test]
fn no_more_is_taken_than_there_is_room_for() {
    let (mut outbox, shard) = (Box::default(), FakeShard::with(&[("a", 1), ("b", 1), ("c", 1)]));
    outbox.gone(stack("x"), None);
    outbox.joined(&shard);
    let mut take = |n| told(&outbox.take(time::now(), n, &shard, &mut Left(10)).reports);
    assert_eq!(
        (take(0), take(2), take(5)),
        (vec![], vec!["x-".into(), "a1".into()], vec!["b1".into(), "c1".into()])
    );
}

#[test]
fn a_removal_is_repeated_by_resyncs_until_it_has_surely_arrived() {
    let (mut outbox, shard) = (Box::default(), FakeShard::default());
    let start = time::now();
    outbox.gone(stack("a"), None);
    let mut at = |after: Duration, resync: bool| {
        if resync {
            outbox.resync(start + after, &shard);
        }
        told(&outbox.take(start + after, 10, &shard, &mut Left(10)).reports)
    };
    assert_eq!(at(Duration::ZERO, false), ["a-"]);
    assert_eq!(at(Duration::from_secs(1), true), ["a-"]);
    assert_eq!(at(Duration::from_secs(2), false), [""; 0]);
    assert_eq!(at(Duration::from_secs(3), true), ["a-"], "too soon to be sure");
    assert_eq!(at(DOUBT, true), [""; 0]);
    assert_eq!(at(3 * DOUBT, true), [""; 0]);

    outbox.gone(stack("a"), None);
    let mut at = |after: Duration, resync: bool| {
        if resync {
            outbox.resync(start + after, &shard);
        }
        told(&outbox.take(start + after, 10, &shard, &mut Left(10)).reports)
    };
    assert_eq!(at(3 * DOUBT, false), ["a-"]);
    assert_eq!(at(9 * DOUBT, true), ["a-"], "twice at least");
    assert_eq!(at(12 * DOUBT, true), [""; 0]);
}

#[test]
fn a_removal_is_not_repeated_once_the_object_is_back_or_an_order_came() {
    let (mut outbox, shard) = (Box::default(), FakeShard::default());
    for name in ["a", "b", "c"] {
        outbox.gone(stack(name), None);
    }
    assert_eq!(all(&mut outbox, &shard), ["a-", "b-", "c-"]);
    outbox.appeared(&stack("a"));
    outbox.order_came(&stack("b"));
    outbox.joined(&shard);
    assert_eq!(all(&mut outbox, &shard), ["c-"]);
}

#[test]
fn versions_that_were_not_told_of_yet_are_new_however_often_they_changed() {
    struct Said;
    impl Present for Said {
        type Cursor = ();
        fn say(&self, key: &ObjectKey, updated: bool) -> Option<ReportBody> {
            Some(ReportBody::Versions { name: key.name.clone(), updated, versions: Default::default() })
        }
        fn stands(&self, _: &ObjectKey) -> bool {
            true
        }
        fn of_stack(&self, _: &str) -> Vec<ObjectKey> {
            Vec::new()
        }
        fn begin(&self) {}
        fn next(&self, (): &mut (), _: usize) -> Vec<ObjectKey> {
            Vec::new()
        }
    }
    let key = ObjectKey::new(&Catalog::new(Vec::new()).versions, "v2");
    let mut outbox = Outbox::<()>::default();
    let updated = |outbox: &mut Outbox<()>| {
        let taken = outbox.take(time::now(), 10, &Said, &mut Left(0)).reports;
        let [Report { body: ReportBody::Versions { updated, .. }, .. }] = &taken[..] else {
            panic!("{taken:?}")
        };
        *updated
    };
    outbox.changed(key.clone(), false, None);
    outbox.changed(key.clone(), true, None);
    assert!(!updated(&mut outbox));
    outbox.changed(key, true, None);
    assert!(updated(&mut outbox));
}

#[test]
fn reports_carry_the_trace_of_the_order_that_led_to_them() {
    let trace = Trace::read(r#"{"b3":"64fe8b2a57d3eff7-e457b5a2e4d86bd1-1"}"#);
    let (mut outbox, shard) = (Box::default(), FakeShard::with(&[("a", 1)]));
    outbox.applied(&"a".into(), trace.clone());
    outbox.gone(stack("b"), trace.clone());
    let taken = outbox.take(time::now(), 10, &shard, &mut Left(10)).reports;
    assert!(taken.len() == 2 && taken.iter().all(|report| report.trace == trace));
    outbox.joined(&shard);
    let taken = outbox.take(time::now(), 10, &shard, &mut Left(10)).reports;
    let traces: Vec<_> = taken.into_iter().map(|report| report.trace).collect();
    assert_eq!(traces, [trace, None], "the removal said again, and the snapshot");
}

#[test]
fn a_million_changes_of_ten_objects_take_the_room_of_ten() {
    let (mut outbox, shard) = (Box::default(), FakeShard::default());
    for round in 0..50_000 {
        for name in 0..10 {
            let name = name.to_string();
            match round % 3 {
                0 => outbox.gone(shard.remove(&name), None),
                _ => outbox.changed(shard.set(&name, round), false, None),
            }
            outbox.applied(&name.as_str().into(), None);
        }
        if round % 7 == 0 {
            outbox.take(time::now(), 3, &shard, &mut Left(3));
            outbox.joined(&shard);
        }
        assert!(outbox.changes.len() <= 20 && outbox.again.len() <= 10 && outbox.reported.len() <= 10);
    }
}

/// What befalls the outbox.
#[derive(Debug, Clone, Copy)]
enum Event {
    Set(u8, u32),
    Remove(u8),
    Applied(u8),
    /// So many reports are handed to the stream.
    Take(usize),
    /// The stream breaks: the last so many reports that were handed to it never arrive.
    Break(usize),
    Resync,
}

fn some_event() -> impl Strategy<Value = Event> {
    prop_oneof![
        4 => (0..5u8, 0..9u32).prop_map(|(name, status)| Event::Set(name, status)),
        2 => (0..5u8).prop_map(Event::Remove),
        1 => (0..5u8).prop_map(Event::Applied),
        4 => (1..6usize).prop_map(Event::Take),
        1 => (0..6usize).prop_map(Event::Break),
        1 => Just(Event::Resync),
    ]
}

proptest! {
    /// Whatever was lost with a stream: once all is told, membership believes what stands, and it
    /// believes nothing to stand that was told and is gone.
    #[test]
    fn membership_believes_what_stands_in_the_end(events in prop::collection::vec(some_event(), 0..80)) {
        let (mut outbox, shard) = (Box::default(), FakeShard::default());
        let now = time::now();
        let mut sent: Vec<String> = Vec::new();
        outbox.joined(&shard);
        for event in events {
            match event {
                Event::Set(name, status) => outbox.changed(shard.set(&name.to_string(), status), false, None),
                Event::Remove(name) => {
                    let there = shard.0.borrow().contains_key(&stack(&name.to_string()));
                    if there {
                        outbox.gone(shard.remove(&name.to_string()), None);
                    }
                }
                Event::Applied(name) => outbox.applied(&name.to_string().as_str().into(), None),
                Event::Take(n) => sent.extend(told(&outbox.take(now, n, &shard, &mut Left(n)).reports)),
                Event::Break(lost) => {
                    sent.truncate(sent.len().saturating_sub(lost));
                    outbox.joined(&shard);
                }
                Event::Resync => outbox.resync(now, &shard),
            }
        }
        sent.extend(all(&mut outbox, &shard));
        let mut believed = BTreeSet::new();
        for word in &sent {
            let name = &word[..1];
            believed.retain(|known: &String| !known.starts_with(name));
            if !word.ends_with('-') {
                believed.insert(word.clone());
            }
        }
        let stands: BTreeSet<String> =
            shard.0.borrow().iter().map(|(key, status)| format!("{}{status}", key.name)).collect();
        prop_assert_eq!(believed, stands);
    }
}

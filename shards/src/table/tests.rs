use super::*;
use crate::{
    OrderClass::{Removal, Snapshot, Toggle},
    testing::Numbered,
    time::{Duration, now},
};

fn numbers(displaced: Displaced<Numbered>) -> Vec<u32> {
    displaced.into_iter().map(|o| o.1).collect()
}

fn table(max_in_flight: usize) -> Table<&'static str, Numbered> {
    Table::new(max_in_flight)
}

/// A table with the order (class, 1) of "a" in flight.
fn in_flight(class: OrderClass) -> Table<&'static str, Numbered> {
    let mut table = table(4);
    let _ = table.offer("a", Numbered(class, 1));
    assert_eq!(table.take(), Some(("a", Numbered(class, 1))));
    table
}

#[test]
fn an_order_in_flight_is_superseded_as_the_matrix_says() {
    for first in [Snapshot, Removal, Toggle] {
        for second in [Snapshot, Removal, Toggle] {
            let mut table = in_flight(first);
            assert!(!table.superseded(&"a"), "only a queued successor supersedes");
            let _ = table.offer("a", Numbered(second, 2));
            let expected = first.superseded_by(second);
            assert_eq!(table.superseded(&"a"), expected, "{first:?} {second:?}");
            assert_eq!(table.successor(&"a").is_some(), expected, "{first:?} {second:?}");
            assert_eq!(table.stats().in_flight, 1, "a successor keeps the slot");
        }
    }
}

#[test]
fn a_successor_in_flight_is_judged_by_its_own_class() {
    let mut table = in_flight(Snapshot);
    let _ = table.offer("a", Numbered(Removal, 2));
    assert_eq!(table.successor(&"a"), Some(Numbered(Removal, 2)));
    let _ = table.offer("a", Numbered(Snapshot, 3));
    assert_eq!(table.successor(&"a"), None, "a removal is never superseded");
}

#[test]
fn one_order_of_a_key_is_in_flight_at_a_time() {
    let mut table = in_flight(Removal);
    let _ = table.offer("a", Numbered(Snapshot, 2));
    assert_eq!(table.take(), None);
    table.finish("a");
    assert_eq!(table.take(), Some(("a", Numbered(Snapshot, 2))));
}

#[test]
fn an_idle_key_costs_nothing() {
    let mut table = in_flight(Snapshot);
    table.finish("a");
    assert_eq!(table.stats(), Stats::default());
}

#[test]
fn no_more_keys_are_in_flight_than_may_be() {
    let mut table = table(2);
    for key in ["a", "b", "c"] {
        let _ = table.offer(key, Numbered(Snapshot, 1));
    }
    assert!(table.take().is_some() && table.take().is_some());
    assert_eq!(table.take(), None);
    assert!(table.crowded());
    table.finish("b");
    assert_eq!(table.take().map(|t| t.0), Some("c"));
}

#[test]
fn a_key_with_more_to_do_goes_to_the_back() {
    let mut table = table(1);
    for key in ["hot", "b", "c"] {
        let _ = table.offer(key, Numbered(Removal, 1));
    }
    let mut turns = Vec::new();
    for _ in 0..5 {
        let (key, _) = table.take().unwrap();
        let _ = table.offer("hot", Numbered(Snapshot, 2));
        table.finish(key);
        turns.push(key);
    }
    assert_eq!(turns, ["hot", "b", "c", "hot", "hot"]);
}

#[test]
fn an_order_put_off_holds_no_slot_and_comes_back_in_time() {
    let (start, later) = (now(), now() + Duration::from_secs(9));
    let mut table = in_flight(Snapshot);
    assert!(table.defer(&"a", Numbered(Snapshot, 1), later, RequeuePolicy::UntilSuperseded).is_empty());
    assert_eq!(table.stats(), Stats { keys: 1, deferred: 1, ..Stats::default() });
    assert_eq!(table.next_deferred(), Some(later));
    table.promote(start);
    assert_eq!(table.take(), None);
    table.promote(later);
    assert_eq!(table.take(), Some(("a", Numbered(Snapshot, 1))));
}

#[test]
fn an_order_put_off_is_replaced_as_the_matrix_says_or_queued_behind() {
    let later = now() + Duration::from_secs(9);
    for first in [Snapshot, Removal, Toggle] {
        for second in [Snapshot, Removal, Toggle] {
            let mut table = in_flight(first);
            let _ = table.defer(&"a", Numbered(first, 1), later, RequeuePolicy::UntilSuperseded);
            let displaced = numbers(table.offer("a", Numbered(second, 2)));
            let next = table.take().map(|t| t.1.1);
            if first.superseded_by(second) {
                assert_eq!((displaced, next), (vec![1], Some(2)), "{first:?} {second:?}");
            } else {
                assert_eq!((displaced, next), (vec![], None), "{first:?} {second:?}");
                table.promote(later);
                assert_eq!(table.take().map(|t| t.1.1), Some(1));
            }
        }
    }
}

#[test]
fn a_parked_order_goes_with_any_newer_one() {
    let later = now() + Duration::from_secs(9);
    for second in [Snapshot, Removal, Toggle] {
        let mut table = in_flight(Removal);
        let _ = table.defer(&"a", Numbered(Removal, 1), later, RequeuePolicy::UntilNewer);
        assert_eq!(numbers(table.offer("a", Numbered(second, 2))), [1]);
        assert_eq!(table.take().map(|t| t.1.1), Some(2));
        assert_eq!(table.next_deferred(), None);
    }
}

#[test]
fn what_came_meanwhile_counts_when_an_order_is_put_off() {
    let later = now() + Duration::from_secs(9);
    let mut table = in_flight(Snapshot);
    let _ = table.offer("a", Numbered(Toggle, 2));
    assert_eq!(numbers(table.defer(&"a", Numbered(Snapshot, 1), later, RequeuePolicy::UntilNewer)), [1]);
    assert_eq!(table.take().map(|t| t.1.1), Some(2));

    let mut table = in_flight(Snapshot);
    let _ = table.offer("a", Numbered(Toggle, 2));
    assert!(table.defer(&"a", Numbered(Snapshot, 1), later, RequeuePolicy::UntilSuperseded).is_empty());
    assert_eq!(table.take(), None, "the toggle queues behind the snapshot");
}

#[test]
fn a_wake_makes_a_deferred_key_ready_and_is_not_lost_in_flight() {
    let later = now() + Duration::from_secs(9);
    let mut table = in_flight(Snapshot);
    table.wake(&"a");
    let _ = table.defer(&"a", Numbered(Snapshot, 1), later, RequeuePolicy::UntilSuperseded);
    assert!(table.take().is_some(), "woken while in flight");
    let _ = table.defer(&"a", Numbered(Snapshot, 1), later, RequeuePolicy::UntilSuperseded);
    assert_eq!(table.take(), None, "a wake counts once");
    table.wake(&"a");
    table.wake(&"a");
    assert!(table.take().is_some());
    assert_eq!(table.stats().ready, 0);
    table.wake(&"unknown");
    assert_eq!(table.stats().keys, 1);
}

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::{stack::object::Resource, time};

const SECOND: Duration = Duration::from_secs(1);
const OWN: Duration = Duration::from_secs(8);

fn class(plural: &str) -> FailureClass {
    FailureClass::Write { verb: "create", kind: Resource::new(plural, plural, plural) }
}

fn stack(n: usize) -> StackName {
    StackName::new(&format!("org-{n:04}")).unwrap()
}

fn names(stacks: &[StackName]) -> Vec<String> {
    stacks.iter().map(|stack| stack.as_str().to_owned()).collect()
}

/// So many stacks failed, one after the other.
fn failed(window: usize, stacks: usize) -> (CircuitBreakers, Instant) {
    let (mut breakers, start) = (CircuitBreakers::new(window, 1), time::now());
    for n in 0..stacks {
        breakers.waits(&stack(n), &class("ledgers"), start + OWN, start);
    }
    (breakers, start)
}

#[test]
fn while_nothing_succeeds_one_stack_a_second_is_tried_in_turn() {
    let (mut breakers, start) = failed(100, 5);
    let (mut now, mut tried) = (start, Vec::new());
    while now < start + 10 * SECOND {
        now = breakers.next().expect("somebody waits");
        let called = breakers.due(now);
        assert_eq!(called.len(), 1);
        assert!(breakers.begins(&called[0]));
        let at = breakers.waits(&called[0], &class("ledgers"), now + OWN, now);
        assert!(at > now + 100 * SECOND, "it waits to be called");
        tried.push(called[0].clone());
    }
    assert!((9..=14).contains(&tried.len()), "{} in ten seconds", tried.len());
    let all: BTreeSet<_> = tried[..5].iter().collect();
    assert_eq!((all.len(), names(&tried[..2])), (5, names(&[stack(0), stack(1)])));
}

#[test]
fn a_success_calls_all_the_oldest_first_and_no_more_than_the_shard_can_work_on() {
    let (mut breakers, start) = failed(2, 5);
    let now = start + 60 * SECOND;
    let ended = breakers.succeeded(&class("ledgers"), now);
    assert_eq!(ended, Some(OutageEnded { lasted: 60 * SECOND, waiting: 5 }));
    assert_eq!(breakers.due(now), [stack(0), stack(1)]);
    assert_eq!(breakers.due(now), []);
    assert!(breakers.begins(&stack(1)), "its pause is over");
    assert!(breakers.ends(&stack(1), now));
    assert_eq!(breakers.due(now), [stack(2)]);
    assert!(breakers.begins(&stack(0)) && breakers.ends(&stack(0), now));
    assert!(breakers.begins(&stack(2)) && breakers.ends(&stack(2), now));
    assert_eq!(breakers.due(now), [stack(3), stack(4)]);
    assert_eq!(breakers.succeeded(&class("ledgers"), now), None, "that was all");
}

#[test]
fn when_it_was_not_over_only_those_that_were_called_have_failed() {
    let (mut breakers, now) = failed(3, 100);
    breakers.succeeded(&class("ledgers"), now);
    for stack in breakers.due(now) {
        breakers.begins(&stack);
        breakers.waits(&stack, &class("ledgers"), now + OWN, now);
    }
    assert_eq!(breakers.due(now), []);
    let at = breakers.next().expect("a probe");
    assert_eq!(breakers.due(at).len(), 1);
    assert!(at > now && at <= now + SECOND);
}

#[test]
fn who_fails_while_others_succeed_soon_keeps_to_its_own_backoff() {
    let (mut breakers, now) = failed(10, 1);
    let mut extra = 0;
    for n in 0..50 {
        breakers.succeeded(&class("ledgers"), now);
        for stack in breakers.due(now) {
            extra += 1;
            breakers.begins(&stack);
            let at = breakers.waits(&stack, &class("ledgers"), now + OWN, now);
            assert_eq!(at == now + OWN, extra > MOST_VAIN as usize, "in round {n}");
        }
    }
    assert_eq!(extra, 1 + MOST_VAIN as usize);
    assert!(breakers.ends(&stack(0), now), "once it is well, that is forgotten");
    breakers.waits(&stack(0), &class("ledgers"), now + OWN, now);
    breakers.succeeded(&class("ledgers"), now);
    assert_eq!(breakers.due(now), [stack(0)]);
}

#[test]
fn a_probe_that_came_to_something_else_is_followed_by_another_at_once() {
    let (mut breakers, start) = failed(10, 3);
    let now = breakers.next().expect("a probe");
    assert!(now > start);
    let called = breakers.due(now);
    assert!(breakers.begins(&called[0]) && breakers.ends(&called[0], now));
    assert_eq!(breakers.due(now), [stack(1)]);
}

#[test]
fn what_goes_well_elsewhere_says_nothing() {
    let (mut breakers, now) = failed(10, 3);
    assert_eq!(breakers.succeeded(&class("stacks"), now), None);
    assert_eq!(breakers.succeeded(&FailureClass::Any, now), None);
    assert_eq!(breakers.due(now), []);
}

#[test]
fn a_first_failure_is_not_waited_for_longer_than_its_own_backoff() {
    let (mut breakers, now) = (CircuitBreakers::new(10, 1), time::now());
    let own = now + Duration::from_millis(300);
    breakers.waits(&stack(0), &class("ledgers"), own, now);
    assert_eq!(breakers.next(), Some(own));
}

#[test]
fn probes_that_are_not_answered_do_not_pile_up() {
    let (mut breakers, mut now) = failed(100, 1000);
    let mut called = 0;
    for _ in 0..1000 {
        called += breakers.due(now).len();
        now += SECOND;
    }
    assert_eq!(called, PROBES);
}

#[derive(Debug, Clone)]
enum Deed {
    Fail(usize, bool),
    End(usize),
    Succeed(bool),
    Wait(u64),
}

fn deed() -> impl Strategy<Value = Deed> {
    prop_oneof![
        (0usize..12, any::<bool>()).prop_map(|(stack, class)| Deed::Fail(stack, class)),
        (0usize..12).prop_map(Deed::End),
        any::<bool>().prop_map(Deed::Succeed),
        (0u64..3000).prop_map(Deed::Wait),
    ]
}

proptest! {
    /// Whatever happens, nobody is called twice, no more than may be are, and nobody is forgotten.
    #[test]
    fn everybody_is_called_in_the_end(deeds in prop::collection::vec(deed(), 0..200)) {
        let (mut breakers, mut now) = (CircuitBreakers::new(3, 1), time::now());
        let classes = [class("ledgers"), class("stacks")];
        let (mut waiting, mut called) = (BTreeSet::new(), BTreeSet::new());
        for deed in deeds {
            match deed {
                Deed::Fail(n, which) => {
                    breakers.begins(&stack(n));
                    let at = breakers.waits(&stack(n), &classes[usize::from(which)], now + OWN, now);
                    called.remove(&stack(n));
                    waiting.remove(&stack(n));
                    if at != now + OWN {
                        waiting.insert(stack(n));
                    }
                }
                Deed::End(n) => {
                    breakers.begins(&stack(n));
                    breakers.ends(&stack(n), now);
                    called.remove(&stack(n));
                    waiting.remove(&stack(n));
                }
                Deed::Succeed(which) => {
                    breakers.succeeded(&classes[usize::from(which)], now);
                }
                Deed::Wait(millis) => now += Duration::from_millis(millis),
            }
            for stack in breakers.due(now) {
                prop_assert!(waiting.remove(&stack), "{stack} does not wait");
                called.insert(stack);
            }
            prop_assert!(breakers.under_way <= breakers.window);
        }
        for stack in called {
            breakers.begins(&stack);
            breakers.ends(&stack, now);
        }
        for _ in 0..20 {
            for class in &classes {
                breakers.succeeded(class, now);
            }
            for stack in breakers.due(now) {
                prop_assert!(waiting.remove(&stack));
                breakers.begins(&stack);
                breakers.ends(&stack, now);
            }
        }
        prop_assert!(waiting.is_empty(), "{waiting:?} were forgotten");
        prop_assert_eq!((breakers.under_way, breakers.classes.len()), (0, 0));
    }
}

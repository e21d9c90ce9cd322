//! The real machine on one Stack, through every interleaving of orders, deliveries, lost
//! answers, deadlines, events of a watch that lags, a finalizer and another writer, within small
//! bounds.
//!
//! Checked: where nothing can happen any more, the cluster shows the newest order; and once an
//! order is done, no older patch or delete takes effect. (An older create can; it is put right.)
//! The same check finds a counterexample as soon as a safeguard is taken out (`cargo xtask safeguards`).

use super::*;
use crate::stack::object::{Catalog, Object};

mod check;

use check::{Check, CheckStage, CheckState};

/// What is enumerated.
struct Bounds {
    /// A stack with a Ledger instead of a bare one.
    child: bool,
    orders: usize,
    lost_answers: u8,
    other_writes: u8,
    finalizer: bool,
    wakes: bool,
    options: MachineOptions,
}

/// MachineOptions whose paces take no time at all, since time stands still here.
fn timeless() -> MachineOptions {
    let none = (Duration::ZERO, Duration::ZERO);
    MachineOptions { retry: none, rejected: none, ..MachineOptions::default() }
}

/// A full order.
fn full(versions: &str, modules: &[&str]) -> Change {
    let modules = modules.iter().map(|m| (*m).to_owned()).collect();
    Change::Existing(Box::new(Snapshot { versions: versions.into(), modules, ..Snapshot::default() }))
}

/// Every sequence of so many orders at most, of these.
fn sequences(orders: usize, kinds: &[Change]) -> Vec<Vec<Change>> {
    let mut all: Vec<Vec<Change>> = vec![Vec::new()];
    let mut longer = all.clone();
    for _ in 0..orders {
        longer = longer
            .iter()
            .flat_map(|head| kinds.iter().map(move |kind| [&head[..], std::slice::from_ref(kind)].concat()))
            .filter(|orders| orders.windows(2).all(|pair| pair[0] != pair[1]))
            .collect();
        all.extend(longer.clone());
    }
    all
}

/// Every sequence of orders, from an empty cluster and from one that shows the first of them.
fn check(bounds: &Bounds) -> Result<usize, String> {
    let modules = catalog().modules.into_iter().filter(|module| bounds.child && module.singular == "ledger");
    let context =
        Rc::new(MachineContext::new(Catalog::new(modules.collect()), base_url(), bounds.options.clone(), 7));
    let mut kinds = if bounds.child {
        vec![full("a", &["ledger"]), full("a", &[]), full("b", &["ledger"]), Change::Deleted]
    } else {
        vec![full("a", &[]), full("b", &[]), Change::Deleted, Change::Disabled(true)]
    };
    if bounds.orders > 2 {
        kinds.push(Change::Disabled(false));
    }
    let mut states = 0;
    for orders in sequences(bounds.orders, &kinds) {
        for start in [None, Some(kinds[0].clone())] {
            let mut rig = StackRig::new();
            rig.context = Rc::clone(&context);
            if let Some(change) = start.clone() {
                assert_eq!(rig.run(Order { stack: stack_name(), change }), MachineStep::Done);
                rig.world.log.clear();
                rig.watch.follow(&rig.world);
                rig.watch.tidy(&rig.store);
            }
            if bounds.finalizer {
                rig.world.held.insert("stacks".into());
            }
            let first = CheckState {
                world: rig.world,
                store: rig.store,
                watch: rig.watch,
                stage: CheckStage::Idle(Carryover::default()),
                net: Vec::new(),
                todo: 0,
                lost_answers: bounds.lost_answers,
                other_writes: bounds.other_writes,
            };
            let shown = format!("{start:?}");
            let check = Check {
                context: Rc::clone(&context),
                orders: &orders,
                now: rig.now,
                start,
                wakes: bounds.wakes,
            };
            states += check
                .run(first)
                .map_err(|way| format!("start {shown}, orders {orders:?}:\n  {}", way.join("\n  ")))?;
        }
    }
    Ok(states)
}

fn bounds() -> Bounds {
    Bounds {
        child: false,
        orders: 2,
        lost_answers: 1,
        other_writes: 1,
        finalizer: true,
        wakes: true,
        options: timeless(),
    }
}

fn holds(bounds: &Bounds) {
    match check(bounds) {
        Ok(states) => println!("holds: {states} states"),
        Err(way) => panic!("counterexample: {way}"),
    }
}

#[test]
fn the_newest_order_stands_whatever_is_late_lost_or_held() {
    holds(&bounds());
}

#[test]
fn the_newest_order_stands_where_nothing_holds_a_deleted_stack() {
    holds(&Bounds { finalizer: false, other_writes: 0, ..bounds() });
}

#[test]
fn the_newest_order_stands_where_a_lost_answer_puts_the_machine_away() {
    let retry = (Duration::from_millis(1), Duration::from_millis(1));
    holds(&Bounds { options: MachineOptions { retry, ..timeless() }, ..bounds() });
}

#[test]
fn two_lost_answers_are_no_worse() {
    holds(&Bounds { lost_answers: 2, other_writes: 0, finalizer: false, ..bounds() });
}

#[test]
fn the_newest_order_stands_for_a_child_too() {
    holds(&Bounds { child: true, other_writes: 0, ..bounds() });
}

#[test]
#[ignore = "minutes in debug builds"]
fn three_orders_for_a_child_are_no_worse() {
    holds(&Bounds { child: true, orders: 3, other_writes: 0, ..bounds() });
}

#[test]
#[ignore = "minutes in debug builds"]
fn three_orders_and_two_lost_answers_are_no_worse() {
    holds(&Bounds { orders: 3, lost_answers: 2, ..bounds() });
}

#[test]
fn without_a_wake_an_order_that_waits_is_never_done() {
    let way = check(&Bounds { wakes: false, ..bounds() }).expect_err("a counterexample");
    assert!(way.contains("the end"), "{way}");
}

//! Writes whose answers never come.

use super::*;

const STACK: &str = "stacks/org-stack";

/// A stack with these modules alone.
fn plain(versions: &str, modules: &[&str]) -> Order {
    let modules = modules.iter().map(|m| (*m).to_owned()).collect();
    existing(Snapshot { versions: versions.into(), modules, clients: Default::default(), ..snapshot() })
}

fn versions(name: &str) -> Order {
    plain(name, &[])
}

/// Takes the first write out of the air; the rest go through.
fn holding(held: &mut Option<Write>) -> impl FnMut(&mut ModelCluster, &Write) -> WriteAnswer {
    move |world, write| match held {
        None => {
            *held = Some(write.clone());
            unknown()
        }
        Some(_) => world.write(write),
    }
}

fn nothings(rig: &StackRig) -> usize {
    rig.notices.iter().filter(|notice| matches!(notice, Notice::NothingToDelete { .. })).count()
}

#[test]
fn a_late_update_is_fenced_off_where_the_newer_order_needs_no_write() {
    let mut rig = StackRig::new();
    rig.run(versions("a"));
    let mut held = None;
    let (step, _) = rig.run_with(versions("b"), &mut holding(&mut held));
    assert!(matches!(step, MachineStep::Retry { .. }));
    assert!(!rig.memory.is_empty());

    assert_eq!(rig.settle(versions("a")), MachineStep::Done);
    assert!(rig.memory.is_empty());
    assert_eq!(rig.world.write(&held.expect("held")), WriteAnswer::Conflict);
    assert_eq!(rig.spec(STACK)["versionsFromFile"], "a");
    rig.count();
    assert_eq!(rig.run(versions("a")), MachineStep::Done);
    assert_eq!(rig.count(), (0, 0), "the fence is no drift");
}

#[test]
fn a_late_delete_is_fenced_off() {
    let mut rig = StackRig::new();
    rig.run(versions("a"));
    let mut held = None;
    rig.run_with(deleted(), &mut holding(&mut held));
    assert_eq!(rig.settle(versions("a")), MachineStep::Done);
    assert_eq!(rig.world.write(&held.expect("held")), WriteAnswer::Conflict);
    assert_eq!(rig.world.keys(), [STACK]);
}

#[test]
fn a_write_that_was_applied_and_not_answered_needs_no_fence() {
    let mut rig = StackRig::new();
    rig.run(versions("a"));
    let mut applied = |world: &mut ModelCluster, write: &Write| {
        world.write(write);
        unknown()
    };
    let (step, order) = rig.run_with(versions("b"), &mut applied);
    let MachineStep::Retry { at } = step else { panic!("{step:?}") };
    rig.count();
    rig.now = at;
    assert_eq!(rig.rerun(order), MachineStep::Done);
    assert_eq!(rig.count(), (0, 0), "the store shows it");
    assert!(rig.memory.is_empty());
}

#[test]
fn a_late_create_of_a_deleted_stack_is_deleted_again_when_it_is_seen() {
    let mut rig = StackRig::new();
    let mut held = None;
    rig.run_with(versions("a"), &mut holding(&mut held));
    let (step, order) = rig.run_with(deleted(), &mut ModelCluster::write);
    assert_eq!(step, MachineStep::Attend { at: rig.now + Duration::from_secs(30) });
    assert_eq!(nothings(&rig), 1);
    assert_eq!(rig.count(), (1, 1), "the lost create, and whether it has arrived");
    let (step, order) = rig.rerun_with(order, &mut ModelCluster::write);
    assert!(matches!(step, MachineStep::Attend { .. }));
    assert_eq!(rig.count(), (0, 0), "a look costs nothing");

    assert!(rig.memory.awaits(&at_key(STACK)));
    assert!(matches!(rig.world.write(&held.expect("held")), WriteAnswer::Stored(_)));
    assert_eq!(rig.rerun(order), MachineStep::Done);
    assert!(rig.world.keys().is_empty());
    assert!(rig.memory.is_empty(), "seen, so it has arrived");
    assert_eq!(nothings(&rig), 1, "told once");
}

#[test]
fn a_delete_of_nothing_that_is_ordered_once_more_is_told_once_more() {
    let mut rig = StackRig::new();
    let mut held = None;
    rig.run_with(versions("a"), &mut holding(&mut held));
    for told in 1..4 {
        let (step, order) = rig.run_with(deleted(), &mut ModelCluster::write);
        assert!(matches!(step, MachineStep::Attend { .. }));
        assert_eq!(nothings(&rig), told);
        assert!(matches!(rig.rerun(order), MachineStep::Attend { .. }));
        assert_eq!(nothings(&rig), told, "not by another run of the same one");
    }
}

#[test]
fn a_lost_create_is_forgotten_after_ten_minutes_of_absence() {
    let mut rig = StackRig::new();
    let mut held = None;
    rig.run_with(versions("a"), &mut holding(&mut held));
    let start = rig.now;
    let (mut step, mut order) = rig.run_with(deleted(), &mut ModelCluster::write);
    let mut looks = 0;
    while let MachineStep::Attend { at } = step {
        assert!(at > rig.now && at <= rig.now + Duration::from_secs(30));
        rig.now = at;
        (step, order) = rig.rerun_with(order, &mut ModelCluster::write);
        looks += 1;
    }
    assert_eq!(step, MachineStep::Done);
    assert_eq!(rig.now, start + Duration::from_secs(600));
    assert_eq!(looks, 20);
    assert!(rig.memory.is_empty());
}

#[test]
fn a_lost_create_that_was_sent_twice_is_remembered_while_the_object_stands() {
    let mut rig = StackRig::new();
    let mut held = None;
    let (_, order) = rig.run_with(versions("a"), &mut holding(&mut held));
    assert!(matches!(rig.settle(order), MachineStep::Attend { .. }));
    // Now the stack is deleted, and the first create arrives after all.
    let (step, order) = rig.run_with(deleted(), &mut ModelCluster::write);
    assert!(matches!(step, MachineStep::Attend { .. }));
    assert!(matches!(rig.world.write(&held.expect("held")), WriteAnswer::Stored(_)));
    assert!(matches!(rig.rerun(order), MachineStep::Attend { .. }));
    assert!(rig.world.keys().is_empty());
}

#[test]
fn a_late_create_of_a_child_that_a_newer_order_dropped_is_deleted() {
    let mut rig = StackRig::new();
    rig.run(versions("a"));
    let mut held = None;
    rig.run_with(plain("a", &["ledger"]), &mut holding(&mut held));
    let (step, order) = rig.run_with(versions("a"), &mut ModelCluster::write);
    assert!(matches!(step, MachineStep::Attend { .. }));
    assert!(matches!(rig.world.write(&held.expect("held")), WriteAnswer::Stored(_)));
    assert_eq!(rig.rerun(order), MachineStep::Done);
    assert_eq!(rig.world.keys(), [STACK]);
}

#[test]
fn a_late_create_of_a_deleted_stacks_child_is_deleted() {
    let mut rig = StackRig::new();
    rig.run(versions("a"));
    let mut held = None;
    rig.run_with(plain("a", &["ledger"]), &mut holding(&mut held));
    let (step, order) = rig.run_with(deleted(), &mut ModelCluster::write);
    assert!(matches!(step, MachineStep::Attend { .. }));
    assert!(matches!(rig.world.write(&held.expect("held")), WriteAnswer::Stored(_)));
    assert_eq!(rig.rerun(order), MachineStep::Done);
    assert!(rig.world.keys().is_empty());
}

#[test]
fn a_late_create_under_a_dead_stacks_uid_is_deleted_and_made_anew() {
    let mut rig = StackRig::new();
    rig.run(versions("a"));
    let mut held = None;
    rig.run_with(plain("a", &["ledger"]), &mut holding(&mut held));
    rig.run_with(deleted(), &mut ModelCluster::write);
    let mut arrives_first = |world: &mut ModelCluster, write: &Write| {
        if write.key().resource.kind == "Ledger"
            && let Some(late) = held.take()
        {
            assert!(matches!(world.write(&late), WriteAnswer::Stored(_)));
        }
        world.write(write)
    };
    let (step, _) = rig.run_with(plain("a", &["ledger"]), &mut arrives_first);
    assert_eq!(step, MachineStep::Done);
    let uid = rig.world.get(&at_key(STACK)).expect("there").uid;
    let ledger = rig.world.get(&at_key("ledgers/org-stack")).expect("there");
    assert_eq!(ledger.owners.iter().map(|o| &o.uid).collect::<Vec<_>>(), [&uid]);
}

#[test]
fn a_late_update_of_a_child_is_fenced_off() {
    let mut rig = StackRig::new();
    rig.run(existing(snapshot()));
    let mut held = None;
    let other = Snapshot { clients: [("web".into(), false)].into(), ..snapshot() };
    rig.run_with(existing(other), &mut holding(&mut held));
    assert_eq!(rig.settle(existing(snapshot())), MachineStep::Done);
    let late = held.expect("held");
    assert_eq!(late.key().to_string(), "authclients/org-stack-web");
    assert_eq!(rig.world.write(&late), WriteAnswer::Conflict);
}

#[test]
fn a_toggle_that_arrives_while_something_is_in_doubt_becomes_the_full_order() {
    let mut rig = StackRig::new();
    rig.run(existing(snapshot()));
    let mut held = None;
    rig.run_with(existing(Snapshot { versions: "b".into(), ..snapshot() }), &mut holding(&mut held));
    assert_eq!(rig.settle(toggle(true)), MachineStep::Done);
    assert_eq!(rig.spec(STACK), json!({"versionsFromFile": "b", "disabled": true}));
    assert_eq!(rig.world.write(&held.expect("held")), WriteAnswer::Conflict);
}

#[test]
fn a_toggle_of_a_stack_that_was_deleted_with_something_in_doubt_stays_deleted() {
    let mut rig = StackRig::new();
    let mut held = None;
    rig.run_with(versions("a"), &mut holding(&mut held));
    let (_, order) = rig.run_with(deleted(), &mut ModelCluster::write);
    assert_eq!(order.change, Change::Deleted);
    let (step, order) = rig.run_with(toggle(false), &mut ModelCluster::write);
    assert_eq!(order.change, Change::Deleted);
    assert!(matches!(step, MachineStep::Attend { .. }));
}

#[test]
fn a_lost_toggle_is_fenced_off_by_the_opposite_one() {
    let mut rig = StackRig::new();
    rig.run(versions("a"));
    let mut held = None;
    rig.run_with(toggle(true), &mut holding(&mut held));
    assert_eq!(rig.settle(toggle(false)), MachineStep::Done);
    assert_eq!(rig.world.write(&held.expect("held")), WriteAnswer::Conflict);
    assert_eq!(rig.spec(STACK)["disabled"], false);
}

#[test]
fn a_replayed_order_runs_in_full_also_while_a_create_is_watched_for() {
    let mut rig = StackRig::new();
    let mut held = None;
    let (_, order) = rig.run_with(versions("a"), &mut holding(&mut held));
    assert!(matches!(rig.settle(order), MachineStep::Attend { .. }));
    let stack = at_key(STACK);
    rig.world.patch("kubectl", &stack, &json!({"spec": {"versionsFromFile": "drifted"}}));
    assert!(matches!(rig.run(versions("a")), MachineStep::Attend { .. }));
    assert_eq!(rig.spec(STACK)["versionsFromFile"], "a");
}

#[test]
fn a_refused_write_does_not_keep_an_older_lost_one_from_being_fenced_off() {
    let mut rig = StackRig::new();
    rig.run(versions("a"));
    let mut held = None;
    rig.run_with(versions("b"), &mut holding(&mut held));
    let mut refusing = |world: &mut ModelCluster, write: &Write| match write {
        Write::Patch { body, .. } if body.get("spec").is_some() => WriteAnswer::Refused(refusal(422)),
        _ => world.write(write),
    };
    let (step, _) = rig.run_with(versions("c"), &mut refusing);
    assert!(matches!(step, MachineStep::Rejected { .. }), "{step:?}");
    assert_eq!(rig.world.write(&held.expect("held")), WriteAnswer::Conflict);
}

#[test]
fn writes_in_flight_when_the_machine_is_put_away_are_in_doubt() {
    let mut rig = StackRig::new();
    let mut machine = rig.machine(versions("a"));
    assert!(machine.write(rig.now).is_some());
    let (_, memory) = machine.into_parts(rig.now);
    assert!(!memory.in_doubt.is_empty());
    assert_eq!(memory.newest, Some(versions("a").change));
}

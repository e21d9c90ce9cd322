//! What a machine makes of a store that lags, moves under its hands, or wakes it.

use super::*;

const STACK: &str = "stacks/org-stack";

fn bare(versions: &str) -> Order {
    existing(Snapshot { versions: versions.into(), ..Snapshot::default() })
}

#[test]
fn an_end_is_none_once_the_store_shows_more() {
    let mut rig = StackRig::new();
    rig.run(bare("a"));
    let mut machine = rig.machine(bare("a"));
    assert_eq!(machine.next(rig.now), MachineStep::Done);
    assert!(machine.is_plain());
    rig.world.patch("kubectl", &at_key(STACK), &json!({"spec": {"versionsFromFile": "drifted"}}));
    rig.refresh(&mut machine);
    assert_eq!(machine.next(rig.now), MachineStep::Write);
    assert!(!machine.is_plain());
    assert_eq!(rig.drive(&mut machine, &mut ModelCluster::write), MachineStep::Done);
    assert_eq!(rig.spec(STACK)["versionsFromFile"], "a");
}

#[test]
fn a_permit_in_hand_serves_the_newest_sight() {
    let mut rig = StackRig::new();
    rig.run(bare("a"));
    let mut machine = rig.machine(bare("b"));
    assert_eq!(machine.next(rig.now), MachineStep::Write);
    rig.world.touch(&at_key(STACK));
    rig.refresh(&mut machine);
    let Some(Write::Patch { resource_version, .. }) = machine.write(rig.now) else { panic!("a patch") };
    assert_eq!(resource_version, rig.world.get(&at_key(STACK)).expect("there").resource_version);
    let mut machine = rig.machine(bare("b"));
    rig.world.patch("kubectl", &at_key(STACK), &json!({"spec": {"versionsFromFile": "b"}}));
    rig.refresh(&mut machine);
    assert_eq!(machine.write(rig.now), None, "nothing is missing any more");
}

#[test]
fn a_conflict_that_the_store_explains_costs_no_read() {
    let mut rig = StackRig::new();
    rig.run(bare("a"));
    let mut machine = rig.machine(bare("b"));
    let write = machine.write(rig.now).expect("a patch");
    rig.world.touch(&at_key(STACK));
    rig.refresh(&mut machine);
    machine.apply_answer(rig.now, &write, WriteAnswer::Conflict);
    assert_eq!(machine.next(rig.now), MachineStep::Write);
    assert_eq!(rig.drive(&mut machine, &mut ModelCluster::write), MachineStep::Done);
    assert_eq!(rig.reads, 0);
}

#[test]
fn a_lost_write_is_sent_once_more_and_looked_after_by_the_next_order_until_the_store_shows_more() {
    let mut rig = StackRig::new();
    rig.run(bare("a"));
    let mut machine = rig.machine(bare("b"));
    let write = machine.write(rig.now).expect("a patch");
    machine.apply_answer(rig.now, &write, unknown());
    rig.refresh(&mut machine);
    rig.now += Duration::from_secs(1);
    assert_eq!(machine.clone().write(rig.now), Some(write.clone()), "once more, on the same condition");
    let mut newer = machine.clone();
    newer.supersede(bare("c"));
    assert_eq!(newer.next(rig.now), MachineStep::Read(vec![at_key(STACK)]), "which did not send it");
    let mut shown = machine.clone();
    rig.world.write(&write);
    rig.refresh(&mut shown);
    assert_eq!(shown.next(rig.now), MachineStep::Done, "settled by sight");
    assert!(shown.is_plain());
}

#[test]
fn what_was_learnt_by_name_is_not_lost_on_the_next_run() {
    let mut rig = StackRig::new();
    let mut applied = |world: &mut ModelCluster, write: &Write| {
        world.write(write);
        unknown()
    };
    // The watch delivers nothing for a while.
    rig.pace = vec![0; 40].into_iter();
    let (step, order) = rig.run_with(bare("a"), &mut applied);
    let MachineStep::Retry { at } = step else { panic!("{step:?}") };
    rig.now = at;
    assert_eq!(rig.rerun(order), MachineStep::Done);
    assert_eq!(rig.count(), (1, 2), "the second create finds the name taken");
    assert!(rig.plain && rig.memory.is_empty(), "the store has what was read");
    assert_eq!(rig.store.of("org-stack").len(), 1);
    assert_eq!(rig.run(deleted()), MachineStep::Done);
    assert!(rig.world.keys().is_empty());
    assert!(rig.notices.iter().all(|notice| !matches!(notice, Notice::NothingToDelete { .. })));
    rig.pace = Vec::new().into_iter();
    rig.run(bare("a"));
    assert!(rig.memory.is_empty());
}

#[test]
fn a_stack_that_stood_is_never_nothing_to_delete() {
    let mut rig = StackRig::new();
    rig.run(bare("a"));
    rig.world.held.insert("stacks".into());
    let mut applied = |world: &mut ModelCluster, write: &Write| {
        world.write(write);
        world.finalize();
        unknown()
    };
    let (step, order) = rig.run_with(deleted(), &mut applied);
    let MachineStep::Retry { at } = step else { panic!("{step:?}") };
    rig.now = at;
    assert_eq!(rig.rerun(order), MachineStep::Done);
    assert!(rig.notices.iter().all(|notice| matches!(notice, Notice::Failed { .. })), "{:?}", rig.notices);
    assert_eq!(rig.run(deleted()), MachineStep::Done);
    assert!(matches!(rig.notices.last(), Some(Notice::NothingToDelete { .. })), "by now there is none");
}

#[test]
fn another_stacks_client_of_a_wanted_name_is_not_absent_because_the_store_shows_it_elsewhere() {
    let mut rig = StackRig::new();
    let theirs = json!({
        "metadata": {"labels": {"formance.com/stack": "org"}},
        "spec": {"id": "stack-web", "stack": "org"},
    });
    rig.world.create("Go-http-client", &at_key("authclients/org-stack-web"), theirs);
    let step = rig.run(existing(snapshot()));
    assert!(matches!(step, MachineStep::Rejected { .. }), "{step:?}");
    assert_eq!(rig.count(), (1, 5), "one create found the name taken, once");
    assert!(matches!(&rig.notices[..], [Notice::Clash { .. }]), "{:?}", rig.notices);
    assert!(!rig.plain);
}

#[test]
fn a_plain_end_is_one_without_faults_and_lost_creates() {
    let mut rig = StackRig::new();
    rig.run(existing(snapshot()));
    assert!(rig.plain);
    rig.run(existing(Snapshot { auth: None, ..snapshot() }));
    assert!(!rig.plain, "a fault");
    rig.run(toggle(true));
    assert!(!rig.plain, "no full order");
}

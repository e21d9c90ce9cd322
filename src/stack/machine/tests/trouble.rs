//! Refusals, failures and contention.

use std::sync::Arc;

use super::*;
use crate::stack::object::Resource;

#[test]
fn a_refused_child_is_rejected_and_holds_up_nothing() {
    let mut rig = StackRig::new();
    let mut answer = |world: &mut ModelCluster, write: &Write| match write.key().resource.kind.as_str() {
        "Gateway" => WriteAnswer::Refused(refusal(422)),
        _ => world.write(write),
    };
    let (step, order) = rig.run_with(existing(snapshot()), &mut answer);
    let MachineStep::Rejected { at } = step else { panic!("{step:?}") };
    assert!(at >= rig.now + Duration::from_secs(30), "at a slow pace");
    assert_eq!(rig.world.keys().len(), 4);
    assert_eq!(rig.notices.len(), 1, "{:?}", rig.notices);
    assert!(rig.notices[0].to_string().contains("create gateways/org-stack"), "{}", rig.notices[0]);

    rig.now = at;
    let (again, order) = rig.rerun_with(order, &mut answer);
    let MachineStep::Rejected { at: later } = again else { panic!("{again:?}") };
    assert!(later - at > Duration::from_secs(59), "slower still");
    assert_eq!(rig.notices.len(), 1, "said once");

    rig.now = later;
    assert_eq!(rig.rerun(order), MachineStep::Done);
    assert!(rig.memory.is_empty());
}

#[test]
fn a_refused_patch_of_the_stack_does_not_hold_up_its_children() {
    let mut rig = StackRig::new();
    rig.run(existing(Snapshot { modules: Default::default(), ..snapshot() }));
    let mut answer = |world: &mut ModelCluster, write: &Write| match write.key().resource.kind.as_str() {
        "Stack" => WriteAnswer::Refused(refusal(403)),
        _ => world.write(write),
    };
    let (step, _) = rig.run_with(existing(Snapshot { versions: "v3".into(), ..snapshot() }), &mut answer);
    assert!(matches!(step, MachineStep::Rejected { .. }));
    assert_eq!(rig.world.keys().len(), 5);
}

#[test]
fn a_field_that_the_server_drops_is_rejected_and_not_sent_for_ever() {
    let mut rig = StackRig::new();
    let mut answer = |world: &mut ModelCluster, write: &Write| {
        let answer = world.write(write);
        match answer {
            WriteAnswer::Stored(mut object) if object.key.resource.kind == "Gateway" => {
                object.spec["ingress"].take();
                WriteAnswer::Stored(object)
            }
            other => other,
        }
    };
    let (step, _) = rig.run_with(existing(snapshot()), &mut answer);
    assert!(matches!(step, MachineStep::Rejected { .. }), "{step:?}");
    assert_eq!(rig.writes.len(), 5, "each object once");
    assert!(rig.notices[0].to_string().contains("NotStored"), "{:?}", rig.notices);
}

#[test]
fn a_newer_order_drops_what_was_rejected() {
    let mut rig = StackRig::new();
    let mut refuse = |_: &mut ModelCluster, _: &Write| WriteAnswer::Refused(refusal(422));
    rig.run_with(existing(snapshot()), &mut refuse);
    assert_eq!(rig.run(existing(Snapshot { versions: "v3".into(), ..snapshot() })), MachineStep::Done);
    assert!(rig.memory.is_empty());
}

/// A machine whose first step is a read by name, since a create found its name taken by an
/// object that the store does not show.
fn reading(rig: &mut StackRig) -> (Machine, Vec<ObjectKey>) {
    let mut machine = rig.machine(existing(snapshot()));
    assert_eq!(machine.next(rig.now), MachineStep::Write);
    let write = machine.write(rig.now).expect("a write");
    machine.apply_answer(rig.now, &write, WriteAnswer::AlreadyExists);
    let MachineStep::Read(keys) = machine.next(rig.now) else { panic!("a read") };
    assert_eq!(keys, [at_key("stacks/org-stack")]);
    (machine, keys)
}

#[test]
fn a_refused_read_is_rejected() {
    let mut rig = StackRig::new();
    let (mut machine, keys) = reading(&mut rig);
    let error = ReadError::Refused { subject: "stacks".into(), refusal: refusal(403) };
    machine.observed(rig.now, &keys, Err(error));
    let MachineStep::Rejected { at } = machine.next(rig.now) else { panic!("later") };
    assert_eq!(machine.notices().len(), 1);
    let (_, order) = rig.end(machine, MachineStep::Await);
    assert_eq!(rig.rerun(order.clone()), MachineStep::Rejected { at }, "a wake does not bypass it");
    rig.now = at;
    assert_eq!(rig.rerun(order), MachineStep::Done);
}

#[test]
fn failures_back_off_per_stack_and_destroy_nothing() {
    let mut rig = StackRig::new();
    rig.run(existing(snapshot()));
    let log = rig.world.log.clone();
    let mut order = existing(Snapshot { versions: "v3".into(), ..snapshot() });
    let mut delays = Vec::new();
    for _ in 0..8 {
        let mut busy = |_: &mut ModelCluster, _: &Write| WriteAnswer::NotApplied {
            cause: "reset".into(),
            retry_after: None,
        };
        let (step, same) = rig.rerun_with(order, &mut busy);
        let MachineStep::Retry { at } = step else { panic!("later") };
        delays.push(at - rig.now);
        order = same;
        assert_eq!(rig.rerun(order.clone()), MachineStep::Retry { at }, "a wake does not bypass it");
        assert_eq!(rig.run(order.clone()), MachineStep::Retry { at }, "nor does the same order");
        rig.now = at;
    }
    assert!(delays[0] <= Duration::from_millis(500));
    assert!(delays[7] >= Duration::from_secs(5) && delays[7] <= Duration::from_secs(10));
    assert_eq!(rig.world.log, log);
    assert_eq!(rig.rerun(order), MachineStep::Done);
    assert!(rig.memory.is_empty());
}

#[test]
fn a_failed_read_backs_off_too() {
    let mut rig = StackRig::new();
    let (mut machine, keys) = reading(&mut rig);
    let error = ReadError::Failed { subject: "stacks".into(), cause: "reset".into(), retry_after: None };
    machine.observed(rig.now, &keys, Err(error));
    let MachineStep::Retry { at } = machine.next(rig.now) else { panic!("later") };
    let (_, order) = rig.end(machine, MachineStep::Await);
    rig.now = at;
    assert_eq!(rig.rerun(order), MachineStep::Done);
}

#[test]
fn a_different_order_does_not_wait_for_the_backoff_of_the_one_before() {
    let mut rig = StackRig::new();
    let mut busy =
        |_: &mut ModelCluster, _: &Write| WriteAnswer::NotApplied { cause: "429".into(), retry_after: None };
    rig.run_with(existing(snapshot()), &mut busy);
    assert_eq!(rig.run(existing(Snapshot { versions: "v3".into(), ..snapshot() })), MachineStep::Done);
}

#[test]
fn a_wake_does_not_bring_a_refused_write_on_and_the_same_order_does() {
    let mut rig = StackRig::new();
    let mut refuse = |world: &mut ModelCluster, write: &Write| match write.key().resource.kind.as_str() {
        "Gateway" => WriteAnswer::Refused(refusal(422)),
        _ => world.write(write),
    };
    let (step, order) = rig.run_with(existing(snapshot()), &mut refuse);
    let MachineStep::Rejected { at } = step else { panic!("{step:?}") };
    rig.count();
    let (again, order) = rig.rerun_with(order, &mut ModelCluster::write);
    assert_eq!((again, rig.count()), (MachineStep::Rejected { at }, (0, 0)));
    assert_eq!(rig.run(order), MachineStep::Done);
    // The Stack is read again: this run knows it from the store alone.
    assert_eq!(rig.count(), (1, 1));
}

#[test]
fn retry_after_is_honoured() {
    let mut rig = StackRig::new();
    let mut busy = |_: &mut ModelCluster, _: &Write| WriteAnswer::NotApplied {
        cause: "429".into(),
        retry_after: Some(Duration::from_secs(40)),
    };
    let (step, _) = rig.run_with(existing(snapshot()), &mut busy);
    let MachineStep::Retry { at } = step else { panic!("{step:?}") };
    assert!(at > rig.now + Duration::from_secs(40) && at < rig.now + Duration::from_secs(41));
}

#[test]
fn failures_of_writes_in_flight_together_count_once() {
    let mut rig = StackRig::new();
    let mut answer = |world: &mut ModelCluster, write: &Write| match write.key().resource.kind.as_str() {
        "Stack" => world.write(write),
        _ => WriteAnswer::NotApplied { cause: "503".into(), retry_after: None },
    };
    let (step, _) = rig.run_with(existing(snapshot()), &mut answer);
    let MachineStep::Retry { at } = step else { panic!("{step:?}") };
    assert!(at <= rig.now + Duration::from_millis(500));
}

#[test]
fn a_conflict_is_read_again_and_retried_a_bounded_number_of_times() {
    let mut rig = StackRig::new();
    rig.run(existing(snapshot()));
    rig.count();
    let mut contended = |world: &mut ModelCluster, write: &Write| {
        world.touch(write.key());
        world.write(write)
    };
    let (step, order) = rig.run_with(toggle(true), &mut contended);
    assert!(matches!(step, MachineStep::Retry { .. }), "{step:?}");
    assert_eq!(rig.count().1, 4);
    assert_eq!(rig.settle(order), MachineStep::Done);
    assert_eq!(rig.spec("stacks/org-stack")["disabled"], true);
}

#[test]
fn an_order_that_needs_a_kind_out_of_play_has_the_rest_and_is_completed_when_it_is_back() {
    let mut rig = StackRig::new();
    let all = catalog();
    let (out, modules) = all.modules.iter().cloned().partition(|kind| kind.singular == "ledger");
    let without = crate::stack::object::Catalog::new(modules).withholding(out);
    rig.context = Rc::new(MachineContext::new(without, base_url(), MachineOptions::default(), 7));
    let step = rig.run(existing(snapshot()));
    let MachineStep::Rejected { at } = step else { panic!("{step:?}") };
    assert!(at >= rig.now + Duration::from_secs(30), "it is woken when the kind is back");
    assert_eq!(rig.world.keys().len(), WHOLE_STACK.len() - 1, "{:?}", rig.world.keys());
    assert_eq!(rig.spec("ledgers/org-stack"), Value::Null);
    assert!(rig.notices[0].to_string().contains("cannot be listed: ledgers"), "{:?}", rig.notices);
    assert!(rig.memory.lacks_kinds() && !rig.plain);
    // Woken too early it does nothing and says nothing.
    let again = rig.rerun(existing(snapshot()));
    assert!(matches!(again, MachineStep::Rejected { .. }), "{again:?}");
    assert_eq!((rig.notices.len(), rig.writes.len()), (1, 4));

    rig.context = context();
    assert_eq!(rig.rerun(existing(snapshot())), MachineStep::Done);
    assert_eq!(rig.world.keys(), WHOLE_STACK);
    assert!(rig.memory.is_empty());
}

#[test]
fn what_stands_of_a_kind_out_of_play_is_left_alone_by_any_order() {
    let mut rig = StackRig::new();
    assert_eq!(rig.run(existing(snapshot())), MachineStep::Done);
    let all = catalog();
    let out = |kind: &Arc<Resource>| kind.singular == "ledger";
    let (mut out, modules): (Vec<_>, _) = all.modules.iter().cloned().partition(out);
    out.push(Arc::clone(&all.auth_client));
    let without = crate::stack::object::Catalog::new(modules).withholding(out);
    rig.context = Rc::new(MachineContext::new(without, base_url(), MachineOptions::default(), 7));
    // Neither client nor ledger is wanted any more, and both are known.
    let order = existing(Snapshot { modules: ["auth".into()].into(), clients: [].into(), ..snapshot() });
    assert_eq!(rig.run(order.clone()), MachineStep::Done);
    let left = ["auths/org-stack", "authclients/org-stack-web", "ledgers/org-stack", "stacks/org-stack"];
    assert_eq!(rig.world.keys(), left);
    rig.context = context();
    assert_eq!(rig.run(order), MachineStep::Done, "said again once they are back");
    assert_eq!(rig.world.keys(), ["auths/org-stack", "stacks/org-stack"]);
}

//! The machine against a tiny model of the API, one scenario per test.

use std::{collections::BTreeSet, time::Duration};

use serde_json::{Value, json};

use super::*;
use crate::{
    order::Snapshot,
    stack::{
        object::Object,
        testing::{ModelCluster, base_url, catalog, key, snapshot, stack_name},
        write::{ReadError, Refusal, Write, WriteAnswer},
    },
};

mod exhaustive;
mod lost;
mod owner_check;
mod property;
mod rig;
mod store;
mod trouble;
mod wake;

use rig::StackRig;

fn context() -> Rc<MachineContext> {
    Rc::new(MachineContext::new(catalog(), base_url(), MachineOptions::default(), 7))
}

fn existing(snapshot: Snapshot) -> Order {
    Order { stack: stack_name(), change: Change::Existing(Box::new(snapshot)) }
}

fn deleted() -> Order {
    Order { stack: stack_name(), change: Change::Deleted }
}

fn toggle(disabled: bool) -> Order {
    Order { stack: stack_name(), change: Change::Disabled(disabled) }
}

fn at_key(text: &str) -> ObjectKey {
    key(&catalog(), text)
}

fn refusal(code: u16) -> Refusal {
    Refusal { code, reason: "Invalid".into(), message: "spec.x: no".into() }
}

fn unknown() -> WriteAnswer {
    WriteAnswer::InDoubt { cause: "deadline".into(), retry_after: None }
}

const WHOLE_STACK: [&str; 5] = [
    "auths/org-stack",
    "authclients/org-stack-web",
    "gateways/org-stack",
    "ledgers/org-stack",
    "stacks/org-stack",
];

#[test]
fn an_existing_stack_is_created_stack_first() {
    let mut rig = StackRig::new();
    assert_eq!(rig.run(existing(snapshot())), MachineStep::Done);
    let mut keys = rig.world.keys();
    keys.sort();
    let mut expected = WHOLE_STACK;
    expected.sort_unstable();
    assert_eq!(keys, expected);
    assert_eq!(rig.writes[0].key().to_string(), "stacks/org-stack");
    assert!(rig.memory.is_empty());
    assert!(rig.notices.is_empty());
}

#[test]
fn children_fly_together_and_the_stack_flies_alone() {
    let mut rig = StackRig::new();
    let mut machine = rig.machine(existing(snapshot()));
    assert_eq!(machine.next(rig.now), MachineStep::Write);
    let stack = machine.write(rig.now).expect("the Stack");
    assert_eq!(machine.next(rig.now), MachineStep::Await);
    assert_eq!(machine.write(rig.now), None);
    let answer = rig.world.write(&stack);
    machine.apply_answer(rig.now, &stack, answer);
    let flying = (0..4).map(|_| (machine.next(rig.now), machine.write(rig.now)));
    assert!(
        flying.collect::<Vec<_>>().iter().all(|(step, write)| *step == MachineStep::Write && write.is_some())
    );
    assert_eq!(machine.next(rig.now), MachineStep::Await);
}

#[test]
fn a_replayed_order_costs_nothing() {
    let mut rig = StackRig::new();
    rig.run(existing(snapshot()));
    rig.count();
    assert_eq!(rig.run(existing(snapshot())), MachineStep::Done);
    assert_eq!(rig.count(), (0, 0));
}

#[test]
fn what_an_update_drops_goes() {
    let mut rig = StackRig::new();
    rig.run(existing(Snapshot { labels: [("formance.com/a".into(), "1".into())].into(), ..snapshot() }));
    let smaller = Snapshot { modules: ["ledger".into()].into(), clients: Default::default(), ..snapshot() };
    assert_eq!(rig.run(existing(smaller)), MachineStep::Done);
    assert_eq!(rig.world.keys().len(), 2, "Stack and Ledger: {:?}", rig.world.keys());
    let labels = &rig.world.json(&at_key("stacks/org-stack")).expect("there")["metadata"]["labels"];
    assert_eq!(labels.get("formance.com/a"), None);
}

#[test]
fn a_deleted_stack_is_the_stores_to_report() {
    let mut rig = StackRig::new();
    rig.run(existing(snapshot()));
    rig.count();
    assert_eq!(rig.run(deleted()), MachineStep::Done);
    assert_eq!(rig.count(), (0, 1));
    assert!(rig.notices.is_empty());
}

#[test]
fn deleting_what_is_not_there_is_said_without_a_write() {
    let mut rig = StackRig::new();
    assert_eq!(rig.run(deleted()), MachineStep::Done);
    assert_eq!(rig.count(), (1, 0), "by the API server's own word");
    assert_eq!(rig.notices, [Notice::NothingToDelete { stack: stack_name() }]);
    assert_eq!(rig.notices[0].to_string(), "stack org-stack: nothing to delete, there is no such Stack");
}

#[test]
fn a_stack_that_a_finalizer_holds_is_deleted_as_far_as_the_order_goes() {
    let mut rig = StackRig::new();
    rig.run(existing(snapshot()));
    rig.world.held.insert("stacks".into());
    assert_eq!(rig.run(deleted()), MachineStep::Done);
    assert!(rig.notices.is_empty(), "the end is yet to come");
}

#[test]
fn a_toggle_costs_one_write() {
    let mut rig = StackRig::new();
    rig.run(existing(snapshot()));
    rig.count();
    assert_eq!(rig.run(toggle(true)), MachineStep::Done);
    assert_eq!(rig.spec("stacks/org-stack"), json!({"versionsFromFile": "v2", "disabled": true}));
    assert_eq!(rig.count(), (0, 1));
    assert_eq!(rig.run(toggle(true)), MachineStep::Done);
    assert_eq!(rig.count(), (0, 0));
}

#[test]
fn a_toggle_without_a_stack_is_a_word_and_done() {
    let mut rig = StackRig::new();
    assert_eq!(rig.run(toggle(true)), MachineStep::Done);
    assert_eq!(rig.notices, [Notice::NoStack { stack: stack_name(), disabled: true }]);
}

#[test]
fn a_toggle_of_a_terminating_stack_is_a_word_and_done() {
    let mut rig = StackRig::new();
    rig.run(existing(snapshot()));
    rig.world.held.insert("stacks".into());
    rig.run(deleted());
    rig.count();
    assert_eq!(rig.run(toggle(false)), MachineStep::Done);
    assert_eq!(rig.count(), (0, 0));
    assert_eq!(rig.notices, [Notice::Terminating { stack: stack_name(), disabled: false }]);
}

#[test]
fn a_terminating_stack_is_waited_for_and_made_anew_with_everything_below_it() {
    let mut rig = StackRig::new();
    rig.run(existing(snapshot()));
    let old = rig.world.get(&at_key("stacks/org-stack")).expect("there").uid;
    rig.world.held.insert("stacks".into());
    rig.run(deleted());
    rig.count();
    let (step, order) = rig.run_with(existing(snapshot()), &mut ModelCluster::write);
    assert_eq!(step, MachineStep::Retry { at: rig.now + Duration::from_secs(30) });
    assert!(rig.memory.awaits(&at_key("stacks/org-stack")), "its end is an event");
    assert!(!rig.memory.awaits(&at_key("ledgers/org-stack")));
    rig.world.touch(&at_key("stacks/org-stack"));
    let (step, order) = rig.rerun_with(order, &mut ModelCluster::write);
    assert!(matches!(step, MachineStep::Retry { .. }));
    assert_eq!(rig.count(), (0, 0), "nothing under the dying uid");
    rig.world.finalize();
    assert_eq!(rig.rerun(order), MachineStep::Done);
    let new = rig.world.get(&at_key("stacks/org-stack")).expect("there").uid;
    assert_ne!(old, new);
    for child in WHOLE_STACK.iter().filter(|key| !key.starts_with("stacks")) {
        let object = rig.world.get(&at_key(child)).expect("there");
        assert_eq!(
            object.owners.iter().map(|o| o.uid.as_str()).collect::<Vec<_>>(),
            [new.as_str()],
            "{child}"
        );
    }
}

#[test]
fn an_object_that_stands_unlabelled_is_adopted() {
    let mut rig = StackRig::new();
    let ledger = at_key("ledgers/org-stack");
    rig.world.create(
        "kubectl",
        &ledger,
        json!({"metadata": {}, "spec": {"stack": "org-stack", "debug": true}}),
    );
    assert_eq!(rig.run(existing(snapshot())), MachineStep::Done);
    assert_eq!(rig.spec("ledgers/org-stack"), json!({"stack": "org-stack", "debug": true}));
    assert_eq!(rig.world.get(&ledger).expect("there").label("formance.com/stack"), Some("org-stack"));
}

#[test]
fn somebody_elses_object_is_reported_and_the_rest_is_applied() {
    let mut rig = StackRig::new();
    let client = at_key("authclients/org-stack-web");
    let theirs = json!({"metadata": {"labels": {"formance.com/stack": "org"}}, "spec": {"id": "stack-web"}});
    rig.world.create("Go-http-client", &client, theirs);
    let before = rig.world.json(&client).cloned();
    let step = rig.run(existing(snapshot()));
    assert!(matches!(step, MachineStep::Rejected { .. }), "{step:?}");
    assert_eq!(rig.world.json(&client).cloned(), before);
    assert_eq!(rig.world.keys().len(), 5);
    assert!(matches!(&rig.notices[..], [Notice::Clash { key, .. }] if *key == client));
}

#[test]
fn what_is_labelled_as_the_stacks_and_not_wanted_goes_whatever_its_name() {
    let mut rig = StackRig::new();
    rig.run(existing(snapshot()));
    let before = rig.world.keys();
    let labels = json!({"formance.com/created-by-agent": "true", "formance.com/stack": "org-stack"});
    for (key, spec) in [
        ("ledgers/second", json!({"stack": "org-stack"})),
        ("payments/org-other", json!({"stack": "org-other"})),
        ("authclients/stray", json!({"id": "stray"})),
    ] {
        let json = json!({"metadata": {"labels": labels}, "spec": spec});
        rig.world.create("kubectl", &at_key(key), json);
    }
    rig.count();
    assert_eq!(rig.run(existing(snapshot())), MachineStep::Done);
    assert_eq!(rig.count(), (0, 3));
    assert_eq!(rig.world.keys(), before);
    assert_eq!(rig.run(existing(snapshot())), MachineStep::Done);
    assert_eq!(rig.count(), (0, 0));
    assert!(rig.plain);
}

#[test]
fn a_newer_order_takes_over_between_writes() {
    let mut rig = StackRig::new();
    let mut machine = rig.machine(existing(snapshot()));
    machine.next(rig.now);
    let first = machine.write(rig.now).expect("the Stack");
    machine.supersede(deleted());
    assert_eq!(machine.next(rig.now), MachineStep::Await, "what is under way is awaited");
    assert_eq!(machine.write(rig.now), None);
    let answer = rig.world.write(&first);
    machine.apply_answer(rig.now, &first, answer);
    assert_eq!(rig.drive(&mut machine, &mut ModelCluster::write), MachineStep::Done);
    assert!(rig.world.keys().is_empty());
    assert_eq!(rig.writes.len(), 1, "nothing of the older order but what was under way");
}

#[test]
fn a_stack_is_not_deleted_under_a_child_that_is_being_created() {
    let mut rig = StackRig::new();
    rig.run(existing(Snapshot { modules: Default::default(), clients: Default::default(), ..snapshot() }));
    let mut machine = rig.machine(existing(snapshot()));
    let MachineStep::Read(stack) = machine.next(rig.now) else { panic!("its Stack is read first") };
    machine.observed(rig.now, &stack, Ok(rig.world.read(&stack)));
    let child = machine.write(rig.now).expect("a child");
    machine.supersede(deleted());
    assert_eq!((machine.next(rig.now), machine.write(rig.now)), (MachineStep::Await, None));
    let answer = rig.world.write(&child);
    machine.apply_answer(rig.now, &child, answer);
    assert_eq!(rig.drive(&mut machine, &mut ModelCluster::write), MachineStep::Done);
    assert_eq!(rig.world.keys(), [child.key().to_string()], "left to the garbage collector");
}

#[test]
fn a_permit_in_hand_serves_the_newest_order() {
    let mut rig = StackRig::new();
    let mut machine = rig.machine(existing(snapshot()));
    assert_eq!(machine.next(rig.now), MachineStep::Write);
    machine.supersede(existing(Snapshot { versions: "v9".into(), ..snapshot() }));
    let Some(Write::Create { body, .. }) = machine.write(rig.now) else { panic!("a create") };
    assert_eq!(body["spec"]["versionsFromFile"], "v9");
}

#[test]
fn a_refusal_of_the_older_order_does_not_park_the_newer() {
    let mut rig = StackRig::new();
    let mut machine = rig.machine(existing(snapshot()));
    let write = machine.write(rig.now).expect("the Stack");
    machine.supersede(existing(Snapshot { versions: "v9".into(), ..snapshot() }));
    machine.apply_answer(rig.now, &write, WriteAnswer::Refused(refusal(422)));
    assert_eq!(rig.drive(&mut machine, &mut ModelCluster::write), MachineStep::Done);
    assert!(rig.notices.is_empty());
}

#[test]
fn a_replay_of_an_order_on_its_way_says_nothing_twice() {
    let mut rig = StackRig::new();
    let order = existing(Snapshot { auth: None, ..snapshot() });
    let mut machine = rig.machine(order.clone());
    machine.supersede(order);
    assert_eq!(machine.notices().len(), 1);
    assert!(machine.is_faulty());
}

#[test]
fn faults_are_told_with_the_stacks_name() {
    let mut rig = StackRig::new();
    rig.run(existing(Snapshot { auth: None, ..snapshot() }));
    assert!(matches!(&rig.notices[..], [Notice::Faults { faults, .. }] if faults[0].field == "authConfig"));
    assert!(rig.notices[0].to_string().starts_with("stack org-stack: authConfig: "));
}

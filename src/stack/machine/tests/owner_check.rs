//! Children are written on a Stack that the API server has vouched for.

use super::*;

const STACK: &str = "stacks/org-stack";

/// A world whose Stack was deleted and made again with its children, and the Stack as it was before.
fn made_anew() -> (StackRig, Object) {
    let mut rig = StackRig::new();
    rig.run(existing(snapshot()));
    let old = rig.world.get(&at_key(STACK)).expect("a Stack");
    rig.run(deleted());
    rig.run(existing(snapshot()));
    let new = rig.world.get(&at_key(STACK)).expect("a Stack");
    assert_ne!(old.uid, new.uid);
    rig.memory = Carryover::default();
    (rig, old)
}

/// The end of this order where the store shows these objects; reads and writes reach the world.
fn shown(rig: &mut StackRig, objects: Vec<Object>) -> (MachineStep, Vec<Write>, usize) {
    let mut machine = Machine::new(existing(snapshot()), Carryover::default(), context(), OrderArrival::New);
    machine.refresh(objects);
    let (mut flying, mut writes, mut reads) = (Vec::new(), Vec::new(), 0);
    for _ in 0..100 {
        match machine.next(rig.now) {
            MachineStep::Read(keys) => {
                reads += keys.len();
                machine.observed(rig.now, &keys, Ok(rig.world.read(&keys)));
            }
            MachineStep::Write => flying.extend(machine.write(rig.now)),
            MachineStep::Await => {
                let write: Write = flying.remove(0);
                let answer = rig.world.write(&write);
                machine.apply_answer(rig.now, &write, answer);
                writes.push(write);
            }
            end => return (end, writes, reads),
        }
    }
    panic!("no end in sight: {machine:#?}");
}

fn remove(rig: &mut StackRig, object: Object) {
    let Object { key, uid, resource_version, .. } = object;
    rig.world.write(&Write::Delete { key, uid, resource_version });
}

fn children(rig: &StackRig) -> Vec<Object> {
    let keys = rig.world.keys();
    keys.iter().filter(|key| *key != STACK).filter_map(|key| rig.world.get(&at_key(key))).collect()
}

#[test]
fn children_of_a_stack_that_is_not_known_yet_are_no_orphans() {
    let (mut rig, old) = made_anew();
    let before = rig.world.heads();
    let objects = children(&rig).into_iter().chain([old]).collect();
    let (end, writes, reads) = shown(&mut rig, objects);
    assert_eq!((end, writes, reads), (MachineStep::Done, Vec::new(), 1));
    assert_eq!(rig.world.heads(), before);
}

#[test]
fn nothing_is_made_under_a_stack_that_is_gone() {
    let (mut rig, old) = made_anew();
    let ledger = rig.world.get(&at_key("ledgers/org-stack")).expect("a Ledger");
    remove(&mut rig, ledger);
    let objects = children(&rig).into_iter().chain([old]).collect();
    let (end, writes, _) = shown(&mut rig, objects);
    assert_eq!(end, MachineStep::Done);
    let [Write::Create { body, .. }] = writes.as_slice() else { panic!("{writes:?}") };
    let new = rig.world.get(&at_key(STACK)).expect("a Stack");
    assert_eq!(body["metadata"]["ownerReferences"][0]["uid"], *new.uid);
}

#[test]
fn what_an_earlier_stack_left_behind_goes_once_the_stack_was_read() {
    let mut rig = StackRig::new();
    rig.run(existing(snapshot()));
    let left = children(&rig);
    let stack = rig.world.get(&at_key(STACK)).expect("a Stack");
    remove(&mut rig, stack);
    let (end, writes, reads) = shown(&mut rig, left.clone());
    assert_eq!(end, MachineStep::Done);
    let deleted = writes.iter().filter(|write| matches!(write, Write::Delete { .. })).count();
    // The answer to the create is from after the orphans were seen, and yet it does not count: a
    // read is cheap, and this is seldom.
    assert_eq!((deleted, reads), (left.len(), 1));
    let new = rig.world.get(&at_key(STACK)).expect("a Stack");
    let owned = |child: &Object| child.owners.iter().all(|owner| owner.uid == new.uid);
    assert!(children(&rig).iter().all(owned));
    assert_eq!(children(&rig).len(), left.len());
}

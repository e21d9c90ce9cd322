//! The machine against a tiny model of the API, one scenario per test.

use std::time::Duration;

use serde_json::{Value, json};

use super::*;
use crate::{
    order::{Fault, Snapshot},
    stack::{
        report::Report,
        testing::{World, base_url, catalog, key, snapshot, stack_name},
        write::{Answer, ReadError, Refusal},
    },
};

mod exhaustive;
mod lost;
mod property;
mod trouble;

fn context() -> Rc<Context> {
    Rc::new(Context::new(catalog(), base_url(), Options::default(), 7))
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

/// A shard's part for one stack: keeps the memory, performs steps on a world, counts requests.
struct Rig {
    world: World,
    context: Rc<Context>,
    memory: Memory,
    now: Instant,
    notices: Vec<Notice>,
    reads: usize,
    writes: Vec<Write>,
}

impl Rig {
    fn new() -> Self {
        Self {
            world: World::default(),
            context: context(),
            memory: Memory::default(),
            now: crate::time::now(),
            notices: Vec::new(),
            reads: 0,
            writes: Vec::new(),
        }
    }

    fn machine(&mut self, order: Order) -> Machine {
        Machine::new(order, std::mem::take(&mut self.memory), Rc::clone(&self.context))
    }

    /// Runs an order once, `answer` standing between the writes and the world.
    fn run_with(
        &mut self,
        order: Order,
        answer: &mut dyn FnMut(&mut World, &Write) -> Answer,
    ) -> (Step, Order) {
        let mut machine = self.machine(order);
        let step = self.drive(&mut machine, answer);
        self.end(machine, step)
    }

    fn end(&mut self, machine: Machine, step: Step) -> (Step, Order) {
        let (order, memory) = machine.into_parts(self.now);
        self.memory = memory;
        (step, order)
    }

    fn drive(&mut self, machine: &mut Machine, answer: &mut dyn FnMut(&mut World, &Write) -> Answer) -> Step {
        let mut flying: Vec<Write> = Vec::new();
        for _ in 0..1000 {
            let step = machine.next(self.now);
            match step {
                Step::Read(scope) => {
                    self.reads += 1;
                    let objects = self.world.read(&scope, &self.context.catalog.stack);
                    machine.observed(self.now, &scope, Ok(objects));
                }
                Step::Write => flying.extend(machine.write(self.now)),
                Step::Await => {
                    let write = flying.remove(0);
                    let answer = answer(&mut self.world, &write);
                    machine.answered(self.now, &write, answer);
                    self.writes.push(write);
                }
                end => {
                    self.notices.extend(machine.notices());
                    return end;
                }
            }
        }
        panic!("no end in sight: {machine:#?}");
    }

    fn run(&mut self, order: Order) -> Step {
        self.run_with(order, &mut World::write).0
    }

    /// Runs an order until it is done, at the times it asks for.
    fn settle(&mut self, order: Order) -> Step {
        let mut order = order;
        for _ in 0..50 {
            let (step, same) = self.run_with(order, &mut World::write);
            order = same;
            match step {
                Step::Later { at, refused: false } => self.now = at,
                end => return end,
            }
        }
        panic!("never done: {order:?}");
    }

    fn spec(&self, text: &str) -> Value {
        self.world.json(&at_key(text)).map_or(Value::Null, |json| json["spec"].clone())
    }

    fn count(&mut self) -> (usize, usize) {
        let writes = self.writes.len();
        self.writes.clear();
        (std::mem::take(&mut self.reads), writes)
    }
}

fn refusal(code: u16) -> Refusal {
    Refusal { code, reason: "Invalid".into(), message: "spec.x: no".into() }
}

fn unknown() -> Answer {
    Answer::Unknown { cause: "deadline".into(), retry_after: None }
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
    let mut rig = Rig::new();
    assert_eq!(rig.run(existing(snapshot())), Step::Done);
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
    let mut rig = Rig::new();
    let mut machine = rig.machine(existing(snapshot()));
    let Step::Read(scope) = machine.next(rig.now) else { panic!("a read first") };
    machine.observed(rig.now, &scope, Ok(Vec::new()));
    assert_eq!(machine.next(rig.now), Step::Write);
    let stack = machine.write(rig.now).expect("the Stack");
    assert_eq!(machine.next(rig.now), Step::Await);
    assert_eq!(machine.write(rig.now), None);
    let answer = rig.world.write(&stack);
    machine.answered(rig.now, &stack, answer);
    let flying = (0..4).map(|_| (machine.next(rig.now), machine.write(rig.now)));
    assert!(flying.collect::<Vec<_>>().iter().all(|(step, write)| *step == Step::Write && write.is_some()));
    assert_eq!(machine.next(rig.now), Step::Await);
}

#[test]
fn a_replayed_order_costs_one_read_and_no_write() {
    let mut rig = Rig::new();
    rig.run(existing(snapshot()));
    rig.count();
    assert_eq!(rig.run(existing(snapshot())), Step::Done);
    assert_eq!(rig.count(), (1, 0));
}

#[test]
fn what_an_update_drops_goes() {
    let mut rig = Rig::new();
    rig.run(existing(Snapshot { labels: [("formance.com/a".into(), "1".into())].into(), ..snapshot() }));
    let smaller = Snapshot { modules: ["ledger".into()].into(), clients: Default::default(), ..snapshot() };
    assert_eq!(rig.run(existing(smaller)), Step::Done);
    assert_eq!(rig.world.keys().len(), 2, "Stack and Ledger: {:?}", rig.world.keys());
    let labels = &rig.world.json(&at_key("stacks/org-stack")).expect("there")["metadata"]["labels"];
    assert_eq!(labels.get("formance.com/a"), None);
}

#[test]
fn a_deleted_stack_is_reported_once() {
    let mut rig = Rig::new();
    rig.run(existing(snapshot()));
    rig.count();
    assert_eq!(rig.run(deleted()), Step::Done);
    assert_eq!(rig.count(), (1, 1));
    assert_eq!(rig.notices, [Notice::Report(Report::StackDeleted { stack: stack_name() })]);
}

#[test]
fn deleting_what_is_not_there_is_reported_without_a_write() {
    let mut rig = Rig::new();
    assert_eq!(rig.run(deleted()), Step::Done);
    assert_eq!(rig.count(), (1, 0));
    assert_eq!(rig.notices.len(), 1);
}

#[test]
fn a_stack_that_a_finalizer_holds_is_deleted_as_far_as_the_order_goes() {
    let mut rig = Rig::new();
    rig.run(existing(snapshot()));
    rig.world.held.insert("stacks".into());
    assert_eq!(rig.run(deleted()), Step::Done);
    assert!(rig.notices.is_empty(), "the end is yet to come");
}

#[test]
fn a_toggle_costs_one_read_and_one_write() {
    let mut rig = Rig::new();
    rig.run(existing(snapshot()));
    rig.count();
    assert_eq!(rig.run(toggle(true)), Step::Done);
    assert_eq!(rig.spec("stacks/org-stack"), json!({"versionsFromFile": "v2", "disabled": true}));
    assert_eq!(rig.count(), (1, 1));
    assert_eq!(rig.run(toggle(true)), Step::Done);
    assert_eq!(rig.count(), (1, 0));
}

#[test]
fn a_toggle_without_a_stack_is_a_word_and_done() {
    let mut rig = Rig::new();
    assert_eq!(rig.run(toggle(true)), Step::Done);
    assert_eq!(rig.notices, [Notice::NoStack { stack: stack_name(), disabled: true }]);
}

#[test]
fn a_toggle_of_a_terminating_stack_is_a_word_and_done() {
    let mut rig = Rig::new();
    rig.run(existing(snapshot()));
    rig.world.held.insert("stacks".into());
    rig.run(deleted());
    rig.count();
    assert_eq!(rig.run(toggle(false)), Step::Done);
    assert_eq!(rig.count(), (1, 0));
    assert_eq!(rig.notices, [Notice::Terminating { stack: stack_name(), disabled: false }]);
}

#[test]
fn a_terminating_stack_is_waited_for_and_made_anew_with_everything_below_it() {
    let mut rig = Rig::new();
    rig.run(existing(snapshot()));
    let old = rig.world.get(&at_key("stacks/org-stack")).expect("there").uid;
    rig.world.held.insert("stacks".into());
    rig.run(deleted());
    rig.count();
    let start = rig.now;
    let mut order = existing(snapshot());
    for _ in 0..5 {
        let (step, same) = rig.run_with(order, &mut World::write);
        let Step::Later { at, refused: false } = step else { panic!("{step:?}") };
        assert!(at > rig.now && at <= rig.now + Duration::from_secs(5));
        rig.now = at;
        order = same;
    }
    assert!(rig.now > start + Duration::from_secs(5), "at a growing pace");
    assert_eq!(rig.count(), (5, 0), "one cheap look each, nothing under the dying uid");
    rig.world.finalize();
    assert_eq!(rig.settle(order), Step::Done);
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
fn an_object_that_stands_unlabelled_is_found_by_its_taken_name_and_adopted() {
    let mut rig = Rig::new();
    let ledger = at_key("ledgers/org-stack");
    rig.world.create(
        "kubectl",
        &ledger,
        json!({"metadata": {}, "spec": {"stack": "org-stack", "debug": true}}),
    );
    assert_eq!(rig.run(existing(snapshot())), Step::Done);
    assert_eq!(rig.spec("ledgers/org-stack"), json!({"stack": "org-stack", "debug": true}));
    assert_eq!(rig.world.get(&ledger).expect("there").label("formance.com/stack"), Some("org-stack"));
}

#[test]
fn somebody_elses_object_is_reported_and_the_rest_is_applied() {
    let mut rig = Rig::new();
    let client = at_key("authclients/org-stack-web");
    let theirs = json!({"metadata": {"labels": {"formance.com/stack": "org"}}, "spec": {"id": "stack-web"}});
    rig.world.create("Go-http-client", &client, theirs);
    let before = rig.world.json(&client).cloned();
    let step = rig.run(existing(snapshot()));
    assert!(matches!(step, Step::Later { refused: true, .. }), "{step:?}");
    assert_eq!(rig.world.json(&client).cloned(), before);
    assert_eq!(rig.world.keys().len(), 5);
    assert!(matches!(&rig.notices[..], [Notice::Clash { key, .. }] if *key == client));
}

#[test]
fn a_newer_order_takes_over_between_writes() {
    let mut rig = Rig::new();
    let mut machine = rig.machine(existing(snapshot()));
    let Step::Read(scope) = machine.next(rig.now) else { panic!("a read") };
    machine.observed(rig.now, &scope, Ok(Vec::new()));
    machine.next(rig.now);
    let first = machine.write(rig.now).expect("the Stack");
    machine.supersede(deleted());
    assert_eq!(machine.next(rig.now), Step::Await, "what is under way is awaited");
    assert_eq!(machine.write(rig.now), None);
    let answer = rig.world.write(&first);
    machine.answered(rig.now, &first, answer);
    assert_eq!(rig.drive(&mut machine, &mut World::write), Step::Done);
    assert!(rig.world.keys().is_empty());
    assert_eq!(rig.writes.len(), 1, "nothing of the older order but what was under way");
}

#[test]
fn a_permit_in_hand_serves_the_newest_order() {
    let mut rig = Rig::new();
    let mut machine = rig.machine(existing(snapshot()));
    let Step::Read(scope) = machine.next(rig.now) else { panic!("a read") };
    machine.observed(rig.now, &scope, Ok(Vec::new()));
    assert_eq!(machine.next(rig.now), Step::Write);
    machine.supersede(existing(Snapshot { versions: "v9".into(), ..snapshot() }));
    let Some(Write::Create { body, .. }) = machine.write(rig.now) else { panic!("a create") };
    assert_eq!(body["spec"]["versionsFromFile"], "v9");
}

#[test]
fn a_refusal_of_the_older_order_does_not_park_the_newer() {
    let mut rig = Rig::new();
    let mut machine = rig.machine(existing(snapshot()));
    let Step::Read(scope) = machine.next(rig.now) else { panic!("a read") };
    machine.observed(rig.now, &scope, Ok(Vec::new()));
    let write = machine.write(rig.now).expect("the Stack");
    machine.supersede(existing(Snapshot { versions: "v9".into(), ..snapshot() }));
    machine.answered(rig.now, &write, Answer::Refused(refusal(422)));
    assert_eq!(rig.drive(&mut machine, &mut World::write), Step::Done);
    assert!(rig.notices.is_empty());
}

#[test]
fn a_replay_of_an_order_on_its_way_says_nothing_twice() {
    let mut rig = Rig::new();
    let order = existing(Snapshot { auth: None, ..snapshot() });
    let mut machine = rig.machine(order.clone());
    machine.supersede(order);
    assert_eq!(machine.notices().len(), 1);
    assert!(machine.is_faulty());
}

#[test]
fn faults_are_told_with_the_stacks_name() {
    let mut rig = Rig::new();
    rig.run(existing(Snapshot { auth: None, ..snapshot() }));
    assert!(
        matches!(&rig.notices[..], [Notice::Fault { fault: Fault { field, .. }, .. }] if field == "authConfig")
    );
    assert!(rig.notices[0].to_string().starts_with("stack org-stack: authConfig: "));
}

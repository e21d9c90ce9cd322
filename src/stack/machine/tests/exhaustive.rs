//! The real machine on one Stack, through every interleaving of orders, deliveries, lost
//! answers, deadlines, a finalizer and another writer, within small bounds.
//!
//! Checked: where nothing can happen any more, the cluster shows the newest order; and once an
//! order is done, no older patch or delete takes effect. (An older create can; it is put right.)
//! The same check finds a counterexample as soon as a guard is taken out.

use std::{
    collections::{HashSet, VecDeque},
    fmt::Write as _,
    hash::{DefaultHasher, Hasher},
};

use super::*;
use crate::stack::{object::Catalog, testing::base_url};

/// What is enumerated.
struct Bounds {
    orders: usize,
    lost_answers: u8,
    other_writes: u8,
    finalizer: bool,
    options: Options,
}

#[derive(Clone, Debug)]
enum Stage {
    Idle(Memory),
    Running(Box<Machine>),
    /// Later or Attend; true for the latter.
    Deferred(Order, Memory, bool),
}

#[derive(Clone, Debug)]
struct State {
    world: World,
    stage: Stage,
    /// Writes under way, and whether their answer is awaited.
    net: Vec<(Write, bool)>,
    todo: usize,
    lost_answers: u8,
    other_writes: u8,
}

struct Check<'a> {
    context: Rc<Context>,
    orders: &'a [Change],
    now: Instant,
}

type Next = Vec<(String, State)>;

impl Check<'_> {
    fn order(&self, at: usize) -> Order {
        Order { stack: stack_name(), change: self.orders[at].clone() }
    }

    fn stack(&self) -> ObjectKey {
        ObjectKey::new(&self.context.catalog.stack, stack_name().as_str())
    }

    /// Every state that may follow; `Err` names a broken promise.
    fn steps(&self, state: &State) -> Result<Next, String> {
        let mut next = Next::new();
        self.arrive(state, &mut next);
        self.act(state, &mut next);
        self.deliver(state, &mut next)?;
        let object = state.world.get(&self.stack());
        if object.as_ref().is_some_and(|object| object.terminating) {
            let mut after = state.clone();
            after.world.finalize();
            next.push(("the finalizer is done".into(), after));
        }
        if object.is_some() && state.other_writes > 0 {
            let mut after = state.clone();
            after.world.touch(&self.stack());
            after.other_writes -= 1;
            next.push(("another writer".into(), after));
        }
        Ok(next)
    }

    /// A newer order, where the mailbox would let it take over.
    fn arrive(&self, state: &State, next: &mut Next) {
        if state.todo == self.orders.len() {
            return;
        }
        let order = self.order(state.todo);
        let toggles = matches!(order.change, Change::Disabled(_));
        let stage = match state.stage.clone() {
            Stage::Idle(memory) | Stage::Deferred(_, memory, true) => {
                Stage::Running(Box::new(Machine::new(order, memory, Rc::clone(&self.context))))
            }
            Stage::Deferred(old, memory, false) if !toggles && old.change != Change::Deleted => {
                Stage::Running(Box::new(Machine::new(order, memory, Rc::clone(&self.context))))
            }
            Stage::Running(mut machine) if !toggles && machine.order().change != Change::Deleted => {
                machine.supersede(order);
                Stage::Running(machine)
            }
            _ => return,
        };
        next.push((
            format!("order {:?}", self.orders[state.todo]),
            State { stage, todo: state.todo + 1, ..state.clone() },
        ));
    }

    fn act(&self, state: &State, next: &mut Next) {
        match &state.stage {
            Stage::Idle(_) => {}
            Stage::Deferred(order, memory, attending) => {
                let machine = Machine::new(order.clone(), memory.clone(), Rc::clone(&self.context));
                // A look that shows nothing new leads back here.
                let (end, _) = self.look(machine.clone(), &state.world);
                let again = match end {
                    Step::Attend { .. } => *attending,
                    Step::Later { .. } => !*attending,
                    _ => false,
                };
                if !again {
                    let stage = Stage::Running(Box::new(machine));
                    next.push(("run again".into(), State { stage, ..state.clone() }));
                }
            }
            Stage::Running(machine) => self.advance(state, machine, next),
        }
    }

    /// Reads until something else is to be done.
    fn look(&self, mut machine: Machine, world: &World) -> (Step, Machine) {
        loop {
            match machine.next(self.now) {
                Step::Read(scope) => {
                    let objects = world.read(&scope, &self.context.catalog.stack);
                    machine.observed(self.now, &scope, Ok(objects));
                }
                end => return (end, machine),
            }
        }
    }

    fn advance(&self, state: &State, machine: &Machine, next: &mut Next) {
        let (mut machine, mut after) = (machine.clone(), state.clone());
        let step = machine.next(self.now);
        machine.notices();
        let name = format!("{step:?}");
        after.stage = match step {
            Step::Await => return,
            Step::Read(scope) => {
                let objects = state.world.read(&scope, &self.context.catalog.stack);
                machine.observed(self.now, &scope, Ok(objects));
                Stage::Running(Box::new(machine))
            }
            Step::Write => {
                after.net.extend(machine.write(self.now).map(|write| (write, true)));
                Stage::Running(Box::new(machine))
            }
            Step::Done => Stage::Idle(machine.into_parts(self.now).1),
            Step::Attend { .. } | Step::Later { .. } => {
                let attending = matches!(step, Step::Attend { .. });
                let (order, memory) = machine.into_parts(self.now);
                Stage::Deferred(order, memory, attending)
            }
        };
        next.push((name, after));
    }

    fn deliver(&self, state: &State, next: &mut Next) -> Result<(), String> {
        for (at, (write, awaited)) in state.net.iter().enumerate() {
            let mut after = state.clone();
            after.net.remove(at);
            let answer = after.world.write(write);
            let effect = !std::mem::take(&mut after.world.log).is_empty();
            let said = format!("{} {write:?}", if *awaited { "deliver" } else { "deliver late" });
            if !awaited {
                let done = matches!(state.stage, Stage::Idle(_) | Stage::Deferred(_, _, true));
                if done && effect && !matches!(write, Write::Create { .. }) {
                    return Err(format!("{said} took effect after the newest order was done"));
                }
                next.push((said, after));
                continue;
            }
            if state.lost_answers > 0 {
                let mut deadline = state.clone();
                deadline.net[at].1 = false;
                for (case, mut lost) in [("answer lost", after.clone()), ("deadline", deadline)] {
                    lost.lost_answers -= 1;
                    self.answer(&mut lost, write, unknown());
                    next.push((format!("{said}: {case}"), lost));
                }
            }
            self.answer(&mut after, write, answer);
            next.push((said, after));
        }
        Ok(())
    }

    fn answer(&self, state: &mut State, write: &Write, answer: Answer) {
        let Stage::Running(machine) = &mut state.stage else { panic!("answers are awaited") };
        machine.answered(self.now, write, answer);
        machine.notices();
    }

    /// The newest orders' will, by running them one after the other in the mind.
    fn is_good(&self, world: &World, start: Option<&str>) -> bool {
        let mut wanted = start.map(|versions| (versions.to_owned(), false));
        for change in self.orders {
            match change {
                Change::Existing(snapshot) => wanted = Some((snapshot.versions.clone(), snapshot.disabled)),
                Change::Deleted => wanted = None,
                Change::Disabled(disabled) => wanted = wanted.map(|(versions, _)| (versions, *disabled)),
            }
        }
        let shown = world.get(&self.stack()).filter(|object| !object.terminating).map(|object| {
            let versions = object.spec["versionsFromFile"].as_str().unwrap_or_default().to_owned();
            (versions, object.spec["disabled"] == true)
        });
        shown == wanted
    }

    /// Breadth first; the number of states, or the shortest way to a broken promise.
    fn run(&self, first: State, start: Option<&str>) -> Result<usize, Vec<String>> {
        let mut seen = HashSet::from([fingerprint(&first)]);
        let mut ways: Vec<(usize, String)> = vec![(0, "start".into())];
        let mut queue = VecDeque::from([(0, first)]);
        let way = |ways: &[(usize, String)], mut at: usize, last: String| {
            let mut said = vec![last];
            while at > 0 {
                said.push(ways[at].1.clone());
                at = ways[at].0;
            }
            said.reverse();
            said
        };
        while let Some((at, state)) = queue.pop_front() {
            let next = self.steps(&state).map_err(|broken| way(&ways, at, broken))?;
            if next.is_empty() && (state.todo < self.orders.len() || !self.is_good(&state.world, start)) {
                return Err(way(&ways, at, format!("the end: {:?}", state.world)));
            }
            for (said, after) in next {
                if seen.insert(fingerprint(&after)) {
                    ways.push((at, said));
                    queue.push_back((ways.len() - 1, after));
                }
            }
            assert!(ways.len() < 2_000_000, "the state space does not end");
        }
        Ok(seen.len())
    }
}

/// The state's debug text, hashed without being built.
fn fingerprint(state: &State) -> u64 {
    struct Sink(DefaultHasher);
    impl std::fmt::Write for Sink {
        fn write_str(&mut self, text: &str) -> std::fmt::Result {
            self.0.write(text.as_bytes());
            Ok(())
        }
    }
    let mut sink = Sink(DefaultHasher::new());
    let stage: &dyn std::fmt::Debug = &state.stage;
    // The context is the same everywhere, but for its random numbers.
    if let Stage::Running(machine) = &state.stage {
        write!(sink, "{:?}", machine.fingerprint()).expect("a hasher takes everything");
    } else {
        write!(sink, "{stage:?}").expect("a hasher takes everything");
    }
    write!(sink, "{:?}{:?}", state.world, state.net).expect("a hasher takes everything");
    write!(sink, "{} {} {}", state.todo, state.lost_answers, state.other_writes)
        .expect("a hasher takes everything");
    sink.0.finish()
}

impl Machine {
    fn fingerprint(&self) -> impl std::fmt::Debug + '_ {
        (
            (&self.order, self.generation, &self.view, &self.flights, &self.unsettled, &self.parked),
            (self.failures, self.pause, &self.conflicts, &self.progress, self.idle, self.started),
        )
    }
}

/// Options whose paces take no time at all, since time stands still here.
fn timeless() -> Options {
    let none = (Duration::ZERO, Duration::ZERO);
    Options { retry: none, park: none, wait: none, watch: none, ..Options::default() }
}

fn sequences(orders: usize) -> Vec<Vec<Change>> {
    let full = |versions: &str| {
        let snapshot = Snapshot { versions: versions.into(), ..Snapshot::default() };
        Change::Existing(Box::new(snapshot))
    };
    let kinds = [full("a"), full("b"), Change::Deleted, Change::Disabled(true), Change::Disabled(false)];
    let mut all: Vec<Vec<Change>> = vec![Vec::new()];
    let mut longer = all.clone();
    for _ in 0..orders {
        longer = longer
            .iter()
            .flat_map(|head| kinds.iter().map(move |kind| [&head[..], &[kind.clone()]].concat()))
            .filter(|orders| orders.windows(2).all(|pair| pair[0] != pair[1]))
            .collect();
        all.extend(longer.clone());
    }
    all
}

/// Every sequence of orders, from an empty cluster and from one that shows order a.
fn check(bounds: &Bounds) -> Result<usize, String> {
    let catalog = Catalog::new(Vec::new());
    let context = Rc::new(Context::new(catalog, base_url(), bounds.options.clone(), 7));
    let now = crate::time::now();
    let mut states = 0;
    for orders in sequences(bounds.orders) {
        let check = Check { context: Rc::clone(&context), orders: &orders, now };
        for start in [None, Some("a")] {
            let mut world = World::default();
            if let Some(versions) = start {
                let labels =
                    json!({"formance.com/created-by-agent": "true", "formance.com/stack": "org-stack"});
                let spec = json!({"versionsFromFile": versions, "disabled": false});
                world.create(
                    "stackherd",
                    &check.stack(),
                    json!({"metadata": {"labels": labels}, "spec": spec}),
                );
                world.log.clear();
            }
            if bounds.finalizer {
                world.held.insert("stacks".into());
            }
            let first = State {
                world,
                stage: Stage::Idle(Memory::default()),
                net: Vec::new(),
                todo: 0,
                lost_answers: bounds.lost_answers,
                other_writes: bounds.other_writes,
            };
            states += check
                .run(first, start)
                .map_err(|way| format!("start {start:?}, orders {orders:?}:\n  {}", way.join("\n  ")))?;
        }
    }
    Ok(states)
}

fn bounds() -> Bounds {
    Bounds { orders: 2, lost_answers: 1, other_writes: 1, finalizer: true, options: timeless() }
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
    holds(&Bounds { finalizer: false, ..bounds() });
}

#[test]
fn the_newest_order_stands_where_a_lost_answer_puts_the_machine_away() {
    let retry = (Duration::from_millis(1), Duration::from_millis(1));
    holds(&Bounds { options: Options { retry, ..timeless() }, ..bounds() });
}

#[test]
fn two_lost_answers_are_no_worse() {
    holds(&Bounds { lost_answers: 2, other_writes: 0, finalizer: false, ..bounds() });
}

#[test]
#[ignore = "minutes in debug builds"]
fn three_orders_and_two_lost_answers_are_no_worse() {
    holds(&Bounds { orders: 3, lost_answers: 2, ..bounds() });
}

#[test]
fn without_the_fence_a_late_write_breaks_the_newest_order() {
    let options = Options { fence: false, ..timeless() };
    let way = check(&Bounds { options, ..bounds() }).expect_err("a counterexample");
    assert!(way.contains("took effect after"), "{way}");
}

#[test]
fn without_watching_a_late_create_brings_a_deleted_stack_back() {
    let options = Options { attentive: false, ..timeless() };
    let way = check(&Bounds { options, ..bounds() }).expect_err("a counterexample");
    assert!(way.contains("deliver late Create"), "{way}");
}

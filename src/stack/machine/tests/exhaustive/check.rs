//! One enumeration: states, what may follow them, and the shortest way to a broken promise.

use std::{
    collections::{HashSet, VecDeque},
    fmt::Write as _,
    hash::{DefaultHasher, Hasher},
};

use super::*;

#[derive(Clone, Debug)]
pub(super) enum Stage {
    Idle(Memory),
    Running(Box<Machine>),
    /// Later or Attend; true for the latter.
    Deferred(Order, Memory, bool),
}

#[derive(Clone, Debug)]
pub(super) struct State {
    pub(super) world: World,
    pub(super) stage: Stage,
    /// Writes under way, and whether their answer is awaited.
    pub(super) net: Vec<(Write, bool)>,
    pub(super) todo: usize,
    pub(super) lost_answers: u8,
    pub(super) other_writes: u8,
}

pub(super) struct Check<'a> {
    pub(super) context: Rc<Context>,
    pub(super) orders: &'a [Change],
    pub(super) now: Instant,
    /// What the cluster shows at first.
    pub(super) start: Option<Change>,
}

type Next = Vec<(String, State)>;

impl Check<'_> {
    fn order(&self, at: usize) -> Order {
        Order { stack: stack_name(), change: self.orders[at].clone() }
    }

    pub(super) fn stack(&self) -> ObjectKey {
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
        let mut collected = state.clone();
        if collected.world.collect_garbage() {
            next.push(("the garbage collector".into(), collected));
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

    /// Whether the cluster shows what running the orders one after the other in the mind leaves.
    fn is_good(&self, world: &World) -> bool {
        let full = |change: &Change| match change {
            Change::Existing(snapshot) => Some((*snapshot.clone(), snapshot.disabled)),
            _ => None,
        };
        let mut wanted = self.start.as_ref().and_then(full);
        for change in self.orders {
            wanted = match (change, wanted) {
                (Change::Disabled(disabled), wanted) => wanted.map(|(snapshot, _)| (snapshot, *disabled)),
                (change, _) => full(change),
            };
        }
        let stack = world.get(&self.stack()).filter(|object| !object.terminating);
        let ledger = world.get(&at_key("ledgers/org-stack"));
        match (wanted, stack) {
            (None, None) => ledger.is_none(),
            (Some((snapshot, disabled)), Some(stack)) => {
                let owned =
                    |object: &Object| !object.terminating && object.owners.iter().any(|o| o.uid == stack.uid);
                stack.spec["versionsFromFile"] == *snapshot.versions
                    && (stack.spec["disabled"] == true) == disabled
                    && ledger.is_none() == snapshot.modules.is_empty()
                    && ledger.as_ref().is_none_or(owned)
            }
            _ => false,
        }
    }

    /// Breadth first; the number of states, or the shortest way to a broken promise.
    pub(super) fn run(&self, first: State) -> Result<usize, Vec<String>> {
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
            if next.is_empty() && (state.todo < self.orders.len() || !self.is_good(&state.world)) {
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

//! One enumeration: states, what may follow them, and the shortest way to a broken promise.

use std::{
    collections::{HashSet, VecDeque},
    fmt::Write as _,
    hash::{DefaultHasher, Hasher},
};

use super::{
    super::store::{ModelStore, ModelWatch},
    *,
};

#[derive(Clone, Debug)]
pub(super) enum CheckStage {
    Idle(Carryover),
    Running(Box<Machine>),
    /// What a read by name found is on its way back; and what was known before it.
    Reading(Box<Machine>, Vec<ObjectKey>, Vec<Object>, Vec<Option<String>>),
    /// The machine came to this end and is not put away yet: another event may still reach it.
    Ending(Box<Machine>, MachineStep),
    /// Retry, Rejected or Attend; true for the latter.
    Deferred(Order, Carryover, bool),
}

#[derive(Clone, Debug)]
pub(super) struct CheckState {
    pub(super) world: ModelCluster,
    /// What the shard knows of it, and the events on their way there.
    pub(super) store: ModelStore,
    pub(super) watch: ModelWatch,
    pub(super) stage: CheckStage,
    /// Writes under way, and whether their answer is awaited.
    pub(super) net: Vec<(Write, bool)>,
    pub(super) todo: usize,
    pub(super) lost_answers: u8,
    pub(super) other_writes: u8,
}

impl CheckState {
    /// The watches see what became of the world.
    fn watched(mut self) -> Self {
        self.watch.follow(&self.world);
        self.watch.tidy(&self.store);
        self
    }
}

pub(super) struct Check<'a> {
    pub(super) context: Rc<MachineContext>,
    pub(super) orders: &'a [Change],
    pub(super) now: Instant,
    /// What the cluster shows at first.
    pub(super) start: Option<Change>,
    /// Whether events wake an order that was put off.
    pub(super) wakes: bool,
}

type Successors = Vec<(String, CheckState)>;

impl Check<'_> {
    fn order(&self, at: usize) -> Order {
        Order { stack: stack_name(), change: self.orders[at].clone() }
    }

    pub(super) fn stack(&self) -> ObjectKey {
        ObjectKey::new(&self.context.catalog.stack, stack_name().as_str())
    }

    /// Every state that may follow; `Err` names a broken promise.
    fn steps(&self, state: &CheckState) -> Result<Successors, String> {
        let mut next = Successors::new();
        self.arrive(state, &mut next);
        self.act(state, &mut next);
        self.see(state, &mut next);
        self.deliver(state, &mut next)?;
        let object = state.world.get(&self.stack());
        if object.as_ref().is_some_and(|object| object.terminating) {
            let mut after = state.clone();
            after.world.finalize();
            next.push(("the finalizer is done".into(), after.watched()));
        }
        let mut collected = state.clone();
        if collected.world.collect_garbage() {
            next.push(("the garbage collector".into(), collected.watched()));
        }
        if object.is_some() && state.other_writes > 0 {
            let mut after = state.clone();
            after.world.touch(&self.stack());
            after.other_writes -= 1;
            next.push(("another writer".into(), after.watched()));
        }
        if next.is_empty() && (state.todo < self.orders.len() || !self.is_good(&state.world)) {
            return Err(format!("the end: {:?}, {:?}", state.world, state.stage));
        }
        // Nothing may depend on it, and it must break nothing.
        if let CheckStage::Deferred(order, memory, _) = &state.stage {
            let stage = self.start(order.clone(), memory.clone(), OrderArrival::Again);
            next.push(("run again without need".into(), CheckState { stage, ..state.clone() }));
        }
        Ok(next)
    }

    fn start(&self, order: Order, memory: Carryover, arrival: OrderArrival) -> CheckStage {
        CheckStage::Running(Box::new(Machine::new(order, memory, Rc::clone(&self.context), arrival)))
    }

    /// A newer order, where the mailbox would let it take over.
    fn arrive(&self, state: &CheckState, next: &mut Successors) {
        if state.todo == self.orders.len() {
            return;
        }
        let order = self.order(state.todo);
        let toggles = matches!(order.change, Change::Disabled(_));
        let stage = match state.stage.clone() {
            CheckStage::Idle(memory) | CheckStage::Deferred(_, memory, true) => {
                self.start(order, memory, OrderArrival::New)
            }
            CheckStage::Deferred(old, memory, false) if !toggles && old.change != Change::Deleted => {
                self.start(order, memory, OrderArrival::New)
            }
            CheckStage::Running(mut machine) if !toggles && machine.order().change != Change::Deleted => {
                machine.supersede(order);
                CheckStage::Running(machine)
            }
            _ => return,
        };
        next.push((
            format!("order {:?}", self.orders[state.todo]),
            CheckState { stage, todo: state.todo + 1, ..state.clone() },
        ));
    }

    fn act(&self, state: &CheckState, next: &mut Successors) {
        let (name, stage) = match state.stage.clone() {
            CheckStage::Idle(_) => return,
            CheckStage::Deferred(order, mut memory, _) => {
                // A backoff ends by itself; everything else is brought on by an event.
                let Some((_, attempt)) = memory.attempt.as_mut() else { return };
                let RunState::Pausing(_) = attempt.state else { return };
                attempt.state = RunState::Converging;
                ("the backoff is over".into(), self.start(order, memory, OrderArrival::Again))
            }
            CheckStage::Running(machine) => return self.advance(state, machine, next),
            CheckStage::Reading(mut machine, keys, objects, uids) => {
                let mut after = state.clone();
                after.store.read(&keys, &uids, &objects);
                after.watch.tidy(&after.store);
                machine.observed(self.now, &keys, Ok(objects));
                after.stage = CheckStage::Running(machine);
                return next.push((format!("read {keys:?}"), after));
            }
            CheckStage::Ending(machine, step) => (format!("end {step:?}"), self.put_away(*machine, &step)),
        };
        next.push((name, CheckState { stage, ..state.clone() }));
    }

    fn put_away(&self, machine: Machine, step: &MachineStep) -> CheckStage {
        let (order, mut memory) = machine.into_parts(self.now);
        if let Some((_, OrderAttempt { state: RunState::Pausing(pause), .. })) = memory.attempt.as_mut() {
            // Drawn at random, which would make for states without end.
            pause.until = self.now + Duration::from_secs(1);
        }
        match step {
            MachineStep::Done => CheckStage::Idle(memory),
            step => CheckStage::Deferred(order, memory, matches!(step, MachineStep::Attend { .. })),
        }
    }

    fn advance(&self, state: &CheckState, mut machine: Box<Machine>, next: &mut Successors) {
        let mut after = state.clone();
        machine.refresh(state.store.of(&stack_name().to_string()));
        let step = machine.next(self.now);
        machine.notices();
        let name = format!("{step:?}");
        after.stage = match step {
            MachineStep::Await => return,
            MachineStep::Read(keys) => {
                let objects = state.world.read(&keys);
                let uids = state.store.uids(&keys);
                CheckStage::Reading(machine, keys, objects, uids)
            }
            MachineStep::Write => {
                after.net.extend(machine.write(self.now).map(|write| (write, true)));
                CheckStage::Running(machine)
            }
            step => CheckStage::Ending(machine, step),
        };
        next.push((name, after));
    }

    /// One more event reaches the store.
    fn see(&self, state: &CheckState, next: &mut Successors) {
        for key in state.watch.keys() {
            let mut after = state.clone();
            let Some(event) = after.watch.pop(&key) else { continue };
            let name = format!("watch {event:?}");
            let changed = after.store.take(event);
            after.watch.tidy(&after.store);
            let objects = || after.store.of(&stack_name().to_string());
            after.stage = match after.stage {
                CheckStage::Running(mut machine) | CheckStage::Ending(mut machine, _) if changed => {
                    machine.refresh(objects());
                    CheckStage::Running(machine)
                }
                CheckStage::Reading(mut machine, keys, read, uids) => {
                    machine.refresh(objects());
                    CheckStage::Reading(machine, keys, read, uids)
                }
                CheckStage::Deferred(order, memory, _) if changed && self.wakes && memory.awaits(&key) => {
                    self.start(order, memory, OrderArrival::Again)
                }
                stage => stage,
            };
            next.push((name, after));
        }
    }

    fn deliver(&self, state: &CheckState, next: &mut Successors) -> Result<(), String> {
        for (at, (write, awaited)) in state.net.iter().enumerate() {
            let mut after = state.clone();
            after.net.remove(at);
            let answer = after.world.write(write);
            let effect = !std::mem::take(&mut after.world.log).is_empty();
            let mut after = after.watched();
            let said = format!("{} {write:?}", if *awaited { "deliver" } else { "deliver late" });
            if !awaited {
                let done = matches!(
                    state.stage,
                    CheckStage::Idle(_)
                        | CheckStage::Deferred(_, _, true)
                        | CheckStage::Ending(_, MachineStep::Done | MachineStep::Attend { .. })
                );
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
            after.store.answer(write, &answer);
            after.watch.tidy(&after.store);
            self.answer(&mut after, write, answer);
            next.push((said, after));
        }
        Ok(())
    }

    fn answer(&self, state: &mut CheckState, write: &Write, answer: WriteAnswer) {
        let CheckStage::Running(machine) = &mut state.stage else { panic!("answers are awaited") };
        machine.apply_answer(self.now, write, answer);
        machine.notices();
    }

    /// Whether the cluster shows what running the orders one after the other in the mind leaves.
    fn is_good(&self, world: &ModelCluster) -> bool {
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
    pub(super) fn run(&self, first: CheckState) -> Result<usize, Vec<String>> {
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
fn fingerprint(state: &CheckState) -> u64 {
    struct HashSink(DefaultHasher);
    impl std::fmt::Write for HashSink {
        fn write_str(&mut self, text: &str) -> std::fmt::Result {
            self.0.write(text.as_bytes());
            Ok(())
        }
    }
    let mut sink = HashSink(DefaultHasher::new());
    // The context is the same everywhere, but for its random numbers.
    match &state.stage {
        CheckStage::Running(machine) => write!(sink, "run {:?}", machine.fingerprint()),
        CheckStage::Reading(machine, keys, read, uids) => {
            write!(sink, "{:?}{keys:?}{read:?}{uids:?}", machine.fingerprint())
        }
        CheckStage::Ending(machine, step) => {
            write!(sink, "end {:?}{:?}", machine.fingerprint(), std::mem::discriminant(step))
        }
        stage => write!(sink, "{stage:?}"),
    }
    .expect("a hasher takes everything");
    write!(sink, "{:?}{:?}{:?}{:?}", state.world, state.store, state.watch, state.net)
        .expect("a hasher takes everything");
    write!(sink, "{} {} {}", state.todo, state.lost_answers, state.other_writes)
        .expect("a hasher takes everything");
    sink.0.finish()
}

impl Machine {
    fn fingerprint(&self) -> impl std::fmt::Debug + '_ {
        // The end of a pause is drawn at random.
        let is_pausing = matches!(self.attempt.state, RunState::Pausing(_));
        let attempt = OrderAttempt { state: RunState::Converging, ..self.attempt.clone() };
        (
            (&self.order, self.generation, &self.observed, &self.flights, &self.in_doubt),
            (self.failures, is_pausing, &self.conflicts, attempt),
        )
    }
}

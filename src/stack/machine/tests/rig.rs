//! A shard's part for one stack, as far as a test needs it.

use super::{
    store::{ModelStore, ModelWatch},
    *,
};

/// Keeps the memory, performs steps on a world, counts requests.
pub(super) struct StackRig {
    pub(super) world: ModelCluster,
    pub(super) store: ModelStore,
    pub(super) watch: ModelWatch,
    /// How many events come in before each step, as far as that is told; after that, all do.
    pub(super) pace: std::vec::IntoIter<usize>,
    pub(super) context: Rc<MachineContext>,
    pub(super) memory: Carryover,
    pub(super) now: Instant,
    pub(super) notices: Vec<Notice>,
    pub(super) reads: usize,
    pub(super) writes: Vec<Write>,
    /// What [`Machine::is_plain`] said at the end of the last run.
    pub(super) plain: bool,
}

impl StackRig {
    pub(super) fn new() -> Self {
        Self {
            world: ModelCluster::default(),
            store: ModelStore::default(),
            watch: ModelWatch::default(),
            pace: Vec::new().into_iter(),
            context: context(),
            memory: Carryover::default(),
            now: crate::time::now(),
            notices: Vec::new(),
            reads: 0,
            writes: Vec::new(),
            plain: false,
        }
    }

    /// A machine for an order that has just arrived.
    pub(super) fn machine(&mut self, order: Order) -> Machine {
        self.start(order, OrderArrival::New)
    }

    fn start(&mut self, order: Order, arrival: OrderArrival) -> Machine {
        let memory = std::mem::take(&mut self.memory);
        let mut machine = Machine::new(order, memory, Rc::clone(&self.context), arrival);
        self.refresh(&mut machine);
        machine
    }

    /// Lets events in and shows the machine what the store holds.
    pub(super) fn refresh(&mut self, machine: &mut Machine) {
        self.watch.follow(&self.world);
        let events = self.pace.next().unwrap_or(usize::MAX);
        for _ in 0..events {
            let keys = self.watch.keys();
            // No queue is drained before the others.
            let Some(key) = keys.get(events % keys.len().max(1)) else { break };
            if let Some(event) = self.watch.pop(key) {
                self.store.take(event);
            }
        }
        machine.refresh(self.store.of("org-stack"));
    }

    /// Runs an order that has just arrived once, `answer` standing between the writes and the
    /// world.
    pub(super) fn run_with(
        &mut self,
        order: Order,
        answer: &mut dyn FnMut(&mut ModelCluster, &Write) -> WriteAnswer,
    ) -> (MachineStep, Order) {
        let mut machine = self.start(order, OrderArrival::New);
        let step = self.drive(&mut machine, answer);
        self.end(machine, step)
    }

    /// Runs an order that was put off once more.
    pub(super) fn rerun_with(
        &mut self,
        order: Order,
        answer: &mut dyn FnMut(&mut ModelCluster, &Write) -> WriteAnswer,
    ) -> (MachineStep, Order) {
        let mut machine = self.start(order, OrderArrival::Again);
        let step = self.drive(&mut machine, answer);
        self.end(machine, step)
    }

    pub(super) fn end(&mut self, machine: Machine, step: MachineStep) -> (MachineStep, Order) {
        self.plain = machine.is_plain();
        let (order, memory) = machine.into_parts(self.now);
        self.memory = memory;
        (step, order)
    }

    pub(super) fn drive(
        &mut self,
        machine: &mut Machine,
        answer: &mut dyn FnMut(&mut ModelCluster, &Write) -> WriteAnswer,
    ) -> MachineStep {
        let mut flying: Vec<Write> = Vec::new();
        for _ in 0..1000 {
            self.refresh(machine);
            let step = machine.next(self.now);
            match step {
                MachineStep::Read(keys) => {
                    self.reads += keys.len();
                    let objects = self.world.read(&keys);
                    let uids = self.store.uids(&keys);
                    self.store.read(&keys, &uids, &objects);
                    machine.observed(self.now, &keys, Ok(objects));
                }
                MachineStep::Write => {
                    self.refresh(machine);
                    flying.extend(machine.write(self.now));
                }
                MachineStep::Await => {
                    let write = flying.remove(0);
                    let answer = answer(&mut self.world, &write);
                    self.watch.follow(&self.world);
                    self.store.answer(&write, &answer);
                    machine.apply_answer(self.now, &write, answer);
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

    pub(super) fn run(&mut self, order: Order) -> MachineStep {
        self.run_with(order, &mut ModelCluster::write).0
    }

    pub(super) fn rerun(&mut self, order: Order) -> MachineStep {
        self.rerun_with(order, &mut ModelCluster::write).0
    }

    /// Runs an order until it is done, at the times it asks for.
    pub(super) fn settle(&mut self, order: Order) -> MachineStep {
        let (mut step, mut order) = self.run_with(order, &mut ModelCluster::write);
        for _ in 0..50 {
            let MachineStep::Retry { at } = step else { return step };
            self.now = at;
            (step, order) = self.rerun_with(order, &mut ModelCluster::write);
        }
        panic!("never done: {order:?}");
    }

    pub(super) fn spec(&self, text: &str) -> Value {
        self.world.json(&at_key(text)).map_or(Value::Null, |json| json["spec"].clone())
    }

    /// Reads by name and writes since the last time.
    pub(super) fn count(&mut self) -> (usize, usize) {
        let writes = self.writes.len();
        self.writes.clear();
        (std::mem::take(&mut self.reads), writes)
    }
}

//! Runs one order of one stack: asks the machine what is next, and does it.
//!
//! All decisions are [`Machine`]'s; this is the thin shell that waits for permits, performs
//! reads and writes, and hands the answers back.

use std::{cell::RefCell, pin::pin, rc::Rc, sync::Arc};

use ahash::AHashMap;
use futures::{
    FutureExt,
    future::{Either, LocalBoxFuture, select},
    stream::{FuturesUnordered, StreamExt},
};
use shards::{Handler, Outcome, RequeuePolicy, Slot, Stop};
use tracing::{debug, error, info, warn};

use super::{
    counters::{Counter, Counters},
    knowledge::Knowledge,
    mail::Job,
    recovery::Recovery,
};
use crate::{
    cluster::KubeClient,
    log_throttle::LogThrottle,
    order::{Change, StackName},
    stack::{
        desired::fingerprint,
        machine::{Carryover, Machine, MachineContext, MachineStep, Notice, OrderArrival},
        object::ObjectKey,
        write::{Write, WriteAnswer},
    },
    time::{Duration, Instant, after, now},
};

/// While a shard stops and its dispatcher still takes up orders, each is put off for so long.
const STOPPING: Duration = Duration::from_millis(100);

/// What a shard may log about orders, by kind.
pub(super) type Lines = Rc<RefCell<LogThrottle<&'static str>>>;

/// What all orders of one shard share.
pub(super) struct Worker {
    client: KubeClient,
    knowledge: Rc<Knowledge>,
    recovery: Rc<Recovery>,
    /// Changes when kinds come and go.
    context: RefCell<Rc<MachineContext>>,
    memories: Memories,
    counters: Arc<Counters>,
    lines: Lines,
    stop: Stop,
}

impl Worker {
    /// A worker over this shard's client and knowledge.
    pub(super) fn new(
        client: KubeClient,
        knowledge: Rc<Knowledge>,
        recovery: Rc<Recovery>,
        context: MachineContext,
        counters: Arc<Counters>,
        lines: Lines,
        stop: Stop,
    ) -> Self {
        let context = RefCell::new(Rc::new(context));
        let memories = Memories::default();
        Self { client, knowledge, recovery, context, memories, counters, lines, stop }
    }

    /// What is remembered of this shard's stacks.
    pub(super) fn memories(&self) -> Memories {
        self.memories.clone()
    }

    /// Orders that begin from now on are about these kinds.
    pub(super) fn set_context(&self, context: MachineContext) {
        self.context.replace(Rc::new(context));
    }

    /// An order that was found to need nothing, and of whose stack nothing has changed since,
    /// needs nothing.
    fn is_settled(&self, job: &Job) -> bool {
        let Change::Existing(snapshot) = &job.order.change else { return false };
        !self.memories.has(&job.order.stack)
            && self.knowledge.is_settled(&job.order.stack, fingerprint(snapshot))
    }
}

/// What has to be remembered of stacks between their orders: those with writes in doubt, or in
/// trouble. Clones are the same.
#[derive(Clone, Default)]
pub(super) struct Memories(Rc<RefCell<AHashMap<StackName, Carryover>>>);

impl Memories {
    fn take(&self, stack: &StackName) -> Carryover {
        self.0.borrow_mut().remove(stack).unwrap_or_default()
    }

    fn keep(&self, stack: StackName, memory: Carryover) {
        if !memory.is_empty() {
            self.0.borrow_mut().insert(stack, memory);
        }
    }

    pub(super) fn has(&self, stack: &StackName) -> bool {
        self.0.borrow().contains_key(stack)
    }

    /// Whether an order of the stack was put off until something happens to this object.
    pub(super) fn awaits(&self, stack: &str, key: &ObjectKey) -> Option<StackName> {
        let memories = self.0.borrow();
        if memories.is_empty() {
            return None;
        }
        let stack = StackName::new(stack).ok()?;
        memories.get(&stack)?.awaits(key).then_some(stack)
    }

    /// The stacks of which an order was put off for kinds that were out of play.
    pub(super) fn incomplete(&self) -> Vec<StackName> {
        let memories = self.0.borrow();
        memories.iter().filter(|(_, memory)| memory.lacks_kinds()).map(|(stack, _)| stack.clone()).collect()
    }

    /// Says what the end of the process forgets.
    pub(super) fn farewell(&self) {
        for (stack, memory) in &*self.0.borrow() {
            if let Some(objects) = memory.in_doubt() {
                warn!(%stack, "the outcome of the last write to {objects} is not known; should it arrive late, the next order of this stack puts it right");
            }
        }
    }
}

impl Handler<StackName, Job> for Worker {
    async fn handle(&self, slot: Slot<StackName, Job>, job: Job) -> Outcome<Job> {
        let stack = job.order.stack.clone();
        if !job.again {
            self.knowledge.trace(&stack, job.trace.as_ref());
        }
        let resumes = self.recovery.begins(&stack);
        if self.is_settled(&job) {
            self.recovery.ends(&stack);
            self.knowledge.applied(&stack);
            if !job.counted {
                self.counters.applied.add(1);
            }
            return Outcome::Done;
        }
        let context = Rc::clone(&self.context.borrow());
        let arrival = if job.again { OrderArrival::Again } else { OrderArrival::New };
        let mut run = Run {
            machine: Machine::new(job.order, self.memories.take(&stack), Rc::clone(&context), arrival),
            context,
            stack,
            revision: None,
            writes: FuturesUnordered::new(),
            counted: job.counted,
            worker: self,
            slot,
        };
        if resumes {
            run.machine.resume();
        }
        let verdict = run.drive().await;
        let (_, memory) = run.machine.into_parts(now());
        self.memories.keep(run.stack, memory);
        verdict
    }

    fn displaced(&self, _stack: &StackName, job: Job) {
        if !job.counted {
            self.counters.superseded.add(1);
        }
    }
}

type Answered<'a> = LocalBoxFuture<'a, (Write, WriteAnswer)>;

/// One order, or a chain of orders that took over from each other, in one slot.
struct Run<'a> {
    worker: &'a Worker,
    slot: Slot<StackName, Job>,
    stack: StackName,
    machine: Machine,
    context: Rc<MachineContext>,
    /// Of what is known, as the machine was last shown it.
    revision: Option<u64>,
    writes: FuturesUnordered<Answered<'a>>,
    counted: bool,
}

impl Run<'_> {
    async fn drive(&mut self) -> Outcome<Job> {
        loop {
            self.follow();
            self.refresh();
            let step = self.machine.next(now());
            self.tell();
            // A stopping shard begins nothing, and waits for what is on its way. So does a stack
            // that is to give its slot back: with ever newer orders there would always be something
            // on its way.
            let yields = self.slot.should_yield();
            let stopping = self.worker.stop.requested() || yields;
            match step {
                MachineStep::Read(keys) if !stopping => {
                    let client = self.worker.client.clone();
                    let uids = self.worker.knowledge.uids(&self.stack, &keys);
                    let read = self.meanwhile(client.read(&keys)).await;
                    if let Ok(objects) = &read {
                        self.worker.recovery.read();
                        self.worker.knowledge.read(&self.stack, &keys, uids, objects);
                    }
                    self.machine.observed(now(), &keys, read);
                    self.revision = None;
                }
                MachineStep::Write if !stopping => self.write().await,
                _ if !self.writes.is_empty() => self.answer().await,
                step => return self.verdict(&step),
            }
        }
    }

    /// Lets a newer order take over, between writes.
    fn follow(&mut self) {
        if let Some(newer) = self.slot.successor() {
            if !self.counted {
                self.worker.counters.superseded.add(1);
            }
            debug!(stack = %self.stack, "a newer order takes over");
            self.counted = newer.counted;
            self.worker.knowledge.trace(&self.stack, newer.trace.as_ref());
            self.machine.supersede(newer.order);
        }
    }

    /// Shows the machine what is known by now, where that has changed.
    fn refresh(&mut self) {
        let knowledge = &self.worker.knowledge;
        let revision = Some(knowledge.revision(&self.stack));
        if self.revision != revision {
            self.revision = revision;
            self.machine.refresh(knowledge.objects(&self.stack));
        }
    }

    /// Permit first, then decide: what is written follows from the newest order and from what is
    /// known by then.
    async fn write(&mut self) {
        let client = self.worker.client.clone();
        let permit = self.meanwhile(client.permit()).await;
        self.follow();
        self.refresh();
        if let Some(write) = self.machine.write(now()) {
            debug!(stack = %self.stack, object = %write.key(), verb = write.verb(), "write");
            self.writes.push(
                async move {
                    let answer = client.write(permit, &write).await;
                    (write, answer)
                }
                .boxed_local(),
            );
        }
    }

    async fn answer(&mut self) {
        if let Some((write, answer)) = self.writes.next().await {
            self.take_in(&write, answer);
        }
    }

    fn take_in(&mut self, write: &Write, answer: WriteAnswer) {
        self.worker.knowledge.answered(&self.stack, write, &answer);
        self.worker.recovery.answered(write, &answer);
        self.machine.apply_answer(now(), write, answer);
        // What the answer says may be gone by now, as the store knew before.
        self.revision = None;
    }

    /// Awaits `future` while answers to writes in flight are taken in.
    async fn meanwhile<T>(&mut self, future: impl Future<Output = T>) -> T {
        let mut future = pin!(future);
        loop {
            if self.writes.is_empty() {
                return future.await;
            }
            match select(future.as_mut(), self.writes.next()).await {
                Either::Left((done, _)) => return done,
                Either::Right((answered, _)) => {
                    if let Some((write, answer)) = answered {
                        self.take_in(&write, answer);
                    }
                }
            }
        }
    }

    fn verdict(&mut self, step: &MachineStep) -> Outcome<Job> {
        let recovery = &self.worker.recovery;
        if let &MachineStep::Retry { at } = step
            && let Some(class) = self.machine.fails_with(now())
        {
            let at = recovery.waits(&self.stack, class, at);
            return self.later(at, RequeuePolicy::UntilSuperseded);
        }
        recovery.ends(&self.stack);
        match step {
            MachineStep::Done | MachineStep::Attend { .. } | MachineStep::Rejected { .. }
                if self.is_outdated() =>
            {
                self.later(now(), RequeuePolicy::UntilSuperseded)
            }
            MachineStep::Done => {
                self.applied();
                Outcome::Done
            }
            &MachineStep::Attend { at } => {
                self.applied();
                self.later(at, RequeuePolicy::UntilNewer)
            }
            &MachineStep::Rejected { at } => {
                self.end(|counters| &counters.failed);
                self.later(at, RequeuePolicy::UntilNewer)
            }
            &MachineStep::Retry { at } => self.later(at, RequeuePolicy::UntilSuperseded),
            // The shard is stopping, and its dispatcher will be drained in a moment; or the slot is given
            // back for others that wait.
            MachineStep::Read(_) | MachineStep::Write | MachineStep::Await => {
                let pause = if self.worker.stop.requested() { STOPPING } else { Duration::ZERO };
                self.later(after(now(), pause), RequeuePolicy::UntilSuperseded)
            }
        }
    }

    /// Other kinds came into play meanwhile: the order has yet to be looked at for those. Nothing else
    /// would do that, where it is the very order that membership sent for the new kinds.
    fn is_outdated(&self) -> bool {
        !Rc::ptr_eq(&self.context, &self.worker.context.borrow()) && !self.worker.stop.requested()
    }

    /// The cluster shows what the order asks for.
    fn applied(&mut self) {
        let knowledge = &self.worker.knowledge;
        if !self.counted {
            knowledge.applied(&self.stack);
        }
        if let Change::Existing(snapshot) = &self.machine.order().change
            && self.machine.is_plain()
        {
            knowledge.settle(&self.stack, fingerprint(snapshot));
        }
        self.end(|counters| &counters.applied);
    }

    /// Counts how the order ended, once.
    fn end(&mut self, fate: fn(&Counters) -> &Counter) {
        if !std::mem::replace(&mut self.counted, true) {
            fate(&self.worker.counters).add(1);
            if self.machine.is_faulty() {
                self.worker.counters.faulty.add(1);
            }
            if self.machine.is_incomplete() {
                self.worker.counters.incomplete.add(1);
            }
        }
    }

    fn later(&self, at: Instant, policy: RequeuePolicy) -> Outcome<Job> {
        let order = self.machine.order().clone();
        let job = Job { order, trace: None, counted: self.counted, again: true };
        Outcome::Requeue { order: job, at, policy }
    }

    /// Says what the machine has to say, and does not repeat itself for each of a million orders.
    fn tell(&mut self) {
        for notice in self.machine.notices() {
            if let Notice::NothingToDelete { .. } = notice {
                self.worker.knowledge.nothing_to_delete(self.machine.stack());
            }
            // The kind is named once, by the conductor, with the number of such orders.
            let quiet = matches!(notice, Notice::Incomplete { .. });
            let say = || self.worker.lines.borrow_mut().say(now(), notice.kind());
            let Some(unsaid) = (!quiet).then(say).flatten() else {
                debug!("{notice}");
                continue;
            };
            match notice {
                Notice::Faults { .. } | Notice::Clash { .. } | Notice::Rejected { .. } => {
                    error!("{notice}{unsaid}");
                }
                Notice::Failed { .. } => warn!("{notice}{unsaid}"),
                Notice::NoStack { .. }
                | Notice::Terminating { .. }
                | Notice::NothingToDelete { .. }
                | Notice::Incomplete { .. } => info!("{notice}{unsaid}"),
            }
        }
    }
}

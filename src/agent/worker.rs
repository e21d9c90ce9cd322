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
use shards::{Handler, Keep, Router, Slot, Stop, Verdict};
use tracing::{debug, error, info, warn};

use super::{
    counters::{Counter, Counters},
    mail::{FRONT, Job, Mail},
};
use crate::{
    cluster::Client,
    order::StackName,
    stack::{
        machine::{Context, Machine, Memory, Notice, Step},
        write::{Answer, Write},
    },
    time::{Instant, now},
};

/// What all orders of one shard share.
pub(super) struct Worker {
    client: Client,
    context: Rc<Context>,
    memories: Memories,
    counters: Arc<Counters>,
    stop: Stop,
    router: Router<Mail>,
}

impl Worker {
    /// A worker over this shard's client.
    pub(super) fn new(
        client: Client,
        context: Rc<Context>,
        counters: Arc<Counters>,
        stop: Stop,
        router: Router<Mail>,
    ) -> Self {
        Self { client, context, memories: Memories::default(), counters, stop, router }
    }

    /// What is remembered of this shard's stacks.
    pub(super) fn memories(&self) -> Memories {
        self.memories.clone()
    }
}

/// What has to be remembered of stacks between their orders: those with unsettled writes, or in
/// trouble. Clones are the same.
#[derive(Clone, Default)]
pub(super) struct Memories(Rc<RefCell<AHashMap<StackName, Memory>>>);

impl Memories {
    fn take(&self, stack: &StackName) -> Memory {
        self.0.borrow_mut().remove(stack).unwrap_or_default()
    }

    fn keep(&self, stack: StackName, memory: Memory) {
        if !memory.is_empty() {
            self.0.borrow_mut().insert(stack, memory);
        }
    }

    /// Says what the end of the process forgets.
    pub(super) fn farewell(&self) {
        for (stack, memory) in &*self.0.borrow() {
            if let Some(objects) = memory.unsettled() {
                warn!(%stack, "the outcome of the last write to {objects} is not known; should it arrive late, the next order of this stack puts it right");
            }
        }
    }
}

impl Handler<StackName, Job> for Worker {
    async fn handle(&self, slot: Slot<StackName, Job>, job: Job) -> Verdict<Job> {
        let memory = self.memories.take(&job.order.stack);
        let mut run = Run {
            machine: Machine::new(job.order.clone(), memory, Rc::clone(&self.context)),
            stack: job.order.stack.clone(),
            writes: FuturesUnordered::new(),
            counted: job.counted,
            worker: self,
            slot,
        };
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

type Answered<'a> = LocalBoxFuture<'a, (Write, Answer)>;

/// One order, or a chain of orders that took over from each other, in one slot.
struct Run<'a> {
    worker: &'a Worker,
    slot: Slot<StackName, Job>,
    stack: StackName,
    machine: Machine,
    writes: FuturesUnordered<Answered<'a>>,
    counted: bool,
}

impl Run<'_> {
    async fn drive(&mut self) -> Verdict<Job> {
        loop {
            self.follow();
            let step = self.machine.next(now());
            self.tell().await;
            // A stopping shard begins nothing, and waits for what is on its way.
            let stopping = self.worker.stop.requested();
            match step {
                Step::Read(scope) if !stopping => {
                    let client = self.worker.client.clone();
                    let context = Rc::clone(&self.worker.context);
                    let read = self.meanwhile(client.read(&scope, &context.catalog)).await;
                    self.machine.observed(now(), &scope, read);
                }
                Step::Write if !stopping => self.write().await,
                _ if !self.writes.is_empty() => self.answer().await,
                step => return self.verdict(&step),
            }
            if self.writes.is_empty() && self.slot.should_yield() {
                return self.later(now(), Keep::UntilSuperseded);
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
            self.machine.supersede(newer.order);
        }
    }

    /// Permit first, then decide: what is written follows from the newest order.
    async fn write(&mut self) {
        let client = self.worker.client.clone();
        let permit = self.meanwhile(client.permit()).await;
        self.follow();
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
            self.machine.answered(now(), &write, answer);
        }
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
                        self.machine.answered(now(), &write, answer);
                    }
                }
            }
        }
    }

    fn verdict(&mut self, step: &Step) -> Verdict<Job> {
        match step {
            Step::Done => {
                self.end(|counters| &counters.applied);
                Verdict::Done
            }
            &Step::Attend { at } => {
                self.end(|counters| &counters.applied);
                self.later(at, Keep::UntilAnything)
            }
            &Step::Later { at, refused: true } => {
                self.end(|counters| &counters.failed);
                self.later(at, Keep::UntilAnything)
            }
            &Step::Later { at, refused: false } => self.later(at, Keep::UntilSuperseded),
            // The shard is stopping.
            Step::Read(_) | Step::Write | Step::Await => self.later(now(), Keep::UntilSuperseded),
        }
    }

    /// Counts how the order ended, once.
    fn end(&mut self, fate: fn(&Counters) -> &Counter) {
        if !std::mem::replace(&mut self.counted, true) {
            fate(&self.worker.counters).add(1);
            if self.machine.is_faulty() {
                self.worker.counters.faulty.add(1);
            }
        }
    }

    fn later(&self, at: Instant, keep: Keep) -> Verdict<Job> {
        let job = Job { order: self.machine.order().clone(), counted: self.counted };
        Verdict::Later { order: job, at, keep }
    }

    /// Says what the machine has to say.
    async fn tell(&mut self) {
        for notice in self.machine.notices() {
            match notice {
                Notice::Report(report) => {
                    info!("{}", Notice::Report(report.clone()));
                    if self.worker.router.send(FRONT, Mail::Report(report)).await.is_err() {
                        error!(stack = %self.stack, "a report is lost, the first shard is gone");
                    }
                }
                Notice::Fault { .. } | Notice::Clash { .. } | Notice::Refused { .. } => error!("{notice}"),
                Notice::Failed { .. } => warn!("{notice}"),
                Notice::NoStack { .. } | Notice::Terminating { .. } => info!("{notice}"),
            }
        }
    }
}

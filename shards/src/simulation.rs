//! A thread's executor on simulated time: for tests that have to reach every order of events, and
//! to reach it again.
//!
//! Which of the runnable tasks comes next is drawn from a seed. Each step takes a little time, and
//! when nothing is runnable the clock jumps to the next timer, so that an hour costs what happens
//! in it. All randomness of the thread (`fastrand`) comes from the same seed. The same seed gives the
//! same run, as long as nothing depends on addresses or on the order of a hash map.
//!
//! Tasks belong to [groups](SimGroup), each a process, say: the tasks that a task spawns belong to its
//! group, and a group ends all at once wherever its tasks stand.

mod mesh;
#[cfg(test)]
mod tests;

use crate::engine;
use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    future::Future,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

pub use mesh::contexts;

type Runnable = async_task::Runnable<u32>;

/// The wall clock at the beginning.
const EPOCH: i64 = 1_750_000_000;
/// What one step of a task may take at most.
const LONGEST_STEP_NANOS: u64 = 20_000;
/// What a look at the clock takes.
const LOOK: Duration = Duration::from_nanos(30);

thread_local! {
    static WORLD: RefCell<Option<Rc<SimWorld>>> = const { RefCell::new(None) };
}

struct SimWorld {
    begun: Instant,
    elapsed: Cell<Duration>,
    random: RefCell<fastrand::Rng>,
    ready: RefCell<Vec<Runnable>>,
    /// By time, then in the order in which they were set.
    timers: RefCell<BTreeMap<(Duration, u64), Waker>>,
    /// Of all tasks that have not ended, with their groups.
    tasks: RefCell<BTreeMap<u64, (u32, Option<Waker>)>>,
    next: Cell<u64>,
    group: Cell<u32>,
    groups: Cell<u32>,
    steps: Cell<u64>,
    most_steps: Cell<u64>,
}

fn world() -> Rc<SimWorld> {
    let world = WORLD.with_borrow(|world| world.as_ref().map(Rc::clone));
    #[allow(clippy::expect_used, reason = "of tests: outside a simulation nobody gets here")]
    world.expect("a simulation on this thread")
}

/// Whether this thread runs a simulation.
pub fn is_running() -> bool {
    WORLD.with_borrow(Option::is_some)
}

/// Reading the clock takes time as well, so that what looks at it to know when to give way does.
pub(crate) fn now() -> Option<Instant> {
    WORLD.with_borrow(|world| {
        let world = world.as_ref()?;
        world.elapsed.set(world.elapsed.get().saturating_add(LOOK));
        Some(crate::time::after(world.begun, world.elapsed.get()))
    })
}

pub(crate) fn unix_seconds() -> Option<i64> {
    let elapsed = WORLD.with_borrow(|world| world.as_ref().map(|world| world.elapsed.get()))?;
    Some(EPOCH.saturating_add_unsigned(elapsed.as_secs()))
}

/// A simulation on this thread, until it is dropped.
pub struct Simulation(Rc<SimWorld>);

impl Simulation {
    /// Begins one; there must be none yet.
    #[allow(clippy::disallowed_methods, reason = "any moment will do to count from")]
    pub fn new(seed: u64) -> Self {
        assert!(!is_running(), "one simulation at a time on a thread");
        let world = Rc::new(SimWorld {
            begun: Instant::now(),
            elapsed: Cell::default(),
            random: RefCell::new(fastrand::Rng::with_seed(seed)),
            ready: RefCell::default(),
            timers: RefCell::default(),
            tasks: RefCell::default(),
            next: Cell::new(0),
            group: Cell::new(0),
            groups: Cell::new(0),
            steps: Cell::new(0),
            most_steps: Cell::new(u64::MAX),
        });
        fastrand::seed(world.random.borrow_mut().u64(..));
        WORLD.set(Some(Rc::clone(&world)));
        Self(world)
    }

    /// Runs until this future has come to its end.
    ///
    /// # Panics
    ///
    /// Where nothing can happen any more before that, and wherever a task panics.
    pub fn run<T: 'static>(&self, main: impl Future<Output = T> + 'static) -> T {
        let outcome = Rc::new(RefCell::new(None));
        let place = Rc::clone(&outcome);
        let _main = spawn(async move {
            let done = main.await;
            place.replace(Some(done));
        });
        loop {
            if let Some(done) = outcome.take() {
                return done;
            }
            assert!(self.0.steps.get() < self.0.most_steps.get(), "something runs in circles");
            assert!(self.0.step(), "nothing is runnable and no timer is set: this never ends");
        }
    }

    /// Panics where it takes more steps than this: something runs in circles.
    pub fn limit(&self, most_steps: u64) {
        self.0.most_steps.set(most_steps);
    }

    /// Time since the beginning.
    pub fn elapsed(&self) -> Duration {
        self.0.elapsed.get()
    }

    /// Ends it without dropping any of its tasks, since a panic may have left them in any state.
    pub fn abandon(self) {
        std::mem::forget(Rc::clone(&self.0));
        std::mem::forget(std::mem::take(&mut *self.0.ready.borrow_mut()));
        WORLD.set(None);
        std::mem::forget(self);
    }

    /// Steps of tasks so far.
    pub fn steps(&self) -> u64 {
        self.0.steps.get()
    }
}

impl Drop for Simulation {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.0.end(|_| true);
        }
        WORLD.set(None);
    }
}

impl SimWorld {
    fn id(&self) -> u64 {
        self.next.set(self.next.get() + 1);
        self.next.get()
    }

    /// Runs one task for one step, or lets the time pass until one is runnable.
    fn step(&self) -> bool {
        self.ring();
        let runnable = {
            let mut ready = self.ready.borrow_mut();
            match ready.len() {
                0 => None,
                n => Some(ready.swap_remove(self.random.borrow_mut().usize(..n))),
            }
        };
        let Some(runnable) = runnable else { return self.jump() };
        let took = self.random.borrow_mut().u64(..LONGEST_STEP_NANOS);
        self.elapsed.set(self.elapsed.get().saturating_add(Duration::from_nanos(took)));
        self.steps.set(self.steps.get() + 1);
        let outer = self.group.replace(*runnable.metadata());
        runnable.run();
        self.group.set(outer);
        true
    }

    /// Wakes those whose time has come.
    fn ring(&self) {
        loop {
            let waker = {
                let mut timers = self.timers.borrow_mut();
                match timers.first_entry() {
                    Some(first) if first.key().0 <= self.elapsed.get() => first.remove(),
                    _ => return,
                }
            };
            waker.wake();
        }
    }

    fn jump(&self) -> bool {
        let Some(at) = self.timers.borrow().first_key_value().map(|((at, _), _)| *at) else { return false };
        self.elapsed.set(at);
        true
    }

    /// Drops the tasks of these groups.
    fn end(&self, which: impl Fn(u32) -> bool) {
        // Dropping a task may spawn or wake others.
        loop {
            let wakers: Vec<Waker> = {
                let mut tasks = self.tasks.borrow_mut();
                let of_group = tasks.values_mut().filter(|(group, _)| which(*group));
                of_group.filter_map(|(_, waker)| waker.take()).collect()
            };
            // Each that sleeps is put among the runnable ones by that, where it can be dropped.
            wakers.into_iter().for_each(Waker::wake);
            let doomed: Vec<Runnable> = {
                let mut ready = self.ready.borrow_mut();
                let all = std::mem::take(&mut *ready);
                let (doomed, left) = all.into_iter().partition(|runnable| which(*runnable.metadata()));
                *ready = left;
                doomed
            };
            if doomed.is_empty() {
                return;
            }
            drop(doomed);
        }
    }
}

/// Tasks that can be ended together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SimGroup(u32);

impl SimGroup {
    /// A group of the simulation that this thread runs.
    pub fn new() -> Self {
        let world = world();
        world.groups.set(world.groups.get() + 1);
        Self(world.groups.get())
    }

    /// Spawns a task of this group.
    pub fn spawn<T: 'static>(self, future: impl Future<Output = T> + 'static) -> engine::Task<T> {
        let world = world();
        let outer = world.group.replace(self.0);
        let task = engine::spawn(future);
        world.group.set(outer);
        task
    }

    /// Drops all its tasks where they stand. Not to be called by one of them.
    pub fn kill(self) {
        let world = world();
        assert_ne!(world.group.get(), self.0, "a task cannot be dropped while it runs");
        world.end(|group| group == self.0);
    }
}

impl Default for SimGroup {
    fn default() -> Self {
        Self::new()
    }
}

/// See [`crate::engine::Task`].
#[derive(Debug)]
pub(crate) struct SimTask<T>(async_task::Task<T, u32>);

impl<T> SimTask<T> {
    pub(crate) fn detach(self) {
        self.0.detach();
    }

    pub(crate) async fn cancel(self) -> Option<T> {
        self.0.cancel().await
    }
}

impl<T> Future for SimTask<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        Pin::new(&mut self.0).poll(cx)
    }
}

/// Takes a task out of the register when its future is dropped.
struct Registered(u64);

impl Drop for Registered {
    fn drop(&mut self) {
        let removed = WORLD.with_borrow(Option::clone).map(|w| w.tasks.borrow_mut().remove(&self.0));
        drop(removed);
    }
}

pub(crate) fn spawn<T: 'static>(future: impl Future<Output = T> + 'static) -> SimTask<T> {
    let world = world();
    let (id, group) = (world.id(), world.group.get());
    let registered = Registered(id);
    world.tasks.borrow_mut().insert(id, (group, None));
    let future = async move {
        let _registered = registered;
        future.await
    };
    let schedule = |runnable: Runnable| {
        // After the end nothing runs any more.
        if let Some(world) = WORLD.with_borrow(Option::clone) {
            world.ready.borrow_mut().push(runnable);
        }
    };
    let (runnable, task) = async_task::Builder::new().metadata(group).spawn_local(|_| future, schedule);
    if let Some((_, waker)) = world.tasks.borrow_mut().get_mut(&id) {
        *waker = Some(runnable.waker());
    }
    runnable.schedule();
    SimTask(task)
}

/// See [`crate::engine::Timer`].
#[derive(Debug)]
pub(crate) struct SimTimer {
    at: Duration,
    id: u64,
}

impl SimTimer {
    pub(crate) fn new(duration: Duration) -> Self {
        let world = world();
        Self { at: world.elapsed.get().saturating_add(duration), id: world.id() }
    }
}

impl Future for SimTimer {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let world = world();
        let mut timers = world.timers.borrow_mut();
        if world.elapsed.get() >= self.at {
            timers.remove(&(self.at, self.id));
            return Poll::Ready(());
        }
        timers.insert((self.at, self.id), cx.waker().clone());
        Poll::Pending
    }
}

impl Drop for SimTimer {
    fn drop(&mut self) {
        let removed = WORLD
            .with_borrow(Option::clone)
            .map(|world| world.timers.borrow_mut().remove(&(self.at, self.id)));
        drop(removed);
    }
}

//! Circuit breakers, one for each class of failures: who waits for the end of an outage, and when they
//! are run again.
//!
//! A stack whose request failed with what others fail with too (a [`FailureClass`]) does not try again
//! at a pace of its own. While nothing of the class succeeds, one stack a second is tried, in turn: so
//! the end of an outage is noticed within about that time, and an API server that is down is left
//! alone. A success shows that the outage is over, and those that wait are run again, the longest
//! waiting first, as many at a time as the shard can work on: should it not be over, they are all that
//! fails.
//!
//! What fails although others of its class succeed fails for a reason of its own. Where that has
//! happened a few times in a row, the stack keeps to its own backoff until it is well.

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, btree_map::Entry as Slot},
    pin::pin,
};

use ahash::AHashMap;
use futures::future::select;
use shards::Wakeup;
use tracing::info;

use crate::{
    net,
    order::StackName,
    stack::write::{FailureClass, Write, WriteAnswer},
    time::{Duration, Instant, after, now, times},
};

/// How long after a probe the next one of its class goes out, at most.
const PACE: Duration = Duration::from_secs(1);
/// Probes of one class that are under way together: those of an API server that does not answer end
/// only at their deadline.
const PROBES: usize = 16;
/// A stack that was run again because others succeeded, and failed again so many times in a row,
/// fails for a reason of its own.
const MOST_VAIN: u32 = 2;
/// Whoever waits looks by itself after so long at the latest, should all else fail.
const AT_LAST: Duration = Duration::from_secs(600);
/// The end of an outage that was shorter is not worth a line.
const WORTH_A_LINE: Duration = Duration::from_secs(2);

/// See the [module](self). Pure.
#[derive(Debug)]
struct CircuitBreakers {
    classes: BTreeMap<FailureClass, Breaker>,
    /// Stacks that wait, that are being tried, and those that keep to their own backoff.
    stacks: AHashMap<StackName, Waiter>,
    /// How many that were let go may be under way together.
    window: usize,
    under_way: usize,
    sequence: u64,
    random: fastrand::Rng,
}

/// One class of failures, while anybody waits for its end.
#[derive(Debug)]
struct Breaker {
    /// Since when nothing has succeeded; `None` once something has.
    since: Option<Instant>,
    /// When the next probe is due.
    probe_at: Instant,
    /// Probes under way.
    probes: usize,
    /// Who waits, by age: since when, and in which order they came.
    by_age: BTreeMap<(Instant, u64), StackName>,
    /// The same by when they were last tried.
    by_trial: BTreeMap<u64, StackName>,
}

/// A stack in trouble.
#[derive(Debug)]
struct Waiter {
    class: FailureClass,
    /// When its trouble began.
    since: Instant,
    /// When it came, and when it was last tried, in terms of the sequence.
    came: u64,
    tried: u64,
    /// How often it was let go, and failed again.
    vain: u32,
    state: WaiterState,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum WaiterState {
    /// It is in the index of its class.
    Waiting,
    /// It was called, or runs: as a probe, or because others succeeded.
    Probe,
    Released,
    /// It runs, or waits, for reasons of its own.
    Own,
}

/// A success ended an outage.
#[derive(Debug, Clone, PartialEq, Eq)]
struct OutageEnded {
    /// How long nothing had succeeded.
    lasted: Duration,
    /// How many stacks wait.
    waiting: usize,
}

impl CircuitBreakers {
    /// Nobody waits. `window`: how many stacks the shard works on at a time.
    fn new(window: usize, seed: u64) -> Self {
        Self {
            classes: BTreeMap::new(),
            stacks: AHashMap::new(),
            window: window.max(1),
            under_way: 0,
            sequence: 0,
            random: fastrand::Rng::with_seed(seed),
        }
    }

    /// A run of the stack begins. True where it was called: what it paused for may be over.
    fn begins(&mut self, stack: &StackName) -> bool {
        let Some(waiter) = self.stacks.get_mut(stack) else { return false };
        match waiter.state {
            WaiterState::Probe | WaiterState::Released => true,
            WaiterState::Own => false,
            WaiterState::Waiting => {
                waiter.state = WaiterState::Own;
                let (class, keys) = (waiter.class.clone(), ((waiter.since, waiter.came), waiter.tried));
                self.leave(&class, keys);
                false
            }
        }
    }

    /// A run ended otherwise than by waiting. Whether the stack had been in trouble.
    fn ends(&mut self, stack: &StackName, now: Instant) -> bool {
        let Some(waiter) = self.stacks.remove(stack) else { return false };
        self.landed(&waiter, None, now);
        true
    }

    /// A run ended with a failure of this class, and its own backoff would have the stack run again
    /// `at` that time. Says when it is to be run again unless it is called before.
    fn waits(&mut self, stack: &StackName, class: &FailureClass, at: Instant, now: Instant) -> Instant {
        self.sequence += 1;
        let before = self.stacks.remove(stack);
        let mut vain = 0;
        if let Some(before) = before.as_ref() {
            self.landed(before, Some(class), now);
            if before.class == *class {
                vain = before.vain + u32::from(before.state == WaiterState::Released);
            }
        }
        let (since, came) = before.map_or((now, self.sequence), |before| (before.since, before.came));
        let state = if vain > MOST_VAIN { WaiterState::Own } else { WaiterState::Waiting };
        let waiter = Waiter { class: class.clone(), since, came, tried: self.sequence, vain, state };
        if state == WaiterState::Waiting {
            self.enter(stack, &waiter, at, now);
        }
        self.stacks.insert(stack.clone(), waiter);
        if state == WaiterState::Own {
            at
        } else {
            at.max(after(now, times(AT_LAST, 0.5 + self.random.f64() / 2.0)))
        }
    }

    /// Something of this class went well.
    fn succeeded(&mut self, class: &FailureClass, now: Instant) -> Option<OutageEnded> {
        let breaker = self.classes.get_mut(class)?;
        let since = breaker.since.take()?;
        Some(OutageEnded { lasted: now.saturating_duration_since(since), waiting: breaker.by_age.len() })
    }

    /// Who is to be run now.
    fn due(&mut self, now: Instant) -> Vec<StackName> {
        let mut called = Vec::new();
        for breaker in self.classes.values_mut() {
            let state = match breaker.since {
                None => WaiterState::Released,
                Some(_) => WaiterState::Probe,
            };
            loop {
                let next = match state {
                    WaiterState::Probe if breaker.probes >= PROBES || breaker.probe_at > now => None,
                    WaiterState::Probe => breaker.by_trial.first_key_value().map(|(_, stack)| stack.clone()),
                    _ if self.under_way >= self.window => None,
                    _ => breaker.by_age.first_key_value().map(|(_, stack)| stack.clone()),
                };
                let Some(stack) = next else { break };
                let Some(waiter) = self.stacks.get_mut(&stack) else { break };
                breaker.by_age.remove(&(waiter.since, waiter.came));
                breaker.by_trial.remove(&waiter.tried);
                waiter.state = state;
                if state == WaiterState::Probe {
                    breaker.probes += 1;
                    breaker.probe_at = after(now, times(PACE, 0.75 + self.random.f64() / 4.0));
                } else {
                    self.under_way += 1;
                }
                called.push(stack);
            }
        }
        self.classes.retain(|_, breaker| !breaker.is_over());
        called
    }

    /// When somebody will be due, unless something happens before.
    fn next(&self) -> Option<Instant> {
        let waiting = self.classes.values().filter(|breaker| breaker.since.is_some());
        let waiting = waiting.filter(|breaker| !breaker.by_trial.is_empty() && breaker.probes < PROBES);
        waiting.map(|breaker| breaker.probe_at).min()
    }

    /// A stack that was called came to an end; `failed` with what.
    fn landed(&mut self, waiter: &Waiter, failed: Option<&FailureClass>, now: Instant) {
        match waiter.state {
            WaiterState::Released => self.under_way = self.under_way.saturating_sub(1),
            WaiterState::Probe => {
                let Some(breaker) = self.classes.get_mut(&waiter.class) else { return };
                breaker.probes = breaker.probes.saturating_sub(1);
                if failed != Some(&waiter.class) {
                    // It did not come to what had failed, and says nothing: another one shall.
                    breaker.probe_at = now;
                }
            }
            WaiterState::Waiting => {
                self.leave(&waiter.class.clone(), ((waiter.since, waiter.came), waiter.tried));
            }
            WaiterState::Own => {}
        }
    }

    fn enter(&mut self, stack: &StackName, waiter: &Waiter, at: Instant, now: Instant) {
        let first = at.min(after(now, PACE));
        let breaker = match self.classes.entry(waiter.class.clone()) {
            Slot::Occupied(known) => known.into_mut(),
            Slot::Vacant(vacant) => vacant.insert(Breaker {
                since: Some(now),
                probe_at: first,
                probes: 0,
                by_age: BTreeMap::new(),
                by_trial: BTreeMap::new(),
            }),
        };
        if breaker.since.is_none() {
            (breaker.since, breaker.probe_at) = (Some(now), first);
        }
        breaker.by_age.insert((waiter.since, waiter.came), stack.clone());
        breaker.by_trial.insert(waiter.tried, stack.clone());
    }

    fn leave(&mut self, class: &FailureClass, (age, tried): ((Instant, u64), u64)) {
        if let Some(breaker) = self.classes.get_mut(class) {
            breaker.by_age.remove(&age);
            breaker.by_trial.remove(&tried);
        }
    }
}

impl Breaker {
    /// Whether nobody waits for its end.
    fn is_over(&self) -> bool {
        self.by_age.is_empty() && self.probes == 0
    }
}

/// What a shard's orders tell of failures and successes, and what follows from that.
pub(super) struct BreakerDriver {
    breakers: RefCell<CircuitBreakers>,
    /// Counts what may make somebody due.
    moves: Cell<u64>,
    moved: Wakeup,
}

impl BreakerDriver {
    /// Of a shard that works on so many stacks at a time.
    pub(super) fn new(window: usize) -> Self {
        let breakers = RefCell::new(CircuitBreakers::new(window, fastrand::u64(..)));
        Self { breakers, moves: Cell::new(0), moved: Wakeup::default() }
    }

    /// A run of the stack begins. True where it was called: it need not pause any longer.
    pub(super) fn begins(&self, stack: &StackName) -> bool {
        self.breakers.borrow_mut().begins(stack)
    }

    /// A run came to an end.
    pub(super) fn ends(&self, stack: &StackName) {
        let was_in_trouble = self.breakers.borrow_mut().ends(stack, now());
        if was_in_trouble {
            self.stir();
        }
    }

    /// A run failed with what others fail with as well. Says when the stack is to be run again unless
    /// it is called before.
    pub(super) fn waits(&self, stack: &StackName, class: &FailureClass, at: Instant) -> Instant {
        let at = self.breakers.borrow_mut().waits(stack, class, at, now());
        self.stir();
        at
    }

    /// Reads were answered.
    pub(super) fn read(&self) {
        self.succeeded(&FailureClass::Read);
        self.succeeded(&FailureClass::Any);
    }

    /// A write was answered.
    pub(super) fn answered(&self, write: &Write, answer: &WriteAnswer) {
        FailureClass::proved_by(write, answer).iter().for_each(|class| self.succeeded(class));
    }

    fn succeeded(&self, class: &FailureClass) {
        let ended = self.breakers.borrow_mut().succeeded(class, now());
        let Some(OutageEnded { lasted, waiting }) = ended else { return };
        if lasted >= WORTH_A_LINE && waiting > 0 {
            info!(%class, waiting, "answered again after {lasted:.1?}; the stacks that wait for that go on");
        }
        self.stir();
    }

    fn stir(&self) {
        self.moves.set(self.moves.get() + 1);
        self.moved.notify();
    }

    /// Calls who is due, for ever. While the API server wants to be left alone, which `paused` says,
    /// nobody is.
    pub(super) async fn run(&self, paused: impl Fn() -> Option<Instant>, call: impl Fn(&StackName)) {
        loop {
            let seen = self.moves.get();
            let pause = paused();
            if pause.is_none() {
                let called = self.breakers.borrow_mut().due(now());
                called.iter().for_each(&call);
            }
            let next = self.breakers.borrow().next().max(pause);
            let moved = self.moved.until(|| (self.moves.get() != seen).then_some(()));
            match next {
                Some(at) => {
                    let wait = net::sleep(at.saturating_duration_since(now()));
                    select(pin!(wait), pin!(moved)).await;
                }
                None => moved.await,
            }
        }
    }
}

#[cfg(test)]
mod tests;

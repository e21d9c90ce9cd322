//! Outages: what keeps many stacks waiting, who waits, and when they are run again. Pure.
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

use std::collections::{BTreeMap, btree_map::Entry as Slot};

use ahash::AHashMap;

use crate::{
    order::StackName,
    stack::write::FailureClass,
    time::{Duration, Instant, after, times},
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

/// See the [module](self).
#[derive(Debug)]
pub(super) struct Outages {
    classes: BTreeMap<FailureClass, Outage>,
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
struct Outage {
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
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
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
pub(super) struct Ended {
    /// How long nothing had succeeded.
    pub(super) lasted: Duration,
    /// How many stacks wait.
    pub(super) waiting: usize,
}

impl Outages {
    /// No outage. `window`: how many stacks the shard works on at a time.
    pub(super) fn new(window: usize, seed: u64) -> Self {
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
    pub(super) fn begins(&mut self, stack: &StackName) -> bool {
        let Some(waiter) = self.stacks.get_mut(stack) else { return false };
        match waiter.state {
            State::Probe | State::Released => true,
            State::Own => false,
            State::Waiting => {
                waiter.state = State::Own;
                let (class, keys) = (waiter.class.clone(), ((waiter.since, waiter.came), waiter.tried));
                self.leave(&class, keys);
                false
            }
        }
    }

    /// A run ended otherwise than by waiting. Whether the stack had been in trouble.
    pub(super) fn ends(&mut self, stack: &StackName, now: Instant) -> bool {
        let Some(waiter) = self.stacks.remove(stack) else { return false };
        self.landed(&waiter, None, now);
        true
    }

    /// A run ended with a failure of this class, and its own backoff would have the stack run again
    /// `at` that time. Says when it is to be run again unless it is called before.
    pub(super) fn waits(
        &mut self,
        stack: &StackName,
        class: &FailureClass,
        at: Instant,
        now: Instant,
    ) -> Instant {
        self.sequence += 1;
        let before = self.stacks.remove(stack);
        let mut vain = 0;
        if let Some(before) = before.as_ref() {
            self.landed(before, Some(class), now);
            if before.class == *class {
                vain = before.vain + u32::from(before.state == State::Released);
            }
        }
        let (since, came) = before.map_or((now, self.sequence), |before| (before.since, before.came));
        let state = if vain > MOST_VAIN { State::Own } else { State::Waiting };
        let waiter = Waiter { class: class.clone(), since, came, tried: self.sequence, vain, state };
        if state == State::Waiting {
            self.enter(stack, &waiter, at, now);
        }
        self.stacks.insert(stack.clone(), waiter);
        if state == State::Own {
            at
        } else {
            at.max(after(now, times(AT_LAST, 0.5 + self.random.f64() / 2.0)))
        }
    }

    /// Something of this class went well.
    pub(super) fn succeeded(&mut self, class: &FailureClass, now: Instant) -> Option<Ended> {
        let outage = self.classes.get_mut(class)?;
        let since = outage.since.take()?;
        Some(Ended { lasted: now.saturating_duration_since(since), waiting: outage.by_age.len() })
    }

    /// Who is to be run now.
    pub(super) fn due(&mut self, now: Instant) -> Vec<StackName> {
        let mut called = Vec::new();
        for outage in self.classes.values_mut() {
            let state = match outage.since {
                None => State::Released,
                Some(_) => State::Probe,
            };
            loop {
                let next = match state {
                    State::Probe if outage.probes >= PROBES || outage.probe_at > now => None,
                    State::Probe => outage.by_trial.first_key_value().map(|(_, stack)| stack.clone()),
                    _ if self.under_way >= self.window => None,
                    _ => outage.by_age.first_key_value().map(|(_, stack)| stack.clone()),
                };
                let Some(stack) = next else { break };
                let Some(waiter) = self.stacks.get_mut(&stack) else { break };
                outage.by_age.remove(&(waiter.since, waiter.came));
                outage.by_trial.remove(&waiter.tried);
                waiter.state = state;
                if state == State::Probe {
                    outage.probes += 1;
                    outage.probe_at = after(now, times(PACE, 0.75 + self.random.f64() / 4.0));
                } else {
                    self.under_way += 1;
                }
                called.push(stack);
            }
        }
        self.classes.retain(|_, outage| !outage.is_over());
        called
    }

    /// When somebody will be due, unless something happens before.
    pub(super) fn next(&self) -> Option<Instant> {
        let waiting = self.classes.values().filter(|outage| outage.since.is_some());
        let waiting = waiting.filter(|outage| !outage.by_trial.is_empty() && outage.probes < PROBES);
        waiting.map(|outage| outage.probe_at).min()
    }

    /// A stack that was called came to an end; `failed` with what.
    fn landed(&mut self, waiter: &Waiter, failed: Option<&FailureClass>, now: Instant) {
        match waiter.state {
            State::Released => self.under_way = self.under_way.saturating_sub(1),
            State::Probe => {
                let Some(outage) = self.classes.get_mut(&waiter.class) else { return };
                outage.probes = outage.probes.saturating_sub(1);
                if failed != Some(&waiter.class) {
                    // It did not come to what had failed, and says nothing: another one shall.
                    outage.probe_at = now;
                }
            }
            State::Waiting => {
                self.leave(&waiter.class.clone(), ((waiter.since, waiter.came), waiter.tried));
            }
            State::Own => {}
        }
    }

    fn enter(&mut self, stack: &StackName, waiter: &Waiter, at: Instant, now: Instant) {
        let first = at.min(after(now, PACE));
        let outage = match self.classes.entry(waiter.class.clone()) {
            Slot::Occupied(known) => known.into_mut(),
            Slot::Vacant(vacant) => vacant.insert(Outage {
                since: Some(now),
                probe_at: first,
                probes: 0,
                by_age: BTreeMap::new(),
                by_trial: BTreeMap::new(),
            }),
        };
        if outage.since.is_none() {
            (outage.since, outage.probe_at) = (Some(now), first);
        }
        outage.by_age.insert((waiter.since, waiter.came), stack.clone());
        outage.by_trial.insert(waiter.tried, stack.clone());
    }

    fn leave(&mut self, class: &FailureClass, (age, tried): ((Instant, u64), u64)) {
        if let Some(outage) = self.classes.get_mut(class) {
            outage.by_age.remove(&age);
            outage.by_trial.remove(&tried);
        }
    }
}

impl Outage {
    /// Whether nobody waits for its end.
    fn is_over(&self) -> bool {
        self.by_age.is_empty() && self.probes == 0
    }
}

#[cfg(test)]
mod tests;

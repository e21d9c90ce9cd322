//! The keys of one shard: whose turn it is, who is in flight, who waits for later.
//!
//! Pure: no clock, no IO. [`Dispatcher`](crate::Dispatcher) performs what it says.
//!
//! A key is here only while it has something to do. It is in one of three places:
//!
//! ```text
//!            take                    defer
//!   ready ─────────▶ in flight ─────────────────▶ deferred
//!     ▲                │ finish, more waits           │ due, woken, superseded
//!     └────────────────┴──────────────────────────────┘
//! ```
//!
//! Ready keys are taken first come, first served, and a key with more to do goes to the back: a
//! hot key has one turn in each round like any other.

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;

use crate::{ClassedOrder, Displaced, OrderClass, mailbox::Mailbox, time::Instant};
use std::{
    collections::{
        BTreeMap, HashMap, VecDeque,
        hash_map::Entry::{Occupied, Vacant},
    },
    hash::Hash,
};

/// How an order that was put off relates to newer ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequeuePolicy {
    /// It still has to be done: it goes only where one in flight would be superseded, and all
    /// else queues behind it. For a transient failure, or a wait for something outside.
    UntilSuperseded,
    /// Any newer order drops it and runs at once. For one that can hardly succeed, or that is
    /// done and only looks again.
    UntilNewer,
}

/// Numbers of a table at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stats {
    /// Keys with anything to do.
    pub keys: usize,
    /// Keys whose turn could come now.
    pub ready: usize,
    /// Keys with an order in flight.
    pub in_flight: usize,
    /// Keys that wait for a moment or a wake-up.
    pub deferred: usize,
    /// Orders that wait in mailboxes, not counting those in flight or put off.
    pub waiting: usize,
}

/// The most entries that are kept for later use.
const MOST_SPARE: usize = 1024;

/// The mailboxes of one shard. See the module for how keys move.
#[derive(Debug)]
pub struct Table<K, O> {
    /// Boxed, since a map of a million has up to as many places that are empty.
    entries: HashMap<K, Box<KeyEntry<O>>, ahash::RandomState>,
    /// Empty ones, to be used again: keys come and go with every order.
    spare: Vec<Box<KeyEntry<O>>>,
    /// Exactly the keys in `KeyState::Ready`, each once.
    ready: VecDeque<K>,
    /// Exactly the keys in `KeyState::Deferred`, by time and then in the order of deferral. A map
    /// and not a heap: a key that is woken leaves no stale entry behind.
    deferred: BTreeMap<(Instant, u64), K>,
    sequence: u64,
    in_flight: usize,
    max_in_flight: usize,
    waiting: usize,
}

#[derive(Debug)]
struct KeyEntry<O> {
    state: KeyState,
    /// An order that was put off; it runs before those that wait.
    put_off: Option<Box<DeferredOrder<O>>>,
    waiting: Mailbox<O>,
}

impl<O> Default for KeyEntry<O> {
    fn default() -> Self {
        Self { state: KeyState::Ready, put_off: None, waiting: Mailbox::default() }
    }
}

#[derive(Debug)]
struct DeferredOrder<O> {
    order: O,
    policy: RequeuePolicy,
}

#[derive(Debug, Clone, Copy)]
enum KeyState {
    Ready,
    /// `woken`: something happened meanwhile that the order may have missed, so that putting it
    /// off would be to sleep through it.
    InFlight {
        class: OrderClass,
        woken: bool,
    },
    Deferred {
        at: Instant,
        sequence: u64,
    },
}

impl<K: Hash + Eq + Clone, O: ClassedOrder> Table<K, O> {
    /// A table that lets at most `max_in_flight` keys be in flight at once (0 counts as 1).
    pub fn new(max_in_flight: usize) -> Self {
        Self {
            entries: HashMap::default(),
            spare: Vec::new(),
            ready: VecDeque::new(),
            deferred: BTreeMap::new(),
            sequence: 0,
            in_flight: 0,
            max_in_flight: max_in_flight.max(1),
            waiting: 0,
        }
    }

    /// Queues an order. What comes back will not run: the newer one made it pointless.
    pub fn offer(&mut self, key: K, order: O) -> Displaced<O> {
        match self.entries.entry(key) {
            Vacant(vacant) => {
                self.ready.push_back(vacant.key().clone());
                let entry = vacant.insert(self.spare.pop().unwrap_or_default());
                entry.state = KeyState::Ready;
                self.waiting += 1;
                entry.waiting.push(order)
            }
            Occupied(mut occupied) => {
                let entry = occupied.get_mut();
                let mut displaced = entry.waiting.push(order);
                self.waiting = self.waiting + 1 - displaced.len();
                displaced.add(entry.drop_deferred());
                if entry.put_off.is_none()
                    && let KeyState::Deferred { at, sequence } = entry.state
                {
                    entry.state = KeyState::Ready;
                    self.deferred.remove(&(at, sequence));
                    self.ready.push_back(occupied.key().clone());
                }
                displaced
            }
        }
    }

    /// The next key and its order, unless as many as may be are in flight. The key's order is then
    /// in flight until [`finish`](Self::finish) or [`defer`](Self::defer).
    pub fn take(&mut self) -> Option<(K, O)> {
        if self.in_flight == self.max_in_flight {
            return None;
        }
        let key = self.ready.pop_front()?;
        // A ready key always has an order; were it not so, forgetting the key would be the repair.
        let entry = self.entries.get_mut(&key)?;
        let order = match entry.put_off.take() {
            Some(held) => held.order,
            None => {
                self.waiting -= 1;
                entry.waiting.pop()?
            }
        };
        entry.state = KeyState::InFlight { class: order.class(), woken: false };
        self.in_flight += 1;
        Some((key, order))
    }

    /// Whether there is anything to do for the key.
    pub fn has(&self, key: &K) -> bool {
        self.entries.contains_key(key)
    }

    /// Whether an order waits that supersedes the one in flight.
    pub fn superseded(&self, key: &K) -> bool {
        self.entries.get(key).is_some_and(|entry| match entry.state {
            KeyState::InFlight { class, .. } => entry.waiting.supersedes(class),
            _ => false,
        })
    }

    /// The waiting order that supersedes the one in flight. It is in flight from now on, in the
    /// same slot; the older one is the caller's to count.
    pub fn successor(&mut self, key: &K) -> Option<O> {
        let entry = self.entries.get_mut(key)?;
        let KeyState::InFlight { class, .. } = &mut entry.state else { return None };
        if !entry.waiting.supersedes(*class) {
            return None;
        }
        let order = entry.waiting.pop()?;
        self.waiting -= 1;
        *class = order.class();
        Some(order)
    }

    /// The order in flight is done. Its key goes to the back of the queue if more waits.
    pub fn finish(&mut self, key: K) {
        let Some(entry) = self.entries.get_mut(&key) else { return };
        let KeyState::InFlight { .. } = entry.state else { return };
        self.in_flight -= 1;
        if !entry.waiting.is_empty() {
            entry.state = KeyState::Ready;
            self.ready.push_back(key);
        } else if let Some(entry) = self.entries.remove(&key)
            && self.spare.len() < MOST_SPARE
        {
            self.spare.push(entry);
        }
    }

    /// The order in flight is put off until `at`, a [`wake`](Self::wake) or a newer order as
    /// `policy` says, and holds no slot until then. What comes back was superseded already.
    pub fn defer(&mut self, key: &K, order: O, at: Instant, policy: RequeuePolicy) -> Displaced<O> {
        let mut displaced = Displaced::default();
        self.sequence += 1;
        let sequence = self.sequence;
        let Some((entry, woken)) = self.entries.get_mut(key).and_then(|entry| match entry.state {
            KeyState::InFlight { woken, .. } => Some((entry, woken)),
            _ => None,
        }) else {
            debug_assert!(false, "only an order in flight can be put off");
            return displaced;
        };
        self.in_flight -= 1;
        entry.put_off = Some(Box::new(DeferredOrder { order, policy }));
        displaced.add(entry.drop_deferred());
        if woken || entry.put_off.is_none() {
            entry.state = KeyState::Ready;
            self.ready.push_back(key.clone());
        } else {
            entry.state = KeyState::Deferred { at, sequence };
            self.deferred.insert((at, sequence), key.clone());
        }
        displaced
    }

    /// Something happened that concerns the key: an order that was put off becomes ready, and one
    /// in flight, should it be put off, becomes ready at once. No effect on an unknown key.
    pub fn wake(&mut self, key: &K) {
        let Some(entry) = self.entries.get_mut(key) else { return };
        match &mut entry.state {
            KeyState::Ready => {}
            KeyState::InFlight { woken, .. } => *woken = true,
            KeyState::Deferred { at, sequence } => {
                self.deferred.remove(&(*at, *sequence));
                entry.state = KeyState::Ready;
                self.ready.push_back(key.clone());
            }
        }
    }

    /// When the next order that was put off comes due.
    pub fn next_deferred(&self) -> Option<Instant> {
        self.deferred.keys().next().map(|(at, _)| *at)
    }

    /// How many ready keys [`take`](Self::take) would give one after the other.
    pub fn takeable(&self) -> usize {
        self.ready.len().min(self.max_in_flight - self.in_flight)
    }

    /// Whether keys are ready while no more may be in flight.
    pub fn crowded(&self) -> bool {
        self.in_flight == self.max_in_flight && !self.ready.is_empty()
    }

    /// The numbers at this moment.
    pub fn stats(&self) -> Stats {
        Stats {
            keys: self.entries.len(),
            ready: self.ready.len(),
            in_flight: self.in_flight,
            deferred: self.deferred.len(),
            waiting: self.waiting,
        }
    }

    /// Moves what has come due to the back of the ready queue.
    pub fn promote(&mut self, now: Instant) {
        while let Some(due) = self.deferred.first_entry()
            && due.key().0 <= now
        {
            let key = due.remove();
            if let Some(entry) = self.entries.get_mut(&key) {
                entry.state = KeyState::Ready;
                self.ready.push_back(key);
            }
        }
    }
}

impl<O: ClassedOrder> KeyEntry<O> {
    /// Takes the order that was put off, where one that waits makes it pointless.
    fn drop_deferred(&mut self) -> Option<O> {
        let held = self.put_off.as_ref()?;
        let drop = match held.policy {
            RequeuePolicy::UntilSuperseded => self.waiting.supersedes(held.order.class()),
            RequeuePolicy::UntilNewer => !self.waiting.is_empty(),
        };
        if drop { self.put_off.take().map(|held| held.order) } else { None }
    }
}

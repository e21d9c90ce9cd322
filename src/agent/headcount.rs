//! How many stacks the process knows of, and whether there is room for more.
//!
//! A stack is known where an object of it is there, or an order for it waits. The former are the
//! store's to count; the latter are newcomers, which are looked at a few at a time, whether they have
//! become the former or have come to nothing. So the count is never too low, and a newcomer may count
//! twice for a moment.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    sync::Arc,
};

use super::counters::Counters;
use crate::order::StackName;

/// A shard's view of it. Each shard keeps the sum up to date by its own part. Not a part of the limit
/// for each shard: which stacks there are is not the shards' choice, and one that is full must not
/// refuse a stack while there is room.
pub(super) struct Headcount {
    most: usize,
    counters: Arc<Counters>,
    newcomers: RefCell<VecDeque<StackName>>,
    /// This shard's part, as it is in the sum.
    own: Cell<usize>,
}

impl Headcount {
    /// At most so many stacks for the process.
    pub(super) fn new(most: usize, counters: Arc<Counters>) -> Self {
        Self { most, counters, newcomers: RefCell::default(), own: Cell::new(0) }
    }

    /// Looks at so many newcomers: those that are `new` no longer are none. Besides them `there` stacks
    /// are there.
    pub(super) fn look(&self, newcomers: usize, there: usize, new: impl Fn(&StackName) -> bool) {
        let mut waiting = self.newcomers.borrow_mut();
        for _ in 0..newcomers.min(waiting.len()) {
            let Some(stack) = waiting.pop_front() else { break };
            if new(&stack) {
                waiting.push_back(stack);
            }
        }
        self.say(there + waiting.len());
    }

    /// Takes in a stack of which nothing was known, where there is room.
    pub(super) fn admit(&self, stack: &StackName) -> bool {
        let room = self.counters.stacks.admit(self.most);
        if room {
            self.newcomers.borrow_mut().push_back(stack.clone());
            self.own.set(self.own.get() + 1);
        }
        room
    }

    fn say(&self, own: usize) {
        let before = self.own.replace(own);
        if before != own {
            self.counters.stacks.change(before, own);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(n: usize) -> StackName {
        StackName::new(&format!("stack-{n}")).unwrap()
    }

    #[test]
    fn shards_fill_and_free_one_room() {
        let counters = Arc::new(Counters::default());
        let [a, b] = [0, 1].map(|_| Headcount::new(10, Arc::clone(&counters)));
        a.look(0, 6, |_| true);
        b.look(0, 3, |_| true);
        assert!(b.admit(&name(1)));
        assert!(!a.admit(&name(2)) && !b.admit(&name(3)));
        a.look(0, 5, |_| true);
        assert!(b.admit(&name(3)));
        assert!(!a.admit(&name(2)));
    }

    #[test]
    fn a_newcomer_that_has_come_counts_as_what_is_there() {
        let counters = Arc::new(Counters::default());
        let count = Headcount::new(2, Arc::clone(&counters));
        assert!(count.admit(&name(1)) && count.admit(&name(2)));
        count.look(10, 1, |stack| *stack == name(2));
        assert_eq!(counters.stacks.get(), 2);
        assert!(!count.admit(&name(3)));
        count.look(10, 1, |_| false);
        assert_eq!(counters.stacks.get(), 1);
        assert!(count.admit(&name(3)));
    }
}

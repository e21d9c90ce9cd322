//! The orders that wait for one key.

use crate::{ClassedOrder, OrderClass};

/// The orders of one key that wait for their turn: at most three, however many arrive.
///
/// An order that is wholly overwritten by a later waiting one goes. What is left always has the
/// form *removal, snapshot, toggle*, each at most once and in this order of arrival:
///
/// - a removal overwrites all (and merges with an earlier removal);
/// - a snapshot overwrites an earlier snapshot and toggle. It stays behind an earlier removal,
///   since making something anew is not the same as changing it;
/// - a toggle overwrites an earlier toggle that nothing came after.
///
/// Running what is left, one after the other, ends as running all that arrived would have.
#[derive(Debug, Clone)]
pub(crate) struct Mailbox<O> {
    removal: Option<O>,
    snapshot: Option<O>,
    toggle: Option<O>,
}

impl<O> Default for Mailbox<O> {
    fn default() -> Self {
        Self { removal: None, snapshot: None, toggle: None }
    }
}

impl<O: ClassedOrder> Mailbox<O> {
    /// Queues an order and gives back those that it overwrites.
    pub(crate) fn push(&mut self, order: O) -> Displaced<O> {
        let mut displaced = Displaced::default();
        match order.class() {
            OrderClass::Removal => {
                displaced.add(self.removal.replace(order));
                displaced.add(self.snapshot.take());
                displaced.add(self.toggle.take());
            }
            OrderClass::Snapshot => {
                displaced.add(self.snapshot.replace(order));
                displaced.add(self.toggle.take());
            }
            OrderClass::Toggle => displaced.add(self.toggle.replace(order)),
        }
        displaced
    }

    /// Takes the order that is to run next.
    pub(crate) fn pop(&mut self) -> Option<O> {
        self.removal.take().or_else(|| self.snapshot.take()).or_else(|| self.toggle.take())
    }

    /// The class of the order that [`pop`](Self::pop) would give.
    pub(crate) fn head(&self) -> Option<OrderClass> {
        self.removal.as_ref().or(self.snapshot.as_ref()).or(self.toggle.as_ref()).map(ClassedOrder::class)
    }

    /// Whether the next order supersedes one of class `in_flight`. Only the next one can: whatever
    /// waits behind another was meant to come after that.
    pub(crate) fn supersedes(&self, in_flight: OrderClass) -> bool {
        self.head().is_some_and(|head| in_flight.superseded_by(head))
    }

    /// How many orders wait.
    pub(crate) fn len(&self) -> usize {
        [&self.removal, &self.snapshot, &self.toggle].into_iter().filter(|o| o.is_some()).count()
    }

    /// Whether none waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Orders that will not run because a newer one made them pointless: at most four, three that
/// waited and one that had been put off.
#[derive(Debug)]
#[must_use = "every order has one fate; these are to be counted as superseded"]
pub struct Displaced<O> {
    orders: [Option<O>; 4],
    len: usize,
}

impl<O> Default for Displaced<O> {
    fn default() -> Self {
        Self { orders: [None, None, None, None], len: 0 }
    }
}

impl<O> Displaced<O> {
    /// Room for four is enough: a mailbox gives up three at most and its key one more.
    pub(crate) fn add(&mut self, order: Option<O>) {
        if order.is_some() {
            self.orders[self.len] = order;
            self.len += 1;
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}

impl<O> IntoIterator for Displaced<O> {
    type Item = O;
    type IntoIter = std::iter::Flatten<std::array::IntoIter<Option<O>, 4>>;

    fn into_iter(self) -> Self::IntoIter {
        self.orders.into_iter().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Numbered;

    /// "STR" pushed one after the other: what is left to pop, and what was displaced, as numbers.
    fn push_all(classes: &str) -> (Vec<u32>, Vec<u32>) {
        let (mut mailbox, mut displaced) = (Mailbox::default(), Vec::new());
        for (number, class) in (1..).zip(classes.chars()) {
            let class = match class {
                'S' => OrderClass::Snapshot,
                'R' => OrderClass::Removal,
                _ => OrderClass::Toggle,
            };
            displaced.extend(mailbox.push(Numbered(class, number)).into_iter().map(|o| o.1));
        }
        (std::iter::from_fn(|| mailbox.pop()).map(|o| o.1).collect(), displaced)
    }

    #[test]
    fn waiting_orders_compact() {
        let cases: [(&str, &[u32], &[u32]); 12] = [
            ("S", &[1], &[]),
            ("SS", &[2], &[1]),
            ("TS", &[2], &[1]),
            ("ST", &[1, 2], &[]),
            ("TT", &[2], &[1]),
            ("STT", &[1, 3], &[2]),
            ("SR", &[2], &[1]),
            ("TR", &[2], &[1]),
            ("RR", &[2], &[1]),
            ("RST", &[1, 2, 3], &[]),
            ("RTS", &[1, 3], &[2]),
            ("RSTR", &[4], &[1, 2, 3]),
        ];
        for (arriving, left, displaced) in cases {
            assert_eq!(push_all(arriving), (left.to_vec(), displaced.to_vec()), "{arriving}");
        }
    }

    #[test]
    fn only_the_next_order_supersedes() {
        let mut mailbox = Mailbox::default();
        let _ = mailbox.push(Numbered(OrderClass::Removal, 1));
        let _ = mailbox.push(Numbered(OrderClass::Snapshot, 2));
        assert!(mailbox.supersedes(OrderClass::Snapshot));
        assert!(!mailbox.supersedes(OrderClass::Removal));
        let _ = mailbox.pop();
        assert!(!mailbox.supersedes(OrderClass::Toggle), "a snapshot waits for a toggle");
        assert!(mailbox.supersedes(OrderClass::Snapshot));
    }
}

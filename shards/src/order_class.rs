//! What the table has to know of an order: its class.

/// How an order relates to others of the same key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OrderClass {
    /// Says all that the key shall be.
    Snapshot,
    /// Says that the key shall not be.
    Removal,
    /// Changes one thing about the key.
    Toggle,
}

impl OrderClass {
    /// Whether an order of this class, once it is in flight, gives way to a waiting one of class
    /// `newer`.
    ///
    /// A removal always runs to its end, and a toggle gives way to nothing but a removal: what it
    /// changed so far has to be finished before a snapshot is put on top.
    pub fn superseded_by(self, newer: OrderClass) -> bool {
        matches!(
            (self, newer),
            (OrderClass::Snapshot, OrderClass::Snapshot | OrderClass::Removal)
                | (OrderClass::Toggle, OrderClass::Removal)
        )
    }
}

/// An order for one key. Keep it small (box what is big): a mailbox holds up to three in place.
pub trait ClassedOrder {
    /// Its class.
    fn class(&self) -> OrderClass;
}

#[cfg(test)]
mod tests {
    use super::OrderClass::{self, Removal, Snapshot, Toggle};

    #[test]
    fn the_supersession_matrix() {
        let matrix = [
            (Snapshot, Snapshot, true),
            (Snapshot, Removal, true),
            (Snapshot, Toggle, false),
            (Removal, Snapshot, false),
            (Removal, Removal, false),
            (Removal, Toggle, false),
            (Toggle, Snapshot, false),
            (Toggle, Removal, true),
            (Toggle, Toggle, false),
        ];
        for (in_flight, arriving, gives_way) in matrix {
            assert_eq!(
                OrderClass::superseded_by(in_flight, arriving),
                gives_way,
                "{in_flight:?} {arriving:?}"
            );
        }
    }
}

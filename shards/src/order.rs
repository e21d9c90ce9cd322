//! What the table has to know of an order: its class.

/// How an order relates to others of the same key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Class {
    /// Says all that the key shall be.
    Snapshot,
    /// Says that the key shall not be.
    Removal,
    /// Changes one thing about the key.
    Toggle,
}

/// An order for one key.
pub trait Order {
    /// Its class.
    fn class(&self) -> Class;
}

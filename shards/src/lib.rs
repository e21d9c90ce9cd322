//! Keyed mailboxes on a thread-per-core engine.

pub mod order;

pub use order::{Class, Order};

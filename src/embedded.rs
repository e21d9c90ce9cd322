//! To be written.

pub mod membership;

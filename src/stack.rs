//! What a stack shall be in the cluster, and the way there: all of it pure.
//!
//! [`desired`] turns an order into objects, [`plan`] compares them with what was observed and
//! names the writes that are missing, [`machine`] walks one order from its first read to the
//! last answer. None of it reads a clock or touches a socket: `now` and answers come in,
//! requests go out as values.

pub mod desired;
pub mod failure;
pub mod labels;
pub mod machine;
pub mod object;
pub mod ownership;
pub mod plan;
pub mod report;
pub mod status;
#[cfg(test)]
pub(crate) mod testing;
pub mod version;
pub mod view;
pub mod write;

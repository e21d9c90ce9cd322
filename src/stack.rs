//! What a stack shall be in the cluster, and the way there: all of it pure.
//!
//! [`desired`] turns an order into objects, [`plan`] compares them with what was observed and names what
//! is to be done, [`machine`] walks one order from its first look to the last answer. None of it reads
//! a clock or touches a socket: `now` and answers come in, requests go out as values.

pub mod desired;
pub mod in_doubt;
pub mod labels;
pub mod machine;
pub mod object;
pub mod observed;
pub mod ownership;
pub mod plan;
pub mod report;
#[cfg(test)]
pub(crate) mod testing;
pub mod version;
pub mod write;

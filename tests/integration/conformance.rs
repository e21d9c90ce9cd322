//! One suite for the embedded API server and the real one: what the agent relies on, asked of both
//! in the same words. Where they differ, the embedded one is wrong.
//!
//! Each scenario runs as `<topic>::embedded::<name>`, `<topic>::real::<name>`, and, where those
//! definitions are there, `<topic>::operators::<name>` with the CRDs of real clusters.

#![allow(clippy::needless_pass_by_value, reason = "json!() values are handed over where they are written")]

/// Makes three tests of each scenario.
macro_rules! scenarios {
    ($($name:ident),* $(,)?) => {
        mod embedded {
            $(#[test] fn $name() { crate::conformance::target::embedded(super::$name); })*
        }
        mod real {
            $(#[test] fn $name() { crate::conformance::target::real(super::$name); })*
        }
        mod operators {
            $(#[test] fn $name() { crate::conformance::target::operators(super::$name); })*
        }
    };
}

pub(crate) mod creating;
pub(crate) mod definitions;
pub(crate) mod deleting;
mod differential;
pub(crate) mod ownership;
pub(crate) mod patching;
pub(crate) mod reading;
pub(crate) mod refusing;
pub(crate) mod replacing;
pub(crate) mod target;
pub(crate) mod watching;

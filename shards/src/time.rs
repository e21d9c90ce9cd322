//! The clock, as this crate reads it.

pub(crate) use crate::engine::now;
pub(crate) use std::time::{Duration, Instant};

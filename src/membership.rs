//! The control plane side.

pub mod wire;

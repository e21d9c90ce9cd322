//! The control plane side: the agent joins one region's membership, takes its orders and
//! reports back.

pub mod auth;
pub(crate) mod codec;
pub(crate) mod frames;
pub mod hello;
pub mod inbound;
pub(crate) mod inflate;
pub mod introduction;
mod joining;
pub mod leave;
pub mod outbox;
pub mod report_channel;
pub mod session;
mod stream;
pub mod wire;

#[cfg(test)]
pub(crate) use stream::simulated;

//! The control plane side: the agent joins one region's membership, takes its orders and
//! reports back.

pub mod auth;
pub mod close;
pub mod downlink;
pub(crate) mod grpc_frames;
pub mod join_metadata;
pub mod outbox;
mod reconnect;
pub mod report_channel;
pub mod session;
mod stream;
pub mod wire;

#[cfg(test)]
pub(crate) use stream::simulated;

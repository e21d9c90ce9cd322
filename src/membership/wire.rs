//! The wire's messages, generated from `proto/membership.proto`, and the door through which
//! they become domain values. Protobuf stops here.

mod door;
mod draft;
mod pairs;
mod reading;
mod smallest;

pub use door::{OrderError, message, order, order_with, pong, trace};
pub use reading::{Kind, Malformed, Read, Reading, kind, read};

/// Package `server`: messages, client and server, and their proto3 JSON mapping.
pub use ::proto as server;

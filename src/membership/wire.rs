//! The wire's messages, generated from `proto/membership.proto`, and their conversion to and from
//! domain values. Protobuf stops here.

mod convert;
mod decode;
mod pairs;
mod snapshot;

pub use convert::{OrderError, message, order, order_with, pong, trace};
pub use decode::{DecodedOrder, MalformedOrder, MessageKind, OrderDecoder, decode, message_kind};

/// Package `server`: messages, client and server, and their proto3 JSON mapping.
pub use ::proto as server;

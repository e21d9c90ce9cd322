//! Package `server` of `membership.proto`: messages, client and server, and their proto3 JSON mapping.

#![allow(missing_docs, unreachable_pub, clippy::all, clippy::pedantic)]

include!(concat!(env!("OUT_DIR"), "/server.rs"));
include!(concat!(env!("OUT_DIR"), "/server.serde.rs"));

//! The stream of a join: gRPC's frames, and an order in each.

use std::convert::Infallible;

use bytes::Bytes;
use futures::{StreamExt, executor::block_on, stream};
use http::StatusCode;
use http_body::Frame;
use http_body_util::StreamBody;
use prost::Message as _;
use tonic::Streaming;

use super::{orders, script};
use crate::membership::{
    codec::OrderDecoder,
    wire::{self, server},
};

/// Longest message that is taken here.
const LONGEST: usize = 1 << 10;

/// The body of the answer to a Join: the same orders come out of it however it is cut into frames of
/// HTTP/2, one that cannot be read costs no other, and there is an end to it.
pub fn join(data: &[u8]) {
    let expected = messages(data);
    for seed in [0, 1] {
        let chunks = script::chunks(data, seed).into_iter().map(Bytes::copy_from_slice);
        let frames: Vec<_> = chunks.map(|chunk| Ok::<_, Infallible>(Frame::data(chunk))).collect();
        let body = StreamBody::new(stream::iter(frames));
        let mut stream = Streaming::new_response(OrderDecoder, body, StatusCode::OK, None, Some(LONGEST));
        let mut read = Vec::new();
        while let Some(Ok(item)) = block_on(stream.next()) {
            read.push(item.ok());
        }
        assert_eq!(read, expected);
    }
    for message in expected.into_iter().flatten() {
        if let Ok(Some(order)) = wire::order(message) {
            orders::check(&order);
        }
    }
}

/// What gRPC says of its frames: a flag, four bytes of length, the message. Up to the first that
/// cannot be taken.
fn messages(mut data: &[u8]) -> Vec<Option<server::Order>> {
    let mut found = Vec::new();
    while let Some(([0, length @ ..], rest)) = data.split_first_chunk::<5>() {
        let length = u32::from_be_bytes(*length) as usize;
        let Some((message, rest)) = rest.split_at_checked(length).filter(|_| length <= LONGEST) else {
            break;
        };
        found.push(server::Order::decode(message).ok());
        data = rest;
    }
    found
}

//! The stream of a join: gRPC's frames, and an order in each.

use std::convert::Infallible;

use bytes::Bytes;
use futures::{executor::block_on, stream};
use http_body::Frame;
use http_body_util::StreamBody;
use prost::Message as _;

use super::{orders, script};
use crate::membership::{
    downlink::{Downlink, Inbound},
    grpc_frames::{FrameError, GrpcFrame, GrpcFrames},
    wire::{self, server},
};

/// Longest message that is taken here.
const LONGEST: usize = 1 << 10;

/// The body of the answer to a Join: the same messages come out of it however it is cut into frames
/// of HTTP/2, one that is too long or cannot be read costs no other, and there is an end to it.
pub fn join(data: &[u8]) {
    let (expected, end) = messages(data);
    for seed in [0, 1] {
        assert_eq!(found(data, seed), (expected.clone(), end.clone()));
        let plain = expected.iter().take_while(|found| !is_compressed(found));
        assert_eq!(read(data, seed), plain.cloned().map(inbound).collect::<Vec<_>>());
    }
    for found in expected {
        let GrpcFrame::Message { bytes, .. } = found else { continue };
        let decoded = server::Order::decode(&bytes[..]).ok();
        let read = wire::decode(&bytes, &|_| false);
        assert!(decoded.is_none() || read.is_ok(), "what the generated type reads is read");
        if let Ok(Ok((Some(order), _))) = read {
            orders::check(&order);
        }
    }
}

fn is_compressed(found: &GrpcFrame) -> bool {
    matches!(found, GrpcFrame::Message { compressed: true, .. })
}

fn inbound(found: GrpcFrame) -> Inbound {
    match found {
        GrpcFrame::Message { bytes, .. } => Inbound::Message(bytes),
        GrpcFrame::TooLong(bytes) => Inbound::TooLong { bytes, longest: LONGEST },
    }
}

/// What is found by the frames alone, cut into pieces.
fn found(data: &[u8], seed: u64) -> (Vec<GrpcFrame>, Result<(), FrameError>) {
    let (mut frames, mut found) = (GrpcFrames::new(LONGEST), Vec::new());
    for chunk in script::chunks(data, seed) {
        let mut chunk = Bytes::copy_from_slice(chunk);
        loop {
            match frames.next(&mut chunk) {
                Ok(Some(one)) => found.push(one),
                Ok(None) => break,
                Err(error) => return (found, Err(error)),
            }
        }
    }
    (found, frames.finish())
}

/// What comes out of a body. A stream says nothing of compression, so it ends where there is any.
fn read(data: &[u8], seed: u64) -> Vec<Inbound> {
    let chunks = script::chunks(data, seed).into_iter().map(Bytes::copy_from_slice);
    let frames: Vec<_> = chunks.map(|chunk| Ok::<_, Infallible>(Frame::data(chunk))).collect();
    let mut downlink = Downlink::new(StreamBody::new(stream::iter(frames)), LONGEST);
    let mut read = Vec::new();
    while let Ok(Some(inbound)) = block_on(downlink.message()) {
        read.push(inbound);
    }
    read
}

/// What gRPC says of its frames: a flag, four bytes of length, the message. Up to the first that
/// cannot be taken.
fn messages(mut data: &[u8]) -> (Vec<GrpcFrame>, Result<(), FrameError>) {
    let mut found = Vec::new();
    while let Some(([flag, length @ ..], rest)) = data.split_first_chunk::<5>() {
        let length = u32::from_be_bytes(*length) as usize;
        if *flag > 1 {
            return (found, Err(FrameError::Flag(*flag)));
        }
        if length > LONGEST {
            found.push(GrpcFrame::TooLong(length));
        }
        let Some((message, rest)) = rest.split_at_checked(length) else {
            return (found, Err(FrameError::CutShort));
        };
        if length <= LONGEST {
            let bytes = Bytes::copy_from_slice(message);
            found.push(GrpcFrame::Message { compressed: *flag == 1, bytes });
        }
        data = rest;
    }
    let end = if data.is_empty() { Ok(()) } else { Err(FrameError::CutShort) };
    (found, end)
}

//! Messages that membership compresses.

use std::convert::Infallible;

use bytes::Bytes;
use futures::{executor::block_on, stream};
use http::{HeaderMap, HeaderValue};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};

use super::script;
use crate::membership::{
    frames::{Found, Frames},
    inflate::Encoding,
    inflated::Inflated,
};

/// Longest message that is taken here.
const LONGEST: usize = 1 << 10;

/// The name of an encoding on a line, then the body of an answer: what is read does not depend on how it
/// is cut, nothing in it is still compressed, and no message is longer than what is taken.
pub fn compressed(data: &[u8]) {
    let (name, body) = script::first_line(data);
    let mut headers = HeaderMap::new();
    if let Ok(value) = HeaderValue::from_str(name) {
        headers.insert("grpc-encoding", value);
    }
    let encoding = Encoding::of(&headers);
    let (first, second) = (read(&encoding, body, 0), read(&encoding, body, 1));
    assert_eq!(first, second, "pieces make no difference");
    if encoding == Encoding::Identity {
        assert_eq!(first.0, body, "nothing is done where nothing is compressed");
        return;
    }
    let (mut frames, mut out) = (Frames::new(LONGEST), Bytes::from(first.0));
    while let Some(found) = frames.next(&mut out).expect("frames as gRPC has them") {
        match found {
            Found::Frame(frame) => assert!(!frame.compressed && frame.bytes.len() <= LONGEST),
            Found::TooLong(length) => assert!(length > LONGEST),
        }
    }
}

/// All that is read, as far as it goes, and whether it went to the end. What stands in for messages that
/// are too long is cut short, or an input of nine bytes would become four gigabytes.
fn read(encoding: &Encoding, body: &[u8], seed: u64) -> (Vec<u8>, bool) {
    let pieces = script::chunks(body, seed).into_iter().map(Bytes::copy_from_slice);
    let pieces: Vec<_> = pieces.map(|piece| Ok::<_, Infallible>(Frame::data(piece))).collect();
    let mut inflated = Inflated::new(StreamBody::new(stream::iter(pieces)), encoding.clone(), LONGEST);
    let mut out = Vec::new();
    while let Some(frame) = block_on(inflated.frame()) {
        match frame {
            Ok(frame) => out.extend_from_slice(frame.data_ref().expect("there are no trailers")),
            Err(_) => return (out, false),
        }
        if out.len() > 1 << 20 {
            out.truncate(1 << 20);
            break;
        }
    }
    (out, true)
}

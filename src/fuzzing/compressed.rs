//! Messages that membership compresses.

use std::convert::Infallible;

use bytes::Bytes;
use futures::{executor::block_on, stream};
use http::{HeaderMap, HeaderValue};
use http_body::Frame;
use http_body_util::StreamBody;

use super::script;
use crate::membership::{
    downlink::{Downlink, Inbound},
    grpc_frames::Encoding,
};

/// Longest message that is taken here.
const LONGEST: usize = 1 << 10;

/// The name of an encoding on a line, then the body of an answer: what is read does not depend on how it
/// is cut, and no message is longer than what is taken, whatever it was before.
pub fn compressed(data: &[u8]) {
    let (name, body) = script::first_line(data);
    let mut headers = HeaderMap::new();
    if let Ok(value) = HeaderValue::from_str(name) {
        headers.insert("grpc-encoding", value);
    }
    let encoding = Encoding::of(&headers);
    let first = read(&encoding, body, 0);
    assert_eq!(first, read(&encoding, body, 1), "pieces make no difference");
    for inbound in first.0 {
        match inbound {
            Inbound::Message(bytes) => assert!(bytes.len() <= LONGEST),
            Inbound::TooLong { bytes, longest } => assert!(bytes > longest && longest == LONGEST),
        }
    }
}

/// All that is read, and how it ended.
fn read(encoding: &Encoding, body: &[u8], seed: u64) -> (Vec<Inbound>, Result<(), String>) {
    let pieces = script::chunks(body, seed).into_iter().map(Bytes::copy_from_slice);
    let pieces: Vec<_> = pieces.map(|piece| Ok::<_, Infallible>(Frame::data(piece))).collect();
    let mut downlink =
        Downlink::new(StreamBody::new(stream::iter(pieces)), LONGEST).encoded(encoding.clone());
    let mut found = Vec::new();
    loop {
        match block_on(downlink.message()) {
            Ok(Some(inbound)) => found.push(inbound),
            Ok(None) => return (found, Ok(())),
            Err(status) => return (found, Err(status.message().to_owned())),
        }
    }
}

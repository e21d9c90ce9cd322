//! Compressed bodies.

use std::io::Write as _;

use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};

use super::script;
use crate::cluster::gunzip::{Gunzip, MOST};

/// As a body in gzip: whether it is whole, and what it says, does not depend on the pieces that it
/// comes in, and no step makes more of one than is bargained for. As a text: it comes back.
pub fn gzip(data: &[u8]) {
    let expected = decode(&data.chunks(4 << 10).collect::<Vec<_>>());
    for seed in [0, 1] {
        assert_eq!(decode(&script::chunks(data, seed)), expected, "pieces make no difference");
    }
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    let (one, two) = data.split_at(data.len() / 2);
    encoder.write_all(one).expect("memory");
    encoder.flush().expect("memory");
    encoder.write_all(two).expect("memory");
    let body = encoder.finish().expect("memory");
    assert_eq!(decode(&script::chunks(&body, 2)).as_deref(), Some(data));
    assert_eq!(decode(&[&body[..body.len() - 1]]), None, "its last byte is missing");
}

fn decode(pieces: &[&[u8]]) -> Option<Vec<u8>> {
    let mut gunzip = Gunzip::new();
    let mut text = Vec::new();
    for piece in pieces {
        let mut piece = Bytes::copy_from_slice(piece);
        while !piece.is_empty() {
            let left = piece.len();
            let decoded = gunzip.push(&mut piece).ok()?;
            assert!(decoded.len() <= MOST && piece.len() < left, "{} bytes", decoded.len());
            text.extend_from_slice(&decoded);
        }
    }
    gunzip.finish().ok()?;
    Some(text)
}

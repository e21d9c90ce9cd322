//! Messages that membership compresses. Pure.

use std::io::{self, Read, Take};

use flate2::bufread::{MultiGzDecoder, ZlibDecoder};
use http::HeaderMap;

/// What we take, as `grpc-accept-encoding` says it.
pub(crate) const ACCEPTED: &str = "identity,gzip,deflate";

/// How the messages of a stream are compressed, those that are.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) enum Encoding {
    /// Not at all.
    #[default]
    Identity,
    /// As gzip.
    Gzip,
    /// As zlib, which gRPC and HTTP call deflate.
    Deflate,
    /// In a way that we did not ask for. It matters only where a message makes use of it.
    Unknown(String),
}

/// Why a compressed message is not to be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum InflateError {
    /// The stream does not say how.
    #[error("a message is compressed, and the stream does not say how")]
    Unnamed,
    /// In a way that we did not ask for.
    #[error("a message is compressed as {0:?}, which was not asked for (this agent takes {ACCEPTED})")]
    Unknown(String),
    /// It is damaged.
    #[error("a message that is said to be {encoding} is damaged: {reason}")]
    Damaged {
        /// What it is said to be.
        encoding: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// It becomes more than a message may have.
    #[error("a compressed message becomes more than {0} bytes")]
    TooLong(usize),
}

impl Encoding {
    /// What the head of an answer says.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let Some(value) = headers.get("grpc-encoding") else { return Self::Identity };
        match value.as_bytes() {
            b"identity" | b"" => Self::Identity,
            b"gzip" => Self::Gzip,
            b"deflate" => Self::Deflate,
            other => Self::Unknown(String::from_utf8_lossy(&other[..other.len().min(40)]).into_owned()),
        }
    }

    /// A compressed message as it was. No more than `longest` bytes are ever made of it.
    pub(crate) fn inflate(&self, message: &[u8], longest: usize) -> Result<Vec<u8>, InflateError> {
        match self {
            Self::Identity => Err(InflateError::Unnamed),
            Self::Unknown(name) => Err(InflateError::Unknown(name.clone())),
            Self::Gzip => read("gzip", MultiGzDecoder::new(message).take(one_more(longest)), longest),
            Self::Deflate => read("deflate", ZlibDecoder::new(message).take(one_more(longest)), longest),
        }
    }
}

/// So that too much shows.
fn one_more(longest: usize) -> u64 {
    u64::try_from(longest).unwrap_or(u64::MAX).saturating_add(1)
}

fn read(encoding: &'static str, mut from: Take<impl Read>, longest: usize) -> Result<Vec<u8>, InflateError> {
    let mut bytes = Vec::new();
    let damaged = |error: io::Error| InflateError::Damaged { encoding, reason: error.to_string() };
    from.read_to_end(&mut bytes).map_err(damaged)?;
    if bytes.len() > longest {
        return Err(InflateError::TooLong(longest));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::{
        Compression,
        write::{GzEncoder, ZlibEncoder},
    };

    use super::*;

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    fn deflate(text: &[u8]) -> Vec<u8> {
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    fn named(name: &str) -> Encoding {
        let mut headers = HeaderMap::new();
        headers.insert("grpc-encoding", name.parse().unwrap());
        Encoding::of(&headers)
    }

    #[test]
    fn what_was_compressed_comes_back() {
        for text in [&b""[..], b"an order", &[b'x'; 100_000]] {
            assert_eq!(named("gzip").inflate(&gzip(text), 100_000).unwrap(), text);
            assert_eq!(named("deflate").inflate(&deflate(text), 100_000).unwrap(), text);
        }
    }

    #[test]
    fn a_bomb_becomes_no_more_than_the_limit() {
        let bomb = vec![0; 64 << 20];
        for (name, packed) in [("gzip", gzip(&bomb)), ("deflate", deflate(&bomb))] {
            assert!(packed.len() < 100 << 10);
            assert_eq!(named(name).inflate(&packed, 1 << 20), Err(InflateError::TooLong(1 << 20)));
        }
        assert_eq!(named("gzip").inflate(&gzip(&[0; 10]), 9), Err(InflateError::TooLong(9)));
        assert_eq!(named("gzip").inflate(&gzip(&[0; 9]), 9), Ok(vec![0; 9]));
    }

    #[test]
    fn what_is_damaged_is_said_and_so_is_what_nobody_asked_for() {
        let whole = gzip(b"some text that is long enough");
        for damaged in [&whole[..whole.len() - 3], b"<html>", b""] {
            let error = named("gzip").inflate(damaged, 100).unwrap_err();
            assert!(matches!(error, InflateError::Damaged { encoding: "gzip", .. }), "{error}");
        }
        let error = named("snappy").inflate(b"x", 100).unwrap_err();
        assert!(error.to_string().contains("\"snappy\""), "{error}");
        assert_eq!(Encoding::of(&HeaderMap::new()).inflate(b"x", 100), Err(InflateError::Unnamed));
        assert_eq!(named("identity"), Encoding::Identity);
    }
}

//! gRPC's frames: bytes in, messages out, and inflated where they were compressed. Pure.
//!
//! tonic's own reader ends the stream at a message beyond its limit, and takes memory for whatever
//! length a frame claims to have. Here such a message is said and passed over byte by byte, and the
//! next one is read as if nothing had been. Memory is taken for what has come, not for what is
//! announced, and never beyond the limit.

use std::io::{self, Read, Take};

use bytes::{Buf, Bytes};
use flate2::bufread::{MultiGzDecoder, ZlibDecoder};
use http::HeaderMap;

/// A flag and four bytes of length.
const HEADER: usize = 5;
/// What is put aside at first for a message that comes in pieces, in bytes.
const FIRST: usize = 4 << 10;

/// What is found in a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum GrpcFrame {
    /// A message as it stood in the stream.
    Message {
        /// In the encoding that the stream's `grpc-encoding` names: see [`Encoding::inflate`].
        compressed: bool,
        /// At most as long as the limit. A part of the chunk that it came in, where it came in one.
        bytes: Bytes,
    },
    /// A message of so many bytes, which is more than the limit. It is passed over, and known from
    /// its first bytes on.
    TooLong(usize),
}

/// Why a stream's bytes are no gRPC, or a message in it is not to be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FrameError {
    /// A frame begins with something else than 0 or 1.
    #[error(
        "a message begins with {0}, where gRPC has 0 or 1: what answers is no gRPC server, or something in between changes what it sends"
    )]
    Flag(u8),
    /// The stream ended in the middle of a message.
    #[error("the stream ended in the middle of a message")]
    CutShort,
    /// A message is compressed, and the stream does not say how.
    #[error("a message is compressed, and the stream does not say how")]
    Unnamed,
    /// It is compressed in a way that we did not ask for.
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
    /// Inflated, it becomes more than a message may have.
    #[error("a compressed message becomes more than {0} bytes")]
    TooLong(usize),
}

/// Reads frames wherever a stream is cut into chunks.
#[derive(Debug)]
pub(crate) struct GrpcFrames {
    longest: usize,
    state: FrameState,
}

#[derive(Debug)]
enum FrameState {
    Header { bytes: [u8; HEADER], have: usize },
    Message { compressed: bool, length: usize, bytes: Vec<u8> },
    PassOver { left: usize },
    Broken(u8),
}

const BETWEEN: FrameState = FrameState::Header { bytes: [0; HEADER], have: 0 };

impl GrpcFrames {
    /// Takes messages of at most so many bytes.
    pub(crate) fn new(longest: usize) -> Self {
        Self { longest, state: BETWEEN }
    }

    /// The most that a message may have, in bytes.
    pub(crate) fn longest(&self) -> usize {
        self.longest
    }

    /// Takes from the beginning of `chunk` what belongs to the next message. `None` once all of it
    /// is taken: then it is the next chunk's turn.
    pub(crate) fn next(&mut self, chunk: &mut Bytes) -> Result<Option<GrpcFrame>, FrameError> {
        while chunk.has_remaining() {
            let found = match &mut self.state {
                FrameState::Header { bytes, have } => {
                    let n = chunk.len().min(HEADER - *have);
                    bytes[*have..*have + n].copy_from_slice(&chunk[..n]);
                    chunk.advance(n);
                    *have += n;
                    if *have < HEADER { None } else { self.begin(chunk)? }
                }
                FrameState::Message { compressed, length, bytes } => {
                    let n = chunk.len().min(*length - bytes.len());
                    make_room(bytes, n, *length);
                    bytes.extend_from_slice(&chunk[..n]);
                    chunk.advance(n);
                    let whole = bytes.len() == *length;
                    let frame = whole.then(|| GrpcFrame::Message {
                        compressed: *compressed,
                        bytes: std::mem::take(bytes).into(),
                    });
                    frame.map(|frame| self.end(frame))
                }
                FrameState::PassOver { left } => {
                    let n = chunk.len().min(*left);
                    chunk.advance(n);
                    *left -= n;
                    if *left == 0 {
                        self.state = BETWEEN;
                    }
                    None
                }
                FrameState::Broken(flag) => return Err(FrameError::Flag(*flag)),
            };
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }

    /// Nothing more comes: whether that is where a message ended.
    pub(crate) fn finish(&self) -> Result<(), FrameError> {
        match self.state {
            FrameState::Header { have: 0, .. } => Ok(()),
            FrameState::Broken(flag) => Err(FrameError::Flag(flag)),
            _ => Err(FrameError::CutShort),
        }
    }

    /// A header is complete.
    fn begin(&mut self, chunk: &mut Bytes) -> Result<Option<GrpcFrame>, FrameError> {
        let FrameState::Header { bytes: [flag, length @ ..], .. } = self.state else { return Ok(None) };
        if flag > 1 {
            self.state = FrameState::Broken(flag);
            return Err(FrameError::Flag(flag));
        }
        let (compressed, length) = (flag == 1, u32::from_be_bytes(length) as usize);
        if length > self.longest {
            self.state = FrameState::PassOver { left: length };
            return Ok(Some(GrpcFrame::TooLong(length)));
        }
        if length <= chunk.len() {
            let bytes = chunk.split_to(length);
            return Ok(Some(self.end(GrpcFrame::Message { compressed, bytes })));
        }
        self.state = FrameState::Message { compressed, length, bytes: Vec::new() };
        Ok(None)
    }

    fn end(&mut self, found: GrpcFrame) -> GrpcFrame {
        self.state = BETWEEN;
        found
    }
}

/// Twice as much each time, so that a message is copied once over at most, and never more than it
/// will have.
fn make_room(bytes: &mut Vec<u8>, n: usize, length: usize) {
    let needed = bytes.len() + n;
    if needed > bytes.capacity() {
        let room = needed.max(2 * bytes.capacity()).max(FIRST).min(length);
        bytes.reserve_exact(room - bytes.len());
    }
}

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
    pub(crate) fn inflate(&self, message: &[u8], longest: usize) -> Result<Vec<u8>, FrameError> {
        match self {
            Self::Identity => Err(FrameError::Unnamed),
            Self::Unknown(name) => Err(FrameError::Unknown(name.clone())),
            Self::Gzip => read("gzip", MultiGzDecoder::new(message).take(one_more(longest)), longest),
            Self::Deflate => read("deflate", ZlibDecoder::new(message).take(one_more(longest)), longest),
        }
    }
}

/// So that too much shows.
fn one_more(longest: usize) -> u64 {
    u64::try_from(longest).unwrap_or(u64::MAX).saturating_add(1)
}

fn read(encoding: &'static str, mut from: Take<impl Read>, longest: usize) -> Result<Vec<u8>, FrameError> {
    let mut bytes = Vec::new();
    let damaged = |error: io::Error| FrameError::Damaged { encoding, reason: error.to_string() };
    from.read_to_end(&mut bytes).map_err(damaged)?;
    if bytes.len() > longest {
        return Err(FrameError::TooLong(longest));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests;

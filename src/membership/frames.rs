//! gRPC's frames: bytes in, messages out. Pure.
//!
//! tonic's own reader ends the stream at a message beyond its limit, and takes memory for whatever
//! length a frame claims to have. Here such a message is said and passed over byte by byte, and the
//! next one is read as if nothing had been. Memory is taken for what has come, not for what is
//! announced, and never beyond the limit.

use bytes::{Buf, Bytes};

/// A flag and four bytes of length.
const HEADER: usize = 5;
/// What is put aside at first for a message that comes in pieces, in bytes.
const FIRST: usize = 4 << 10;

/// One message as it stood in the stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Frame {
    /// Compressed, in the encoding that the stream's `grpc-encoding` names. What it becomes is for
    /// whoever inflates it to bound.
    pub compressed: bool,
    /// The message, at most as long as the limit. A part of the chunk that it came in, where it
    /// came in one.
    pub bytes: Bytes,
}

/// What was found in a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Found {
    /// A message.
    Frame(Frame),
    /// A message of so many bytes, which is more than the limit. It is passed over, and known from
    /// its first bytes on.
    TooLong(usize),
}

/// Why a stream's bytes are no gRPC. Nothing after that can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FrameError {
    /// A frame begins with something else than 0 or 1.
    #[error(
        "a message begins with {0}, where gRPC has 0 or 1: what answers is no gRPC server, or something in between changes what it sends"
    )]
    Flag(u8),
    /// The stream ended in the middle of a message.
    #[error("the stream ended in the middle of a message")]
    CutShort,
}

/// Reads frames wherever a stream is cut into chunks.
#[derive(Debug)]
pub(crate) struct Frames {
    longest: usize,
    state: State,
}

#[derive(Debug)]
enum State {
    Header { bytes: [u8; HEADER], have: usize },
    Message { compressed: bool, length: usize, bytes: Vec<u8> },
    PassOver { left: usize },
    Broken(u8),
}

const BETWEEN: State = State::Header { bytes: [0; HEADER], have: 0 };

impl Frames {
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
    pub(crate) fn next(&mut self, chunk: &mut Bytes) -> Result<Option<Found>, FrameError> {
        while chunk.has_remaining() {
            let found = match &mut self.state {
                State::Header { bytes, have } => {
                    let n = chunk.len().min(HEADER - *have);
                    bytes[*have..*have + n].copy_from_slice(&chunk[..n]);
                    chunk.advance(n);
                    *have += n;
                    if *have < HEADER { None } else { self.begin(chunk)? }
                }
                State::Message { compressed, length, bytes } => {
                    let n = chunk.len().min(*length - bytes.len());
                    make_room(bytes, n, *length);
                    bytes.extend_from_slice(&chunk[..n]);
                    chunk.advance(n);
                    let whole = bytes.len() == *length;
                    let frame =
                        whole.then(|| Frame { compressed: *compressed, bytes: std::mem::take(bytes).into() });
                    frame.map(|frame| self.end(Found::Frame(frame)))
                }
                State::PassOver { left } => {
                    let n = chunk.len().min(*left);
                    chunk.advance(n);
                    *left -= n;
                    if *left == 0 {
                        self.state = BETWEEN;
                    }
                    None
                }
                State::Broken(flag) => return Err(FrameError::Flag(*flag)),
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
            State::Header { have: 0, .. } => Ok(()),
            State::Broken(flag) => Err(FrameError::Flag(flag)),
            _ => Err(FrameError::CutShort),
        }
    }

    /// A header is complete.
    fn begin(&mut self, chunk: &mut Bytes) -> Result<Option<Found>, FrameError> {
        let State::Header { bytes: [flag, length @ ..], .. } = self.state else { return Ok(None) };
        if flag > 1 {
            self.state = State::Broken(flag);
            return Err(FrameError::Flag(flag));
        }
        let (compressed, length) = (flag == 1, u32::from_be_bytes(length) as usize);
        if length > self.longest {
            self.state = State::PassOver { left: length };
            return Ok(Some(Found::TooLong(length)));
        }
        if length <= chunk.len() {
            let bytes = chunk.split_to(length);
            return Ok(Some(self.end(Found::Frame(Frame { compressed, bytes }))));
        }
        self.state = State::Message { compressed, length, bytes: Vec::new() };
        Ok(None)
    }

    fn end(&mut self, found: Found) -> Found {
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

#[cfg(test)]
mod tests;

//! As much of HTTP/2 as a gRPC server for tests needs: frames, and the two header blocks it sends.
//! Source: RFC 9113 (frames), RFC 7541 (header blocks), the gRPC over HTTP/2 description.

use std::io::{self, ErrorKind, Read, Write};

/// What a client sends first.
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const PING: u8 = 6;
pub const GOAWAY: u8 = 7;
pub const WINDOW_UPDATE: u8 = 8;

/// On DATA and HEADERS.
pub const END_STREAM: u8 = 1;
/// On HEADERS.
pub const END_HEADERS: u8 = 4;
/// On SETTINGS and PING.
pub const ACK: u8 = 1;

/// Setting: the window that each stream begins with.
pub const INITIAL_WINDOW_SIZE: u16 = 4;
/// Payloads are no longer than this unless a client says that it takes more; ours stay below it.
pub const MAX_PAYLOAD: usize = 16_384;
/// Every window begins so.
pub const DEFAULT_WINDOW: i64 = 65_535;

/// One frame.
#[derive(Debug, Clone)]
pub struct TestFrame {
    pub kind: u8,
    pub flags: u8,
    pub stream: u32,
    pub payload: Vec<u8>,
}

impl TestFrame {
    pub fn new(kind: u8, flags: u8, stream: u32, payload: impl Into<Vec<u8>>) -> Self {
        Self { kind, flags, stream, payload: payload.into() }
    }

    pub fn window_update(stream: u32, more: usize) -> Self {
        let more = u32::try_from(more).expect("a frame's length");
        Self::new(WINDOW_UPDATE, 0, stream, more.to_be_bytes())
    }

    pub fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// The payload of a WINDOW_UPDATE or RST_STREAM.
    pub fn number(&self) -> u32 {
        let bytes: [u8; 4] = self.payload[..4].try_into().expect("four bytes");
        u32::from_be_bytes(bytes)
    }

    /// The settings of a SETTINGS frame.
    pub fn settings(&self) -> impl Iterator<Item = (u16, u32)> + '_ {
        self.payload.chunks_exact(6).map(|entry| {
            let value = entry[2..].try_into().expect("four bytes");
            (u16::from_be_bytes([entry[0], entry[1]]), u32::from_be_bytes(value))
        })
    }

    pub fn read(from: &mut impl Read) -> io::Result<Self> {
        let mut head = [0; 9];
        from.read_exact(&mut head)?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        if length > 1 << 20 {
            return Err(io::Error::new(ErrorKind::InvalidData, "a frame longer than we allowed"));
        }
        let stream: [u8; 4] = head[5..].try_into().expect("four bytes");
        let mut payload = vec![0; length];
        from.read_exact(&mut payload)?;
        Ok(Self {
            kind: head[3],
            flags: head[4],
            stream: u32::from_be_bytes(stream) & (u32::MAX >> 1),
            payload,
        })
    }

    pub fn write(&self, to: &mut impl Write) -> io::Result<()> {
        let length = u32::try_from(self.payload.len()).expect("a frame's length").to_be_bytes();
        to.write_all(&length[1..])?;
        to.write_all(&[self.kind, self.flags])?;
        to.write_all(&self.stream.to_be_bytes())?;
        to.write_all(&self.payload)
    }
}

/// `:status: 200`, `content-type: application/grpc`.
pub fn response_headers() -> Vec<u8> {
    let mut block = vec![0x88];
    literal(&mut block, "content-type", "application/grpc");
    block
}

/// The end of a call. Behind [`response_headers`] in one block it is a refusal.
pub fn trailers(code: u32, message: &str) -> Vec<u8> {
    let mut block = Vec::new();
    literal(&mut block, "grpc-status", &code.to_string());
    literal(&mut block, "grpc-message", message);
    block
}

/// A header that enters no table, neither side Huffman-coded.
fn literal(block: &mut Vec<u8>, name: &str, value: &str) {
    block.push(0);
    for text in [name, value] {
        block.push(u8::try_from(text.len()).ok().filter(|length| *length < 127).expect("a short text"));
        block.extend_from_slice(text.as_bytes());
    }
}

/// A gRPC message with its prefix.
pub fn prefixed(message: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0];
    bytes.extend_from_slice(&u32::try_from(message.len()).expect("a message's length").to_be_bytes());
    bytes.extend_from_slice(message);
    bytes
}

/// Takes the first complete message, without its prefix, off what came.
pub fn take_message(came: &mut Vec<u8>) -> Option<Vec<u8>> {
    let prefix: [u8; 4] = came.get(1..5)?.try_into().expect("four bytes");
    let end = 5 + u32::from_be_bytes(prefix) as usize;
    if came.len() < end {
        return None;
    }
    let rest = came.split_off(end);
    let mut message = std::mem::replace(came, rest);
    message.drain(..5);
    Some(message)
}

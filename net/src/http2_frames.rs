//! The heads of HTTP/2 frames, read off a stream of bytes. Source: RFC 9113, section 4.1.

/// A part of a body.
pub const DATA: u8 = 0;
/// The head of a message, or its trailers.
pub const HEADERS: u8 = 1;
/// The end of a stream before its time.
pub const RST_STREAM: u8 = 3;
/// What an end asks of the other.
pub const SETTINGS: u8 = 4;
/// An end takes no more streams.
pub const GOAWAY: u8 = 7;

/// Flag of DATA and HEADERS.
pub const END_STREAM: u8 = 1;
/// Flag of SETTINGS.
pub const ACK: u8 = 1;
/// Flag of DATA.
const PADDED: u8 = 8;

/// What a client says before its first frame.
pub const PREFACE: usize = 24;
const HEAD: usize = 9;
/// The fixed part of a GOAWAY: last stream and error code.
const GOAWAY_HEAD: usize = 8;

/// One frame, as far as it is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Http2Frame {
    /// Its type.
    pub kind: u8,
    /// Its flags.
    pub flags: u8,
    /// The stream that it belongs to; 0 is the connection.
    pub stream: u32,
    /// Bytes of its payload.
    pub length: usize,
    start: [u8; GOAWAY_HEAD],
}

impl Http2Frame {
    /// Whether a flag is set.
    pub fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// Bytes on the wire.
    pub fn size(&self) -> usize {
        HEAD + self.length
    }

    /// Bytes of a DATA frame that are no padding.
    pub fn content(&self) -> usize {
        match self.has(PADDED) {
            true => self.length.saturating_sub(1 + usize::from(self.start[0])),
            false => self.length,
        }
    }

    /// The error code of a GOAWAY.
    pub fn error_code(&self) -> u32 {
        let [_, _, _, _, code @ ..] = self.start;
        u32::from_be_bytes(code)
    }
}

/// Where in a stream of frames one is. Nothing of a payload is kept but what a [`Http2Frame`] says of it.
#[derive(Debug)]
pub struct Http2Frames {
    taken: [u8; HEAD + GOAWAY_HEAD],
    have: usize,
    /// Bytes that are of no interest.
    skip: usize,
}

impl Http2Frames {
    /// Frames that begin after so many bytes of something else.
    pub fn after(skip: usize) -> Self {
        Self { taken: [0; HEAD + GOAWAY_HEAD], have: 0, skip }
    }

    /// Takes in what came next and hands on each frame whose head is complete.
    pub fn feed<E>(
        &mut self,
        mut bytes: &[u8],
        mut each: impl FnMut(Http2Frame) -> Result<(), E>,
    ) -> Result<(), E> {
        while !bytes.is_empty() {
            let skipped = self.skip.min(bytes.len());
            self.skip -= skipped;
            bytes = &bytes[skipped..];
            let wanted = HEAD + self.peek();
            let more = (wanted - self.have).min(bytes.len());
            self.taken[self.have..self.have + more].copy_from_slice(&bytes[..more]);
            self.have += more;
            bytes = &bytes[more..];
            if self.have >= HEAD && self.have == HEAD + self.peek() {
                let frame = self.frame();
                self.skip = frame.length + HEAD - self.have;
                self.have = 0;
                each(frame)?;
            }
        }
        Ok(())
    }

    /// How much of the payload belongs to the head of the frame that is being read.
    fn peek(&self) -> usize {
        if self.have < HEAD {
            return 0;
        }
        let wanted = match (self.taken[3], self.taken[4] & PADDED) {
            (GOAWAY, _) => GOAWAY_HEAD,
            (DATA, PADDED) => 1,
            _ => 0,
        };
        wanted.min(self.length())
    }

    fn length(&self) -> usize {
        let [a, b, c, ..] = self.taken;
        usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c)
    }

    fn frame(&self) -> Http2Frame {
        let [_, _, _, kind, flags, a, b, c, d, start @ ..] = self.taken;
        let stream = u32::from_be_bytes([a, b, c, d]) & (u32::MAX >> 1);
        Http2Frame { kind, flags, stream, length: self.length(), start }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
        let mut bytes = u32::try_from(payload.len()).unwrap().to_be_bytes()[1..].to_vec();
        bytes.extend([kind, flags]);
        bytes.extend(stream.to_be_bytes());
        bytes.extend(payload);
        bytes
    }

    fn read(frames: &mut Http2Frames, pieces: &[&[u8]]) -> Vec<Http2Frame> {
        let mut seen = Vec::new();
        for piece in pieces {
            let _ = frames.feed(piece, |frame| {
                seen.push(frame);
                Ok::<_, ()>(())
            });
        }
        seen
    }

    #[test]
    fn frames_are_the_same_however_they_are_cut() {
        let wire = [
            frame(SETTINGS, 0, 0, &[0; 12]),
            frame(DATA, END_STREAM, 5, b"some data"),
            frame(DATA, PADDED, 5, &[3, 7, 7, 0, 0, 0]),
            frame(DATA, PADDED, 5, &[]),
            frame(GOAWAY, 0, 0, &[0, 0, 0, 9, 0, 0, 0, 11, b'w', b'h', b'y']),
            frame(GOAWAY, 0, 0, &[0, 0, 0]),
            frame(0xfe, 0xff, u32::MAX, &[0; 300]),
        ]
        .concat();
        let whole = read(&mut Http2Frames::after(0), &[&wire]);
        assert_eq!(whole.iter().map(|frame| frame.kind).collect::<Vec<_>>(), [4, 0, 0, 0, 7, 7, 0xfe]);
        assert_eq!(whole.iter().map(Http2Frame::size).sum::<usize>(), wire.len());
        assert_eq!((whole[1].content(), whole[2].content(), whole[3].content()), (9, 2, 0));
        assert_eq!(whole[4].error_code(), 11);
        assert_eq!(whole[6].stream, u32::MAX >> 1);
        for size in 1..20 {
            let cut = read(&mut Http2Frames::after(0), &wire.chunks(size).collect::<Vec<_>>());
            let told = |frames: &[Http2Frame]| -> Vec<_> {
                frames.iter().map(|f| (f.kind, f.flags, f.stream, f.length, f.content())).collect()
            };
            assert_eq!(told(&cut), told(&whole), "{size}");
        }
    }

    #[test]
    fn what_comes_before_the_first_frame_is_passed_over() {
        let wire = [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(), frame(SETTINGS, 0, 0, &[])].concat();
        let seen = read(&mut Http2Frames::after(PREFACE), &[&wire[..10], &wire[10..]]);
        assert_eq!(seen.iter().map(|frame| frame.kind).collect::<Vec<_>>(), [SETTINGS]);
    }
}

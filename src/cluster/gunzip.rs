//! gzip, undone as it streams in.
//!
//! A body may be several members, one after the other, and what a server flushed comes out at once:
//! an event must not wait for the one after it.

use std::io::{self, Write};

use bytes::{Buf, BufMut, Bytes, BytesMut, buf::Writer};
use flate2::write::MultiGzDecoder;

/// The most that is taken in one go.
const PIECE: usize = 4 << 10;
/// The most that comes out in one go, whatever a thousandth of it promised: a few times the
/// decoder's window, so that no step costs more than a fraction of a millisecond.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) const MOST: usize = 128 << 10;

/// A gzip stream that is being decoded.
#[derive(Debug)]
pub(crate) struct Gunzip {
    decoder: MultiGzDecoder<Writer<BytesMut>>,
    begun: bool,
}

impl Gunzip {
    pub(crate) fn new() -> Self {
        Self { decoder: MultiGzDecoder::new(BytesMut::new().writer()), begun: false }
    }

    /// Decodes some of what came next and takes that much away. What comes out is no more than
    /// `MOST` bytes, and all there is of it once `input` is empty.
    pub(crate) fn push(&mut self, input: &mut Bytes) -> io::Result<Bytes> {
        if !input.is_empty() {
            self.begun = true;
            // One call fills the decoder's buffer once at most, and says how far it came with that.
            let taken = self.decoder.write(&input[..PIECE.min(input.len())])?;
            if taken == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            input.advance(taken);
        }
        if input.is_empty() {
            self.decoder.flush()?;
        }
        Ok(self.decoder.get_mut().get_mut().split().freeze())
    }

    /// Whether the stream was whole, once nothing more comes: lengths and checksums included.
    /// A body of no bytes at all is an empty one.
    pub(crate) fn finish(&mut self) -> io::Result<()> {
        if !self.begun {
            return Ok(());
        }
        self.decoder.try_finish()
    }
}

#[cfg(test)]
mod tests {
    use flate2::{Compression, write::GzEncoder};
    use proptest::prelude::*;

    use super::*;

    fn member(text: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    /// Pushes all of a piece; says how many steps that took.
    fn push(gunzip: &mut Gunzip, piece: &[u8], mut take: impl FnMut(&[u8])) -> io::Result<usize> {
        let (mut piece, mut steps) = (Bytes::copy_from_slice(piece), 0);
        loop {
            let part = gunzip.push(&mut piece)?;
            assert!(part.len() <= MOST, "{} bytes at once", part.len());
            take(&part);
            steps += 1;
            if piece.is_empty() {
                return Ok(steps);
            }
        }
    }

    fn decode<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> io::Result<Vec<u8>> {
        let mut gunzip = Gunzip::new();
        let mut text = Vec::new();
        for piece in pieces {
            push(&mut gunzip, piece, |part| text.extend_from_slice(part))?;
        }
        gunzip.finish()?;
        Ok(text)
    }

    #[test]
    fn what_was_flushed_comes_out_at_once() {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        let mut gunzip = Gunzip::new();
        for event in ["{\"type\":\"ADDED\"}\n", "{\"type\":\"BOOKMARK\"}\n", "{}\n"] {
            encoder.write_all(event.as_bytes()).unwrap();
            encoder.flush().unwrap();
            let (flushed, mut text) = (std::mem::take(encoder.get_mut()), Vec::new());
            push(&mut gunzip, &flushed, |part| text.extend_from_slice(part)).unwrap();
            assert_eq!(String::from_utf8(text).unwrap(), event);
        }
        let end = encoder.finish().unwrap();
        push(&mut gunzip, &end, |part| assert!(part.is_empty())).unwrap();
        gunzip.finish().unwrap();
    }

    #[test]
    fn a_body_that_was_cut_short_is_an_error() {
        let whole = [member(b"one"), member(b"two")].concat();
        for length in 1..whole.len() {
            if length != member(b"one").len() {
                assert!(decode([&whole[..length]]).is_err(), "{length} of {} bytes", whole.len());
            }
        }
        assert_eq!(decode([]).unwrap(), b"");
    }

    #[test]
    fn what_is_no_gzip_is_an_error() {
        assert!(decode([b"{\"kind\":\"StackList\"}".as_slice()]).is_err());
        let mut bent = member(b"some text that is long enough");
        let last = bent.len() - 6;
        bent[last] ^= 1;
        assert!(decode([bent.as_slice()]).is_err());
    }

    #[test]
    fn a_bomb_goes_off_in_small_portions() {
        let steps = |megabytes: usize| {
            let mut length = 0;
            let steps = push(&mut Gunzip::new(), &member(&vec![b' '; megabytes << 20]), |part| {
                length += part.len();
            });
            assert_eq!(length, megabytes << 20);
            steps.unwrap()
        };
        let (one, two, four) = (steps(16), steps(32), steps(64));
        assert!(two <= one * 5 / 2 && four <= two * 5 / 2, "{one}, {two}, {four}");
    }

    proptest! {
        #[test]
        fn neither_chunks_nor_members_make_a_difference(
            texts in prop::collection::vec("[a-e{}\n]{0,80}", 1..5),
            size in 1usize..40,
        ) {
            let body: Vec<u8> = texts.iter().flat_map(|text| member(text.as_bytes())).collect();
            let text = decode(body.chunks(size)).unwrap();
            prop_assert_eq!(String::from_utf8(text).unwrap(), texts.concat());
        }
    }
}

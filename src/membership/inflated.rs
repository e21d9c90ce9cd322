//! The body of an answer with each message as it was before the server compressed it.
//!
//! Whoever reads it needs to know nothing of compression. A message that would become longer than what
//! is taken is announced as such, and filled up with nothing: so it is passed over like any other that
//! is too long.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{BufMut, Bytes, BytesMut};
use http_body::{Body, Frame};
use tonic::Status;

use crate::membership::{
    frames::{self, Found, Frames},
    inflate::{Encoding, InflateError},
};

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// What stands in for the content of a message that is passed over.
static NOTHING: [u8; 16 << 10] = [0; 16 << 10];

/// The body.
pub(crate) struct Inflated<B> {
    body: B,
    encoding: Encoding,
    frames: Frames,
    longest: usize,
    /// What came and was not looked at yet.
    chunk: Bytes,
    /// Bytes of nothing that are due.
    filler: usize,
}

impl<B> Inflated<B> {
    /// No message becomes longer than so many bytes.
    pub(crate) fn new(body: B, encoding: Encoding, longest: usize) -> Self {
        Self { body, encoding, frames: Frames::new(longest), longest, chunk: Bytes::new(), filler: 0 }
    }

    /// What a message is to those who read on.
    fn message(&mut self, found: Found) -> Result<Bytes, InflateError> {
        let frames::Frame { compressed, bytes } = match found {
            Found::Frame(frame) => frame,
            Found::TooLong(length) => return Ok(self.too_long(length)),
        };
        if !compressed {
            return Ok(prefixed(&bytes));
        }
        match self.encoding.inflate(&bytes, self.longest) {
            Ok(message) => Ok(prefixed(&message)),
            Err(InflateError::TooLong(longest)) => Ok(self.too_long(longest.saturating_add(1))),
            Err(error) => Err(error),
        }
    }

    fn too_long(&mut self, length: usize) -> Bytes {
        self.filler = length;
        prefix(length).freeze()
    }
}

fn prefix(length: usize) -> BytesMut {
    let mut bytes = BytesMut::with_capacity(5);
    bytes.put_u8(0);
    bytes.put_u32(u32::try_from(length).unwrap_or(u32::MAX));
    bytes
}

fn prefixed(message: &[u8]) -> Bytes {
    let mut bytes = prefix(message.len());
    bytes.extend_from_slice(message);
    bytes.freeze()
}

impl<B> Body for Inflated<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        let failed = |text: String| Poll::Ready(Some(Err(Status::internal(text).into())));
        loop {
            if this.filler > 0 {
                let some = &NOTHING[..this.filler.min(NOTHING.len())];
                this.filler -= some.len();
                return Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(some)))));
            }
            if this.encoding != Encoding::Identity {
                match this.frames.next(&mut this.chunk) {
                    Ok(Some(found)) => match this.message(found) {
                        Ok(bytes) => return Poll::Ready(Some(Ok(Frame::data(bytes)))),
                        Err(error) => return failed(error.to_string()),
                    },
                    Ok(None) => {}
                    Err(error) => return failed(error.to_string()),
                }
            }
            let frame = match ready!(Pin::new(&mut this.body).poll_frame(cx)) {
                Some(Ok(frame)) => frame,
                Some(Err(error)) => return Poll::Ready(Some(Err(error.into()))),
                None => return Poll::Ready(None),
            };
            match frame.into_data() {
                Ok(data) if this.encoding == Encoding::Identity => {
                    return Poll::Ready(Some(Ok(Frame::data(data))));
                }
                Ok(data) => this.chunk = data,
                Err(frame) => return Poll::Ready(Some(Ok(frame))),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{convert::Infallible, io::Write as _};

    use flate2::{Compression, write::GzEncoder};
    use futures::{executor::block_on, stream};
    use http_body_util::{BodyExt, StreamBody};

    use super::*;

    const LONGEST: usize = 40 << 10;

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    fn message(flag: u8, bytes: &[u8]) -> Vec<u8> {
        [&[flag], &u32::try_from(bytes.len()).unwrap().to_be_bytes()[..], bytes].concat()
    }

    /// What is read of a body that comes in pieces of this size.
    fn read(encoding: &Encoding, body: &[u8], size: usize) -> Result<Vec<u8>, String> {
        let pieces =
            body.chunks(size).map(|piece| Ok::<_, Infallible>(Frame::data(Bytes::copy_from_slice(piece))));
        let body = StreamBody::new(stream::iter(pieces.collect::<Vec<_>>()));
        let whole = block_on(Inflated::new(body, encoding.clone(), LONGEST).collect());
        whole.map(|whole| whole.to_bytes().into()).map_err(|error| error.to_string())
    }

    #[test]
    fn compressed_messages_and_others_come_out_as_they_were_however_they_are_cut() {
        let sent = [message(1, &gzip(b"one")), message(0, b"two"), message(1, &gzip(b"")), message(0, b"")];
        let plain = [message(0, b"one"), message(0, b"two"), message(0, b""), message(0, b"")].concat();
        for size in [1, 3, 7, 1000] {
            assert_eq!(read(&Encoding::Gzip, &sent.concat(), size).unwrap(), plain, "{size}");
        }
        // Nothing is done where nothing is compressed, whatever it is.
        assert_eq!(read(&Encoding::Identity, b"<html>", 2).unwrap(), b"<html>");
    }

    #[test]
    fn what_becomes_too_long_is_announced_and_passed_over_and_the_next_one_comes() {
        let bomb = message(1, &gzip(&vec![0; 32 << 20]));
        let long = message(0, &vec![7; LONGEST + 9]);
        let body = [bomb, long, message(1, &gzip(b"next"))].concat();
        let out = Bytes::from(read(&Encoding::Gzip, &body, 4096).unwrap());
        let (mut frames, mut out) = (Frames::new(LONGEST), out);
        let mut next = || frames.next(&mut out).unwrap();
        assert_eq!(next(), Some(Found::TooLong(LONGEST + 1)));
        assert_eq!(next(), Some(Found::TooLong(LONGEST + 9)));
        let last = frames::Frame { compressed: false, bytes: Bytes::from_static(b"next") };
        assert_eq!(next(), Some(Found::Frame(last)));
        assert_eq!(next(), None);
    }

    #[test]
    fn what_cannot_be_read_is_said() {
        let body = message(1, &gzip(b"one"));
        assert!(read(&Encoding::Unknown("snappy".into()), &body, 9).unwrap_err().contains("\"snappy\""));
        assert!(read(&Encoding::Gzip, &message(1, b"one"), 9).unwrap_err().contains("damaged"));
        assert!(read(&Encoding::Gzip, b"<html>", 9).unwrap_err().contains("no gRPC"));
    }
}

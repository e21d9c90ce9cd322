//! What comes in on a stream: the body of the answer to a join, as gRPC's messages.

use std::pin::Pin;

use bytes::Bytes;
use futures::future::poll_fn;
use http_body::Body;
use tonic::{Code, Status};

use super::grpc_frames::{Encoding, FrameError, GrpcFrame, GrpcFrames};

/// The longest message that is taken where no other limit is set, in bytes: that of grpc-go.
pub const LONGEST: usize = 4 << 20;

/// One message of membership's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Inbound {
    /// Its bytes; the protobuf of an order, if all is well.
    Message(Bytes),
    /// It is longer than what is taken, and was passed over. The stream goes on.
    TooLong {
        /// How long.
        bytes: usize,
        /// The most that is taken.
        longest: usize,
    },
}

/// Reads the messages of a body, one after the other. Only one is in memory at a time.
pub(crate) struct Downlink<B> {
    body: B,
    encoding: Encoding,
    frames: GrpcFrames,
    /// What has come and was not looked at yet.
    chunk: Bytes,
}

impl<B> Downlink<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    /// Takes messages of at most so many bytes.
    pub(crate) fn new(body: B, longest: usize) -> Self {
        Self { body, encoding: Encoding::Identity, frames: GrpcFrames::new(longest), chunk: Bytes::new() }
    }

    /// Messages that are compressed are so in this way.
    pub(crate) fn encoded(self, encoding: Encoding) -> Self {
        Self { encoding, ..self }
    }

    /// The next message. `None` where the server has ended the stream and says that all is well.
    pub(crate) async fn message(&mut self) -> Result<Option<Inbound>, Status> {
        loop {
            match self.frames.next(&mut self.chunk) {
                Ok(Some(GrpcFrame::Message { compressed: true, bytes })) => {
                    return self.inflated(&bytes).map(Some);
                }
                Ok(Some(GrpcFrame::Message { bytes, .. })) => return Ok(Some(Inbound::Message(bytes))),
                Ok(Some(GrpcFrame::TooLong(bytes))) => {
                    return Ok(Some(Inbound::TooLong { bytes, longest: self.frames.longest() }));
                }
                Ok(None) => {}
                Err(error) => return Err(Status::internal(error.to_string())),
            }
            match poll_fn(|cx| Pin::new(&mut self.body).poll_frame(cx)).await {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => self.chunk = data,
                    Err(frame) => {
                        let status = frame.trailers_ref().and_then(Status::from_header_map);
                        if let Some(status) = status.filter(|status| status.code() != Code::Ok) {
                            return Err(status);
                        }
                    }
                },
                Some(Err(error)) => return Err(Status::from_error(error.into())),
                None => {
                    self.frames.finish().map_err(|error| Status::internal(error.to_string()))?;
                    return Ok(None);
                }
            }
        }
    }

    /// A compressed message as it was before it was sent.
    fn inflated(&self, bytes: &[u8]) -> Result<Inbound, Status> {
        match self.encoding.inflate(bytes, self.frames.longest()) {
            Ok(bytes) => Ok(Inbound::Message(bytes.into())),
            // How long it would become is not known, only that it is too long.
            Err(FrameError::TooLong(longest)) => {
                Ok(Inbound::TooLong { bytes: longest.saturating_add(1), longest })
            }
            Err(error) => Err(Status::internal(error.to_string())),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use futures::{executor::block_on, stream};
    use http::HeaderMap;
    use http_body::Frame as Part;
    use http_body_util::StreamBody;

    use super::*;

    fn read(parts: Vec<Part<Bytes>>) -> (Vec<Inbound>, Result<(), Code>) {
        let parts = parts.into_iter().map(Ok::<_, Infallible>);
        let mut downlink = Downlink::new(StreamBody::new(stream::iter(parts)), 3);
        let mut found = Vec::new();
        loop {
            match block_on(downlink.message()) {
                Ok(Some(inbound)) => found.push(inbound),
                Ok(None) => return (found, Ok(())),
                Err(status) => return (found, Err(status.code())),
            }
        }
    }

    fn data(bytes: &'static [u8]) -> Part<Bytes> {
        Part::data(Bytes::from_static(bytes))
    }

    fn trailers(status: &'static str) -> Part<Bytes> {
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", status.parse().unwrap());
        Part::trailers(trailers)
    }

    #[test]
    fn messages_come_one_by_one_and_one_too_long_is_only_told() {
        let body = vec![data(b"\0\0\0\0\x01a\0\0\0\0\x04lo"), data(b"ng\0\0\0\0\x01b"), trailers("0")];
        let [a, b] = [b"a", b"b"].map(|text| Inbound::Message(Bytes::from_static(text)));
        assert_eq!(read(body), (vec![a, Inbound::TooLong { bytes: 4, longest: 3 }, b], Ok(())));
    }

    #[test]
    fn how_the_server_ends_is_what_its_trailers_say() {
        assert_eq!(read(vec![]).1, Ok(()));
        assert_eq!(read(vec![trailers("0")]).1, Ok(()));
        assert_eq!(read(vec![data(b"\0\0\0\0\x01a"), trailers("16")]).1, Err(Code::Unauthenticated));
    }

    #[test]
    fn a_body_that_is_no_grpc_is_an_error() {
        for body in [&b"<html>"[..], b"\0\0\0\0\x02a", b"\x01\0\0\0\x01a"] {
            assert_eq!(read(vec![data(body)]), (vec![], Err(Code::Internal)), "{body:?}");
        }
    }

    #[test]
    fn compressed_messages_come_as_they_were_and_a_bomb_is_only_told() {
        use std::io::Write as _;

        let packed = |text: &[u8]| {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
            encoder.write_all(text).unwrap();
            let packed = encoder.finish().unwrap();
            [&[1], &u32::try_from(packed.len()).unwrap().to_be_bytes()[..], &packed].concat()
        };
        let body =
            [packed(b"one"), packed(&vec![0; 32 << 20]), b"\0\0\0\0\x01a".to_vec(), packed(b"")].concat();
        let body = StreamBody::new(stream::iter([Ok::<_, Infallible>(Part::data(Bytes::from(body)))]));
        let mut downlink = Downlink::new(body, 64 << 10).encoded(Encoding::Gzip);
        let mut next = || block_on(downlink.message()).unwrap();
        assert_eq!(next(), Some(Inbound::Message(Bytes::from_static(b"one"))));
        assert_eq!(next(), Some(Inbound::TooLong { bytes: (64 << 10) + 1, longest: 64 << 10 }));
        assert_eq!(next(), Some(Inbound::Message(Bytes::from_static(b"a"))));
        assert_eq!(next(), Some(Inbound::Message(Bytes::new())));
        assert_eq!(next(), None);
    }
}

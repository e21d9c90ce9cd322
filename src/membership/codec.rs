//! The stream's codec: for what is sent. What comes is read by [`super::inbound`], since tonic's own
//! reader ends the stream at the first message that is too long or does not decode; but gRPC says
//! where each message ends, so one bad order need not cost the others.

use tonic::{
    Status,
    codec::{BufferSettings, Codec, DecodeBuf, Decoder},
};
use tonic_prost::ProstEncoder;

use crate::membership::wire::server::Message;

#[derive(Debug, Default)]
pub(super) struct ReportCodec;

/// Is handed no body, and so never asked.
#[derive(Debug, Default)]
pub(super) struct NoDecoder;

impl Codec for ReportCodec {
    type Encode = Message;
    type Decode = ();
    type Encoder = ProstEncoder<Message>;
    type Decoder = NoDecoder;

    fn encoder(&mut self) -> Self::Encoder {
        ProstEncoder::new(BufferSettings::default())
    }

    fn decoder(&mut self) -> Self::Decoder {
        NoDecoder
    }
}

impl Decoder for NoDecoder {
    type Item = ();
    type Error = Status;

    fn decode(&mut self, _: &mut DecodeBuf<'_>) -> Result<Option<()>, Status> {
        Ok(None)
    }
}

//! The stream's codec. tonic's own ends the stream at the first message that does not decode;
//! but gRPC says where each message ends, so one bad order need not cost the others.

use bytes::Buf;
use prost::Message as _;
use tonic::{
    Status,
    codec::{BufferSettings, Codec, DecodeBuf, Decoder},
};
use tonic_prost::ProstEncoder;

use crate::membership::wire::server::{Message, Order};

/// A message that is no order.
#[derive(Debug, Clone, thiserror::Error)]
#[error("a message of {bytes} bytes from membership is no order: {source}")]
pub(crate) struct Undecodable {
    bytes: usize,
    source: prost::DecodeError,
}

#[derive(Debug, Default)]
pub(crate) struct OrderCodec;

#[derive(Debug, Default)]
pub(crate) struct OrderDecoder;

impl Codec for OrderCodec {
    type Encode = Message;
    type Decode = Result<Order, Undecodable>;
    type Encoder = ProstEncoder<Message>;
    type Decoder = OrderDecoder;

    fn encoder(&mut self) -> Self::Encoder {
        ProstEncoder::new(BufferSettings::default())
    }

    fn decoder(&mut self) -> Self::Decoder {
        OrderDecoder
    }
}

impl Decoder for OrderDecoder {
    type Item = Result<Order, Undecodable>;
    type Error = Status;

    fn decode(&mut self, src: &mut DecodeBuf<'_>) -> Result<Option<Self::Item>, Status> {
        Ok(Some(decode(src)))
    }
}

/// Reads one message to its end.
pub(super) fn decode(src: &mut impl Buf) -> Result<Order, Undecodable> {
    let bytes = src.remaining();
    let decoded = Order::decode(&mut *src).map_err(|source| Undecodable { bytes, source });
    // A failure leaves the rest of the message, which the next one must not begin with.
    src.advance(src.remaining());
    decoded
}

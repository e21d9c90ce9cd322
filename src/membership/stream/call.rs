//! The call of Join: tonic over a hyper connection, with a look at what answers.

use std::{
    cell::RefCell,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
    time::Duration,
};

use http::{HeaderValue, Request, Response, uri::PathAndQuery};
use http_body_util::BodyExt;
use hyper::{body::Incoming, client::conn::http2::SendRequest};
use tonic::{
    Status,
    body::Body,
    client::Grpc,
    codec::{BufferSettings, Codec, DecodeBuf, Decoder},
};
use tonic_prost::ProstEncoder;

#[cfg(test)]
use super::simulated;
use super::{
    StreamError,
    answer::{look, quoting},
    uplink::Uplink,
};
use crate::{
    membership::{
        downlink::{Downlink, Inbound},
        grpc_frames::{ACCEPTED, Encoding},
        wire::server::Message,
    },
    net::timeout,
};

/// The call of Join, which is the stream.
pub(super) enum JoinCall {
    Grpc {
        requests: SendRequest<Body>,
        request: tonic::Request<Uplink>,
        origin: http::Uri,
        /// The longest message that is taken, in bytes.
        longest: usize,
    },
    #[cfg(test)]
    Simulated(Rc<dyn simulated::SimulatedPeer>, simulated::SimulatedJoin),
}

/// What comes in on it.
#[cfg_attr(test, allow(clippy::large_enum_variant, reason = "the large one is the one there is"))]
pub(super) enum JoinAnswer {
    /// With the connection's handle, which keeps it open.
    Grpc(Downlink<Incoming>, #[allow(dead_code, reason = "held")] Grpc<GrpcService>),
    #[cfg(test)]
    Simulated(simulated::SimulatedDownlink),
}

impl JoinCall {
    /// Sends the request. The answer comes with the server's first message, which may be long in
    /// coming; what we send does not wait for it.
    pub(super) async fn answered(self) -> Result<JoinAnswer, StreamError> {
        match self {
            Self::Grpc { requests, request, origin, longest } => {
                let answer = Rc::default();
                let service = GrpcService { requests, answer: Rc::clone(&answer) };
                let mut grpc = Grpc::with_origin(service, origin);
                grpc.ready().await.map_err(|error| StreamError::Status(Status::from_error(error)))?;
                let path = PathAndQuery::from_static("/server.Server/Join");
                grpc.streaming(request, path, ReportCodec).await.map_err(StreamError::Status)?;
                // tonic has seen the headers alone: see `Downlink`.
                let (body, encoding) = answer.take().ok_or(StreamError::Ended)?;
                Ok(JoinAnswer::Grpc(Downlink::new(body, longest).encoded(encoding), grpc))
            }
            #[cfg(test)]
            Self::Simulated(peer, join) => {
                peer.join(join).await.map(JoinAnswer::Simulated).map_err(StreamError::Status)
            }
        }
    }
}

impl JoinAnswer {
    pub(super) async fn message(&mut self) -> Result<Option<Inbound>, Status> {
        match self {
            Self::Grpc(downlink, _) => downlink.message().await,
            #[cfg(test)]
            Self::Simulated(downlink) => simulated::message(downlink).await,
        }
    }
}

/// How long the rest of an error page is waited for, and how much of it is read, in bytes.
const PAGE: (Duration, usize) = (Duration::from_secs(2), 1 << 10);

/// Metadata that is nobody's business but membership's.
const SECRETS: [&str; 2] = ["token", "bearer"];

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A hyper connection as the service that tonic calls. tonic is handed the answer's headers; its body, and
/// how the messages in it are compressed, is put aside. What answers and is no gRPC becomes an error with the
/// status that it stands for.
pub(super) struct GrpcService {
    requests: SendRequest<Body>,
    answer: Rc<RefCell<Option<(Incoming, Encoding)>>>,
}

impl tower_service::Service<Request<Body>> for GrpcService {
    type Response = Response<Body>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>>>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.requests.poll_ready(cx).map_err(BoxError::from)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        request.headers_mut().insert("grpc-accept-encoding", HeaderValue::from_static(ACCEPTED));
        let secrets = secrets(&request);
        let (answered, answer) = (self.requests.send_request(request), Rc::clone(&self.answer));
        Box::pin(async move {
            let (mut head, body) = answered.await?.into_parts();
            match look(&head) {
                Ok(()) => {
                    let encoding = Encoding::of(&head.headers);
                    // tonic would refuse what it was not built to read, and it reads none of it.
                    head.headers.remove("grpc-encoding");
                    answer.replace(Some((body, encoding)));
                    Ok(Response::from_parts(head, Body::empty()))
                }
                Err(status) => Err(with_page(&status, body, &secrets).await.into()),
            }
        })
    }
}

fn secrets(request: &Request<Body>) -> Vec<String> {
    let values = SECRETS.iter().flat_map(|name| request.headers().get_all(*name));
    values.filter_map(|value| value.to_str().ok().map(str::to_owned)).collect()
}

/// The status with the beginning of the page that came with it, as far as that comes soon.
async fn with_page(status: &Status, mut body: Incoming, secrets: &[String]) -> Status {
    let mut page = Vec::new();
    let reading = async {
        while page.len() < PAGE.1
            && let Some(Ok(frame)) = body.frame().await
        {
            page.extend_from_slice(frame.data_ref().map_or(&[], |data| &data[..data.len().min(PAGE.1)]));
        }
    };
    let _ = timeout(PAGE.0, reading).await;
    quoting(status, &page, secrets)
}

/// The codec of what is sent. What comes is read by [`Downlink`], since tonic's own reader ends the stream at
/// the first message that is too long or does not decode; but gRPC says where each message ends, so one bad
/// order need not cost the others.
#[derive(Debug, Default)]
struct ReportCodec;

impl Codec for ReportCodec {
    type Encode = Message;
    type Decode = ();
    type Encoder = ProstEncoder<Message>;
    type Decoder = Self;

    fn encoder(&mut self) -> Self::Encoder {
        ProstEncoder::new(BufferSettings::default())
    }

    fn decoder(&mut self) -> Self::Decoder {
        Self
    }
}

/// Is handed no body, and so never asked.
impl Decoder for ReportCodec {
    type Item = ();
    type Error = Status;

    fn decode(&mut self, _: &mut DecodeBuf<'_>) -> Result<Option<()>, Status> {
        Ok(None)
    }
}

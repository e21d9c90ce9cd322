//! The gRPC side: takes calls and passes them to the thread's own state. tonic wants all of
//! this `Send`, so it holds channels and nothing else.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use futures::{
    StreamExt,
    channel::{mpsc, oneshot},
};
use proto::{Message, Order, server_server::Server};
use tonic::{
    Request, Response, Status, Streaming,
    codegen::tokio_stream::Stream,
    metadata::{KeyAndValueRef, MetadataMap},
};

use crate::membership::JoinRequest;

/// What an agent is sent.
pub(super) type Orders = mpsc::UnboundedSender<Result<Order, Status>>;

/// A join that waits for an answer.
pub(super) struct Asked {
    pub(super) connection: u64,
    pub(super) join: JoinRequest,
    pub(super) messages: Streaming<Message>,
    pub(super) answer: oneshot::Sender<Result<Down, Status>>,
}

/// Serves one connection.
#[derive(Clone)]
pub(super) struct Service {
    pub(super) connection: u64,
    pub(super) asked: mpsc::UnboundedSender<Asked>,
}

#[tonic::async_trait]
impl Server for Service {
    type JoinStream = Down;

    async fn join(&self, request: Request<Streaming<Message>>) -> Result<Response<Down>, Status> {
        let (answer, answered) = oneshot::channel();
        let join = read_join(request.metadata());
        let asked = Asked { connection: self.connection, join, messages: request.into_inner(), answer };
        let gone = || Status::unavailable("the embedded membership is stopping");
        self.asked.unbounded_send(asked).map_err(|_| gone())?;
        Ok(Response::new(answered.await.map_err(|_| gone())??))
    }
}

fn read_join(metadata: &MetadataMap) -> JoinRequest {
    let pairs = metadata.iter().filter_map(|pair| match pair {
        KeyAndValueRef::Ascii(key, value) => Some((key.as_str().to_owned(), value.to_str().ok()?.to_owned())),
        KeyAndValueRef::Binary(..) => None,
    });
    let metadata: Vec<(String, String)> = pairs.collect();
    let id = metadata.iter().find(|(key, _)| key == "id").map(|(_, id)| id.clone()).unwrap_or_default();
    JoinRequest { id, metadata }
}

/// The orders of one stream. Each goes out in a frame of its own, as Go's gRPC server sends
/// them; tonic would put what is ready into one, so between two nothing is ready.
pub(super) struct Down {
    orders: mpsc::UnboundedReceiver<Result<Order, Status>>,
    pause: bool,
}

impl Down {
    pub(super) fn new() -> (Orders, Self) {
        let (sender, orders) = mpsc::unbounded();
        (sender, Self { orders, pause: false })
    }
}

impl Stream for Down {
    type Item = Result<Order, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if std::mem::take(&mut self.pause) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let next = self.orders.poll_next_unpin(cx);
        self.pause = next.is_ready();
        next
    }
}

//! What stands in for connections where a simulation runs on this thread.

use std::{cell::RefCell, rc::Rc, time::Duration};

use bytes::Bytes;
use futures::{StreamExt, channel::mpsc, future::LocalBoxFuture};
use http::Request;

use super::{Opened, OutgoingRequest, ResponseStream};
use crate::{
    cluster::{body::BodyError, response::ApiResponse, send_error::SendError},
    net,
};

/// What becomes of a request. A future that never ends is an answer that never comes.
#[derive(Debug)]
pub(crate) enum SimulatedAnswer {
    /// Answered.
    Reply(ApiResponse),
    /// Answered by a stream of chunks, which ends in order where it ends without an error.
    Stream(mpsc::UnboundedReceiver<Result<Bytes, String>>),
    /// Not answered.
    Failed(SendError),
}

/// A network with an API server at its other end.
pub(crate) trait Network {
    /// Sends a request.
    fn send(&self, request: Request<Bytes>) -> LocalBoxFuture<'static, SimulatedAnswer>;
}

thread_local! {
    static NETWORK: RefCell<Option<Rc<dyn Network>>> = const { RefCell::new(None) };
}

/// Clients that are made on this thread from now on use this.
pub(crate) fn install(network: Option<Rc<dyn Network>>) {
    NETWORK.set(network);
}

pub(super) fn installed() -> Option<Rc<dyn Network>> {
    NETWORK.with_borrow(Option::clone)
}

fn request(outgoing: &OutgoingRequest) -> Request<Bytes> {
    let mut request = Request::new(outgoing.body.clone());
    *request.method_mut() = outgoing.head.method().clone();
    *request.uri_mut() = outgoing.head.uri().clone();
    *request.headers_mut() = outgoing.head.headers().clone();
    request
}

pub(super) async fn open(
    network: &Rc<dyn Network>,
    outgoing: &OutgoingRequest,
    deadline: Duration,
) -> Result<Opened, SendError> {
    match net::timeout(deadline, network.send(request(outgoing))).await {
        Err(_) => Err(SendError::NoAnswer(deadline)),
        Ok(SimulatedAnswer::Reply(reply)) => Ok(Opened::Reply(reply)),
        Ok(SimulatedAnswer::Stream(chunks)) => {
            Ok(Opened::Stream(Box::new(ResponseStream::Simulated(SimulatedBody(chunks)))))
        }
        Ok(SimulatedAnswer::Failed(error)) => Err(error),
    }
}

pub(super) async fn exchange(
    network: &Rc<dyn Network>,
    outgoing: &OutgoingRequest,
    deadline: Duration,
) -> Result<ApiResponse, SendError> {
    match open(network, outgoing, deadline).await? {
        Opened::Reply(reply) => Ok(reply),
        Opened::Stream(_) => Err(SendError::Broke("a stream where a reply was expected".into())),
    }
}

/// The chunks of a stream.
#[derive(Debug)]
pub(in crate::cluster) struct SimulatedBody(mpsc::UnboundedReceiver<Result<Bytes, String>>);

impl SimulatedBody {
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, BodyError> {
        self.0.next().await.transpose().map_err(BodyError::Broken)
    }
}

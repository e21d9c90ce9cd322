//! One connection, one request at a time.

use std::{
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
};

use bytes::Bytes;
use futures::channel::oneshot;
use http::{HeaderValue, Response, header};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};

use super::{watch_body::WatchBody, world::ServedWorld};
use net::{self, io::Io};

use crate::{
    failure::ApiFailure,
    faults::InjectedFault,
    reply::ApiReply,
    respond::{ServedAnswer, ServedRequest},
    routes::{Query, Route},
};

/// The real server's limit for a request's body.
const BODY_MAX: usize = 3 << 20;
/// How much of one that is larger is read before the connection is closed.
const PATIENCE: usize = 64 << 20;

/// The connection is to break without an answer.
#[derive(Debug, thiserror::Error)]
#[error("the connection breaks on purpose")]
struct BrokenOnPurpose;

/// Serves a connection until it ends.
pub(super) async fn connection(world: Rc<ServedWorld>, io: Io) {
    let service = service_fn(|request| {
        let world = Rc::clone(&world);
        async move { handle(&world, request).await }
    });
    // However it ends, it is the client's affair.
    let _ = http1::Builder::new().serve_connection(io, service).await;
}

async fn handle(
    world: &Rc<ServedWorld>,
    request: hyper::Request<Incoming>,
) -> Result<Response<AnswerBody>, BrokenOnPurpose> {
    let authorized = authorized(world, &request);
    let request = match read(request).await {
        Ok(request) => request,
        Err(reply) => {
            world.counts.borrow_mut().request("other");
            return Ok(respond(world, ServedAnswer::Reply(reply)));
        }
    };
    world.counts.borrow_mut().request(request.verb());
    if !authorized {
        let reply = ApiFailure::new(401, "Unauthorized", "Unauthorized").into();
        return Ok(respond(world, ServedAnswer::Reply(reply)));
    }
    let delay = world.delay();
    if !delay.is_zero() {
        net::sleep(delay).await;
    }
    let answer = match world.fault(&request) {
        InjectedFault::None => world.answer(&request),
        InjectedFault::Refuse { code, retry_after } => ServedAnswer::Reply(injected(code, retry_after)),
        InjectedFault::Deny { code } => {
            world.answer(&request);
            ServedAnswer::Reply(injected(code, None))
        }
        InjectedFault::DropBefore => return Err(broken(world)),
        InjectedFault::DropAfter => {
            world.answer(&request);
            return Err(broken(world));
        }
        InjectedFault::Hold(time) => held(world, request, net::sleep(time)).await.ok_or(BrokenOnPurpose)?,
        InjectedFault::Until(gate) => {
            let opened = async move {
                let _ = gate.await;
            };
            held(world, request, opened).await.ok_or(BrokenOnPurpose)?
        }
    };
    Ok(respond(world, answer))
}

/// Carries a request out once `until` is over, in a task of its own: a client that goes away does not
/// take its request back.
async fn held(
    world: &Rc<ServedWorld>,
    request: ServedRequest,
    until: impl Future<Output = ()> + 'static,
) -> Option<ServedAnswer> {
    let (done, answer) = oneshot::channel();
    let other = Rc::clone(world);
    let task = net::spawn(async move {
        until.await;
        let _ = done.send(other.answer(&request));
    });
    world.held.borrow_mut().push(task);
    answer.await.ok()
}

fn broken(world: &ServedWorld) -> BrokenOnPurpose {
    world.counts.borrow_mut().answer(0);
    BrokenOnPurpose
}

fn authorized(world: &ServedWorld, request: &hyper::Request<Incoming>) -> bool {
    let Some(token) = &world.token else { return true };
    let given = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    given.and_then(|value| value.strip_prefix("Bearer ")) == Some(token)
}

async fn read(request: hyper::Request<Incoming>) -> Result<ServedRequest, ApiReply> {
    let (head, body) = request.into_parts();
    let text = |name| {
        let value = head.headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
        value.unwrap_or_default().to_string()
    };
    let content_type =
        text(header::CONTENT_TYPE).split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let user_agent = text(header::USER_AGENT);
    let body = read_body(body).await?;
    Ok(ServedRequest {
        route: Route::parse(head.uri.path()),
        query: Query::parse(head.uri.query().unwrap_or_default()),
        method: head.method,
        content_type,
        user_agent,
        body,
    })
}

/// A body as a whole. One that is too large is read to its end all the same: a client that is still
/// writing when the connection closes may not see the answer.
async fn read_body(mut body: Incoming) -> Result<Bytes, ApiReply> {
    let (mut whole, mut size) = (Vec::new(), 0);
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| ApiReply::from(ApiFailure::bad_request(error.to_string())))?;
        let Ok(data) = frame.into_data() else { continue };
        size += data.len();
        if size <= BODY_MAX {
            whole.extend_from_slice(&data);
        } else if size > PATIENCE {
            break;
        }
    }
    if size > BODY_MAX {
        let message = format!("Request entity too large: limit is {BODY_MAX}");
        return Err(ApiFailure::new(413, "RequestEntityTooLarge", message).into());
    }
    Ok(whole.into())
}

/// What a server in trouble says.
fn injected(code: u16, retry_after: Option<u32>) -> ApiReply {
    let (reason, message) = match code {
        429 => ("TooManyRequests", "Too many requests, please try again later."),
        503 => ("ServiceUnavailable", "the server is currently unable to handle the request"),
        504 => ("Timeout", "the server was unable to return a response in the time allotted"),
        _ => ("InternalError", "an error on the server has prevented the request from succeeding"),
    };
    ApiFailure { retry_after, ..ApiFailure::new(code, reason, message) }.into()
}

fn respond(world: &Rc<ServedWorld>, answer: ServedAnswer) -> Response<AnswerBody> {
    let (code, mut response) = match answer {
        ServedAnswer::Reply(reply) => (reply.code, whole(reply)),
        ServedAnswer::Watch(watcher) => {
            let body = AnswerBody::Watch(WatchBody::start(world, *watcher));
            (200, with_type(Response::new(body), true))
        }
    };
    *response.status_mut() = http::StatusCode::from_u16(code).unwrap_or_default();
    world.counts.borrow_mut().answer(code);
    response
}

fn whole(reply: ApiReply) -> Response<AnswerBody> {
    let mut response = with_type(Response::new(AnswerBody::Whole(Full::new(reply.body))), reply.json);
    let headers = response.headers_mut();
    for warning in &reply.warnings {
        if let Ok(value) = HeaderValue::from_str(&format!("299 - {warning:?}")) {
            headers.append(header::WARNING, value);
        }
    }
    if let Some(seconds) = reply.retry_after {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

fn with_type(mut response: Response<AnswerBody>, json: bool) -> Response<AnswerBody> {
    let value = if json { "application/json" } else { "text/plain; charset=utf-8" };
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(value));
    response
}

/// A body that is there, or one that comes.
#[derive(Debug)]
enum AnswerBody {
    Whole(Full<Bytes>),
    Watch(WatchBody),
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        match self.get_mut() {
            Self::Whole(body) => Pin::new(body).poll_frame(context),
            Self::Watch(body) => Pin::new(body).poll_frame(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(body) => body.is_end_stream(),
            Self::Watch(_) => false,
        }
    }

    fn size_hint(&self) -> http_body::SizeHint {
        match self {
            Self::Whole(body) => body.size_hint(),
            Self::Watch(_) => http_body::SizeHint::default(),
        }
    }
}

//! A hyper connection as the service that tonic calls, with a look at what answers.

use std::{
    cell::RefCell,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
    time::Duration,
};

use http::{HeaderValue, Request, Response};
use http_body_util::BodyExt;
use hyper::{body::Incoming, client::conn::http2::SendRequest};
use tonic::{Status, body::Body};

use super::answer::{look, quoting};
use crate::{
    membership::inflate::{ACCEPTED, Encoding},
    net::timeout,
};

/// How long the rest of an error page is waited for, and how much of it is read, in bytes.
const PAGE: (Duration, usize) = (Duration::from_secs(2), 1 << 10);

/// Metadata that is nobody's business but membership's.
const SECRETS: [&str; 2] = ["token", "bearer"];

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The body of the answer and how its messages are compressed, as soon as there is one.
pub(super) type Answer = Rc<RefCell<Option<(Incoming, Encoding)>>>;

/// The service. tonic is handed the answer's headers; its body is put aside. What answers and is no gRPC
/// becomes an error with the status that it stands for.
pub(super) struct Http2(pub(super) SendRequest<Body>, pub(super) Answer);

impl tower_service::Service<Request<Body>> for Http2 {
    type Response = Response<Body>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>>>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.0.poll_ready(cx).map_err(BoxError::from)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        request.headers_mut().insert("grpc-accept-encoding", HeaderValue::from_static(ACCEPTED));
        let secrets = secrets(&request);
        let (answered, answer) = (self.0.send_request(request), Rc::clone(&self.1));
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

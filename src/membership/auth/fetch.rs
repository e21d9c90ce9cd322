//! One HTTP/1.1 exchange with an issuer, on a connection of its own: there are two or three of
//! them for a join.

use std::time::Duration;

use bytes::Bytes;
use http::{Method, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;

use crate::{
    membership::auth::oidc::{IssuerAnswer, IssuerRequest},
    net::{
        self, chain,
        connect::{ConnectError, Connector, Protocol},
        endpoint::{Endpoint, EndpointError},
        monitor::{MonitoredIo, PeerAbuse},
        timeout,
    },
};

/// Bound on an exchange, redirects included.
const DEADLINE: Duration = Duration::from_secs(30);
/// How long an issuer may take to begin its answer, once it took the request.
const ANSWER: Duration = Duration::from_secs(10);
/// Headers of an answer, at most.
const MAX_HEADER_COUNT: usize = 1024;
/// Longest answer: a discovery document and a token have a few kilobytes.
const MAX_BODY: usize = 1 << 20;
/// What is read of a refusal, of which the beginning is shown; what follows is not waited for.
const MAX_ERROR: usize = 64 << 10;
/// How many redirects a GET follows.
const MAX_REDIRECTS: usize = 5;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// No URL to go to.
    #[error(transparent)]
    Url(#[from] EndpointError),
    /// No connection.
    #[error(transparent)]
    Connect(Box<ConnectError>),
    /// The request cannot be written as HTTP.
    #[error("request to {url}: {source}")]
    Request {
        /// Where to.
        url: String,
        /// Why.
        source: http::Error,
    },
    /// The exchange broke.
    #[error("{url}: {source}")]
    Exchange {
        /// Where to.
        url: String,
        /// Why.
        source: ExchangeError,
    },
    /// Redirected again and again.
    #[error("{url}: more than 5 redirects")]
    Redirects {
        /// Where it began.
        url: String,
    },
    /// Too slow.
    #[error("{url}: no answer within {}s", DEADLINE.as_secs())]
    Timeout {
        /// Where to.
        url: String,
    },
}

/// Why an exchange broke.
#[derive(Debug, thiserror::Error)]
pub enum ExchangeError {
    /// The connection broke.
    #[error("{}", chain(.0))]
    Http(hyper::Error),
    /// It was given up.
    #[error(transparent)]
    Abuse(#[from] PeerAbuse),
    /// No answer.
    #[error("it took the request and did not answer it within {ANSWER:?}")]
    Unanswered,
    /// Something in between answers for the issuer.
    #[error("answered {0} with a page of HTML instead of JSON")]
    Page(StatusCode),
    /// The answer broke off.
    #[error("{0}")]
    Body(hyper::Error),
    /// More than an answer may have.
    #[error("the answer is larger than {} KiB", MAX_BODY >> 10)]
    TooLarge,
}

/// Sends a request and reads the whole answer. Redirects are followed for GET alone: the other
/// carries a secret.
pub(super) async fn fetch(
    connector: &Connector,
    request: &IssuerRequest,
) -> Result<IssuerAnswer, FetchError> {
    let all = async {
        let mut request = request.clone();
        for _ in 0..=MAX_REDIRECTS {
            match exchange(connector, &request).await? {
                (_, Some(location)) if request.form.is_none() => request.url = location,
                (answer, _) => return Ok(answer),
            }
        }
        Err(FetchError::Redirects { url: request.url })
    };
    let late = |_| FetchError::Timeout { url: request.url.clone() };
    timeout(DEADLINE, all).await.map_err(late)?
}

/// The answer, and where it sends us.
async fn exchange(
    connector: &Connector,
    request: &IssuerRequest,
) -> Result<(IssuerAnswer, Option<String>), FetchError> {
    let broken = |source| FetchError::Exchange { url: request.url.clone(), source };
    let endpoint = Endpoint::from_url(&request.url)?;
    let io = connector.connect(&endpoint).await.map_err(|error| FetchError::Connect(Box::new(error)))?.io;
    let (io, monitor) = MonitoredIo::new(io, Protocol::Http1);
    let failed =
        |error| broken(monitor.abuse().map_or_else(|| ExchangeError::Http(error), ExchangeError::Abuse));
    let mut http = hyper::client::conn::http1::Builder::new();
    let (mut sender, connection) = http.max_headers(MAX_HEADER_COUNT).handshake(io).await.map_err(failed)?;
    let _driver = net::spawn(connection);

    let mut to_send = to_http(request, &endpoint)?;
    monitor.count_informational(&mut to_send);
    let response = timeout(ANSWER, sender.send_request(to_send)).await;
    let response = response.map_err(|_| broken(ExchangeError::Unanswered))?.map_err(failed)?;
    monitor.check_informational().map_err(|abuse| broken(abuse.into()))?;
    let status = response.status();
    if is_page(&response) {
        return Err(broken(ExchangeError::Page(status)));
    }
    let location = response.headers().get(header::LOCATION).filter(|_| status.is_redirection());
    let location = location.and_then(|value| absolute(&endpoint, value.to_str().ok()?));
    let body = read(response.into_body(), status.is_success()).await.map_err(broken)?;
    Ok((IssuerAnswer { status, body }, location))
}

async fn read(mut incoming: Incoming, whole: bool) -> Result<Vec<u8>, ExchangeError> {
    let mut body = Vec::new();
    while let Some(frame) = incoming.frame().await {
        let data = frame.map_err(ExchangeError::Body)?.into_data().unwrap_or_default();
        if whole && body.len().saturating_add(data.len()) > MAX_BODY {
            return Err(ExchangeError::TooLarge);
        }
        body.extend_from_slice(&data);
        if !whole && body.len() >= MAX_ERROR {
            body.truncate(MAX_ERROR);
            break;
        }
    }
    Ok(body)
}

/// Whether it is a page for people, where a document is due: something in between answers for the issuer.
fn is_page<B>(response: &http::Response<B>) -> bool {
    let value =
        response.headers().get(header::CONTENT_TYPE).map(|value| value.as_bytes().to_ascii_lowercase());
    let is_html = |value: Vec<u8>| value.starts_with(b"text/html") || value.starts_with(b"application/xhtml");
    response.status().is_success() && value.is_some_and(is_html)
}

fn to_http(request: &IssuerRequest, endpoint: &Endpoint) -> Result<http::Request<Full<Bytes>>, FetchError> {
    let uri: http::Uri =
        request.url.parse().map_err(|_| EndpointError::NoUrl { text: request.url.clone() })?;
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let mut http = http::Request::builder()
        .uri(path)
        .header(header::HOST, endpoint.authority())
        .header(header::ACCEPT, "application/json")
        .header(header::USER_AGENT, concat!("stackherd/", env!("CARGO_PKG_VERSION")));
    if let Some(authorization) = &request.authorization {
        http = http.header(header::AUTHORIZATION, authorization);
    }
    let body = match &request.form {
        None => Bytes::new(),
        Some(form) => {
            http =
                http.method(Method::POST).header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
            Bytes::copy_from_slice(form.as_bytes())
        }
    };
    http.body(Full::new(body)).map_err(|source| FetchError::Request { url: request.url.clone(), source })
}

/// A `Location` that is a URL or an absolute path; others are not followed.
fn absolute(endpoint: &Endpoint, location: &str) -> Option<String> {
    match location {
        url if url.contains("://") => Some(url.to_owned()),
        path if path.starts_with('/') && !path.starts_with("//") => Some(format!("{endpoint}{path}")),
        _ => None,
    }
}

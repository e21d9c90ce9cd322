//! A small API server that does what a script says, on loopback and on the test's own executor.

use std::{
    cell::{Cell, RefCell},
    io,
    pin::{Pin, pin},
    rc::Rc,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures::{
    channel::{
        mpsc::{UnboundedReceiver, UnboundedSender, unbounded},
        oneshot,
    },
    future::{Either, select},
    stream,
};
use http::{Request, Response};
use http_body_util::{BodyExt, Full, StreamBody, combinators::BoxBody};
use hyper::{
    body::{Frame, Incoming},
    server::conn::{http1, http2},
    service::service_fn,
};
use rustls::ServerConfig;
use serde_json::Value;

use crate::{
    net::{
        self,
        executor::LocalExecutor,
        listen::{Listener, accept_tls},
        tls::{self, Identity, Trust},
    },
    time,
};

/// What the server does with a request.
#[derive(Debug, Clone)]
pub(super) enum ServerAct {
    /// Answers.
    Reply(u16, Value),
    /// Answers with a header.
    With(u16, &'static str, &'static str, Value),
    /// Answers with these bytes, encoded as said.
    Encoded(&'static str, Bytes),
    /// Answers with what it is fed, encoded as said; see [`feed`].
    Stream(&'static str, BodyFeed),
    /// The same under another status.
    StreamOf(u16, BodyFeed),
    /// Answers with this text, after a while.
    Late(Duration, u16, Value),
    /// Never answers.
    Hang,
    /// Ends the exchange without an answer.
    Cut,
    /// Ends it in the middle of the answer.
    CutInBody,
}

/// The other end of what a test says piece by piece. Taken by the first that answers with it.
pub(super) type BodyFeed = Rc<RefCell<Option<UnboundedReceiver<io::Result<Bytes>>>>>;

/// What a streamed answer says: pieces, or an error that breaks it off; dropped, it ends in order.
pub(super) fn feed() -> (UnboundedSender<io::Result<Bytes>>, BodyFeed) {
    let (sender, receiver) = unbounded();
    (sender, Rc::new(RefCell::new(Some(receiver))))
}

/// A request as it came in.
#[derive(Debug, Clone)]
pub(super) struct ReceivedRequest {
    pub(super) at: Instant,
    pub(super) head: String,
    pub(super) query: String,
    pub(super) authorization: Option<String>,
    pub(super) headers: http::HeaderMap,
    pub(super) body: Bytes,
}

#[derive(Default)]
pub(super) struct ServerLog {
    pub(super) seen: RefCell<Vec<ReceivedRequest>>,
    pub(super) connections: Cell<usize>,
    /// Of the connections that were made: told, one says goodbye; dropped, it breaks.
    ends: RefCell<Vec<oneshot::Sender<()>>>,
    together: Cell<usize>,
    pub(super) most_together: Cell<usize>,
}

pub(super) struct ScriptedServer {
    pub(super) log: Rc<ServerLog>,
    pub(super) url: String,
    _task: net::Task<()>,
}

/// How the server speaks.
#[derive(Clone)]
pub(super) enum ServerProtocol {
    Plain,
    /// TLS; HTTP/2 where that is what ALPN chose.
    Tls(Arc<ServerConfig>),
}

type ServerScript = Rc<dyn Fn(usize, &ReceivedRequest) -> ServerAct>;

pub(super) fn certificate() -> (String, String) {
    let signed = rcgen::generate_simple_self_signed(vec!["localhost".into(), "127.0.0.1".into()]).unwrap();
    (signed.cert.pem(), signed.signing_key.serialize_pem())
}

/// A TLS server's speech and what its clients are to trust.
pub(super) fn tls(alpn: &[&[u8]]) -> (ServerProtocol, Trust) {
    let (certificates, key) = certificate();
    let identity = Identity::new(certificates.clone(), key);
    (ServerProtocol::Tls(tls::server_config(&identity, alpn).unwrap()), Trust::pem(certificates))
}

impl ScriptedServer {
    pub(super) fn start(
        speech: ServerProtocol,
        script: impl Fn(usize, &ReceivedRequest) -> ServerAct + 'static,
    ) -> Self {
        let listener = Listener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().port();
        let scheme = if matches!(speech, ServerProtocol::Plain) { "http" } else { "https" };
        let log = Rc::new(ServerLog::default());
        let script: ServerScript = Rc::new(script);
        let accepting = Rc::clone(&log);
        let task = net::spawn(async move {
            let mut open = Vec::new();
            while let Ok(io) = listener.accept().await {
                accepting.connections.set(accepting.connections.get() + 1);
                let (end, ended) = oneshot::channel();
                accepting.ends.borrow_mut().push(end);
                let serving = serve(io, speech.clone(), Rc::clone(&script), Rc::clone(&accepting), ended);
                open.push(net::spawn(serving));
            }
        });
        Self { log, url: format!("{scheme}://127.0.0.1:{port}"), _task: task }
    }

    pub(super) fn requests(&self) -> usize {
        self.log.seen.borrow().len()
    }

    pub(super) fn seen(&self, at: usize) -> ReceivedRequest {
        self.log.seen.borrow()[at].clone()
    }

    /// Drops every connection that is open.
    pub(super) fn drop_connections(&self) {
        self.log.ends.borrow_mut().clear();
    }

    /// Takes no more requests on any HTTP/2 connection that is open, and answers those there are.
    pub(super) fn say_goodbye(&self) {
        for end in self.log.ends.take() {
            let _ = end.send(());
        }
    }
}

async fn serve(
    io: net::io::Io,
    speech: ServerProtocol,
    script: ServerScript,
    log: Rc<ServerLog>,
    ended: oneshot::Receiver<()>,
) {
    let (io, http2) = match speech {
        ServerProtocol::Plain => (io, false),
        ServerProtocol::Tls(config) => {
            // Our client offers both, so what the server knows decides.
            let http2 = config.alpn_protocols.iter().any(|name| name == tls::H2);
            match accept_tls(config, io).await {
                Ok(io) => (io, http2),
                Err(_) => return,
            }
        }
    };
    let service = service_fn(move |request| answer(request, Rc::clone(&script), Rc::clone(&log)));
    if http2 {
        let mut serving = pin!(http2::Builder::new(LocalExecutor).serve_connection(io, service));
        if let Either::Right((Ok(()), _)) = select(serving.as_mut(), ended).await {
            serving.as_mut().graceful_shutdown();
            let _ = serving.await;
        }
    } else {
        select(http1::Builder::new().serve_connection(io, service), ended).await;
    }
}

type ServedResponse = Result<Response<BoxBody<Bytes, io::Error>>, io::Error>;

async fn answer(request: Request<Incoming>, script: ServerScript, log: Rc<ServerLog>) -> ServedResponse {
    let (head, body) = request.into_parts();
    let together = ConcurrencyCount::enter(&log);
    let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
    let seen = ReceivedRequest {
        at: time::now(),
        head: format!("{} {}", head.method, head.uri.path()),
        query: head.uri.query().unwrap_or_default().to_owned(),
        authorization: head.headers.get("authorization").map(|v| v.to_str().unwrap().to_owned()),
        headers: head.headers,
        body,
    };
    let nth = log.seen.borrow().len();
    log.seen.borrow_mut().push(seen.clone());
    let response = |code: u16, value: &Value| {
        let text = if value.is_string() { value.as_str().unwrap().to_owned() } else { value.to_string() };
        Response::builder().status(code).body(whole(text)).unwrap()
    };
    let reply = match script(nth, &seen) {
        ServerAct::Reply(code, value) => response(code, &value),
        ServerAct::With(code, name, header, value) => {
            let mut response = response(code, &value);
            response.headers_mut().append(name, header.parse().unwrap());
            response
        }
        ServerAct::Encoded(encoding, bytes) => {
            encoded(encoding, Full::new(bytes).map_err(|e| match e {}).boxed())
        }
        ServerAct::Stream(encoding, feed) => {
            let pieces = feed.take().expect("one answer for each feed");
            let pieces = stream::StreamExt::map(pieces, |piece| piece.map(Frame::data));
            encoded(encoding, StreamBody::new(pieces).boxed())
        }
        ServerAct::StreamOf(code, feed) => {
            let pieces = feed.take().expect("one answer for each feed");
            let pieces = stream::StreamExt::map(pieces, |piece| piece.map(Frame::data));
            Response::builder().status(code).body(StreamBody::new(pieces).boxed()).unwrap()
        }
        ServerAct::Late(after, code, value) => {
            net::sleep(after).await;
            response(code, &value)
        }
        ServerAct::Hang => std::future::pending().await,
        ServerAct::Cut => return Err(io::Error::other("on purpose")),
        ServerAct::CutInBody => Response::new(broken()),
    };
    drop(together);
    Ok(reply)
}

fn encoded(encoding: &'static str, body: BoxBody<Bytes, io::Error>) -> Response<BoxBody<Bytes, io::Error>> {
    Response::builder().header("content-encoding", encoding).body(body).unwrap()
}

fn whole(text: String) -> BoxBody<Bytes, io::Error> {
    Full::new(Bytes::from(text)).map_err(|never| match never {}).boxed()
}

/// A body that ends with an error after its first bytes were seen.
fn broken() -> BoxBody<Bytes, io::Error> {
    let first = futures::future::ready(Ok(Frame::data(Bytes::from_static(b"{\"kind\":"))));
    let then = async { Err(io::Error::other("on purpose")) };
    let frames: Pin<Box<dyn futures::Stream<Item = _> + Send + Sync>> =
        Box::pin(stream::StreamExt::chain(stream::once(first), stream::once(then)));
    StreamBody::new(frames).boxed()
}

/// Counts who is being served.
struct ConcurrencyCount(Rc<ServerLog>);

impl ConcurrencyCount {
    fn enter(log: &Rc<ServerLog>) -> Self {
        log.together.set(log.together.get() + 1);
        log.most_together.set(log.most_together.get().max(log.together.get()));
        Self(Rc::clone(log))
    }
}

impl Drop for ConcurrencyCount {
    fn drop(&mut self) {
        self.0.together.set(self.0.together.get() - 1);
    }
}

//! A small blocking client for the Kubernetes API: what it is told, and what came back.

use std::{
    fmt,
    io::{BufRead, BufReader},
    sync::Arc,
    time::Duration,
};

use serde_json::{Value, json};
use ureq::{
    Agent, Body,
    http::{HeaderMap, Method, Request, Response},
    tls::{PemItem, RootCerts, TlsConfig, parse_pem},
};

use super::api_server::RealApiServer;

/// `apis/formance.com/v1beta1`
pub const GROUP_PATH: &str = "apis/formance.com/v1beta1";
const MERGE_PATCH: &str = "application/merge-patch+json";

/// Access to one API server.
#[derive(Clone)]
pub struct Rest {
    agent: Agent,
    url: String,
    token: Option<String>,
    /// The User-Agent header, from which the server takes a manager's name where none is given.
    pub user_agent: String,
    /// The server, where it shall last for as long as this does.
    server: Option<Arc<RealApiServer>>,
}

/// What a server said.
pub struct RestReply {
    pub status: u16,
    pub headers: HeaderMap,
    pub text: String,
    /// `Null` where the body is no JSON.
    pub json: Value,
}

impl RestReply {
    /// `reason` of a `Status`, else empty.
    pub fn reason(&self) -> &str {
        self.json["reason"].as_str().unwrap_or_default()
    }

    /// `message` of a `Status`, else empty.
    pub fn message(&self) -> &str {
        self.json["message"].as_str().unwrap_or_default()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    pub fn resource_version(&self) -> &str {
        self.json["metadata"]["resourceVersion"].as_str().unwrap_or_default()
    }

    pub fn uid(&self) -> &str {
        self.json["metadata"]["uid"].as_str().unwrap_or_default()
    }

    /// Itself, if it has this status; else a failure that shows it.
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{self}");
        self
    }
}

impl fmt::Display for RestReply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let type_ = self.header("content-type").unwrap_or("no content type");
        write!(f, "{} {type_}: {}", self.status, self.text)
    }
}

impl Rest {
    /// A client of the server at `url`, which for https trusts `ca_pem` alone.
    pub fn new(url: &str, ca_pem: Option<&str>, token: Option<&str>) -> Self {
        let mut config = Agent::config_builder()
            .http_status_as_error(false)
            .proxy(None)
            .max_redirects(0)
            .user_agent("")
            .timeout_connect(Some(Duration::from_secs(5)))
            .timeout_recv_response(Some(Duration::from_secs(60)));
        if let Some(pem) = ca_pem {
            config = config.tls_config(trusting(pem));
        }
        Self {
            agent: config.build().into(),
            url: url.trim_end_matches('/').into(),
            token: token.map(Into::into),
            user_agent: "stackherd-tests/1".into(),
            server: None,
        }
    }

    /// The same, and the server lasts for as long as it does.
    pub(super) fn keeping(self, server: Arc<RealApiServer>) -> Self {
        Self { server: Some(server), ..self }
    }

    /// Under another User-Agent.
    pub fn as_agent(&self, user_agent: &str) -> Self {
        Self { user_agent: user_agent.into(), ..self.clone() }
    }

    /// Any request, `path` without its leading slash; the body goes out as it is.
    pub fn send(&self, method: &str, path: &str, content_type: &str, body: Option<Vec<u8>>) -> RestReply {
        let headers = [("user-agent", self.user_agent.as_str()), ("content-type", content_type)];
        let answer = self.open(method, path, &headers, body);
        let (parts, mut body) =
            answer.unwrap_or_else(|fault| panic!("{method} {path}: {fault}")).into_parts();
        let bytes = body.with_config().limit(256 << 20).read_to_vec();
        let bytes = bytes.unwrap_or_else(|fault| panic!("{method} {path}: {fault}"));
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let json = serde_json::from_str(&text).unwrap_or(Value::Null);
        RestReply { status: parts.status.as_u16(), headers: parts.headers, text, json }
    }

    /// A request with these headers (empty ones are left out); the answer's body is yet to be read.
    pub fn open(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<Vec<u8>>,
    ) -> Result<Response<Body>, ureq::Error> {
        let method = Method::from_bytes(method.as_bytes()).expect("a method");
        let mut request = Request::builder().method(method).uri(format!("{}/{path}", self.url));
        for (name, value) in headers.iter().filter(|(_, value)| !value.is_empty()) {
            request = request.header(*name, *value);
        }
        if let Some(token) = &self.token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        match body {
            Some(body) => self.agent.run(request.body(body).expect("a request")),
            None => self.agent.run(request.body(()).expect("a request")),
        }
    }

    pub fn get(&self, path: &str) -> RestReply {
        self.send("GET", path, "", None)
    }

    pub fn post(&self, path: &str, object: &Value) -> RestReply {
        self.send("POST", path, "application/json", Some(object.to_string().into()))
    }

    pub fn put(&self, path: &str, object: &Value) -> RestReply {
        self.send("PUT", path, "application/json", Some(object.to_string().into()))
    }

    /// A JSON merge patch.
    pub fn patch(&self, path: &str, patch: &Value) -> RestReply {
        self.send("PATCH", path, MERGE_PATCH, Some(patch.to_string().into()))
    }

    pub fn delete(&self, path: &str) -> RestReply {
        self.send("DELETE", path, "", None)
    }

    /// With these preconditions (`uid`, `resourceVersion`).
    pub fn delete_if(&self, path: &str, preconditions: &Value) -> RestReply {
        let options = json!({ "apiVersion": "v1", "kind": "DeleteOptions", "preconditions": preconditions });
        self.send("DELETE", path, "application/json", Some(options.to_string().into()))
    }

    /// Opens a watch, `query` without `watch=true`.
    pub fn watch(&self, plural: &str, query: &str) -> RestWatch {
        let path = format!("{GROUP_PATH}/{plural}?watch=true&{query}");
        let answer = self.open("GET", &path, &[], None).unwrap_or_else(|fault| panic!("GET {path}: {fault}"));
        let (parts, body) = answer.into_parts();
        RestWatch { status: parts.status.as_u16(), lines: BufReader::new(body.into_reader()) }
    }
}

/// An open watch: an iterator over its events, as `{"type", "object"}`. It ends with the stream.
pub struct RestWatch {
    pub status: u16,
    lines: BufReader<ureq::BodyReader<'static>>,
}

impl Iterator for RestWatch {
    type Item = Value;

    fn next(&mut self) -> Option<Value> {
        let mut line = String::new();
        match self.lines.read_line(&mut line) {
            Ok(0) => None,
            Ok(_) => Some(serde_json::from_str(&line).unwrap_or_else(|fault| panic!("{fault}: {line}"))),
            Err(fault) => panic!("the watch broke: {fault}"),
        }
    }
}

/// Trust in these certificates alone, with the one crypto provider of this project.
fn trusting(pem: &str) -> TlsConfig {
    let certificates: Vec<_> = parse_pem(pem.as_bytes())
        .filter_map(|item| match item.expect("PEM") {
            PemItem::Certificate(certificate) => Some(certificate),
            _ => None,
        })
        .collect();
    TlsConfig::builder()
        .root_certs(RootCerts::new_with_certs(&certificates))
        .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .build()
}

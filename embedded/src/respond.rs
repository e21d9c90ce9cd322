//! From a request to the model's answer; a watch is answered by the server, which has the time.

use std::rc::Rc;

use bytes::Bytes;
use http::Method;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::{
    cluster::{Caller, DeleteOptions, EmbeddedCluster, WriteEndpoint},
    failure::ApiFailure,
    kind::ServedKind,
    reply::ApiReply,
    routes::{Query, Route, RouteTarget},
    watcher::WatchCursor,
};

/// A request whose body has been read.
#[derive(Debug, Clone)]
pub struct ServedRequest {
    /// Its method.
    pub method: Method,
    /// Where it leads; `None` is nowhere.
    pub route: Option<Route>,
    /// Its query.
    pub query: Query,
    /// `Content-Type` without parameters.
    pub content_type: String,
    /// `User-Agent`
    pub user_agent: String,
    /// Its body.
    pub body: Bytes,
}

/// What the server does about a request.
#[derive(Debug)]
pub enum ServedAnswer {
    /// Sends this.
    Reply(ApiReply),
    /// Streams events.
    Watch(Box<WatchCursor>),
}

impl ServedRequest {
    /// The verb, as the API server counts it.
    pub fn verb(&self) -> &'static str {
        let named = matches!(&self.route, Some(Route::Objects(target)) if target.name.is_some());
        match &self.route {
            Some(Route::Objects(_)) => super::routes::verb(&self.method, named, self.query.flag("watch")),
            _ => "other",
        }
    }

    /// Who it is booked on.
    fn manager(&self) -> String {
        let prefix = self.user_agent.split('/').next().unwrap_or_default();
        let manager = self.query.get("fieldManager").unwrap_or(prefix);
        if manager.is_empty() { "unknown".into() } else { manager.chars().take(128).collect() }
    }
}

/// Answers a request.
pub fn answer(cluster: &mut EmbeddedCluster, request: &ServedRequest, now: Timestamp) -> ServedAnswer {
    match respond(cluster, request, now) {
        Ok(answer) => answer,
        Err(failure) => ServedAnswer::Reply(failure.into()),
    }
}

fn respond(
    cluster: &mut EmbeddedCluster,
    request: &ServedRequest,
    now: Timestamp,
) -> Result<ServedAnswer, ApiFailure> {
    let reply = match request.route.as_ref().ok_or_else(ApiFailure::no_such_path)? {
        Route::Health => ApiReply::text(200, "ok"),
        Route::Version => ApiReply::value(200, &version()),
        Route::Kinds { group, version } => kinds(cluster, group, version)?,
        Route::Objects(target) => return objects(cluster, target, request, now),
    };
    Ok(ServedAnswer::Reply(reply))
}

fn objects(
    cluster: &mut EmbeddedCluster,
    target: &RouteTarget,
    request: &ServedRequest,
    now: Timestamp,
) -> Result<ServedAnswer, ApiFailure> {
    let kind =
        cluster.kind(&target.group, &target.version, &target.plural).ok_or_else(ApiFailure::no_such_path)?;
    if request.query.get("dryRun").is_some() {
        return Err(ApiFailure::bad_request("dryRun is not served by the embedded cluster"));
    }
    if request.method == Method::GET && target.name.is_none() && request.query.flag("watch") {
        return WatchCursor::open(&kind, &request.query)
            .map(|watcher| ServedAnswer::Watch(Box::new(watcher)));
    }
    let reply = match &target.name {
        None => collection(cluster, &kind, request, now),
        Some(name) => one(cluster, &kind, name, target.subresource.as_deref(), request, now),
    };
    reply.map(ServedAnswer::Reply)
}

fn collection(
    cluster: &mut EmbeddedCluster,
    kind: &Rc<ServedKind>,
    request: &ServedRequest,
    now: Timestamp,
) -> Result<ApiReply, ApiFailure> {
    match request.method.as_str() {
        "GET" => cluster.list(kind, &request.query.list()?).map(|page| ApiReply::list(kind, &page)),
        "POST" => {
            let body = decode(kind, request)?;
            let manager = request.manager();
            let written = cluster.create(kind, body, caller(request, &manager, now))?;
            Ok(ApiReply::written(201, &written))
        }
        "DELETE" => {
            let options = delete_options(request)?;
            let page = cluster.delete_collection(kind, &request.query.list()?, &options, now)?;
            Ok(ApiReply::list(kind, &page))
        }
        _ => Err(ApiFailure::bad_request("name must be provided")),
    }
}

fn one(
    cluster: &mut EmbeddedCluster,
    kind: &Rc<ServedKind>,
    name: &str,
    subresource: Option<&str>,
    request: &ServedRequest,
    now: Timestamp,
) -> Result<ApiReply, ApiFailure> {
    let endpoint = match subresource {
        None => WriteEndpoint::Main,
        Some("status") if kind.status => WriteEndpoint::Status,
        Some(_) => return Err(ApiFailure::not_found(kind, name)),
    };
    let manager = request.manager();
    let caller = caller(request, &manager, now);
    match (request.method.as_str(), endpoint) {
        ("GET", _) => cluster.get(kind, name).map(|object| ApiReply::object(&object)),
        ("PUT", _) => {
            let body = decode(kind, request)?;
            cluster.update(kind, name, endpoint, body, caller).map(|written| ApiReply::written(200, &written))
        }
        ("PATCH", _) => {
            let patch = decode_patch(request)?;
            cluster
                .patch(kind, name, endpoint, &patch, caller)
                .map(|written| ApiReply::written(200, &written))
        }
        ("DELETE", WriteEndpoint::Main) => {
            let deleted = cluster.delete(kind, name, &delete_options(request)?, now)?;
            Ok(ApiReply::deleted(kind, name, &deleted))
        }
        (method, _) => Err(not_allowed(kind, method)),
    }
}

fn caller<'a>(request: &ServedRequest, manager: &'a str, now: Timestamp) -> Caller<'a> {
    Caller { manager, now, validation: request.query.validation() }
}

/// The object in a body, of the kind and version that the path names.
fn decode(kind: &ServedKind, request: &ServedRequest) -> Result<Value, ApiFailure> {
    let words = String::from_utf8_lossy(&request.body);
    let start: String = words.chars().take(30).collect();
    let start = if start.len() < words.len() { format!("{start} ...") } else { start };
    let unrecognized = |why: String| {
        let kind = &kind.kind;
        ApiFailure::bad_request(format!(
            "the object provided is unrecognized (must be of type {kind}): {why} ({start})"
        ))
    };
    let parsed = match request.content_type.as_str() {
        "application/yaml" => serde_saphyr::from_slice(&request.body).map_err(|error| error.to_string()),
        "application/json" | "" => serde_json::from_slice(&request.body).map_err(|error| error.to_string()),
        _ => return Err(unsupported("application/json, application/yaml")),
    };
    let body: Value = parsed
        .map_err(|error| unrecognized(format!("couldn't get version/kind; json parse error: {error}")))?;
    if body["kind"].as_str().unwrap_or_default().is_empty() {
        return Err(unrecognized(format!("Object 'Kind' is missing in '{words}'")));
    }
    let given = body["apiVersion"].as_str().unwrap_or_default();
    if given != kind.api_version() {
        let message = format!(
            "the API version in the data ({given}) does not match the expected API version ({})",
            kind.api_version()
        );
        return Err(ApiFailure::bad_request(message));
    }
    Ok(body)
}

fn decode_patch(request: &ServedRequest) -> Result<Value, ApiFailure> {
    if request.content_type != "application/merge-patch+json" {
        return Err(unsupported(
            "application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml",
        ));
    }
    let patch: Value = serde_json::from_slice(&request.body)
        .map_err(|error| ApiFailure::bad_request(format!("error decoding patch: {error}")))?;
    if patch.is_object() {
        return Ok(patch);
    }
    let found = if patch.is_array() { "array" } else { "value" };
    Err(ApiFailure::bad_request(format!(
        "error decoding patch: json: cannot unmarshal {found} into Go value of type map[string]interface {{}}"
    )))
}

fn delete_options(request: &ServedRequest) -> Result<DeleteOptions, ApiFailure> {
    if request.body.is_empty() {
        let policy = request.query.get("propagationPolicy");
        return DeleteOptions::read(
            &policy.map_or(Value::Null, |policy| json!({"propagationPolicy": policy})),
        );
    }
    let body: Value = serde_json::from_slice(&request.body).map_err(|error| {
        ApiFailure::bad_request(format!("couldn't get version/kind; json parse error: {error}"))
    })?;
    DeleteOptions::read(&body)
}

fn unsupported(accepted: &str) -> ApiFailure {
    let message = format!(
        "the body of the request was in an unknown format - accepted media types include: {accepted}"
    );
    ApiFailure::new(415, "UnsupportedMediaType", message)
}

fn not_allowed(kind: &ServedKind, method: &str) -> ApiFailure {
    let verb = match method {
        "POST" => "create",
        "DELETE" => "delete",
        other => other,
    };
    let message = format!("{verb} is not supported on resources of kind {:?}", kind.full_name());
    ApiFailure {
        details: json!({"group": kind.group, "kind": kind.plural}),
        ..ApiFailure::new(405, "MethodNotAllowed", message)
    }
}

fn version() -> Value {
    json!({"major": "1", "minor": "36", "gitVersion": "v1.36.1", "platform": "embedded"})
}

fn kinds(cluster: &EmbeddedCluster, group: &str, version: &str) -> Result<ApiReply, ApiFailure> {
    let of_group = cluster.kinds().filter(|kind| kind.group == group && kind.version == version);
    let verbs = ["delete", "deletecollection", "get", "list", "patch", "create", "update", "watch"];
    let resources: Vec<Value> = of_group
        .map(|kind| {
            json!({"name": kind.plural, "singularName": kind.singular, "namespaced": false,
                "kind": kind.kind, "verbs": verbs})
        })
        .collect();
    if resources.is_empty() {
        return Err(ApiFailure::no_such_path());
    }
    let list = json!({"kind": "APIResourceList", "apiVersion": "v1",
        "groupVersion": format!("{group}/{version}"), "resources": resources});
    Ok(ApiReply::value(200, &list))
}

#[cfg(test)]
mod tests;

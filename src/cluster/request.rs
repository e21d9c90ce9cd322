//! Requests to the API server as values: built here, sent elsewhere.
//!
//! Paths and queries come from `kube::core`; what it leaves open is closed here: an `Accept`
//! header on everything, a User-Agent, no trailing `?`, and no name that would change the path.

use std::{fmt, sync::Arc, time::Duration};

use http::{HeaderValue, Uri, header};
use kube::core::params::{
    DeleteParams, GetParams, ListParams, Patch, PatchParams, PostParams, Preconditions, WatchParams,
};
use kube::core::request::Request;
use serde_json::Value;

use crate::{
    order::is_dns1123_subdomain,
    stack::{
        object::{GROUP, ObjectKey, Resource, VERSION},
        ownership::FIELD_MANAGER,
        write::Write,
    },
};

/// How it introduces itself.
pub const USER_AGENT: &str = concat!("stackherd/", env!("CARGO_PKG_VERSION"));
/// Objects to a page of a list.
pub const PAGE: u32 = 500;

const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// A request without a host: who sends it knows where to.
pub type ApiRequest = http::Request<Vec<u8>>;

/// What is listed and watched: all objects of a kind, or those that a selector selects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WatchTarget {
    resource: Arc<Resource>,
    group: &'static str,
    version: &'static str,
    selector: Option<&'static str>,
}

impl WatchTarget {
    /// All objects of a kind of group `formance.com`. Without a selector: with one, an object that
    /// loses the label would look deleted.
    pub fn kind(resource: &Arc<Resource>) -> Self {
        Self { resource: Arc::clone(resource), group: GROUP, version: VERSION, selector: None }
    }

    /// The CustomResourceDefinitions of modules. Here the selector says exactly what is asked: one
    /// that loses the label is no module any more. And the other definitions of a cluster may weigh
    /// megabytes.
    pub fn definitions() -> Self {
        const PLURAL: &str = "customresourcedefinitions";
        Self {
            resource: Resource::new("CustomResourceDefinition", "customresourcedefinition", PLURAL),
            group: "apiextensions.k8s.io",
            version: "v1",
            selector: Some("formance.com/kind=module"),
        }
    }

    /// The kind that its objects bear in their keys.
    pub fn resource(&self) -> &Arc<Resource> {
        &self.resource
    }

    /// Where the API server has them.
    pub fn path(&self) -> String {
        format!("/apis/{}/{}/{}", self.group, self.version, self.resource.plural)
    }

    /// Which labels they have to have.
    pub fn selector(&self) -> Option<&'static str> {
        self.selector
    }
}

/// As roles and definitions name it: `ledgers.formance.com`.
impl fmt::Display for WatchTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.resource.plural, self.group)
    }
}

/// Why a request could not be built. Nothing was sent.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// The name would not be a path segment of its own.
    #[error("{resource} {name:?}: this name is no DNS-1123 subdomain, so no object can have it")]
    Name {
        /// Plural of the kind.
        resource: String,
        /// The beginning of the name.
        name: String,
    },
    /// A patch that does not name the version it is based on would overwrite newer content.
    #[error("{key}: the patch names resourceVersion {found:?} where it has to name {expected:?}")]
    Unconditional {
        /// Which object.
        key: String,
        /// What the body has.
        found: Option<String>,
        /// What it was computed from.
        expected: String,
    },
    /// The body does not serialise, or the path is no URI.
    #[error("{subject}: {source}")]
    Build {
        /// What was to be asked.
        subject: String,
        /// Why not.
        #[source]
        source: kube::core::request::Error,
    },
    /// The path is no URI.
    #[error("{subject}: {source}")]
    Path {
        /// What was to be asked.
        subject: String,
        /// Why not.
        #[source]
        source: http::uri::InvalidUri,
    },
}

/// The request that performs a write.
pub fn write(write: &Write) -> Result<ApiRequest, RequestError> {
    match write {
        Write::Create { key, body } => create(key, body),
        Write::Patch { key, resource_version, body } => patch(key, resource_version, body),
        Write::Delete { key, uid, resource_version } => delete(key, uid, resource_version),
    }
}

/// Create-only: a name that is taken is answered with 409.
fn create(key: &ObjectKey, body: &Value) -> Result<ApiRequest, RequestError> {
    check_name(key)?;
    let params = PostParams { field_manager: Some(FIELD_MANAGER.into()), ..PostParams::default() };
    let body = serde_json::to_vec(body).map_err(kube::core::request::Error::SerializeBody);
    finish(&key.to_string(), body.and_then(|body| collection(&key.resource).create(&params, body)))
}

/// A merge patch on the resourceVersion it was computed from.
fn patch(key: &ObjectKey, resource_version: &str, body: &Value) -> Result<ApiRequest, RequestError> {
    check_name(key)?;
    let found = body.pointer("/metadata/resourceVersion").and_then(Value::as_str);
    if resource_version.is_empty() || found != Some(resource_version) {
        return Err(RequestError::Unconditional {
            key: key.to_string(),
            found: found.map(str::to_owned),
            expected: resource_version.to_owned(),
        });
    }
    let params = PatchParams { field_manager: Some(FIELD_MANAGER.into()), ..PatchParams::default() };
    finish(&key.to_string(), collection(&key.resource).patch(&key.name, &params, &Patch::Merge(body)))
}

/// A deletion of this very object in this very version; its dependents go in the background.
fn delete(key: &ObjectKey, uid: &str, resource_version: &str) -> Result<ApiRequest, RequestError> {
    check_name(key)?;
    let this =
        Preconditions { uid: Some(uid.to_owned()), resource_version: Some(resource_version.to_owned()) };
    let params = DeleteParams::background().preconditions(this);
    finish(&key.to_string(), collection(&key.resource).delete(&key.name, &params))
}

/// One object by name, as it is now (a consistent read: no resourceVersion).
pub fn get(key: &ObjectKey) -> Result<ApiRequest, RequestError> {
    check_name(key)?;
    finish(&key.to_string(), collection(&key.resource).get(&key.name, &GetParams::default()))
}

/// A page of all there is of a target. Compressed, where that pays: a hundred objects of a kind are
/// much alike.
pub fn list_all(target: &WatchTarget, continue_token: Option<&str>) -> Result<ApiRequest, RequestError> {
    let all = Request::new(target.path());
    let mut request = finish(&target.to_string(), all.list(&page(target.selector(), continue_token)))?;
    request.headers_mut().insert(header::ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
    Ok(request)
}

/// What happens to a target after a version, with bookmarks, for as long as `timeout` (in whole
/// seconds). Not compressed: an event would have to wait until there is enough of it to be sent.
pub fn watch(
    target: &WatchTarget,
    resource_version: &str,
    timeout: Duration,
) -> Result<ApiRequest, RequestError> {
    let params = WatchParams {
        label_selector: target.selector().map(str::to_owned),
        timeout: Some(u32::try_from(timeout.as_secs()).unwrap_or(u32::MAX)),
        ..WatchParams::default()
    };
    finish(&target.to_string(), Request::new(target.path()).watch(&params, resource_version))
}

/// A page of the CRDs that are modules.
pub fn module_crds(continue_token: Option<&str>) -> Result<ApiRequest, RequestError> {
    let modules = WatchTarget::definitions();
    let crds = Request::new(modules.path());
    finish("customresourcedefinitions", crds.list(&page(modules.selector(), continue_token)))
}

/// Never with a resourceVersion: version 0 would be answered from a cache of any age.
fn page(selector: Option<&str>, continue_token: Option<&str>) -> ListParams {
    let params = ListParams { label_selector: selector.map(str::to_owned), ..ListParams::default() };
    let params = params.limit(PAGE);
    match continue_token {
        Some(token) => params.continue_token(token),
        None => params,
    }
}

fn collection(resource: &Resource) -> Request {
    Request::new(format!("/apis/{GROUP}/{VERSION}/{}", resource.plural))
}

fn check_name(key: &ObjectKey) -> Result<(), RequestError> {
    if is_dns1123_subdomain(&key.name) {
        return Ok(());
    }
    Err(RequestError::Name {
        resource: key.resource.plural.clone(),
        name: key.name.chars().take(80).collect(),
    })
}

fn finish(
    subject: &str,
    built: Result<ApiRequest, kube::core::request::Error>,
) -> Result<ApiRequest, RequestError> {
    let mut request = built.map_err(|source| RequestError::Build { subject: subject.to_owned(), source })?;
    let tidy = tidy_uri(&request.uri().to_string());
    *request.uri_mut() =
        tidy.parse::<Uri>().map_err(|source| RequestError::Path { subject: subject.to_owned(), source })?;
    let headers = request.headers_mut();
    headers.insert(header::ACCEPT, JSON);
    headers.insert(header::USER_AGENT, HeaderValue::from_static(USER_AGENT));
    Ok(request)
}

/// kube-core begins a query whether or not anything follows, and separates the first pair
/// from the `?` by an `&`.
fn tidy_uri(uri: &str) -> String {
    match uri.split_once('?') {
        Some((path, query)) => match query.trim_start_matches('&') {
            "" => path.to_owned(),
            query => format!("{path}?{query}"),
        },
        None => uri.to_owned(),
    }
}

#[cfg(test)]
mod tests;

//! Requests to the API server as values: built here, sent elsewhere.
//!
//! Paths and queries come from `kube::core`; what it leaves open is closed here: an `Accept`
//! header on everything, a User-Agent, no trailing `?`, and no name that would change the path.

use std::{sync::Arc, time::Duration};

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
        write::Write,
    },
};

/// Who the agent is in `managedFields`.
pub const FIELD_MANAGER: &str = "stackherd";
/// How it introduces itself.
pub const USER_AGENT: &str = concat!("stackherd/", env!("CARGO_PKG_VERSION"));
/// Objects to a page of a list.
pub const PAGE: u32 = 500;

const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// A request without a host: who sends it knows where to.
pub type ApiRequest = http::Request<Vec<u8>>;

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
    let params = DeleteParams::background().preconditions(Preconditions {
        uid: Some(uid.to_owned()),
        resource_version: Some(resource_version.to_owned()),
    });
    finish(&key.to_string(), collection(&key.resource).delete(&key.name, &params))
}

/// One object by name, as it is now (a consistent read: no resourceVersion).
pub fn get(key: &ObjectKey) -> Result<ApiRequest, RequestError> {
    check_name(key)?;
    finish(&key.to_string(), collection(&key.resource).get(&key.name, &GetParams::default()))
}

/// What is listed and watched: all objects of a kind, or the definitions of modules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The kind of its objects.
    pub resource: Arc<Resource>,
    path: String,
    selector: Option<&'static str>,
}

impl Target {
    /// All objects of a kind of the agent's group.
    pub fn of(resource: &Arc<Resource>) -> Self {
        let path = format!("/apis/{GROUP}/{VERSION}/{}", resource.plural);
        Self { resource: Arc::clone(resource), path, selector: None }
    }

    /// The CRDs that are modules. With a selector, unlike objects: what others define may weigh
    /// megabytes, and leaving the selection is just what "no module any more" means.
    pub fn definitions() -> Self {
        let plural = "customresourcedefinitions";
        Self {
            resource: Resource::new("CustomResourceDefinition", "customresourcedefinition", plural),
            path: format!("/apis/apiextensions.k8s.io/v1/{plural}"),
            selector: Some("formance.com/kind=module"),
        }
    }

    /// What errors and the log call it.
    pub fn subject(&self) -> &str {
        &self.resource.plural
    }

    fn request(&self) -> Request {
        Request::new(&self.path)
    }
}

/// A page of everything there is. The answer may be compressed: a page weighs a megabyte.
pub fn list_all(target: &Target, continue_token: Option<&str>) -> Result<ApiRequest, RequestError> {
    let params = page(target.selector.unwrap_or_default(), continue_token);
    let mut request = finish(target.subject(), target.request().list(&params))?;
    request.headers_mut().insert(header::ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
    Ok(request)
}

/// Everything that happens after a version, as it happens, for about so long.
pub fn watch(target: &Target, from: &str, lasting: Duration) -> Result<ApiRequest, RequestError> {
    let seconds = u32::try_from(lasting.as_secs()).unwrap_or(u32::MAX);
    let mut params = WatchParams::default().timeout(seconds);
    params.label_selector = target.selector.map(str::to_owned);
    finish(target.subject(), target.request().watch(&params, from))
}

/// A page of the CRDs that are modules.
pub fn module_crds(continue_token: Option<&str>) -> Result<ApiRequest, RequestError> {
    list_all(&Target::definitions(), continue_token)
}

/// Never with a resourceVersion: version 0 would be answered from a cache of any age.
fn page(selector: &str, continue_token: Option<&str>) -> ListParams {
    let mut params = ListParams::default().limit(PAGE);
    if !selector.is_empty() {
        params = params.labels(selector);
    }
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
mod tests {
    use http::Method;
    use serde_json::json;

    use super::*;

    fn ledger() -> ObjectKey {
        ObjectKey::new(&Resource::new("Ledger", "ledger", "ledgers"), "org-one")
    }

    fn body(request: &ApiRequest) -> Value {
        serde_json::from_slice(request.body()).unwrap()
    }

    #[test]
    fn a_create_posts_the_whole_object_under_our_name() {
        let object = json!({"metadata": {"name": "org-one"}, "spec": {"stack": "org-one"}});
        let request = write(&Write::Create { key: ledger(), body: object.clone() }).unwrap();
        assert_eq!(request.method(), Method::POST);
        assert_eq!(request.uri(), "/apis/formance.com/v1beta1/ledgers?fieldManager=stackherd");
        assert_eq!(request.headers()[header::CONTENT_TYPE], "application/json");
        assert_eq!(body(&request), object);
    }

    #[test]
    fn a_patch_is_a_merge_patch_under_our_name() {
        let patch = json!({"metadata": {"resourceVersion": "17"}, "spec": {"disabled": true}});
        let request =
            write(&Write::Patch { key: ledger(), resource_version: "17".into(), body: patch.clone() })
                .unwrap();
        assert_eq!(request.method(), Method::PATCH);
        assert_eq!(request.uri(), "/apis/formance.com/v1beta1/ledgers/org-one?fieldManager=stackherd");
        assert_eq!(request.headers()[header::CONTENT_TYPE], "application/merge-patch+json");
        assert_eq!(body(&request), patch);
    }

    #[test]
    fn a_patch_that_does_not_name_its_version_is_not_built() {
        for metadata in [json!({}), json!({"resourceVersion": "16"}), json!({"resourceVersion": 17})] {
            let patch = Write::Patch {
                key: ledger(),
                resource_version: "17".into(),
                body: json!({"metadata": metadata}),
            };
            assert!(matches!(write(&patch), Err(RequestError::Unconditional { .. })));
        }
        let empty = Write::Patch {
            key: ledger(),
            resource_version: String::new(),
            body: json!({"metadata": {"resourceVersion": ""}}),
        };
        assert!(matches!(write(&empty), Err(RequestError::Unconditional { .. })));
    }

    #[test]
    fn a_delete_names_uid_and_version_and_leaves_dependents_to_the_background() {
        let delete = Write::Delete { key: ledger(), uid: "u-1".into(), resource_version: "17".into() };
        let request = write(&delete).unwrap();
        assert_eq!(request.method(), Method::DELETE);
        assert_eq!(request.uri(), "/apis/formance.com/v1beta1/ledgers/org-one");
        assert_eq!(
            body(&request),
            json!({
                "propagationPolicy": "Background",
                "preconditions": {"uid": "u-1", "resourceVersion": "17"},
            })
        );
    }

    #[test]
    fn a_get_asks_for_the_newest() {
        let request = get(&ledger()).unwrap();
        assert_eq!(request.method(), Method::GET);
        assert_eq!(request.uri(), "/apis/formance.com/v1beta1/ledgers/org-one");
        assert!(request.body().is_empty());
    }

    #[test]
    fn a_list_goes_on_where_the_page_before_ended() {
        let request = list_all(&Target::of(&ledger().resource), Some("a+b/c=")).unwrap();
        assert!(request.uri().query().unwrap().ends_with("limit=500&continue=a%2Bb%2Fc%3D"));
    }

    #[test]
    fn a_whole_kind_is_listed_without_selector_and_may_be_compressed() {
        let request = list_all(&Target::of(&ledger().resource), None).unwrap();
        assert_eq!(request.uri(), "/apis/formance.com/v1beta1/ledgers?limit=500");
        assert_eq!(request.headers()[header::ACCEPT_ENCODING], "gzip");
    }

    #[test]
    fn a_watch_goes_on_from_a_version_with_bookmarks_for_a_while() {
        let request = watch(&Target::of(&ledger().resource), "17", Duration::from_secs(250)).unwrap();
        assert_eq!(request.uri().path(), "/apis/formance.com/v1beta1/ledgers");
        let query = request.uri().query().unwrap();
        for pair in ["watch=true", "resourceVersion=17", "allowWatchBookmarks=true", "timeoutSeconds=250"] {
            assert!(query.split('&').any(|given| given == pair), "{pair} in {query}");
        }
        assert!(!query.contains("Selector") && !query.contains("sendInitialEvents"), "{query}");
        let definitions = watch(&Target::definitions(), "17", Duration::from_secs(250)).unwrap();
        assert!(definitions.uri().query().unwrap().contains("labelSelector=formance.com%2Fkind%3Dmodule"));
    }

    #[test]
    fn module_crds_are_selected_by_label() {
        let request = module_crds(None).unwrap();
        assert_eq!(request.uri().path(), "/apis/apiextensions.k8s.io/v1/customresourcedefinitions");
        assert_eq!(request.uri().query(), Some("labelSelector=formance.com%2Fkind%3Dmodule&limit=500"));
    }

    #[test]
    fn every_request_says_who_asks_and_wants_json() {
        let create = Write::Create { key: ledger(), body: json!({}) };
        let patch = Write::Patch {
            key: ledger(),
            resource_version: "1".into(),
            body: json!({"metadata": {"resourceVersion": "1"}}),
        };
        let delete = Write::Delete { key: ledger(), uid: "u".into(), resource_version: "1".into() };
        for request in [
            write(&create).unwrap(),
            write(&patch).unwrap(),
            write(&delete).unwrap(),
            get(&ledger()).unwrap(),
            list_all(&Target::of(&ledger().resource), None).unwrap(),
            module_crds(None).unwrap(),
        ] {
            assert_eq!(request.headers()[header::ACCEPT], "application/json");
            assert_eq!(request.headers()[header::USER_AGENT], USER_AGENT);
            let uri = request.uri().to_string();
            assert!(!uri.ends_with('?') && !uri.contains("?&"), "{uri}");
            assert!(!uri.contains("resourceVersion="), "{uri}");
        }
    }

    #[test]
    fn names_that_would_change_the_path_are_refused() {
        for name in ["", "../x", "a/b", "Upper", "a?watch=true", "a b", "."] {
            let key = ObjectKey { resource: Arc::clone(&ledger().resource), name: name.into() };
            assert!(matches!(get(&key), Err(RequestError::Name { .. })), "{name:?}");
            let delete = Write::Delete { key, uid: "u".into(), resource_version: "1".into() };
            assert!(matches!(write(&delete), Err(RequestError::Name { .. })), "{name:?}");
        }
    }
}

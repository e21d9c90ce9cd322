//! What a request asks for: its path and query, read.

use std::collections::BTreeMap;

use http::Method;

use super::{
    cluster::{ListOptions, Validation},
    failure::ApiFailure,
    selector::Selector,
};

/// Where a path leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Route {
    /// `/healthz`, `/readyz`, `/livez`
    Health,
    /// `/version`
    Version,
    /// `/apis/<group>/<version>`: which kinds there are.
    Kinds {
        /// Its group.
        group: String,
        /// Its version.
        version: String,
    },
    /// Objects of a kind, or one of them.
    Objects(RouteTarget),
}

/// Objects of a kind, or one of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteTarget {
    /// `formance.com`
    pub group: String,
    /// `v1beta1`
    pub version: String,
    /// `stacks`
    pub plural: String,
    /// One object's name.
    pub name: Option<String>,
    /// `status`
    pub subresource: Option<String>,
}

impl Route {
    /// Reads a path.
    pub fn parse(path: &str) -> Option<Self> {
        match path {
            "/healthz" | "/readyz" | "/livez" => return Some(Self::Health),
            "/version" => return Some(Self::Version),
            _ => {}
        }
        let parts: Vec<String> =
            path.strip_prefix("/apis/")?.trim_end_matches('/').split('/').map(decoded).collect();
        let (group, version) = (parts.first()?.clone(), parts.get(1)?.clone());
        let Some(plural) = parts.get(2).cloned() else { return Some(Self::Kinds { group, version }) };
        if parts.len() > 5 {
            return None;
        }
        let (name, subresource) = (parts.get(3).cloned(), parts.get(4).cloned());
        Some(Self::Objects(RouteTarget { group, version, plural, name, subresource }))
    }
}

/// Percent-decoding of one step of a path; a plus sign stays.
fn decoded(step: &str) -> String {
    let plain = step.replace('+', "%2B");
    form_urlencoded::parse(plain.as_bytes()).next().map_or_else(String::new, |(key, _)| key.into_owned())
}

/// The verb in the API server's own word.
pub fn verb(method: &Method, named: bool, watch: bool) -> &'static str {
    match (method.as_str(), named) {
        ("GET", true) => "get",
        ("GET", false) if watch => "watch",
        ("GET", false) => "list",
        ("POST", _) => "create",
        ("PUT", _) => "update",
        ("PATCH", _) => "patch",
        ("DELETE", true) => "delete",
        ("DELETE", false) => "deletecollection",
        _ => "other",
    }
}

/// A query, by key; the first of a key counts.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Query(BTreeMap<String, String>);

impl Query {
    /// Reads a query.
    pub fn parse(text: &str) -> Self {
        let mut pairs = BTreeMap::new();
        for (key, value) in form_urlencoded::parse(text.as_bytes()) {
            pairs.entry(key.into_owned()).or_insert_with(|| value.into_owned());
        }
        Self(pairs)
    }

    /// The value of a key, where it is not empty.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// The same with another value for a key.
    #[must_use]
    pub fn with(&self, key: &str, value: &str) -> Self {
        let mut query = self.clone();
        query.0.insert(key.to_owned(), value.to_owned());
        query
    }

    /// Forgets a key.
    pub fn forget(&mut self, key: &str) {
        self.0.remove(key);
    }

    /// Whether a key says yes.
    pub fn flag(&self, key: &str) -> bool {
        matches!(self.get(key), Some("true" | "1"))
    }

    /// A number; `None` where the key is absent.
    pub fn number(&self, key: &str) -> Result<Option<u64>, ApiFailure> {
        self.get(key)
            .map(|text| {
                text.parse().map_err(|_| {
                    ApiFailure::bad_request(format!("strconv.ParseInt: parsing {text:?}: invalid syntax"))
                })
            })
            .transpose()
    }

    /// `fieldValidation`
    pub fn validation(&self) -> Validation {
        match self.get("fieldValidation") {
            Some("Strict") => Validation::Strict,
            Some("Ignore") => Validation::Ignore,
            _ => Validation::Warn,
        }
    }

    /// `labelSelector`
    pub fn selector(&self) -> Result<Selector, ApiFailure> {
        Selector::parse(self.get("labelSelector").unwrap_or_default())
            .map_err(|error| ApiFailure::bad_request(error.to_string()))
    }

    /// What a list asks for.
    pub fn list(&self) -> Result<ListOptions, ApiFailure> {
        let name = self.get("fieldSelector").map(field_selector).transpose()?;
        let version = self.get("resourceVersion").unwrap_or("0");
        Ok(ListOptions {
            selector: self.selector()?,
            name,
            limit: usize::try_from(self.number("limit")?.unwrap_or_default()).unwrap_or(usize::MAX),
            next: self.get("continue").map(str::to_string),
            version: version.parse().map_err(|_| {
                ApiFailure::bad_request(format!(
                    "invalid resource version: resourceVersion: Invalid value: {version:?}: \
                     strconv.ParseUint: parsing {version:?}: invalid syntax"
                ))
            })?,
        })
    }
}

/// The one field selector there is: a name.
fn field_selector(text: &str) -> Result<String, ApiFailure> {
    let (field, value) = text.split_once('=').unwrap_or((text, ""));
    if field == "metadata.name" {
        return Ok(value.trim_start_matches('=').to_string());
    }
    Err(ApiFailure::bad_request(format!("field label not supported: {field}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(path: &str) -> RouteTarget {
        match Route::parse(path) {
            Some(Route::Objects(target)) => target,
            other => panic!("{path} leads to {other:?}"),
        }
    }

    #[test]
    fn paths_lead_to_kinds_objects_and_subresources() {
        let all = target("/apis/formance.com/v1beta1/stacks");
        assert_eq!((all.plural.as_str(), all.name, all.subresource), ("stacks", None, None));
        let status = target("/apis/formance.com/v1beta1/stacks/a-b/status");
        assert_eq!((status.name.as_deref(), status.subresource.as_deref()), (Some("a-b"), Some("status")));
        assert_eq!(Route::parse("/readyz"), Some(Route::Health));
        assert!(matches!(Route::parse("/apis/formance.com/v1beta1"), Some(Route::Kinds { .. })));
        assert_eq!(Route::parse("/api/v1/pods"), None);
        assert_eq!(Route::parse("/apis/a/b/c/d/e/f"), None);
    }

    #[test]
    fn steps_are_percent_decoded() {
        assert_eq!(target("/apis/g/v/stacks/a%2Fb+c").name.as_deref(), Some("a/b+c"));
    }

    #[test]
    fn a_list_is_read_from_the_query() {
        let query = Query::parse("labelSelector=a%3Db&limit=5&fieldSelector=metadata.name%3Dx&continue=t&");
        let list = query.list().expect("a list");
        assert_eq!((list.limit, list.name.as_deref(), list.next.as_deref()), (5, Some("x"), Some("t")));
        assert!(!list.selector.is_empty());
    }

    #[test]
    fn what_cannot_be_read_is_a_bad_request() {
        for text in
            ["limit=x", "resourceVersion=abc", "labelSelector=a%3D%3D%3Dx", "fieldSelector=spec.x%3Da"]
        {
            assert_eq!(Query::parse(text).list().expect_err(text).code, 400);
        }
    }
}

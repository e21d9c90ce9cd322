//! Lists, whole or in pages that all show one moment.

use std::{collections::BTreeMap, ops::Bound, rc::Rc};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use super::EmbeddedCluster;
use crate::{failure::ApiFailure, kind::ServedKind, object::ServedObject, selector::Selector};

/// What a list asks for.
#[derive(Debug, Clone, Default)]
pub struct ListOptions {
    /// Which labels.
    pub selector: Selector,
    /// `metadata.name`, where a field selector asks for one.
    pub name: Option<String>,
    /// At most this many; 0 is no limit.
    pub limit: usize,
    /// Where to go on.
    pub next: Option<String>,
    /// Not older than this; 0 is any.
    pub version: u64,
}

/// A list, or a page of one.
#[derive(Debug, Clone)]
pub struct ListPage {
    /// The objects, by name.
    pub objects: Vec<Rc<ServedObject>>,
    /// The resourceVersion that it shows.
    pub version: u64,
    /// The token for the next page; empty at the end.
    pub next: String,
    /// How many there are after this page, where that is known.
    pub remaining: Option<usize>,
}

struct Token {
    version: Option<u64>,
    start: String,
}

impl Token {
    fn read(text: &str) -> Result<Self, ApiFailure> {
        let broken = |why: &str| ApiFailure::bad_request(format!("invalid continue token: {why}"));
        let bytes = URL_SAFE_NO_PAD
            .decode(text.trim_end_matches('='))
            .map_err(|_| broken("continue key is not valid: illegal base64 data"))?;
        let token: Value = serde_json::from_slice(&bytes).map_err(|_| broken("continue key is not valid"))?;
        let start = token["start"].as_str().ok_or_else(|| broken("continue key is not valid"))?;
        Ok(Self { version: token["rv"].as_u64(), start: start.trim_end_matches('\0').to_string() })
    }

    fn write(&self) -> String {
        let version = self.version.map_or(json!(-1), Value::from);
        let token = json!({"v": "meta.k8s.io/v1", "rv": version, "start": self.start});
        URL_SAFE_NO_PAD.encode(token.to_string())
    }
}

impl EmbeddedCluster {
    /// Lists objects of a kind.
    pub fn list(&self, kind: &ServedKind, options: &ListOptions) -> Result<ListPage, ApiFailure> {
        let current = self.version();
        if options.version > current {
            return Err(too_large(options.version, current));
        }
        let full_name = kind.full_name();
        let Some(next) = &options.next else {
            let objects = self.objects(kind).cloned();
            return Ok(page(objects, current, options));
        };
        let token = Token::read(next)?;
        let version = token.version.unwrap_or(current);
        let Some(objects) = self.store.of_at(&full_name, version) else {
            let start = token.start;
            return Err(ApiFailure {
                next: Some(Token { version: None, start }.write()),
                ..ApiFailure::expired(EXPIRED)
            });
        };
        Ok(page(after(&objects, &token.start), version, options))
    }
}

fn after<'a>(
    objects: &'a BTreeMap<String, Rc<ServedObject>>,
    start: &str,
) -> impl Iterator<Item = Rc<ServedObject>> + use<'a> {
    let range = (Bound::Excluded(start.to_string()), Bound::Unbounded);
    objects.range::<String, _>(range).map(|(_, object)| Rc::clone(object))
}

const EXPIRED: &str = "The provided continue parameter is too old to display a consistent list result. You can start \
     a new list without the continue parameter, or use the continue token in this response to retrieve the remainder \
     of the results. Continuing with the provided token results in an inconsistent list - objects that were created, \
     modified, or deleted between the time the first chunk was returned and now may show up in the list.";

fn page(objects: impl Iterator<Item = Rc<ServedObject>>, version: u64, options: &ListOptions) -> ListPage {
    let mut matching = objects.filter(|object| {
        options.name.as_ref().is_none_or(|name| object.name() == name)
            && options.selector.matches(object.value())
    });
    if options.limit == 0 {
        return ListPage { objects: matching.collect(), version, next: String::new(), remaining: None };
    }
    let objects: Vec<_> = matching.by_ref().take(options.limit).collect();
    let remaining = matching.count();
    let next = match objects.last() {
        Some(last) if remaining > 0 => {
            Token { version: Some(version), start: format!("{}\0", last.name()) }.write()
        }
        _ => String::new(),
    };
    // The real server does not count what a selector leaves out.
    let known = remaining > 0 && options.selector.is_empty() && options.name.is_none();
    ListPage { objects, version, next, remaining: known.then_some(remaining) }
}

/// 504: a version that does not exist yet.
fn too_large(asked: u64, current: u64) -> ApiFailure {
    let message = format!("Timeout: Too large resource version: {asked}, current: {current}");
    let cause = json!({"reason": "ResourceVersionTooLarge", "message": "Too large resource version"});
    ApiFailure {
        details: json!({"causes": [cause]}),
        retry_after: Some(1),
        ..ApiFailure::new(504, "Timeout", message)
    }
}

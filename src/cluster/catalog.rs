//! Which kinds are modules: read from the CRDs that say so.

use std::{cell::RefCell, sync::Arc};

use serde_json::Value;

use super::{
    list_reader::{ListError, ListItem, ListReader},
    response::{self, ApiResponse},
};
use crate::{
    log_throttle::LogThrottle,
    order::is_dns1123_subdomain,
    stack::{
        object::{GROUP, Object, Resource, Role, VERSION},
        write::ReadError,
    },
    time,
};

/// The label of modules that are for enterprises.
const ENTERPRISE: &str = "formance.com/is-ee";

/// What a page of CRDs brought.
#[derive(Debug)]
pub struct ModulesPage {
    /// Modules that can be written.
    pub modules: Vec<Arc<Resource>>,
    /// Where the next page begins.
    pub next: Option<String>,
}

/// What is listed.
pub(super) const SUBJECT: &str = "customresourcedefinitions";

/// Reads a page of CRDs labelled as modules. Those of another group, of another scope or without
/// the version that the agent speaks are left out with a log line.
pub fn page(reply: &ApiResponse) -> Result<ModulesPage, ReadError> {
    if !reply.status.is_success() {
        return Err(response::read_error(SUBJECT.to_owned(), reply));
    }
    let mut reader = ModulesReader::default();
    reader.push(&reply.body).map_err(failed)?;
    reader.finish().map_err(failed)
}

/// Reads such a page as it comes in.
#[derive(Debug, Default)]
pub(super) struct ModulesReader {
    page: ListReader,
    modules: Vec<Arc<Resource>>,
    left_out: u64,
    /// The first of those, and why.
    example: Option<String>,
}

impl ModulesReader {
    /// Takes what came next; or says why it cannot be read.
    pub(super) fn push(&mut self, piece: &[u8]) -> Result<(), ListError> {
        self.page.push(piece);
        self.read().map(drop)
    }

    /// What the page brought, where it was whole.
    pub(super) fn finish(mut self) -> Result<ModulesPage, ListError> {
        self.page.finish();
        let whole = self.read()?;
        if let Some(example) = self.example.take() {
            tracing::warn!(left_out = self.left_out, example, "definitions of modules left out");
        }
        match whole {
            true => Ok(ModulesPage { next: self.page.token().map(str::to_owned), modules: self.modules }),
            false => Err(ListError::CutShort),
        }
    }

    /// Whether all of it was read.
    fn read(&mut self) -> Result<bool, ListError> {
        loop {
            match self.page.next()? {
                ListItem::Item(crd) => match listed(&crd) {
                    Ok(module) => self.modules.push(Arc::new(module)),
                    Err(why) => {
                        self.left_out += 1;
                        let name = crd["metadata"]["name"].as_str().unwrap_or("without a name");
                        self.example.get_or_insert_with(|| {
                            format!("{}: {why}", name.chars().take(260).collect::<String>())
                        });
                    }
                },
                ListItem::More => return Ok(false),
                ListItem::End => return Ok(true),
            }
        }
    }
}

/// Why there is no such list.
pub(super) fn failed(cause: impl std::fmt::Display) -> ReadError {
    ReadError::Failed { subject: SUBJECT.into(), cause: cause.to_string(), retry_after: None }
}

/// The module kind that a definition defines, one of those that
/// [`WatchTarget::definitions`](super::request::WatchTarget::definitions) selects; `None`, with a log line, where
/// the agent cannot write its objects.
pub fn module(crd: &Object) -> Option<Resource> {
    // Until then, and from the beginning of its end on, its objects cannot be had.
    if crd.terminating || !is_established(&crd.status) {
        return None;
    }
    let enterprise = crd.label(ENTERPRISE) == Some("true");
    read(&crd.spec, enterprise).inspect_err(|why| left_out(&crd.key.name, why)).ok()
}

/// There may be any number of them.
fn left_out(crd: &str, why: &'static str) {
    thread_local! {
        static SAID: RefCell<LogThrottle<&'static str>> = RefCell::default();
    }
    if let Some(unsaid) = SAID.with_borrow_mut(|said| said.say(time::now(), why)) {
        tracing::warn!(crd, "module left out: {why}{unsaid}");
    }
}

fn listed(crd: &Value) -> Result<Resource, &'static str> {
    read(&crd["spec"], crd["metadata"]["labels"][ENTERPRISE] == "true")
}

/// The module that this specification defines, or why the agent has no use for it.
fn read(spec: &Value, enterprise: bool) -> Result<Resource, &'static str> {
    let text = |path: &str| spec.pointer(path).and_then(Value::as_str).filter(|text| !text.is_empty());
    if text("/group") != Some(GROUP) {
        return Err("it is not of the group formance.com");
    }
    if text("/scope").is_some_and(|scope| scope != "Cluster") {
        return Err("its objects are namespaced");
    }
    let versions = spec.pointer("/versions").and_then(Value::as_array);
    let served = |version: &Value| version["name"] == VERSION && version["served"] != false;
    if !versions.is_some_and(|versions| versions.iter().any(served)) {
        return Err("it does not serve v1beta1");
    }
    let (Some(kind), Some(plural)) = (text("/names/kind"), text("/names/plural")) else {
        return Err("it names no kind or no plural");
    };
    let singular = text("/names/singular").map_or_else(|| kind.to_lowercase(), str::to_owned);
    // Names become parts of paths and of metadata to membership, where one that is odd would spoil
    // more than its own kind.
    if ![&*singular, plural, &*kind.to_ascii_lowercase()].into_iter().all(is_dns1123_subdomain) {
        return Err("one of its names is no DNS-1123 name");
    }
    let module = Resource { kind: kind.to_owned(), singular, plural: plural.to_owned(), enterprise };
    // Stacks that were taken for modules would be deleted where no order asks for such a module.
    if module.role() != Role::Module {
        return Err("it is labelled as a module, and is none");
    }
    Ok(module)
}

fn is_established(status: &Value) -> bool {
    let conditions = status.get("conditions").and_then(Value::as_array).map(Vec::as_slice);
    let says_so = |c: &Value| c["type"] == "Established" && c["status"] == "True";
    conditions.unwrap_or_default().iter().any(says_so)
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, StatusCode};
    use serde_json::json;

    use super::*;
    use crate::cluster::request::WatchTarget;

    fn crd(kind: &str, labels: &Value, change: impl FnOnce(&mut Value)) -> Value {
        let singular = kind.to_lowercase();
        let mut crd = json!({
            "metadata": {"name": format!("{singular}s.formance.com"), "labels": labels},
            "spec": {
                "group": "formance.com", "scope": "Cluster",
                "names": {"kind": kind, "singular": singular, "plural": format!("{singular}s")},
                "versions": [{"name": "v1alpha1", "served": false}, {"name": "v1beta1", "served": true}],
            },
        });
        change(&mut crd);
        crd
    }

    fn read(items: &[Value]) -> Vec<Arc<Resource>> {
        let body = json!({"items": items, "metadata": {"continue": "more"}}).to_string();
        let reply = ApiResponse { status: StatusCode::OK, headers: HeaderMap::new(), body: body.into() };
        let page = page(&reply).unwrap();
        assert_eq!(page.next.as_deref(), Some("more"));
        page.modules
    }

    #[test]
    fn kinds_are_read_with_their_names_and_edition() {
        let ee = json!({"formance.com/kind": "module", "formance.com/is-ee": "true"});
        let modules = read(&[crd("Ledger", &json!({}), |_| ()), crd("Auth", &ee, |_| ())]);
        assert_eq!(*modules[0], *Resource::new("Ledger", "ledger", "ledgers"));
        assert_eq!((&*modules[1].singular, modules[1].enterprise), ("auth", true));
    }

    #[test]
    fn a_definition_that_was_watched_reads_the_same() {
        let ee = json!({"formance.com/kind": "module", "formance.com/is-ee": "true"});
        let mut json = crd("Auth", &ee, |_| ());
        let listed = listed(&json);
        json["metadata"]["uid"] = "u".into();
        json["metadata"]["resourceVersion"] = "1".into();
        let object = |json: &Value| {
            Object::from_json(WatchTarget::definitions().resource(), json.clone()).expect("an object")
        };
        assert_eq!(module(&object(&json)), None, "not served yet");
        json["status"] = json!({"conditions": [{"type": "Established", "status": "True"}]});
        let object = object(&json);
        assert!(listed.as_ref().is_ok_and(|module| module.enterprise));
        assert_eq!(module(&object), listed.ok());
    }

    #[test]
    fn what_the_agent_cannot_write_is_left_out() {
        let with = |path: &str, value: Value| {
            let path = path.to_owned();
            crd("Ledger", &json!({}), move |crd| *crd.pointer_mut(&path).unwrap() = value)
        };
        assert!(read(&[with("/spec/group", "other.com".into())]).is_empty());
        assert!(read(&[with("/spec/scope", "Namespaced".into())]).is_empty());
        assert!(read(&[with("/spec/versions/1/served", false.into())]).is_empty());
        assert!(read(&[with("/spec/names/plural", "".into())]).is_empty());
    }

    #[test]
    fn a_kind_whose_names_are_odd_is_left_out_and_so_are_the_agents_own() {
        let named = |field: &'static str, name: &'static str| {
            crd("Ledger", &json!({}), move |crd| crd["spec"]["names"][field] = name.into())
        };
        for crd in [
            named("plural", "ledgers/x?y"),
            named("singular", "b\u{fc}cher"),
            named("kind", "Led ger"),
            named("plural", "stacks"),
            named("plural", "authclients"),
            named("plural", "versions"),
        ] {
            assert!(read(std::slice::from_ref(&crd)).is_empty(), "{crd}");
        }
    }

    #[test]
    fn without_a_singular_the_kind_in_lower_case_stands_in() {
        let crd = crd("TransactionPlane", &json!({}), |crd| crd["spec"]["names"]["singular"] = "".into());
        assert_eq!(read(&[crd])[0].singular, "transactionplane");
    }
}

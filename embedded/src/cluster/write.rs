//! Create, update and merge patch.

use std::{
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};

use serde_json::{Map, Value, json};

use super::{Caller, EmbeddedCluster, Validation, WriteEndpoint, WriteResult, established, stamp};
use crate::{
    failure::{ApiFailure, Cause},
    kind::ServedKind,
    managed_fields::{self, FieldWriter},
    merge_patch, metadata,
    object::ServedObject,
    validate,
};

/// What the server sets by itself, whatever a request says.
const SYSTEM: [&str; 5] =
    ["creationTimestamp", "generation", "deletionTimestamp", "deletionGracePeriodSeconds", "selfLink"];

/// Letters of generated names: no vowels, so that no words come out.
const LETTERS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";

impl EmbeddedCluster {
    /// Creates an object.
    pub fn create(
        &mut self,
        kind: &Rc<ServedKind>,
        body: Value,
        caller: Caller<'_>,
    ) -> Result<WriteResult, ApiFailure> {
        let mut object = of_kind(kind, body)?;
        let warnings = self.shape(kind, &mut object, caller.validation).map_err(|error| match error {
            Shaping::Decode(error) => ApiFailure::bad_request(format!(
                "{} in version {:?} cannot be handled as a {}: json: {error}",
                kind.kind, kind.version, kind.kind
            )),
            Shaping::Refused(failure) => failure,
        })?;
        if kind.status {
            object.remove("status");
        }
        let mut object = Value::Object(object);
        self.stamp_new(kind, &mut object, caller);
        check(kind, &object, &Value::Null)?;
        let name = object["metadata"]["name"].as_str().unwrap_or_default().to_string();
        if !object["metadata"]["resourceVersion"].is_null() {
            let message = "resourceVersion should not be set on objects to be created";
            return Err(ApiFailure::new(500, "", message));
        }
        let full_name = kind.full_name();
        if let Some(existing) = self.store.get(&full_name, &name) {
            return Err(ApiFailure::already_exists(kind, &name, existing.terminating()));
        }
        book(kind, &Value::Null, &mut object, WriteEndpoint::Main, caller);
        fits(&object)?;
        let object = self.store.put(&full_name, object);
        if kind.is_definitions() {
            self.define(object.value());
        }
        Ok(WriteResult { object, warnings })
    }

    fn stamp_new(&mut self, kind: &ServedKind, object: &mut Value, caller: Caller<'_>) {
        let uid = self.uid();
        if let Value::Object(metadata) = &mut object["metadata"] {
            SYSTEM.iter().for_each(|field| {
                metadata.remove(*field);
            });
            if !metadata.contains_key("name")
                && let Some(prefix) = metadata.get("generateName").and_then(Value::as_str)
            {
                let letter = |_| char::from(LETTERS[self.random.usize(..LETTERS.len())]);
                let name: String = prefix.chars().chain((0..5).map(letter)).collect();
                metadata.insert("name".into(), name.into());
            }
            metadata.insert("uid".into(), uid.into());
            metadata.insert("creationTimestamp".into(), stamp(caller.now).into());
            metadata.insert("generation".into(), 1.into());
        }
        if kind.is_definitions() {
            established(object, caller.now);
        }
    }

    /// Replaces an object.
    pub fn update(
        &mut self,
        kind: &Rc<ServedKind>,
        name: &str,
        endpoint: WriteEndpoint,
        body: Value,
        caller: Caller<'_>,
    ) -> Result<WriteResult, ApiFailure> {
        let candidate = of_kind(kind, body)?;
        let given = candidate.get("metadata").map_or(Value::Null, |m| m["name"].clone());
        check_name(name, &given)?;
        let existing = self.get(kind, name)?;
        let metadata = candidate.get("metadata").unwrap_or(&Value::Null);
        if let Some(uid) = metadata["uid"].as_str()
            && !uid.is_empty()
            && uid != existing.uid()
        {
            let detail = format!(
                "Precondition failed: UID in precondition: {uid}, UID in object meta: {}",
                existing.uid()
            );
            let mut failure = ApiFailure::modified(kind, name);
            failure.message =
                format!("Operation cannot be fulfilled on {} {name:?}: {detail}", kind.full_name());
            return Err(failure);
        }
        self.replace(kind, &existing, endpoint, candidate, caller).map_err(|error| match error {
            Shaping::Decode(error) => ApiFailure::bad_request(format!(
                "{} in version {:?} cannot be handled as a {}: json: {error}",
                kind.kind, kind.version, kind.kind
            )),
            Shaping::Refused(failure) => failure,
        })
    }

    /// Applies a JSON merge patch.
    pub fn patch(
        &mut self,
        kind: &Rc<ServedKind>,
        name: &str,
        endpoint: WriteEndpoint,
        patch: &Value,
        caller: Caller<'_>,
    ) -> Result<WriteResult, ApiFailure> {
        let existing = self.get(kind, name)?;
        let mut candidate = existing.value().clone();
        merge_patch::apply(&mut candidate, patch);
        let words = candidate.to_string();
        if let Some(given) = patch["metadata"].get("name") {
            check_name(name, given)?;
        }
        let candidate = of_kind(kind, candidate)?;
        self.replace(kind, &existing, endpoint, candidate, caller).map_err(|error| match error {
            Shaping::Decode(error) => undecodable(&words, &error),
            Shaping::Refused(failure) => failure,
        })
    }

    /// Puts `candidate` in the place of `existing`, if it may stand there.
    fn replace(
        &mut self,
        kind: &Rc<ServedKind>,
        existing: &Rc<ServedObject>,
        endpoint: WriteEndpoint,
        mut candidate: Map<String, Value>,
        caller: Caller<'_>,
    ) -> Result<WriteResult, Shaping> {
        let old = existing.value();
        let warnings = self.shape(kind, &mut candidate, caller.validation)?;
        let name = existing.name();
        check_version(kind, existing, &candidate["metadata"])?;
        let mut new = combine(kind, old, candidate, endpoint);
        if new["metadata"]["uid"] != old["metadata"]["uid"] {
            let uid = new["metadata"]["uid"].as_str().unwrap_or_default();
            let cause = Cause::invalid("metadata.uid", uid, "field is immutable");
            return Err(ApiFailure::invalid(kind, &kind.kind, name, &[cause]).into());
        }
        check(kind, &new, old)?;
        book(kind, old, &mut new, endpoint, caller);
        if new == *old {
            return Ok(WriteResult { object: Rc::clone(existing), warnings });
        }
        if content(kind, &new) != content(kind, old) {
            let generation = old["metadata"]["generation"].as_i64().unwrap_or_default() + 1;
            new["metadata"]["generation"] = generation.into();
        }
        let full_name = kind.full_name();
        // The last finalizer of a terminating object takes the object with it.
        if existing.terminating() && new["metadata"].get("finalizers").is_none() {
            self.store.remove(&full_name, name);
            return Ok(WriteResult { object: Rc::new(ServedObject::new(new)), warnings });
        }
        fits(&new)?;
        let object = self.store.put(&full_name, new);
        if kind.is_definitions() {
            self.define(object.value());
        }
        Ok(WriteResult { object, warnings })
    }

    fn shape(
        &self,
        kind: &ServedKind,
        object: &mut Map<String, Value>,
        validation: Validation,
    ) -> Result<Vec<String>, Shaping> {
        let mut unknown = Vec::new();
        metadata::shape(object, &mut unknown).map_err(Shaping::Decode)?;
        let kept: Vec<(&str, Value)> = ["apiVersion", "kind", "metadata"]
            .into_iter()
            .filter_map(|field| Some((field, object.remove(field)?)))
            .collect();
        let mut rest = Value::Object(std::mem::take(object));
        kind.schema.prune(&mut rest, "", &mut unknown);
        kind.schema.complete(&mut rest);
        if let Value::Object(fields) = rest {
            *object = fields;
        }
        object.extend(kept.into_iter().map(|(field, value)| (field.to_string(), value)));
        let words: Vec<String> = unknown.iter().map(|path| format!("unknown field {path:?}")).collect();
        let mut warnings = match validation {
            Validation::Ignore => Vec::new(),
            Validation::Warn => words,
            Validation::Strict if words.is_empty() => Vec::new(),
            Validation::Strict => {
                let message = format!(
                    "{} in version {:?} cannot be handled as a {}: strict decoding error: {}",
                    kind.kind,
                    kind.version,
                    kind.kind,
                    words.join(", ")
                );
                return Err(ApiFailure::bad_request(message).into());
            }
        };
        warnings.extend(metadata::finalizer_warnings(&object["metadata"]));
        Ok(warnings)
    }
}

/// Why a request's object cannot be used.
enum Shaping {
    Decode(String),
    Refused(ApiFailure),
}

impl From<ApiFailure> for Shaping {
    fn from(failure: ApiFailure) -> Self {
        Self::Refused(failure)
    }
}

fn of_kind(kind: &ServedKind, body: Value) -> Result<Map<String, Value>, ApiFailure> {
    let name = body["metadata"]["name"].as_str().unwrap_or_default().to_string();
    let given = body["kind"].as_str().unwrap_or_default().to_string();
    let Value::Object(object) = body else {
        return Err(ApiFailure::bad_request("the object provided is no JSON object"));
    };
    if given != kind.kind {
        let cause = Cause::invalid("kind", &given, &format!("must be {}", kind.kind));
        return Err(ApiFailure::invalid(kind, &given, &name, &[cause]));
    }
    let version = object.get("apiVersion").and_then(Value::as_str).unwrap_or_default();
    if version != kind.api_version() {
        let cause = Cause::invalid("apiVersion", version, &format!("must be {}", kind.api_version()));
        return Err(ApiFailure::invalid(kind, &kind.kind, &name, &[cause]));
    }
    Ok(object)
}

fn check_name(name: &str, given: &Value) -> Result<(), ApiFailure> {
    match given.as_str() {
        Some(given) if !given.is_empty() && given != name => Err(ApiFailure::bad_request(format!(
            "the name of the object ({given}) does not match the name on the URL ({name})"
        ))),
        _ => Ok(()),
    }
}

fn check_version(kind: &ServedKind, existing: &ServedObject, metadata: &Value) -> Result<(), ApiFailure> {
    let Some(version) = metadata["resourceVersion"].as_str() else {
        let cause = Cause {
            reason: "FieldValueInvalid",
            message: "Invalid value: 0: must be specified for an update".into(),
            field: "metadata.resourceVersion".into(),
        };
        return Err(ApiFailure::invalid(kind, &kind.plural, existing.name(), &[cause]));
    };
    match version.parse::<u64>() {
        Err(_) => {
            Err(ApiFailure::new(500, "", format!("strconv.ParseUint: parsing {version:?}: invalid syntax")))
        }
        Ok(version) if version != existing.version() => Err(ApiFailure::modified(kind, existing.name())),
        Ok(_) => Ok(()),
    }
}

/// The new version: what the endpoint lets through of the candidate, the rest from the old one.
fn combine(
    kind: &ServedKind,
    old: &Value,
    mut candidate: Map<String, Value>,
    endpoint: WriteEndpoint,
) -> Value {
    if endpoint == WriteEndpoint::Status {
        let mut new = old.clone();
        match candidate.remove("status") {
            Some(status) => new["status"] = status,
            None => {
                new.as_object_mut().map(|fields| fields.remove("status"));
            }
        }
        return new;
    }
    if kind.status || kind.is_definitions() {
        candidate.remove("status");
        candidate.extend(old.get("status").map(|status| ("status".to_string(), status.clone())));
    }
    let mut new = Value::Object(candidate);
    let before = &old["metadata"];
    if let Value::Object(metadata) = &mut new["metadata"] {
        for field in SYSTEM.iter().chain(&["name", "resourceVersion", "generateName"]) {
            metadata.remove(*field);
            metadata.extend(before.get(*field).map(|value| ((*field).to_string(), value.clone())));
        }
        if !metadata.contains_key("uid") {
            metadata.insert("uid".into(), before["uid"].clone());
        }
    }
    new
}

fn check(kind: &ServedKind, new: &Value, old: &Value) -> Result<(), ApiFailure> {
    let mut causes = metadata::faults(&new["metadata"]);
    causes.extend(metadata::late_finalizers(&old["metadata"], &new["metadata"]));
    causes.extend(validate::faults(&kind.schema, new));
    // Named once, however often it is found.
    let mut seen = BTreeSet::new();
    causes.retain(|cause| seen.insert(cause.to_string()));
    if causes.is_empty() {
        return Ok(());
    }
    let name = new["metadata"]["name"].as_str().unwrap_or_default();
    Err(ApiFailure::invalid(kind, &kind.kind, name, &causes))
}

fn book(kind: &ServedKind, old: &Value, new: &mut Value, endpoint: WriteEndpoint, caller: Caller<'_>) {
    let time = stamp(caller.now);
    let writer =
        FieldWriter { manager: caller.manager, status: endpoint == WriteEndpoint::Status, time: &time };
    let entries = managed_fields::book(kind, old, new, &writer);
    if let Value::Object(metadata) = &mut new["metadata"] {
        if entries.is_empty() {
            metadata.remove("managedFields");
        } else {
            metadata.insert("managedFields".into(), entries.into());
        }
    }
}

/// etcd's limit for one request.
const STORED_MAX: usize = 3 << 19;

fn fits(object: &Value) -> Result<(), ApiFailure> {
    if weight(object) <= STORED_MAX {
        return Ok(());
    }
    Err(ApiFailure::new(500, "", "etcdserver: request is too large"))
}

/// About the bytes of a value's JSON.
fn weight(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len() + 2,
        Value::Array(items) => items.iter().map(|item| weight(item) + 1).sum(),
        Value::Object(fields) => fields.iter().map(|(name, value)| name.len() + 4 + weight(value)).sum(),
        _ => 4,
    }
}

/// What a generation counts changes of.
fn content<'a>(kind: &ServedKind, object: &'a Value) -> BTreeMap<&'a String, &'a Value> {
    let fields = object.as_object().into_iter().flatten();
    fields.filter(|(name, _)| *name != "metadata" && !(kind.status && *name == "status")).collect()
}

fn undecodable(words: &str, error: &str) -> ApiFailure {
    let detail = format!("Invalid value: {words:?}: json: {error}");
    let cause = json!({"reason": "FieldValueInvalid", "message": detail, "field": "patch"});
    ApiFailure {
        details: json!({"causes": [cause]}),
        ..ApiFailure::new(422, "Invalid", format!(" \"\" is invalid: patch: {detail}"))
    }
}

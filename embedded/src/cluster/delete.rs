//! Deletion: at once, or when the last finalizer is gone.

use std::rc::Rc;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{EmbeddedCluster, list::ListOptions, stamp};
use crate::{failure::ApiFailure, kind::ServedKind, object::ServedObject};

/// What becomes of the objects that it owns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Propagation {
    /// They follow later.
    #[default]
    Background,
    /// They go first.
    Foreground,
    /// They stay.
    Orphan,
}

/// `DeleteOptions`, as far as they matter here.
#[derive(Debug, Clone, Default)]
pub struct DeleteOptions {
    /// The uid that the object must have.
    pub uid: Option<String>,
    /// The resourceVersion that the object must have.
    pub version: Option<String>,
    /// What becomes of the objects that it owns.
    pub propagation: Propagation,
}

impl DeleteOptions {
    /// Reads the body of a deletion.
    pub fn read(body: &Value) -> Result<Self, ApiFailure> {
        let text = |value: &Value| value.as_str().map(str::to_string);
        let propagation = match body["propagationPolicy"].as_str() {
            None | Some("Background") => Propagation::Background,
            Some("Foreground") => Propagation::Foreground,
            Some("Orphan") => Propagation::Orphan,
            Some(other) => return Err(unsupported(other)),
        };
        Ok(Self {
            uid: text(&body["preconditions"]["uid"]),
            version: text(&body["preconditions"]["resourceVersion"]),
            propagation,
        })
    }
}

fn unsupported(policy: &str) -> ApiFailure {
    let detail = format!(
        "Unsupported value: {policy:?}: supported values: \"Foreground\", \"Background\", \"Orphan\", \"nil\""
    );
    let message = format!("DeleteOptions.meta.k8s.io \"\" is invalid: propagationPolicy: {detail}");
    let cause = json!({"reason": "FieldValueNotSupported", "message": detail, "field": "propagationPolicy"});
    ApiFailure {
        details: json!({"group": "meta.k8s.io", "kind": "DeleteOptions", "causes": [cause]}),
        ..ApiFailure::new(422, "Invalid", message)
    }
}

/// How a deletion went.
#[derive(Debug, Clone)]
pub enum Deleted {
    /// Nothing is left of it.
    Gone {
        /// The uid that is gone.
        uid: String,
    },
    /// It is terminating: finalizers hold it.
    Held(Rc<ServedObject>),
}

impl EmbeddedCluster {
    /// Deletes an object.
    pub fn delete(
        &mut self,
        kind: &ServedKind,
        name: &str,
        options: &DeleteOptions,
        now: Timestamp,
    ) -> Result<Deleted, ApiFailure> {
        let object = self.get(kind, name)?;
        check(kind, &object, options)?;
        if object.terminating() {
            return Ok(Deleted::Held(object));
        }
        let full_name = kind.full_name();
        self.store.count_delete(&full_name, name);
        let added = match options.propagation {
            Propagation::Background => None,
            Propagation::Foreground => Some("foregroundDeletion"),
            Propagation::Orphan => Some("orphan"),
        };
        if object.finalizers().is_empty() && added.is_none() {
            self.store.remove(&full_name, name);
            if kind.is_definitions() {
                self.undefine(name);
            }
            return Ok(Deleted::Gone { uid: object.uid().to_string() });
        }
        let mut value = object.value().clone();
        let metadata = &mut value["metadata"];
        metadata["deletionTimestamp"] = stamp(now).into();
        metadata["deletionGracePeriodSeconds"] = 0.into();
        metadata["generation"] = (metadata["generation"].as_i64().unwrap_or_default() + 1).into();
        if let Some(finalizer) = added {
            let mut finalizers = object.finalizers().to_vec();
            finalizers.push(finalizer.into());
            metadata["finalizers"] = finalizers.into();
            self.store.suspect((full_name.clone(), name.to_string()));
        }
        Ok(Deleted::Held(self.store.put(&full_name, value)))
    }

    /// Deletes what a list would show; answers with the list.
    pub fn delete_collection(
        &mut self,
        kind: &ServedKind,
        list: &ListOptions,
        options: &DeleteOptions,
        now: Timestamp,
    ) -> Result<super::ListPage, ApiFailure> {
        let page = self.list(kind, list)?;
        for object in &page.objects {
            self.delete(kind, object.name(), options, now)?;
        }
        Ok(page)
    }
}

fn check(kind: &ServedKind, object: &ServedObject, options: &DeleteOptions) -> Result<(), ApiFailure> {
    if let Some(uid) = &options.uid
        && uid != object.uid()
    {
        let detail = format!(
            "the UID in the precondition ({uid}) does not match the UID in record ({}). \
             The object might have been deleted and then recreated",
            object.uid()
        );
        return Err(ApiFailure::precondition(kind, object.name(), &detail));
    }
    if let Some(version) = &options.version
        && *version != object.version().to_string()
    {
        let detail = format!(
            "the ResourceVersion in the precondition ({version}) does not match the ResourceVersion in record ({}). \
             The object might have been modified",
            object.version()
        );
        return Err(ApiFailure::precondition(kind, object.name(), &detail));
    }
    Ok(())
}

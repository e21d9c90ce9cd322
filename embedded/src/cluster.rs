//! The model of a cluster: what the API server would answer, without a clock and without sockets.
//!
//! Verbs take the wall-clock time that they stamp objects with. They answer with the object as it is
//! stored, or with the [`ApiFailure`] that the real server would send.

mod delete;
mod list;
mod write;

use std::{collections::BTreeMap, rc::Rc};

use jiff::Timestamp;
use serde_json::{Value, json};

pub use self::{
    delete::{DeleteOptions, Deleted, Propagation},
    list::{ListOptions, ListPage},
};
use super::{
    failure::ApiFailure,
    kind::{DEFINITIONS, DEFINITIONS_GROUP, KindError, ServedKind},
    object::ServedObject,
    store::{ObjectPlace, ObjectStore, WriteTally},
    watch_log::WatchLog,
};

/// What to do about fields that the schema does not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Validation {
    /// Drop them without a word.
    Ignore,
    /// Drop them with a warning.
    #[default]
    Warn,
    /// Refuse them.
    Strict,
}

/// Who writes, when, and how strictly.
#[derive(Debug, Clone, Copy)]
pub struct Caller<'a> {
    /// `fieldManager`, or what the User-Agent begins with.
    pub manager: &'a str,
    /// The wall clock.
    pub now: Timestamp,
    /// `fieldValidation`
    pub validation: Validation,
}

impl<'a> Caller<'a> {
    /// A caller with the usual validation.
    pub fn new(manager: &'a str, now: Timestamp) -> Self {
        Self { manager, now, validation: Validation::Warn }
    }
}

/// The endpoint that an update goes through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WriteEndpoint {
    /// Everything but the status.
    Main,
    /// The status alone.
    Status,
}

/// A write that was taken.
#[derive(Debug, Clone)]
pub struct WriteResult {
    /// The object as it now stands.
    pub object: Rc<ServedObject>,
    /// Texts of the `Warning: 299` headers.
    pub warnings: Vec<String>,
}

/// The cluster.
#[derive(Debug)]
pub struct EmbeddedCluster {
    kinds: BTreeMap<String, Rc<ServedKind>>,
    store: ObjectStore,
    random: fastrand::Rng,
}

impl EmbeddedCluster {
    /// A cluster without kinds. The seed decides uids and generated names; `window` is how many events
    /// of each kind a watch can go back.
    pub fn new(seed: u64, window: usize) -> Self {
        let definitions = ServedKind::definitions();
        Self {
            kinds: BTreeMap::from([(definitions.full_name(), Rc::new(definitions))]),
            store: ObjectStore::new(window),
            random: fastrand::Rng::with_seed(seed),
        }
    }

    /// Adds a kind by its CustomResourceDefinition.
    pub fn install(&mut self, definition: &Value, now: Timestamp) -> Result<(), InstallError> {
        ServedKind::from_definition(definition)?;
        let definitions = Rc::clone(&self.kinds[&format!("{DEFINITIONS}.{DEFINITIONS_GROUP}")]);
        self.create(&definitions, definition.clone(), Caller::new("stackherd", now))?;
        Ok(())
    }

    /// The kind behind a path.
    pub fn kind(&self, group: &str, version: &str, plural: &str) -> Option<Rc<ServedKind>> {
        let kind = self.kinds.get(&format!("{plural}.{group}"))?;
        (kind.version == version).then(|| Rc::clone(kind))
    }

    /// All kinds but that of definitions.
    pub fn kinds(&self) -> impl Iterator<Item = &Rc<ServedKind>> {
        self.kinds.values().filter(|kind| !kind.is_definitions())
    }

    /// An object.
    pub fn get(&self, kind: &ServedKind, name: &str) -> Result<Rc<ServedObject>, ApiFailure> {
        let object = self.store.get(&kind.full_name(), name);
        object.cloned().ok_or_else(|| ApiFailure::not_found(kind, name))
    }

    /// All objects of a kind, by name.
    pub fn objects<'a>(&'a self, kind: &ServedKind) -> impl Iterator<Item = &'a Rc<ServedObject>> + use<'a> {
        self.store.of(&kind.full_name())
    }

    /// The newest resourceVersion.
    pub fn version(&self) -> u64 {
        self.store.version()
    }

    /// What happened, for watches.
    pub fn log(&self) -> &WatchLog {
        self.store.log()
    }

    /// Forgets all that happened so far: watches and lists from earlier versions get a 410.
    pub fn expire(&mut self) {
        self.store.expire();
    }

    /// How often each object was created, updated and deleted.
    pub fn tallies(&self) -> &BTreeMap<ObjectPlace, WriteTally> {
        self.store.tallies()
    }

    /// Forgets what the garbage collector would look at: for a cluster that runs without one.
    pub fn ignore_garbage(&mut self) {
        while self.store.next_suspect().is_some() {}
    }

    pub(super) fn store(&mut self) -> &mut ObjectStore {
        &mut self.store
    }

    pub(super) fn store_ref(&self) -> &ObjectStore {
        &self.store
    }

    pub(super) fn kind_by_full_name(&self, full_name: &str) -> Option<Rc<ServedKind>> {
        self.kinds.get(full_name).cloned()
    }

    /// A random uid in the shape of a version 4 UUID.
    fn uid(&mut self) -> String {
        let n =
            (self.random.u128(..) & !(0xf_u128 << 76) & !(0x3_u128 << 62)) | (4_u128 << 76) | (2_u128 << 62);
        let hex = format!("{n:032x}");
        format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
    }

    /// Follows a definition that was written: the kind changes with it.
    fn define(&mut self, definition: &Value) {
        if let Ok(kind) = ServedKind::from_definition(definition) {
            self.store.begin(&kind.full_name());
            self.kinds.insert(kind.full_name(), Rc::new(kind));
        }
    }

    /// Follows a definition that was removed: its objects go, then the kind.
    fn undefine(&mut self, full_name: &str) {
        let names: Vec<String> = self.store.of(full_name).map(|o| o.name().to_string()).collect();
        for name in names {
            self.store.remove(full_name, &name);
        }
        self.kinds.remove(full_name);
    }
}

/// What the real server adds to a definition once it serves it.
fn established(definition: &mut Value, now: Timestamp) {
    let condition = |kind: &str, reason: &str, message: &str| json!({"type": kind, "status": "True", "lastTransitionTime": stamp(now), "reason": reason, "message": message});
    let kind = definition["spec"]["names"].clone();
    definition["status"] = json!({
        "conditions": [
            condition("NamesAccepted", "NoConflicts", "no conflicts found"),
            condition("Established", "InitialNamesAccepted", "the initial names have been accepted"),
        ],
        "acceptedNames": kind,
        "storedVersions": [definition["spec"]["versions"][0]["name"].clone()],
    });
}

/// RFC 3339 in whole seconds.
fn stamp(now: Timestamp) -> String {
    now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// Why a definition was not installed.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum InstallError {
    /// It cannot be served.
    #[error(transparent)]
    Kind(#[from] KindError),
    /// It was refused.
    #[error("CustomResourceDefinition: {0}")]
    Refused(#[from] ApiFailure),
}

#[cfg(test)]
pub(super) mod tests;

//! Versions objects: few, and only told of.

use std::{cmp::Ordering, sync::Arc};

use super::{Change, Store, Sweep, is_older};
use crate::stack::{
    object::{Object, ObjectKey, Resource},
    report::Versions,
    version,
};

#[derive(Debug)]
pub(super) struct KnownVersions {
    pub(super) uid: String,
    pub(super) resource_version: String,
    learnt: u64,
    pub(super) versions: Versions,
}

impl Store {
    /// Removes what a complete list did not name, and gives it.
    pub(super) fn sweep_versions(&mut self, kind: &Arc<Resource>, sweep: &Sweep) -> Vec<ObjectKey> {
        let unnamed = |known: &mut KnownVersions| {
            let included = !is_older(&sweep.version, &known.resource_version);
            known.learnt < sweep.asked || (known.learnt > sweep.asked && included)
        };
        let gone = self.versions.extract_if(.., |_, known| unnamed(known));
        gone.map(|(name, _)| ObjectKey { resource: Arc::clone(kind), name }).collect()
    }

    pub(super) fn put_versions(&mut self, object: &Object, learnt: u64, overrides: Option<u64>) -> Change {
        let versions = Versions::of(object);
        let mut change = Change::Added;
        if let Some(known) = self.versions.get_mut(&object.key.name) {
            let overridden = overrides.is_some_and(|asked| known.learnt < asked);
            let order = version::compare(&object.resource_version, &known.resource_version);
            if order != Ordering::Greater && !overridden {
                if order == Ordering::Equal && overrides.is_some() {
                    known.learnt = learnt;
                }
                return Change::Nothing;
            }
            change = match (known.uid == object.uid, known.versions == versions) {
                (false, _) => Change::Replaced,
                (true, true) => Change::Nothing,
                (true, false) => Change::Updated,
            };
        }
        let (uid, resource_version) = (object.uid.clone(), object.resource_version.clone());
        let known = KnownVersions { uid, resource_version, learnt, versions };
        self.versions.insert(Arc::clone(&object.key.name), known);
        change
    }

    pub(super) fn remove_versions(
        &mut self,
        name: &Arc<str>,
        goes: impl FnOnce(&KnownVersions) -> bool,
    ) -> Change {
        if !self.versions.get(name).is_some_and(goes) {
            return Change::Nothing;
        }
        self.versions.remove(name);
        Change::Removed
    }
}

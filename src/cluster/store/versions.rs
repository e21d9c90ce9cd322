//! Versions objects: few, and only told of.

use std::{cmp::Ordering, sync::Arc};

use super::{Store, StoreChange, Sweep};
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
            let included = !version::is_newer(&known.resource_version, &sweep.version);
            known.learnt < sweep.asked || (known.learnt > sweep.asked && included)
        };
        let gone = self.versions.extract_if(.., |_, known| unnamed(known));
        gone.map(|(name, _)| ObjectKey { resource: Arc::clone(kind), name }).collect()
    }

    pub(super) fn put_versions(
        &mut self,
        object: &Object,
        learnt: u64,
        overrides: Option<u64>,
    ) -> StoreChange {
        let versions = Versions::of(object);
        let mut change = StoreChange::Added;
        if let Some(known) = self.versions.get_mut(&object.key.name) {
            let overridden = overrides.is_some_and(|asked| known.learnt < asked);
            let order = version::compare(&object.resource_version, &known.resource_version);
            if order != Ordering::Greater && !overridden {
                if order == Ordering::Equal && overrides.is_some() {
                    known.learnt = learnt;
                }
                return StoreChange::Nothing;
            }
            change = match (known.uid == object.uid, known.versions == versions) {
                (false, _) => StoreChange::Replaced,
                (true, true) => StoreChange::Nothing,
                (true, false) => StoreChange::Updated,
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
    ) -> StoreChange {
        if !self.versions.get(name).is_some_and(goes) {
            return StoreChange::Nothing;
        }
        self.versions.remove(name);
        StoreChange::Removed
    }
}

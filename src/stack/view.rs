//! What is known of a stack's objects, how well, and from where.

use std::{cmp::Ordering, collections::BTreeMap};

use super::{
    object::{Object, ObjectKey},
    version::compare,
};

/// What is known of one object.
#[derive(Debug, Clone, PartialEq)]
pub enum Known<'a> {
    /// It was there, as this.
    Present(&'a Object),
    /// It was not there.
    Absent,
    /// Nothing: it has to be read.
    Unknown,
}

/// The objects of one stack as last seen.
///
/// Most of it comes from a store that watches feed: it may lag behind, object by object, and a list
/// that shows the past makes it forget an object until events show that again. What the cluster
/// itself said of an object (the answer to a write, a read by name) may be ahead of the store, and
/// holds until the store shows something newer. An answer that shows nothing (a conflict, a
/// deadline) makes its object unknown: it stays so until the store shows more than was known
/// before, or until it is read by name.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct View {
    seen: BTreeMap<ObjectKey, Seen>,
    /// The store was looked at: what is not in `seen` is absent.
    refreshed: bool,
}

#[derive(Debug, Clone, PartialEq, Default)]
struct Seen {
    /// `None`: known to have been absent, or never known.
    object: Option<Object>,
    /// The last one of this name that is known to be gone. A store that lags may show it still.
    gone: Option<Sight>,
    /// The store has not shown yet what is gone, so it may do so for the first time.
    ahead: bool,
    /// What the store holds of this name, as far as is known.
    store: Option<Sight>,
    /// What was known may no longer hold.
    stale: bool,
}

/// One object at one time.
#[derive(Debug, Clone, PartialEq)]
struct Sight {
    uid: String,
    version: String,
}

impl Sight {
    fn of(object: &Object) -> Self {
        Self { uid: object.uid.clone(), version: object.resource_version.clone() }
    }
}

impl View {
    /// What is known of an object.
    pub fn get(&self, key: &ObjectKey) -> Known<'_> {
        match self.seen.get(key) {
            Some(seen) if seen.stale => Known::Unknown,
            Some(Seen { object: Some(object), .. }) => Known::Present(object),
            Some(_) => Known::Absent,
            None if self.refreshed => Known::Absent,
            None => Known::Unknown,
        }
    }

    /// The store shows these objects of the stack and no others.
    pub fn refresh(&mut self, stack: &str, objects: Vec<Object>) {
        self.refreshed = true;
        let mut shown: BTreeMap<ObjectKey, Object> =
            objects.into_iter().map(|object| (object.key.clone(), object)).collect();
        for (key, seen) in &mut self.seen {
            seen.refresh(stack, shown.remove(key));
        }
        self.seen.extend(shown.into_iter().map(|(key, object)| {
            let store = Some(Sight::of(&object));
            (key, Seen { object: Some(object), store, ..Seen::default() })
        }));
    }

    /// The API server answered a write with the object. The store has the answer, too.
    pub fn stored(&mut self, object: Object) {
        let seen = self.seen.entry(object.key.clone()).or_default();
        let is_gone = seen.gone.as_ref().is_some_and(|gone| gone.uid == object.uid);
        if !is_gone && (seen.stale || seen.is_news(&object)) {
            seen.store = Some(Sight::of(&object));
            seen.set(object);
        }
    }

    /// The API server answered a deletion: the object of this uid is gone, from the store as well.
    pub fn removed(&mut self, key: &ObjectKey, uid: &str) {
        let seen = self.seen.entry(key.clone()).or_default();
        seen.store.take_if(|sight| sight.uid == uid);
        if seen.object.as_ref().is_none_or(|object| object.uid == uid) {
            seen.unset();
        }
    }

    /// A read by name that was begun while the object was unknown came back. What the store has
    /// shown since then may be newer, and stays.
    pub fn read(&mut self, key: &ObjectKey, object: Option<Object>) {
        let is_unknown = matches!(self.get(key), Known::Unknown);
        let seen = self.seen.entry(key.clone()).or_default();
        match object {
            Some(object) if is_unknown || seen.is_news(&object) => seen.set(object),
            None if is_unknown => seen.unset_by_name(),
            _ => {}
        }
    }

    /// What was known of the object may no longer hold.
    pub fn forget(&mut self, key: &ObjectKey) {
        self.seen.entry(key.clone()).or_default().stale = true;
    }

    /// Objects that are there as far as is known.
    pub fn present(&self) -> impl Iterator<Item = &Object> {
        self.seen.values().filter(|seen| !seen.stale).filter_map(|seen| seen.object.as_ref())
    }

    /// Objects that have to be read again.
    pub fn stale(&self) -> impl Iterator<Item = &ObjectKey> {
        self.seen.iter().filter(|(_, seen)| seen.stale).map(|(key, _)| key)
    }

    /// Whether the store says all that is known.
    pub fn is_plain(&self) -> bool {
        self.seen.values().all(Seen::is_plain)
    }

    /// What the store does not say yet: the rest of the view is to be had from it at any time.
    /// Somebody else's objects are left out where `keep` does not ask for them; the store will
    /// never say anything about those.
    pub fn remainder(self, stack: &str, keep: impl Fn(&ObjectKey) -> bool) -> Self {
        let foreign = |seen: &Seen| seen.object.as_ref().is_some_and(|object| is_foreign(object, stack));
        let mut seen = self.seen;
        seen.retain(|key, seen| !seen.is_plain() && (keep(key) || !foreign(seen)));
        // Only what is gone stays as it is: much may happen to an object before the next look.
        seen.values_mut().for_each(|seen| seen.stale |= seen.object.is_some());
        Self { seen, refreshed: false }
    }
}

impl Seen {
    fn refresh(&mut self, stack: &str, shown: Option<Object>) {
        let before = std::mem::replace(&mut self.store, shown.as_ref().map(Sight::of));
        let left = |uid: &str| before.as_ref().is_some_and(|before| before.uid == uid);
        match (shown, &self.object) {
            (Some(object), _) if self.is_news(&object) => self.set(object),
            (Some(object), None) if !left(&object.uid) && self.is_back(&object) => self.set(object),
            // It was in the store and left it. One that was not may be on its way there, and one
            // that belongs to another stack says nothing by its absence.
            (None, Some(object)) if left(&object.uid) && !is_foreign(object, stack) => self.unset(),
            (None, None) if self.gone.as_ref().is_some_and(|gone| left(&gone.uid)) => {
                self.ahead = false;
            }
            _ => {}
        }
    }

    /// Whether the store, where it knew that this object was gone, knows better now.
    fn is_back(&self, object: &Object) -> bool {
        let was_gone = self.gone.as_ref().is_some_and(|gone| gone.uid == object.uid);
        was_gone && !self.ahead && !self.stale
    }

    /// Whether the store's or the API server's word is newer than what was known.
    fn is_news(&self, object: &Object) -> bool {
        let is_newer = |version: &str| compare(&object.resource_version, version) == Ordering::Greater;
        match (&self.object, &self.gone) {
            (Some(known), _) => is_newer(&known.resource_version),
            (None, Some(gone)) => gone.uid != object.uid && is_newer(&gone.version),
            (None, None) => true,
        }
    }

    fn set(&mut self, object: Object) {
        self.object = Some(object);
        self.ahead = false;
        self.stale = false;
    }

    fn unset(&mut self) {
        if let Some(object) = self.object.take() {
            self.gone = Some(Sight::of(&object));
        }
        self.ahead = false;
        self.stale = false;
    }

    fn unset_by_name(&mut self) {
        let is_new = |object: &Object| self.store.as_ref().is_none_or(|store| store.uid != object.uid);
        let ahead = self.object.as_ref().map_or(self.ahead, is_new);
        self.unset();
        self.ahead = ahead;
    }

    fn is_plain(&self) -> bool {
        let is_shown = match (&self.object, &self.store) {
            (Some(object), Some(store)) => {
                compare(&store.version, &object.resource_version) != Ordering::Less
            }
            (None, None) => !self.ahead,
            _ => false,
        };
        is_shown && !self.stale
    }
}

fn is_foreign(object: &Object, stack: &str) -> bool {
    !object.is_of(stack)
}

#[cfg(test)]
mod tests;

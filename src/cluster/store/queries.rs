//! What the store is asked.

use super::*;

impl Store {
    /// The uid of an object, where it is known. To be asked before the object is read by name: where
    /// the read says that there is none, it is this one that is [gone](Self::gone), and not one that
    /// was learnt of meanwhile.
    pub fn uid(&self, stack: &str, key: &ObjectKey) -> Option<String> {
        let kind = self.kinds.iter().position(|(kind, _)| kind.plural == key.resource.plural)?;
        let known = self.stacks.get(stack)?;
        let at = known.find(u16::try_from(kind).ok()?, &key.name, stack, &self.names)?;
        known.objects[at].record.identity(stack, &self.names).map(|(_, uid, _)| uid)
    }

    /// Whether a list of this kind was complete.
    pub fn is_complete(&self, kind: &Resource) -> bool {
        self.kinds.iter().any(|(known, complete)| known.plural == kind.plural && *complete)
    }

    /// All objects of a stack, with what decisions look at.
    pub fn objects(&self, stack: &str) -> Vec<Object> {
        let Some(known) = self.stacks.get(stack) else { return Vec::new() };
        let unpack = |held: &StoredObject| {
            let kind = self.kinds.get(usize::from(held.kind)).map(|(kind, _)| kind)?;
            held.record.unpack(|name| ObjectKey::new(kind, name), stack, &self.names)
        };
        known.objects.iter().filter_map(unpack).collect()
    }

    /// Whether anything of the stack is there.
    pub fn has(&self, stack: &str) -> bool {
        self.stacks.contains_key(stack)
    }

    /// How many stacks something is there of.
    pub fn stacks(&self) -> usize {
        self.stacks.len()
    }

    /// Changes whenever something of the stack does; 0 where nothing of it is there.
    pub fn revision(&self, stack: &str) -> u64 {
        self.stacks.get(stack).map_or(0, |stack| stack.revision)
    }

    /// Whether nothing is to be done for an order of this fingerprint.
    pub fn is_settled(&self, stack: &str, fingerprint: u64) -> bool {
        self.stacks.get(stack).is_some_and(|stack| stack.settled == Some(fingerprint))
    }

    /// Whether an object is known, of whatever stack.
    #[cfg(test)]
    pub(crate) fn knows(&self, plural: &str, name: &str) -> bool {
        let is = |stack: &Arc<str>, held: &StoredObject| {
            let kind = self.kinds.get(usize::from(held.kind));
            kind.is_some_and(|(kind, _)| kind.plural == plural)
                && held.record.name(stack, &self.names) == Some(name)
        };
        self.stacks.iter().any(|(stack, known)| known.objects.iter().any(|held| is(stack, held)))
    }

    /// How many stacks and objects are known; Versions do not count.
    pub fn len(&self) -> (usize, usize) {
        (self.stacks.len(), self.stacks.values().map(|stack| stack.objects.len()).sum())
    }

    /// Whether nothing is known.
    pub fn is_empty(&self) -> bool {
        self.stacks.is_empty() && self.versions.is_empty()
    }
}

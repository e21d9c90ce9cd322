//! Objects that carry the labels of another stack than they belong to by their name or spec.
//!
//! That stack's orders delete them, so they are kept with its objects as well. Nobody reports of them
//! from there: the stack that they are named after does.

use super::*;

impl Store {
    /// As [`Self::listed`], for the stack that the object is left over of.
    pub fn leftover_listed(&mut self, object: &Object, asked: Instant) {
        self.listed_with(object.leftover_of(), object, asked);
    }

    /// As [`Self::changed`].
    pub fn leftover_changed(&mut self, object: &Object, at: Instant) {
        self.changed_with(object.leftover_of(), object, at);
    }

    /// As [`Self::removed`].
    pub fn leftover_removed(&mut self, object: &Object, at: Instant) {
        self.removed_with(object.leftover_of(), object, at);
    }
}

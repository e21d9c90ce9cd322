//! Which of two states of an object is the newer one.

use std::cmp::Ordering;

use super::object::Object;

/// An object as it was at one time.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ObjectVersion {
    /// `metadata.uid`
    pub uid: String,
    /// `metadata.resourceVersion`
    pub resource_version: String,
}

impl ObjectVersion {
    /// The version of an object.
    pub fn of(object: &Object) -> Self {
        Self { uid: object.uid.clone(), resource_version: object.resource_version.clone() }
    }
}

/// Whether a resourceVersion is newer than another one of the same kind of objects.
pub fn is_newer(version: &str, than: &str) -> bool {
    compare(version, than) == Ordering::Greater
}

/// Compares two resourceVersions of one kind of objects. The API says that they are decimal
/// integers without leading zeros, of any length: the longer one is the newer one, and where
/// both are of one length, their text tells.
pub fn compare(a: &str, b: &str) -> Ordering {
    a.len().cmp(&b.len()).then_with(|| a.cmp(b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_compare_as_the_numbers_they_are() {
        for (older, newer) in
            [("1", "2"), ("9", "10"), ("99", "100"), ("18446744073709551615", "18446744073709551616")]
        {
            assert_eq!(compare(older, newer), Ordering::Less, "{older} {newer}");
            assert_eq!(compare(newer, older), Ordering::Greater, "{older} {newer}");
            assert_eq!(compare(newer, newer), Ordering::Equal);
            assert!(is_newer(newer, older) && !is_newer(older, newer) && !is_newer(newer, newer));
        }
    }
}

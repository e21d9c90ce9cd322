//! resourceVersions, and which of two is the newer one.

use std::cmp::Ordering;

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
        }
    }
}

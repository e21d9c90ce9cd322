//! Label and annotation keys, and Kubernetes' rules for them.
//!
//! An order's additional labels and annotations are checked here before anything is sent: the
//! API server answers a bad one with a 422 for the whole object that does not even name the key.

use std::fmt;

/// What every key of the agent begins with.
pub const PREFIX: &str = "formance.com/";
/// On everything the agent writes; its value is [`CREATED_BY_AGENT_VALUE`].
pub const CREATED_BY_AGENT: &str = "formance.com/created-by-agent";
/// The value of [`CREATED_BY_AGENT`].
pub const CREATED_BY_AGENT_VALUE: &str = "true";
/// On everything the agent writes: the name of the stack it belongs to.
pub const STACK: &str = "formance.com/stack";
/// What `kubectl stacks lock` sets: bears the agent's prefix and is not the agent's.
pub const SKIP: &str = "formance.com/skip";
/// The one label that a fence toggles: it moves an object's resourceVersion, so that a write
/// which may still be under way can no longer take effect. Its presence means nothing.
pub const FENCE: &str = "formance.com/stackherd-fence";
/// The value of [`FENCE`] while it is present.
pub const FENCE_VALUE: &str = "1";

/// Longest name part of a key, and longest label value, in bytes.
const MAX_SEGMENT: usize = 63;
/// How many bytes of keys and values the annotations of an object may have together.
pub const MAX_ANNOTATION_BYTES: usize = 256 * 1024;

/// What is wrong with an additional label or annotation of an order.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PairFault {
    /// Its key is not for orders to set.
    #[error("{PREFIX}{0} is reserved; leave it out")]
    Reserved(Box<str>),
    /// Nothing where there has to be something.
    #[error("the {0} is empty")]
    Empty(Part),
    /// So many bytes, which are too many.
    #[error("the {0} has {1} bytes, more than {MAX_SEGMENT}")]
    Long(Part, usize),
    /// Other characters than may stand there.
    #[error(
        "the {0} {1:?} has something else than letters, digits, '-', '_' and '.', or does not begin and end with a letter or digit"
    )]
    Characters(Part, Box<str>),
    /// An annotation of so many bytes.
    #[error("{0} bytes of key and value, more than the {MAX_ANNOTATION_BYTES} an object may have")]
    Large(usize),
    /// An annotation that is one too many.
    #[error("with it the annotations have more than {MAX_ANNOTATION_BYTES} bytes")]
    TooMuch,
}

/// Of a label or annotation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// What stands behind the prefix.
    Key,
    /// What it says.
    Value,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Part::Key => "key",
            Part::Value => "value",
        })
    }
}

impl PairFault {
    /// Whether an object may have a label or annotation of this key all the same: its value is what
    /// is wrong.
    pub fn may_stand(&self) -> bool {
        matches!(
            self,
            Self::Empty(Part::Value)
                | Self::Long(Part::Value, _)
                | Self::Characters(Part::Value, _)
                | Self::Large(_)
                | Self::TooMuch
        )
    }
}

/// What is wrong with an additional label of an order, `key` as membership sends it (without
/// the prefix); `None` where it can be used. Takes memory only for what is wrong.
pub fn label_fault(key: &str, value: &str) -> Option<PairFault> {
    reserved_fault(key, &[CREATED_BY_AGENT, STACK, SKIP, FENCE])
        .or_else(|| segment_fault(Part::Key, key))
        .or_else(|| if value.is_empty() { None } else { segment_fault(Part::Value, value) })
}

/// What is wrong with an additional annotation of an order, `key` as membership sends it
/// (without the prefix); `None` where it can be used.
pub fn annotation_fault(key: &str, value: &str) -> Option<PairFault> {
    reserved_fault(key, &[SKIP]).or_else(|| segment_fault(Part::Key, key)).or_else(|| {
        let bytes = PREFIX.len() + key.len() + value.len();
        (bytes > MAX_ANNOTATION_BYTES).then_some(PairFault::Large(bytes))
    })
}

/// Whether no order may set this label: the agent's own two, the fence, and the name of the
/// lock. `key` comes complete with its prefix.
pub fn is_reserved_label(key: &str) -> bool {
    matches!(key, CREATED_BY_AGENT | STACK | SKIP | FENCE)
}

/// Whether no order may set this annotation: the lock of `kubectl stacks lock`. `key` comes
/// complete with its prefix.
pub fn is_reserved_annotation(key: &str) -> bool {
    key == SKIP
}

fn reserved_fault(key: &str, reserved: &[&str]) -> Option<PairFault> {
    let is_reserved = reserved.iter().any(|whole| whole.strip_prefix(PREFIX) == Some(key));
    is_reserved.then(|| PairFault::Reserved(key.into()))
}

/// A key's name part and a non-empty label value obey the same rule.
fn segment_fault(part: Part, text: &str) -> Option<PairFault> {
    let bytes = text.as_bytes();
    let (Some(first), Some(last)) = (bytes.first(), bytes.last()) else {
        return Some(PairFault::Empty(part));
    };
    if bytes.len() > MAX_SEGMENT {
        return Some(PairFault::Long(part, bytes.len()));
    }
    let inner = |c: &u8| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_' | b'.');
    let fine = first.is_ascii_alphanumeric() && last.is_ascii_alphanumeric() && bytes.iter().all(inner);
    (!fine).then(|| PairFault::Characters(part, text.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_keys_and_values_are_fine() {
        for (key, value) in
            [("owner", "team-a"), ("a.b_c-d", ""), ("X", "9"), (&"k".repeat(63), &"v".repeat(63))]
        {
            assert_eq!(label_fault(key, value), None, "{key}={value}");
            assert_eq!(annotation_fault(key, value), None, "{key}={value}");
        }
    }

    #[test]
    fn a_label_value_that_the_api_server_refuses_is_a_fault() {
        for value in ["a b", "-a", "a-", "ünd", "a/b", &"v".repeat(64), "a\n"] {
            assert!(label_fault("key", value).is_some(), "{value}");
        }
    }

    #[test]
    fn an_annotation_value_may_be_any_text_up_to_the_limit() {
        assert_eq!(annotation_fault("key", "any text: { } ü\n"), None);
        assert!(annotation_fault("key", &"x".repeat(MAX_ANNOTATION_BYTES)).is_some());
    }

    #[test]
    fn a_key_that_is_no_name_part_is_a_fault_in_either() {
        for key in ["", "a b", "a/b", "-a", "a.", "ü", &"k".repeat(64)] {
            assert!(label_fault(key, "v").is_some(), "{key}");
            assert!(annotation_fault(key, "v").is_some(), "{key}");
        }
    }

    #[test]
    fn reserved_keys_are_refused_by_name() {
        for key in ["created-by-agent", "stack", "skip", "stackherd-fence"] {
            let fault = label_fault(key, "true").expect("reserved").to_string();
            assert!(fault.contains(&format!("formance.com/{key}")), "{fault}");
        }
        assert!(annotation_fault("skip", "true").is_some());
        assert_eq!(annotation_fault("stack", "x"), None, "reserved as a label only");
    }
}

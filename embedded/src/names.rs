//! Which names, label keys and label values the API server takes, and how it says no.

use std::collections::BTreeMap;

use super::failure::Cause;

const SUBDOMAIN: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', \
     and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is \
     '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";

const NAME_RULE: &str = "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an \
     alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is \
     '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";

const VALUE: &str = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', \
     and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used \
     for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";

/// Bytes of an object's name, and of a label key's prefix.
const SUBDOMAIN_MAX: usize = 253;
/// Bytes of a label's value, and of its key's last part.
const LABEL_MAX: usize = 63;

/// Bytes of all annotations of an object, keys included.
const ANNOTATIONS_MAX: usize = 256 << 10;

/// What is wrong with an object's name.
pub fn object_name(name: &str) -> Vec<Cause> {
    subdomain(name, "characters")
        .into_iter()
        .map(|detail| Cause::invalid("metadata.name", name, &detail))
        .collect()
}

/// What is wrong with labels: their keys in order, each with its value.
pub fn labels(labels: &BTreeMap<String, String>) -> Vec<Cause> {
    let mut causes = Vec::new();
    for (key, value) in labels {
        causes.extend(qualified(key, "label key").iter().map(|d| Cause::invalid("metadata.labels", key, d)));
        if value.len() > LABEL_MAX {
            let detail = format!("must be no more than {LABEL_MAX} bytes");
            causes.push(Cause::invalid("metadata.labels", value, &detail));
        }
        if !value.is_empty() && !is_name(value) {
            causes.push(Cause::invalid("metadata.labels", value, VALUE));
        }
    }
    causes
}

/// What is wrong with the keys of annotations.
pub fn annotations(annotations: &BTreeMap<String, String>) -> Vec<Cause> {
    let faults = |key: &String| {
        qualified(&key.to_lowercase(), "annotation key").into_iter().map(|d| (key.clone(), d)).collect()
    };
    let size: usize = annotations.iter().map(|(key, value)| key.len() + value.len()).sum();
    let faults: Vec<(String, String)> = annotations.keys().flat_map::<Vec<_>, _>(faults).collect();
    let mut causes: Vec<Cause> =
        faults.iter().map(|(key, detail)| Cause::invalid("metadata.annotations", key, detail)).collect();
    if size > ANNOTATIONS_MAX {
        causes.push(Cause {
            reason: "FieldValueTooLong",
            message: format!("Too long: may not be more than {ANNOTATIONS_MAX} bytes"),
            field: "metadata.annotations".into(),
        });
    }
    causes
}

/// `unit`: the real server counts bytes and calls them characters in names.
fn subdomain(name: &str, unit: &str) -> Vec<String> {
    let mut details = Vec::new();
    if name.len() > SUBDOMAIN_MAX {
        details.push(format!("must be no more than {SUBDOMAIN_MAX} {unit}"));
    }
    if !name.split('.').all(is_dns_label) {
        details.push(SUBDOMAIN.to_string());
    }
    details
}

fn is_dns_label(part: &str) -> bool {
    let lower = |c: &u8| c.is_ascii_lowercase() || c.is_ascii_digit();
    let bytes = part.as_bytes();
    bytes.first().is_some_and(lower)
        && bytes.last().is_some_and(lower)
        && bytes.iter().all(|c| lower(c) || *c == b'-')
}

fn is_name(part: &str) -> bool {
    let bytes = part.as_bytes();
    bytes.first().is_some_and(u8::is_ascii_alphanumeric)
        && bytes.last().is_some_and(u8::is_ascii_alphanumeric)
        && bytes.iter().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_' | b'.'))
}

fn qualified(key: &str, what: &str) -> Vec<String> {
    let mut details = Vec::new();
    let parts: Vec<&str> = key.split('/').collect();
    let name = match parts.as_slice() {
        [name] => name,
        [prefix, name] => {
            if prefix.is_empty() {
                details.push("prefix part must be non-empty".to_string());
            } else {
                details
                    .extend(subdomain(prefix, "bytes").iter().map(|detail| format!("prefix part {detail}")));
            }
            name
        }
        _ => {
            return vec![format!(
                "a valid {what} {NAME_RULE} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"
            )];
        }
    };
    if name.is_empty() {
        details.push("name part must be non-empty".to_string());
    } else if name.len() > LABEL_MAX {
        details.push(format!("name part must be no more than {LABEL_MAX} bytes"));
    }
    if !is_name(name) {
        details.push(format!("name part {NAME_RULE}"));
    }
    details
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_lower_case_subdomains() {
        for good in ["a", "a-b.c-1", "0"] {
            assert!(object_name(good).is_empty(), "{good}");
        }
        for bad in ["", "A", "-a", "a-", "a..b", "a_b", "../x"] {
            assert_eq!(object_name(bad).len(), 1, "{bad}");
        }
        assert_eq!(
            object_name(&"x".repeat(254))[0].message.split(": ").last(),
            Some("must be no more than 253 characters")
        );
    }

    #[test]
    fn a_bad_label_value_is_named_without_its_key() {
        let causes = labels(&BTreeMap::from([("a".to_string(), "bad value".to_string())]));
        assert_eq!(causes.len(), 1);
        assert!(causes[0].message.starts_with("Invalid value: \"bad value\": a valid label must be"));
    }

    #[test]
    fn every_part_of_a_bad_key_is_named() {
        let causes = labels(&BTreeMap::from([("B@d/".to_string(), "x".to_string())]));
        let details: Vec<&str> = causes.iter().map(|c| c.message.as_str()).collect();
        assert_eq!(details.len(), 3, "{details:?}");
        assert!(details[0].contains("prefix part a lowercase"));
        assert!(details[1].ends_with("name part must be non-empty"));
    }

    #[test]
    fn all_annotations_together_have_a_limit() {
        let of = |size: usize| annotations(&BTreeMap::from([("a".to_string(), "x".repeat(size))])).len();
        assert_eq!((of(ANNOTATIONS_MAX - 1), of(ANNOTATIONS_MAX)), (0, 1));
    }

    #[test]
    fn annotations_may_hold_any_value_under_a_good_key() {
        let of = |key: &str| annotations(&BTreeMap::from([(key.to_string(), "any thing".to_string())])).len();
        assert_eq!((of("formance.com/skip"), of("b@d"), of("a/b/c")), (0, 1, 1));
    }
}

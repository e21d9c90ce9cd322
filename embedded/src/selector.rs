//! Label selectors: equality, sets and existence.

use std::collections::BTreeSet;

use serde_json::Value;

/// A conjunction of requirements; an empty one selects everything.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Selector(Vec<Requirement>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Requirement {
    In(String, BTreeSet<String>),
    NotIn(String, BTreeSet<String>),
    Exists(String),
    Absent(String),
}

/// A selector that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unable to parse requirement: {0}")]
pub struct SelectorError(String);

impl Selector {
    /// Reads the `labelSelector` of a query.
    pub fn parse(text: &str) -> Result<Self, SelectorError> {
        split(text)
            .into_iter()
            .map(str::trim)
            .filter(|part| !part.is_empty())
            .map(requirement)
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// Whether it selects everything.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether it selects an object.
    pub fn matches(&self, object: &Value) -> bool {
        let labels = &object["metadata"]["labels"];
        let value = |key: &str| labels[key].as_str();
        self.0.iter().all(|requirement| match requirement {
            Requirement::In(key, set) => value(key).is_some_and(|v| set.contains(v)),
            Requirement::NotIn(key, set) => value(key).is_none_or(|v| !set.contains(v)),
            Requirement::Exists(key) => value(key).is_some(),
            Requirement::Absent(key) => value(key).is_none(),
        })
    }
}

/// Splits at commas that stand outside parentheses.
fn split(text: &str) -> Vec<&str> {
    let (mut parts, mut depth, mut start) = (Vec::new(), 0_i32, 0);
    for (at, c) in text.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts
}

fn requirement(part: &str) -> Result<Requirement, SelectorError> {
    let one = |value: &str| BTreeSet::from([value.to_string()]);
    if let Some(key) = part.strip_prefix('!') {
        return Ok(Requirement::Absent(word(key)?));
    }
    if let Some((key, value)) = part.split_once("!=") {
        return Ok(Requirement::NotIn(word(key)?, one(&value_word(value)?)));
    }
    if let Some((key, value)) = part.split_once("==").or_else(|| part.split_once('=')) {
        return Ok(Requirement::In(word(key)?, one(&value_word(value)?)));
    }
    if let Some((head, set)) = part.split_once('(') {
        let Some(inner) = set.trim_end().strip_suffix(')') else {
            return Err(SelectorError(format!("found '{part}', expected: ')'")));
        };
        let values = inner.split(',').map(value_word).collect::<Result<BTreeSet<_>, _>>()?;
        return match head.split_whitespace().collect::<Vec<_>>().as_slice() {
            [key, "in"] => Ok(Requirement::In(word(key)?, values)),
            [key, "notin"] => Ok(Requirement::NotIn(word(key)?, values)),
            _ => Err(SelectorError(format!("found '{}', expected: in, notin", head.trim()))),
        };
    }
    Ok(Requirement::Exists(word(part)?))
}

fn plain(text: &str) -> bool {
    text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/'))
}

fn word(text: &str) -> Result<String, SelectorError> {
    let text = text.trim();
    if text.is_empty() || !plain(text) {
        return Err(SelectorError(format!("found '{text}', expected: identifier")));
    }
    Ok(text.to_string())
}

fn value_word(text: &str) -> Result<String, SelectorError> {
    let text = text.trim();
    if !plain(text) {
        let found = text.chars().find(|c| !plain(&c.to_string())).unwrap_or_default();
        return Err(SelectorError(format!("found '{found}', expected: identifier")));
    }
    Ok(text.to_string())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn selects(selector: &str) -> bool {
        let object = json!({"metadata": {"labels": {"formance.com/stack": "a-b", "tier": "x"}}});
        Selector::parse(selector).expect(selector).matches(&object)
    }

    #[test]
    fn equality_sets_and_existence() {
        for yes in [
            "",
            "formance.com/stack=a-b",
            "formance.com/stack==a-b,tier=x",
            "tier!=y",
            "tier in (x, y)",
            "tier in (y,x),formance.com/stack",
            "other notin (x)",
            "!other",
            "tier",
        ] {
            assert!(selects(yes), "{yes}");
        }
        for no in ["tier=y", "other", "tier notin (x,z)", "!tier", "tier=x,other=1", "tier!=x"] {
            assert!(!selects(no), "{no}");
        }
    }

    #[test]
    fn a_third_equals_sign_is_named() {
        let error = Selector::parse("a===x").expect_err("three signs");
        assert_eq!(error.to_string(), "unable to parse requirement: found '=', expected: identifier");
    }

    #[test]
    fn an_object_without_labels_matches_only_absence() {
        let bare = json!({"metadata": {"name": "a"}});
        assert!(Selector::parse("!a").expect("selector").matches(&bare));
        assert!(!Selector::parse("a").expect("selector").matches(&bare));
    }
}

//! The text of a kubeconfig as client-go takes it: YAML (JSON is some of it) whose last key wins
//! where one stands twice, and whose other keys are nobody's business.

use serde_json::{Map, Value};
use serde_saphyr::{DuplicateKeyPolicy, Options};

const UTF16_LITTLE: [u8; 2] = [0xff, 0xfe];
const UTF16_BIG: [u8; 2] = [0xfe, 0xff];
const UTF8_MARK: [u8; 3] = [0xef, 0xbb, 0xbf];

/// What is wrong with the text of a kubeconfig. It shows nothing of the text, which may be a secret,
/// but names and types of fields.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KubeconfigFault {
    /// Where its structure ends.
    #[error("no YAML at line {line} column {column}")]
    NotYamlAt {
        /// From 1.
        line: u64,
        /// From 1.
        column: u64,
    },
    /// The same, somewhere.
    #[error("no YAML")]
    NotYaml,
    /// An odd number of bytes.
    #[error("half a letter of UTF-16 at its end")]
    HalfLetter,
    /// Half a pair.
    #[error("no UTF-16, though it begins so")]
    NotUtf16,
    /// Where it cannot be read on.
    #[error("no UTF-8 at byte {0}")]
    NotUtf8(usize),
    /// A field of another type.
    #[error("{subject} is {found} and should be {wanted}")]
    Unfit {
        /// Its path.
        subject: String,
        /// What it is.
        found: &'static str,
        /// What it would have to be.
        wanted: &'static str,
    },
    /// Something else than a kubeconfig.
    #[error("its {field} should be {wanted}")]
    OtherKind {
        /// `kind` or `apiVersion`.
        field: &'static str,
        /// What is taken.
        wanted: &'static str,
    },
    /// One name for two.
    #[error("{list} has {name:?} twice")]
    Twice {
        /// `users`, say.
        list: &'static str,
        /// The name.
        name: String,
    },
}

/// The first document of a text; null where there is none.
pub(super) fn parse(bytes: &[u8]) -> Result<Value, KubeconfigFault> {
    let text = decode(bytes)?;
    let mut reader = text.as_bytes();
    let mut documents = serde_saphyr::read_with_options::<_, Value>(&mut reader, options());
    match documents.next() {
        None => Ok(Value::Null),
        Some(Ok(value)) => Ok(value),
        Some(Err(error)) => Err(match error.location() {
            Some(at) => KubeconfigFault::NotYamlAt { line: at.line(), column: at.column() },
            None => KubeconfigFault::NotYaml,
        }),
    }
}

fn options() -> Options {
    serde_saphyr::options! { duplicate_keys: DuplicateKeyPolicy::LastWins, with_snippet: false }
}

/// UTF-8 or UTF-16, with or without a byte order mark, as YAML has it.
fn decode(bytes: &[u8]) -> Result<String, KubeconfigFault> {
    let utf16 = |bytes: &[u8], unit: fn([u8; 2]) -> u16| {
        let (pairs, rest) = bytes.as_chunks::<2>();
        if !rest.is_empty() {
            return Err(KubeconfigFault::HalfLetter);
        }
        let units: Vec<u16> = pairs.iter().map(|pair| unit(*pair)).collect();
        String::from_utf16(&units).map_err(|_| KubeconfigFault::NotUtf16)
    };
    if let Some(rest) = bytes.strip_prefix(&UTF16_LITTLE) {
        return utf16(rest, u16::from_le_bytes);
    }
    if let Some(rest) = bytes.strip_prefix(&UTF16_BIG) {
        return utf16(rest, u16::from_be_bytes);
    }
    let rest = bytes.strip_prefix(&UTF8_MARK).unwrap_or(bytes);
    String::from_utf8(rest.to_vec())
        .map_err(|error| KubeconfigFault::NotUtf8(error.utf8_error().valid_up_to()))
}

/// A mapping of the tree, with its path for errors. A null, and one that is absent, is an empty one.
#[derive(Clone)]
pub(super) struct YamlNode<'a> {
    path: String,
    map: Option<&'a Map<String, Value>>,
}

impl<'a> YamlNode<'a> {
    pub(super) fn root(value: &'a Value) -> Result<Self, KubeconfigFault> {
        Self::at(String::new(), Some(value))
    }

    fn at(path: String, value: Option<&'a Value>) -> Result<Self, KubeconfigFault> {
        let map = match value {
            None | Some(Value::Null) => None,
            Some(Value::Object(map)) => Some(map),
            Some(other) => return Err(unfit(&path, other, "a mapping")),
        };
        Ok(Self { path, map })
    }

    fn path(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    /// What stands under a key; `None` for null.
    pub(super) fn value(&self, key: &str) -> Option<&'a Value> {
        self.map?.get(key).filter(|value| !value.is_null())
    }

    /// Text; empty where there is none.
    pub(super) fn text(&self, key: &str) -> Result<String, KubeconfigFault> {
        match self.value(key) {
            None => Ok(String::new()),
            Some(Value::String(text)) => Ok(text.clone()),
            Some(other) => Err(unfit(&self.path(key), other, "text: put it into quotes")),
        }
    }

    /// A switch; off where there is none.
    pub(super) fn switch(&self, key: &str) -> Result<bool, KubeconfigFault> {
        match self.value(key) {
            None => Ok(false),
            Some(Value::Bool(on)) => Ok(*on),
            Some(other) => Err(unfit(&self.path(key), other, "true or false")),
        }
    }

    /// A mapping, if it is there.
    pub(super) fn child(&self, key: &str) -> Result<Option<YamlNode<'a>>, KubeconfigFault> {
        self.value(key).map(|value| YamlNode::at(self.path(key), Some(value))).transpose()
    }

    /// A mapping, empty where there is none.
    pub(super) fn child_or_empty(&self, key: &str) -> Result<YamlNode<'a>, KubeconfigFault> {
        YamlNode::at(self.path(key), self.value(key))
    }

    /// The mappings of a list.
    pub(super) fn children(&self, key: &str) -> Result<Vec<YamlNode<'a>>, KubeconfigFault> {
        let item = |(at, value)| YamlNode::at(format!("{}[{at}]", self.path(key)), Some(value));
        self.list(key)?.iter().enumerate().map(item).collect()
    }

    /// The texts of a list.
    pub(super) fn texts(&self, key: &str) -> Result<Vec<String>, KubeconfigFault> {
        texts(&self.path(key), self.list(key)?)
    }

    /// A mapping to lists of texts, sorted by its keys.
    pub(super) fn text_lists(&self, key: &str) -> Result<Vec<(String, Vec<String>)>, KubeconfigFault> {
        let Some(child) = self.child(key)? else { return Ok(Vec::new()) };
        let mut lists = Vec::new();
        for key in child.map.into_iter().flat_map(Map::keys) {
            lists.push((key.clone(), child.texts(key)?));
        }
        lists.sort();
        Ok(lists)
    }

    fn list(&self, key: &str) -> Result<&'a [Value], KubeconfigFault> {
        match self.value(key) {
            None => Ok(&[]),
            Some(Value::Array(items)) => Ok(items),
            Some(other) => Err(unfit(&self.path(key), other, "a list")),
        }
    }
}

fn texts(path: &str, items: &[Value]) -> Result<Vec<String>, KubeconfigFault> {
    let text = |(at, value): (usize, &Value)| match value {
        Value::Null => Ok(String::new()),
        Value::String(text) => Ok(text.clone()),
        other => Err(unfit(&format!("{path}[{at}]"), other, "text: put it into quotes")),
    };
    items.iter().enumerate().map(text).collect()
}

fn unfit(path: &str, value: &Value, wanted: &'static str) -> KubeconfigFault {
    let found = match value {
        Value::Null => "nothing",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a mapping",
    };
    let subject = if path.is_empty() { "the file" } else { path };
    KubeconfigFault::Unfit { subject: subject.to_owned(), found, wanted }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_last_of_two_equal_keys_wins() {
        assert_eq!(parse(b"a: 1\nb: {c: 2, c: 3}\na: 4\n").unwrap(), json!({"a": 4, "b": {"c": 3}}));
    }

    #[test]
    fn keys_that_are_no_text_are_keys_all_the_same() {
        let tree = parse(b"y: 1\non: 2\n7: 3\ntrue: 4\n1.5: 5\n").unwrap();
        assert_eq!(tree.as_object().unwrap().len(), 5);
    }

    #[test]
    fn json_is_yaml_and_a_byte_order_mark_is_no_content() {
        assert_eq!(parse(b"\xef\xbb\xbf{\"a\":\t[null]}").unwrap(), json!({"a": [null]}));
        assert_eq!(parse(b"\xff\xfea\0:\0 \0b\0").unwrap(), json!({"a": "b"}));
        assert_eq!(parse(b"\xfe\xff\0a\0:\0 \0b").unwrap(), json!({"a": "b"}));
        assert!(parse(b"\xff\xfea\0:").unwrap_err().to_string().contains("UTF-16"));
    }

    #[test]
    fn nothing_is_null_and_of_several_documents_the_first_counts() {
        for text in ["", "# a comment\n", "---\n", "null"] {
            assert_eq!(parse(text.as_bytes()).unwrap(), Value::Null, "{text:?}");
        }
        assert_eq!(parse(b"a: 1\n---\na: 2\n").unwrap(), json!({"a": 1}));
    }

    #[test]
    fn anchors_and_merged_mappings_are_resolved() {
        let tree = parse(b"a: &x {b: 1}\nc: *x\nd: {<<: *x, e: 2}\n").unwrap();
        assert_eq!(tree, json!({"a": {"b": 1}, "c": {"b": 1}, "d": {"b": 1, "e": 2}}));
    }

    #[test]
    fn an_error_says_where_and_shows_nothing() {
        for text in ["a: [s3cret", "a: s3cret: b", "a: *s3cret", "a: \"s3cret"] {
            let error = parse(text.as_bytes()).unwrap_err().to_string();
            assert!(error.starts_with("no YAML") && !error.contains("s3cret"), "{error}");
        }
    }

    #[test]
    fn a_field_of_another_kind_is_named() {
        let tree = json!({"a": {"b": 1, "c": [true]}});
        let a = YamlNode::root(&tree).unwrap().child_or_empty("a").unwrap();
        assert_eq!(
            a.text("b").unwrap_err().to_string(),
            "a.b is a number and should be text: put it into quotes"
        );
        assert_eq!(
            a.texts("c").unwrap_err().to_string(),
            "a.c[0] is true or false and should be text: put it into quotes"
        );
        assert_eq!((a.text("x").unwrap(), a.switch("x").unwrap()), (String::new(), false));
    }
}

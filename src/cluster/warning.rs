//! `Warning` headers (RFC 9111, section 5.5), of which the API server sends code 299.

use std::time::Instant;

use http::HeaderMap;

use crate::{log_throttle::LogThrottle, stack::object::ObjectKey};

/// Warnings that are kept of one reply.
pub const MOST: usize = 10;
/// What is kept of the text of one.
const LONGEST: usize = 300;

/// The warnings of a reply.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Warnings {
    /// Different ones, [`MOST`] at most, long ones cut, and how often each was there.
    pub texts: Vec<(String, usize)>,
    /// How many more there were.
    pub more: usize,
    /// The first that says that something [was not stored](was_not_stored).
    pub not_stored: Option<String>,
}

/// The warnings of a reply.
pub fn read(headers: &HeaderMap) -> Warnings {
    let mut warnings = Warnings::default();
    for value in headers.get_all(http::header::WARNING) {
        for text in parse(&String::from_utf8_lossy(value.as_bytes())) {
            warnings.add(&text);
        }
    }
    warnings
}

impl Warnings {
    fn add(&mut self, text: &str) {
        let text: String = text.chars().take(LONGEST).collect();
        if self.not_stored.is_none() && was_not_stored(&text) {
            self.not_stored = Some(text.clone());
        }
        if let Some((_, times)) = self.texts.iter_mut().find(|(known, _)| *known == text) {
            *times += 1;
        } else if self.texts.len() < MOST {
            self.texts.push((text, 1));
        } else {
            self.more += 1;
        }
    }
}

/// Logs what was said about an object, as far as the throttle lets it: a server may send as many
/// with each answer.
pub fn tell(throttle: &mut LogThrottle<&'static str>, object: &ObjectKey, warnings: &Warnings, now: Instant) {
    for (warning, times) in &warnings.texts {
        if let Some(unsaid) = throttle.say(now, "warning") {
            tracing::warn!(%object, warning, times, "the API server warns{unsaid}");
        }
    }
    if warnings.more > 0
        && let Some(unsaid) = throttle.say(now, "more warnings")
    {
        tracing::warn!(%object, warnings = warnings.more, "the API server warns of more than that{unsaid}");
    }
}

/// Whether a warning says that something of the request was dropped: the schema does not know
/// the field, and the object was stored without it.
pub fn was_not_stored(text: &str) -> bool {
    text.starts_with("unknown field")
}

/// `299 agent "text" ["date"]`, several of them separated by commas.
fn parse(value: &str) -> Vec<String> {
    let mut texts = Vec::new();
    let mut rest = value;
    while let Some((head, after)) = rest.split_once('"') {
        let (text, after) = quoted(after);
        // A second string after a text is its date: it has no code before it.
        if head.bytes().any(|byte| byte.is_ascii_digit()) {
            texts.push(text);
        }
        rest = after;
    }
    texts
}

/// The content of a quoted string whose opening quote is gone, and what follows the closing one.
fn quoted(input: &str) -> (String, &str) {
    let mut text = String::new();
    let mut chars = input.char_indices();
    while let Some((at, char)) = chars.next() {
        match char {
            '"' => return (text, &input[at + 1..]),
            '\\' => text.extend(chars.next().map(|(_, escaped)| escaped)),
            _ => text.push(char),
        }
    }
    (text, "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_text_with_its_escapes() {
        assert_eq!(parse(r#"299 - "unknown field \"spec.foo\"""#), [r#"unknown field "spec.foo""#]);
    }

    #[test]
    fn reads_several_in_one_header_and_leaves_dates_out() {
        let value = r#"299 - "one, with comma" "Wed, 21 Oct 2015 07:28:00 GMT", 299 k8s "two""#;
        assert_eq!(parse(value), ["one, with comma", "two"]);
    }

    #[test]
    fn reads_several_headers() {
        let mut headers = HeaderMap::new();
        headers.append(http::header::WARNING, r#"299 - "a""#.parse().unwrap());
        headers.append(http::header::WARNING, r#"299 - "b""#.parse().unwrap());
        assert_eq!(read(&headers).texts, [("a".to_owned(), 1), ("b".to_owned(), 1)]);
    }

    fn of(values: impl IntoIterator<Item = String>) -> Warnings {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(http::header::WARNING, format!("299 - \"{value}\"").parse().unwrap());
        }
        read(&headers)
    }

    #[test]
    fn ten_are_kept_repeated_ones_counted_and_long_ones_cut() {
        let warnings = of((0..80).map(|n| format!("number {n}")));
        assert_eq!((warnings.texts.len(), warnings.more), (MOST, 70));
        let warnings = of((0..80).map(|_| "again".to_owned()));
        assert_eq!((warnings.texts, warnings.more), (vec![("again".to_owned(), 80)], 0));
        let warnings = of(["\u{fc}".repeat(5000)]);
        assert_eq!(warnings.texts[0].0.chars().count(), LONGEST);
    }

    #[test]
    fn what_was_not_stored_is_found_among_any_number() {
        let many = (0..80).map(|n| format!("number {n}"));
        let warnings = of(many.chain(["unknown field \\\"spec.foo\\\"".to_owned()]));
        assert_eq!(warnings.not_stored.as_deref(), Some("unknown field \"spec.foo\""));
    }

    #[test]
    fn survives_what_is_no_warning() {
        for value in ["", "299", "299 - \"open", "299 - \"open\\", "\"\"\"", "299 - \"ä\""] {
            parse(value);
        }
    }

    #[test]
    fn only_an_unknown_field_means_not_stored() {
        assert!(was_not_stored(r#"unknown field "spec.foo""#));
        assert!(!was_not_stored("formance.com/v1beta1 Ledger is deprecated"));
    }
}

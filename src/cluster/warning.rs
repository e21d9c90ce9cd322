//! `Warning` headers (RFC 9111, section 5.5), of which the API server sends code 299.

use http::HeaderMap;

/// The texts of all warnings of a reply.
pub fn texts(headers: &HeaderMap) -> Vec<String> {
    headers
        .get_all(http::header::WARNING)
        .iter()
        .flat_map(|value| parse(&String::from_utf8_lossy(value.as_bytes())))
        .collect()
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
        assert_eq!(texts(&headers), ["a", "b"]);
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

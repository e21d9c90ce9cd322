//! Keeps secrets out of what others write: an API server quotes the value that it refuses, an
//! issuer the client that it does not know, a parser the text that it did not expect.

use base64::{
    Engine,
    prelude::{BASE64_STANDARD_NO_PAD, BASE64_URL_SAFE_NO_PAD},
};
use serde_json::Value;

/// What stands in a secret's place.
const HIDDEN: &str = "(not shown)";
/// Shorter ones would also be found where they are none.
const SHORTEST: usize = 4;
/// Longer ones are no fields of ours.
const LONGEST_NAME: usize = 24;

/// The texts in a JSON value that stand under a key which speaks of a secret.
pub(crate) fn secrets_in(value: &Value) -> Vec<&str> {
    let mut found = Vec::new();
    collect(value, false, &mut found);
    found
}

fn collect<'a>(value: &'a Value, secret: bool, found: &mut Vec<&'a str>) {
    match value {
        Value::String(text) if secret => found.push(text),
        Value::Array(items) => items.iter().for_each(|item| collect(item, secret, found)),
        Value::Object(fields) => {
            for (key, value) in fields {
                let key = key.to_ascii_lowercase();
                let speaks = ["secret", "password", "token"].iter().any(|word| key.contains(word));
                collect(value, secret || speaks, found);
            }
        }
        _ => {}
    }
}

/// The text without these secrets, however they are spelled in it: as they are, quoted, in a URL
/// or in base64. A part of one at the end, where the text was cut off, goes as well.
pub(crate) fn without<'a>(text: &str, secrets: impl IntoIterator<Item = &'a str>) -> String {
    let mut text = text.to_owned();
    for secret in secrets.into_iter().filter(|secret| secret.len() >= SHORTEST) {
        for spelling in spellings(secret) {
            if text.contains(&spelling) {
                text = text.replace(&spelling, HIDDEN);
            }
            let cut = (SHORTEST..spelling.len())
                .rev()
                .find(|&length| spelling.is_char_boundary(length) && text.ends_with(&spelling[..length]));
            if let Some(length) = cut {
                text.truncate(text.len() - length);
                text.push_str(HIDDEN);
            }
        }
    }
    text
}

fn spellings(secret: &str) -> Vec<String> {
    let json = Value::from(secret).to_string();
    let mut all = vec![
        secret.to_owned(),
        json[1..json.len() - 1].to_owned(),
        secret.escape_debug().to_string(),
        form_urlencoded::byte_serialize(secret.as_bytes()).collect(),
        BASE64_STANDARD_NO_PAD.encode(secret),
        BASE64_URL_SAFE_NO_PAD.encode(secret),
    ];
    all.dedup();
    all
}

/// What serde says of a text, without what it quotes of it. Where it is, and what was expected, stay.
pub(crate) fn serde(error: &str) -> String {
    const QUOTES: [&str; 6] =
        ["string \"", "character `", "integer `", "floating point `", "unknown field `", "unknown variant `"];
    const NEXT: [&str; 3] = [", expected ", ", there are no ", " at line "];
    let quoted = QUOTES.iter().filter_map(|quote| Some(error.find(quote)? + quote.len() - 2)).min();
    let Some(from) = quoted else { return error.to_owned() };
    // The last one: what is quoted may hold anything.
    let to = NEXT.iter().find_map(|next| error.rfind(next).filter(|&to| to >= from)).unwrap_or(error.len());
    // A field's name with a letter too few has to be seen. It is letters alone.
    let name = error.get(from + 2..to.saturating_sub(1)).unwrap_or_default();
    let is_name = name.len() <= LONGEST_NAME && name.bytes().all(|byte| byte.is_ascii_alphabetic());
    if error.starts_with("unknown field `") && is_name {
        return error.to_owned();
    }
    format!("{}{}", &error[..from], &error[to..])
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_secret_goes_in_every_spelling_and_where_it_was_cut_off() {
        let secret = "Hush \"Hush\" 4711+/";
        for text in [
            format!("Invalid value: {secret:?}: too short"),
            format!("client_secret={} is wrong", spellings(secret)[3]),
            format!("data: {}", BASE64_STANDARD_NO_PAD.encode(secret)),
            format!("object: {}", json!({"clientSecret": secret})),
            "this ends in Hush \"Hu".to_owned(),
        ] {
            let shown = without(&text, [secret]);
            assert!(!shown.contains("Hush") && !shown.contains("SHVzaC"), "{shown}");
            assert!(shown.contains(HIDDEN), "{shown}");
        }
        assert_eq!(without("nothing of it", [secret, "", "n"]), "nothing of it");
    }

    #[test]
    fn secrets_are_told_by_their_keys() {
        let body = json!({"spec": {"auth": {"clientSecret": "a", "clientID": "b"}, "tokens": ["c", 1]}});
        assert_eq!(secrets_in(&body), ["a", "c"]);
    }

    #[test]
    fn serdes_errors_keep_all_but_the_text() {
        #[derive(Debug, Deserialize)]
        #[serde(deny_unknown_fields)]
        struct OneNumber {
            #[allow(dead_code, reason = "only its errors matter")]
            number: u8,
        }
        for text in [
            r#"{"number": "Hush, \", expected `Hush`"}"#,
            r#"{"Hush`, expected": 1}"#,
            r#"{"Hush4711": 1}"#,
            r#""Hush""#,
            r#"{"number": 471147114711}"#,
        ] {
            let error = serde_json::from_str::<OneNumber>(text).unwrap_err().to_string();
            let shown = serde(&error);
            assert!(!shown.contains("Hush") && !shown.contains("4711"), "{shown}");
            assert!(shown.contains("expected") && shown.contains("line 1 column"), "{shown}");
        }
    }
}

//! In whose name requests are made: `as` and what goes with it, as headers.

use http::{HeaderName, HeaderValue};

use super::AuthInfo;

const EXTRA: &str = "impersonate-extra-";

/// The headers of every request. The error is a field and what is wrong with it.
pub(super) fn headers(
    user: &AuthInfo,
) -> Result<Vec<(HeaderName, HeaderValue)>, (&'static str, &'static str)> {
    let more = !user.impersonate_uid.is_empty()
        || !user.impersonate_groups.is_empty()
        || !user.impersonate_extra.is_empty();
    if user.impersonate.is_empty() {
        return match more {
            true => Err(("as", "is not set, and as-uid, as-groups and as-user-extra need it")),
            false => Ok(Vec::new()),
        };
    }
    let value = |field: &'static str, text: &str| {
        HeaderValue::from_bytes(text.as_bytes()).map_err(|_| (field, "does not fit into a header"))
    };
    let fixed = HeaderName::from_static;
    let mut headers = vec![(fixed("impersonate-user"), value("as", &user.impersonate)?)];
    if !user.impersonate_uid.is_empty() {
        headers.push((fixed("impersonate-uid"), value("as-uid", &user.impersonate_uid)?));
    }
    for group in &user.impersonate_groups {
        headers.push((fixed("impersonate-group"), value("as-groups", group)?));
    }
    for (key, values) in &user.impersonate_extra {
        let name = HeaderName::from_bytes(format!("{EXTRA}{}", escaped(key)).as_bytes())
            .map_err(|_| ("as-user-extra", "has a key that does not fit into a header"))?;
        for text in values {
            headers.push((name.clone(), value("as-user-extra", text)?));
        }
    }
    Ok(headers)
}

/// As client-go writes a key into a header's name: what no name may have is percent-encoded, and so is
/// the percent sign itself. Names are lower case on the wire in any case.
fn escaped(key: &str) -> String {
    let mut name = String::with_capacity(key.len());
    for byte in key.bytes() {
        let plain = byte.is_ascii_alphanumeric() || b"!#$&'*+-.^_`|~".contains(&byte);
        match plain {
            true => name.push(byte.to_ascii_lowercase().into()),
            false => name.push_str(&format!("%{byte:02x}")),
        }
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(user: &AuthInfo) -> Vec<String> {
        let line = |(name, value): &(HeaderName, HeaderValue)| format!("{name}: {}", value.to_str().unwrap());
        headers(user).unwrap().iter().map(line).collect()
    }

    #[test]
    fn each_field_becomes_a_header_and_each_value_one_of_its_own() {
        let user = AuthInfo {
            impersonate: "jane".into(),
            impersonate_uid: "7".into(),
            impersonate_groups: vec!["a".into(), "b".into()],
            impersonate_extra: vec![
                ("Example.com/Scope %".into(), vec!["one".into(), "two".into()]),
                ("empty".into(), Vec::new()),
            ],
            ..AuthInfo::default()
        };
        let expected = [
            "impersonate-user: jane",
            "impersonate-uid: 7",
            "impersonate-group: a",
            "impersonate-group: b",
            "impersonate-extra-example.com%2fscope%20%25: one",
            "impersonate-extra-example.com%2fscope%20%25: two",
        ];
        assert_eq!(shown(&user), expected);
        assert!(shown(&AuthInfo::default()).is_empty());
    }

    #[test]
    fn groups_without_a_user_and_line_breaks_are_refused_by_field() {
        let group = AuthInfo { impersonate_groups: vec!["a".into()], ..AuthInfo::default() };
        assert_eq!(headers(&group).unwrap_err().0, "as");
        let broken =
            AuthInfo { impersonate: "a".into(), impersonate_uid: "b\r\nc".into(), ..AuthInfo::default() };
        assert_eq!(headers(&broken).unwrap_err().0, "as-uid");
    }
}

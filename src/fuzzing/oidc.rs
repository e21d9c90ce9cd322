//! What an OpenID issuer answers.

use http::StatusCode;
use serde_json::Value;

use super::{kubernetes::check_text, script};
use crate::membership::{
    auth::oidc::{self, IssuerAnswer},
    join_metadata,
};

/// Longest text about an answer, in bytes.
const LONGEST: usize = 2 << 10;
/// Stands in the place of every text, and must be seen nowhere.
const SECRET: &str = "Hush-Hush-4711";

/// An issuer's URL on a line, then a reply of HTTP, read as a discovery document and as a grant: it is
/// used only where it belongs to that issuer, and no error shows what may be a token.
pub fn oidc(data: &[u8]) {
    let (issuer, rest) = script::first_line(data);
    let Some(reply) = script::reply(rest) else { return };
    let json: Value = serde_json::from_slice(&reply.body).unwrap_or_default();
    if json.is_array() {
        // serde takes the fields of a struct in a list, too.
        return;
    }
    let answer = IssuerAnswer { status: reply.status, body: reply.body.to_vec() };
    match oidc::token_endpoint(issuer, &answer) {
        Ok(endpoint) => {
            assert!(answer.status.is_success());
            assert_eq!(json["token_endpoint"].as_str(), Some(endpoint.as_str()));
            let found = json["issuer"].as_str().expect("an issuer");
            let bare = |url: &str| url.strip_suffix('/').map_or(url.len(), str::len);
            assert_eq!(found[..bare(found)], issuer[..bare(issuer)]);
        }
        Err(error) => check_text(&error.to_string(), LONGEST + 2 * data.len()),
    }
    match oidc::access_token("https://issuer.example/token", &answer) {
        Ok(token) => {
            assert!(answer.status.is_success() && !token.is_empty());
            assert!(!oidc::is_refusal(&answer), "what was granted is not asked for again");
            if let Ok(value) = join_metadata::ascii(&token, "the token") {
                assert_eq!(value.as_bytes(), token.as_bytes());
            }
        }
        Err(error) => check_text(&error.to_string(), LONGEST),
    }
    let answer = IssuerAnswer { status: StatusCode::OK, body: marked(&json).to_string().into() };
    if let Err(error) = oidc::access_token("https://issuer.example/token", &answer) {
        assert!(!error.to_string().contains(SECRET), "{error}");
    }
}

/// The same answer with texts that can be told.
fn marked(json: &Value) -> Value {
    match json {
        Value::String(_) => SECRET.into(),
        Value::Array(items) => items.iter().map(marked).collect(),
        Value::Object(fields) => fields.iter().map(|(name, field)| (name.clone(), marked(field))).collect(),
        other => other.clone(),
    }
}

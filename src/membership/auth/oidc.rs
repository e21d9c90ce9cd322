//! OpenID discovery and the client credentials grant, as values: requests are built here and
//! answers are read here; who sends them is next door.

use base64::{Engine, prelude::BASE64_STANDARD};
use http::StatusCode;
use serde::Deserialize;

use crate::redact;

/// What is sent to an issuer. `GET` without a form, else `POST`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct IssuerRequest {
    pub(crate) url: String,
    /// Body, `application/x-www-form-urlencoded`.
    pub(crate) form: Option<String>,
    /// `Authorization` header.
    pub(crate) authorization: Option<String>,
}

/// What came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct IssuerAnswer {
    pub(crate) status: StatusCode,
    pub(crate) body: Vec<u8>,
}

/// An issuer's answer that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OidcError {
    /// The discovery document is not to be had.
    #[error("discovery answered {status}: {body}")]
    Discovery {
        /// HTTP status.
        status: StatusCode,
        /// Beginning of the body.
        body: String,
    },
    /// The discovery document is no such thing.
    #[error("discovery document cannot be read: {reason}")]
    Document {
        /// Why.
        reason: String,
    },
    /// The document belongs to somebody else.
    #[error(
        "discovery document names issuer {found:?}: set the authentication issuer to that, or correct the server"
    )]
    OtherIssuer {
        /// Its `issuer`.
        found: String,
    },
    /// The client was refused.
    #[error("token endpoint {endpoint} answered {status}: {body}")]
    Refused {
        /// URL.
        endpoint: String,
        /// HTTP status.
        status: StatusCode,
        /// Beginning of the body: OAuth says in it what is wrong.
        body: String,
    },
    /// An answer without a token in it.
    #[error("token endpoint {endpoint} answered without an access token: {reason}")]
    NoToken {
        /// URL.
        endpoint: String,
        /// Why.
        reason: NoToken,
    },
}

/// Why an answer holds no token. The position is enough: the text may be one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoToken {
    /// It cannot be read.
    #[error("no JSON of that shape, line {line} column {column}")]
    Shape {
        /// Where reading ended.
        line: usize,
        /// And where on it.
        column: usize,
    },
    /// It has none.
    #[error("access_token is missing or empty")]
    Missing,
}

impl OidcError {
    /// The same where the issuer repeats what it was sent.
    pub(crate) fn without<'a>(self, secrets: impl IntoIterator<Item = &'a str>) -> Self {
        match self {
            Self::Refused { endpoint, status, body } => {
                Self::Refused { endpoint, status, body: redact::without(&body, secrets) }
            }
            other => other,
        }
    }
}

pub(crate) fn discovery_request(issuer: &str) -> IssuerRequest {
    let base = issuer.strip_suffix('/').unwrap_or(issuer);
    IssuerRequest { url: format!("{base}/.well-known/openid-configuration"), form: None, authorization: None }
}

/// Reads the discovery document. Its issuer must be the one that was asked, but for one
/// trailing slash.
pub(crate) fn token_endpoint(issuer: &str, answer: &IssuerAnswer) -> Result<String, OidcError> {
    #[derive(Deserialize)]
    struct Document {
        issuer: String,
        token_endpoint: String,
    }
    if !answer.status.is_success() {
        return Err(OidcError::Discovery { status: answer.status, body: beginning(&answer.body) });
    }
    let document: Document = serde_json::from_slice(&answer.body)
        .map_err(|error| OidcError::Document { reason: redact::serde(&error.to_string()) })?;
    let bare = |url: &str| url.strip_suffix('/').unwrap_or(url).to_owned();
    if bare(&document.issuer) != bare(issuer) {
        return Err(OidcError::OtherIssuer { found: document.issuer });
    }
    Ok(document.token_endpoint)
}

/// An OAuth client.
pub(crate) struct OAuthClient {
    pub(crate) id: String,
    pub(crate) secret: String,
}

impl OAuthClient {
    /// RFC 6749 section 2.3.1: id and secret are form-urlencoded before they become a Basic
    /// header.
    pub(crate) fn request_with_header(&self, endpoint: &str) -> IssuerRequest {
        let encoded = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
        let pair = format!("{}:{}", encoded(&self.id), encoded(&self.secret));
        IssuerRequest {
            url: endpoint.into(),
            form: Some("grant_type=client_credentials".into()),
            authorization: Some(format!("Basic {}", BASE64_STANDARD.encode(pair))),
        }
    }

    pub(crate) fn request_with_body(&self, endpoint: &str) -> IssuerRequest {
        let form = form_urlencoded::Serializer::new(String::new())
            .append_pair("grant_type", "client_credentials")
            .append_pair("client_id", &self.id)
            .append_pair("client_secret", &self.secret)
            .finish();
        IssuerRequest { url: endpoint.into(), form: Some(form), authorization: None }
    }
}

/// Whether the other way of authenticating is worth a try.
pub(crate) fn is_refusal(answer: &IssuerAnswer) -> bool {
    answer.status.is_client_error() && answer.status != StatusCode::TOO_MANY_REQUESTS
}

pub(crate) fn access_token(endpoint: &str, answer: &IssuerAnswer) -> Result<String, OidcError> {
    #[derive(Deserialize)]
    struct Grant {
        #[serde(default)]
        access_token: String,
    }
    if !answer.status.is_success() {
        let body = beginning(&answer.body);
        return Err(OidcError::Refused { endpoint: endpoint.into(), status: answer.status, body });
    }
    let no_token = |reason| OidcError::NoToken { endpoint: endpoint.into(), reason };
    let grant: Grant = serde_json::from_slice(&answer.body)
        .map_err(|error| no_token(NoToken::Shape { line: error.line(), column: error.column() }))?;
    if grant.access_token.is_empty() {
        return Err(no_token(NoToken::Missing));
    }
    Ok(grant.access_token)
}

/// Enough of a body to see what it says, on one line.
fn beginning(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(&body[..body.len().min(300)]);
    text.trim().replace(char::is_control, " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, body: &str) -> IssuerAnswer {
        IssuerAnswer { status: StatusCode::from_u16(status).unwrap(), body: body.into() }
    }

    #[test]
    fn discovery_is_asked_for_below_the_issuer() {
        for issuer in ["https://id.example.com/realm", "https://id.example.com/realm/"] {
            let url = discovery_request(issuer).url;
            assert_eq!(url, "https://id.example.com/realm/.well-known/openid-configuration");
        }
    }

    #[test]
    fn the_documents_issuer_must_be_the_configured_one_but_for_a_slash() {
        let document = answer(200, r#"{"issuer":"https://a/","token_endpoint":"https://a/token","x":1}"#);
        assert_eq!(token_endpoint("https://a", &document).unwrap(), "https://a/token");
        assert_eq!(token_endpoint("https://a/", &document).unwrap(), "https://a/token");
        let other = token_endpoint("https://b", &document).unwrap_err();
        assert_eq!(other, OidcError::OtherIssuer { found: "https://a/".into() });
        let doubled = answer(200, r#"{"issuer":"https://a//","token_endpoint":"https://a/token"}"#);
        assert!(token_endpoint("https://a", &doubled).is_err());
    }

    #[test]
    fn a_document_that_is_none_is_said_so() {
        assert!(matches!(token_endpoint("i", &answer(404, "no")), Err(OidcError::Discovery { .. })));
        assert!(matches!(token_endpoint("i", &answer(200, "<html>")), Err(OidcError::Document { .. })));
    }

    #[test]
    fn id_and_secret_are_encoded_in_the_header_and_in_the_body() {
        let client = OAuthClient { id: "region_a b".into(), secret: "p:s+&ß".into() };
        let header = client.request_with_header("https://a/token");
        let expected = format!("Basic {}", BASE64_STANDARD.encode("region_a+b:p%3As%2B%26%C3%9F"));
        assert_eq!(header.authorization.unwrap(), expected);
        assert_eq!(header.form.unwrap(), "grant_type=client_credentials");
        let body = client.request_with_body("https://a/token");
        assert_eq!(body.authorization, None);
        assert_eq!(
            body.form.unwrap(),
            "grant_type=client_credentials&client_id=region_a+b&client_secret=p%3As%2B%26%C3%9F"
        );
    }

    #[test]
    fn only_a_refusal_is_tried_the_other_way() {
        assert!(is_refusal(&answer(401, "")) && is_refusal(&answer(400, "")));
        assert!(
            !is_refusal(&answer(200, "")) && !is_refusal(&answer(503, "")) && !is_refusal(&answer(429, ""))
        );
    }

    #[test]
    fn a_refusal_shows_what_the_issuer_says() {
        let error = access_token("https://a/token", &answer(401, r#"{"error":"invalid_client"}"#));
        assert!(error.unwrap_err().to_string().contains("invalid_client"));
        let error = access_token("https://a/token", &answer(502, "<html>\n\u{1b}[31mbad\n"));
        assert!(error.unwrap_err().to_string().ends_with("<html>  [31mbad"));
        assert!(access_token("e", &answer(200, r#"{"access_token":""}"#)).is_err());
        assert_eq!(access_token("e", &answer(200, r#"{"access_token":"t","x":[]}"#)).unwrap(), "t");
    }

    #[test]
    fn how_long_a_token_lasts_is_not_asked_so_it_may_say_anything() {
        for lasts in ["18446744073709551616", "-1", "1e999", "0.5", "null", "\"soon\"", "[]"] {
            let body = format!(r#"{{"expires_in":{lasts},"access_token":"t","token_type":"Bearer"}}"#);
            assert_eq!(access_token("e", &answer(200, &body)).unwrap(), "t", "{lasts}");
        }
    }

    #[test]
    fn a_token_in_the_wrong_place_is_not_shown() {
        for body in [r#""hush-hush""#, r#"{"access_token":{"hush-hush":1}}"#] {
            let error = access_token("e", &answer(200, body)).unwrap_err().to_string();
            assert!(error.contains("line 1") && !error.contains("hush"), "{error}");
        }
    }
}

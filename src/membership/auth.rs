//! How the agent proves who it is: a fixed token, or a bearer token from an OpenID issuer.

mod fetch;
pub(crate) mod oidc;

use std::{fmt, time::Duration};

use tonic::metadata::{Ascii, MetadataValue};

pub use fetch::FetchError;
pub use oidc::OidcError;

use crate::{
    membership::join_metadata::{NotAscii, ascii},
    net::{
        BlockingError, blocking,
        connect::Connector,
        proxy::Proxy,
        tls::{self, TlsError, Trust},
    },
};

/// The two authentication modes.
#[derive(Clone, PartialEq, Eq)]
pub enum MembershipAuth {
    /// Mode `token`.
    Token(String),
    /// Mode `bearer`: OAuth 2.0 client credentials, fetched anew for each join.
    Bearer {
        /// The issuer's URL, as configured.
        issuer: String,
        /// The secret of client `region_<agent id>`.
        client_secret: String,
    },
}

impl fmt::Debug for MembershipAuth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Token(_) => f.debug_struct("Token").finish_non_exhaustive(),
            Self::Bearer { issuer, .. } => {
                f.debug_struct("Bearer").field("issuer", issuer).finish_non_exhaustive()
            }
        }
    }
}

/// Why there is no credential.
#[derive(Debug, thiserror::Error)]
pub enum AuthError {
    /// The token has characters that no metadata may have.
    #[error(transparent)]
    NotAscii(#[from] NotAscii),
    /// The issuer was not reached or did not answer.
    #[error("issuer {issuer}: {source}")]
    Fetch {
        /// The issuer's URL.
        issuer: String,
        /// What went wrong.
        source: FetchError,
    },
    /// The issuer answered, and not with a token.
    #[error("issuer {issuer}: {source}")]
    Oidc {
        /// The issuer's URL.
        issuer: String,
        /// What went wrong.
        source: OidcError,
    },
    /// No TLS to the issuer.
    #[error("issuer {issuer}: {source}")]
    Tls {
        /// The issuer's URL.
        issuer: String,
        /// What went wrong.
        source: TlsError,
    },
    /// The trust store could not be read.
    #[error(transparent)]
    Blocking(#[from] BlockingError),
}

/// Bound on connecting to the issuer.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

impl MembershipAuth {
    /// The one metadata key that authentication adds, and its value.
    ///
    /// A bearer token comes over the system's trust store: the TLS settings of membership are
    /// membership's alone.
    pub(super) async fn credential(
        &self,
        agent_id: &str,
        proxy: &Proxy,
    ) -> Result<(&'static str, MetadataValue<Ascii>), AuthError> {
        let (key, mut value) = match self {
            Self::Token(token) => ("token", ascii(token, "the authentication token")?),
            Self::Bearer { issuer, client_secret } => {
                let token = bearer(issuer, agent_id, client_secret, proxy).await?;
                ("bearer", ascii(&token, "the issuer's access token")?)
            }
        };
        value.set_sensitive(true);
        Ok((key, value))
    }
}

/// Discovery, then the token endpoint: with the client's credentials in the header first, and
/// where that is refused once more with both in the body.
async fn bearer(issuer: &str, agent_id: &str, secret: &str, proxy: &Proxy) -> Result<String, AuthError> {
    let fetch_failed = |source| AuthError::Fetch { issuer: issuer.into(), source };
    let oidc_failed = |source| AuthError::Oidc { issuer: issuer.into(), source };
    let roots = blocking(|| tls::client_config(&Trust::System, None, &[tls::HTTP1])).await?;
    // A system without certificates can still reach an issuer that speaks plain HTTP.
    let roots = match roots {
        Ok(roots) => Some(roots),
        Err(_) if issuer.starts_with("http://") => None,
        Err(source) => return Err(AuthError::Tls { issuer: issuer.into(), source }),
    };
    let connector =
        Connector { tls: roots, proxy: proxy.clone(), connect_timeout: CONNECT_TIMEOUT, user_timeout: None };

    let discovery = oidc::discovery_request(issuer);
    let answer = fetch::fetch(&connector, &discovery).await.map_err(fetch_failed)?;
    let endpoint = oidc::token_endpoint(issuer, &answer).map_err(oidc_failed)?;

    let client = oidc::OAuthClient { id: format!("region_{agent_id}"), secret: secret.into() };
    let first = client.request_with_header(&endpoint);
    let mut answer = fetch::fetch(&connector, &first).await.map_err(fetch_failed)?;
    if oidc::is_refusal(&answer) {
        let second = client.request_with_body(&endpoint);
        answer = fetch::fetch(&connector, &second).await.map_err(fetch_failed)?;
    }
    let sent = first.authorization.as_deref().unwrap_or_default();
    let secrets = [secret, sent.trim_start_matches("Basic ").trim_end_matches('=')];
    oidc::access_token(&endpoint, &answer).map_err(|error| oidc_failed(error.without(secrets)))
}

#[cfg(test)]
mod tests;

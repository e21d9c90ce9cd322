//! TLS configurations, both sides: versions 1.2 and 1.3, with what was configured used as Go's
//! `crypto/tls` uses it.

pub mod certificate;
mod der;
mod error;
mod identity;
pub mod pem;
mod provider;
mod roots;
pub(crate) mod trouble;
mod verifier;

use std::{fmt, sync::Arc};

use rustls::{ClientConfig, ServerConfig, sign::SingleCertAndKey};

pub use error::{TlsError, Unusable};
pub use identity::Identity;

use roots::Roots;
use verifier::{Credulous, Verifier};

/// ALPN name of HTTP/2.
pub const H2: &[u8] = b"h2";
/// ALPN name of HTTP/1.1.
pub const HTTP1: &[u8] = b"http/1.1";

/// Whose certificates a client believes.
#[derive(Clone, PartialEq, Eq)]
pub enum Trust {
    /// The system's trust store.
    System,
    /// These authorities (PEM, in whatever text surrounds it) and no others.
    Pem(Vec<u8>),
    /// Anybody's: verification is off.
    Nothing,
}

impl Trust {
    /// These authorities and no others.
    pub fn pem(pem: impl Into<Vec<u8>>) -> Self {
        Self::Pem(pem.into())
    }
}

/// Without what was given: it may be anything.
impl fmt::Debug for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::System => f.write_str("System"),
            Self::Pem(pem) => write!(f, "Pem({} bytes)", pem.len()),
            Self::Nothing => f.write_str("Nothing"),
        }
    }
}

/// A client's configuration. `alpn` in order of preference, see [`H2`] and [`HTTP1`].
///
/// Reads the system's store from disk where that is asked for: some milliseconds.
pub fn client_config(
    trust: &Trust,
    identity: Option<&Identity>,
    alpn: &[&[u8]],
) -> Result<Arc<ClientConfig>, TlsError> {
    let provider = provider::provider();
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()?
        .dangerous();
    let builder = match Roots::read(trust)? {
        Some(roots) => builder.with_custom_certificate_verifier(Arc::new(Verifier::new(roots, &provider))),
        None => builder.with_custom_certificate_verifier(Arc::new(Credulous(Arc::clone(&provider)))),
    };
    let mut config = match identity {
        None => builder.with_no_client_auth(),
        Some(identity) => {
            // Not rustls' own way, which has webpki judge the certificate.
            let own = identity::read(identity, identity::CLIENT, &provider)?;
            builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(own)))
        }
    };
    config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
    Ok(Arc::new(config))
}

/// A server's configuration, for embedded servers and tests; clients need no certificate.
pub fn server_config(identity: &Identity, alpn: &[&[u8]]) -> Result<Arc<ServerConfig>, TlsError> {
    let provider = provider::provider();
    let own = identity::read(identity, identity::SERVER, &provider)?;
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(SingleCertAndKey::from(own)));
    config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
    Ok(Arc::new(config))
}

#[cfg(test)]
mod tests;

//! TLS configurations, both sides.

use std::sync::Arc;

use rustls::{
    ClientConfig, DigitallySignedStruct, RootCertStore, ServerConfig, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, aws_lc_rs},
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem::PemObject},
};

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
impl std::fmt::Debug for Trust {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::System => f.write_str("System"),
            Self::Pem(pem) => write!(f, "Pem({} bytes)", pem.len()),
            Self::Nothing => f.write_str("Nothing"),
        }
    }
}

/// A certificate chain and its key, both PEM in whatever text surrounds it.
#[derive(Clone, PartialEq, Eq)]
pub struct Identity {
    /// The chain, end entity first.
    pub certificates: Vec<u8>,
    /// The private key.
    pub key: Vec<u8>,
}

impl Identity {
    /// A chain and its key.
    pub fn new(certificates: impl Into<Vec<u8>>, key: impl Into<Vec<u8>>) -> Self {
        Self { certificates: certificates.into(), key: key.into() }
    }
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Identity").finish_non_exhaustive()
    }
}

/// Why there is no TLS configuration.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The text holds no certificate.
    #[error("the {subject} is no PEM: it holds no certificate (expected -----BEGIN CERTIFICATE-----)")]
    NoCertificate {
        /// What the text was given as.
        subject: &'static str,
    },
    /// The text cannot be read as PEM, or what is in it is no certificate or key.
    #[error("the {subject} cannot be used: {reason}")]
    Unusable {
        /// What the text was given as.
        subject: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// The system has no certificates.
    #[error(
        "the system's trust store holds no certificate: install ca-certificates, set SSL_CERT_FILE, or give a CA{details}"
    )]
    EmptySystemStore {
        /// Errors met while reading it.
        details: String,
    },
    /// rustls refuses the combination.
    #[error("no TLS configuration: {0}")]
    Refused(#[from] rustls::Error),
}

/// A client's configuration. `alpn` in order of preference, see [`H2`] and [`HTTP1`].
///
/// Reads the system's store from disk where that is asked for: some milliseconds.
pub fn client_config(
    trust: &Trust,
    identity: Option<&Identity>,
    alpn: &[&[u8]],
) -> Result<Arc<ClientConfig>, TlsError> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder =
        ClientConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions()?;
    let builder = match trust {
        Trust::System => builder.with_root_certificates(system_roots()?),
        Trust::Pem(pem) => builder.with_root_certificates(pem_roots(pem)?),
        Trust::Nothing => builder.dangerous().with_custom_certificate_verifier(Arc::new(Credulous(provider))),
    };
    let mut config = match identity {
        None => builder.with_no_client_auth(),
        Some(identity) => {
            let (chain, key) = read_identity(identity, "client certificate", "client key")?;
            builder.with_client_auth_cert(chain, key)?
        }
    };
    config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
    Ok(Arc::new(config))
}

/// A server's configuration, for embedded servers and tests; clients need no certificate.
pub fn server_config(identity: &Identity, alpn: &[&[u8]]) -> Result<Arc<ServerConfig>, TlsError> {
    let (chain, key) = read_identity(identity, "server certificate", "server key")?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
    Ok(Arc::new(config))
}

fn system_roots() -> Result<RootCertStore, TlsError> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    // Stores of old systems hold a few that rustls cannot read: not our business.
    let (added, _) = roots.add_parsable_certificates(found.certs);
    if added == 0 {
        let details = found.errors.iter().map(|error| format!("; {error}")).collect();
        return Err(TlsError::EmptySystemStore { details });
    }
    Ok(roots)
}

fn pem_roots(pem: &[u8]) -> Result<RootCertStore, TlsError> {
    const SUBJECT: &str = "CA certificate";
    let mut roots = RootCertStore::empty();
    for certificate in certificates(pem, SUBJECT)? {
        roots.add(certificate).map_err(|error| unusable(SUBJECT, &error))?;
    }
    Ok(roots)
}

fn certificates(pem: &[u8], subject: &'static str) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let found = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| unusable(subject, &error))?;
    if found.is_empty() {
        return Err(TlsError::NoCertificate { subject });
    }
    Ok(found)
}

fn read_identity(
    identity: &Identity,
    chain_subject: &'static str,
    key_subject: &'static str,
) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), TlsError> {
    let chain = certificates(&identity.certificates, chain_subject)?;
    let key = PrivateKeyDer::from_pem_slice(&identity.key).map_err(|error| unusable(key_subject, &error))?;
    Ok((chain, key))
}

fn unusable(subject: &'static str, error: &impl ToString) -> TlsError {
    TlsError::Unusable { subject, reason: error.to_string() }
}

/// Believes everybody, signatures included: who can be anybody can also sign.
#[derive(Debug)]
struct Credulous(Arc<CryptoProvider>);

impl ServerCertVerifier for Credulous {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ca_that_is_no_pem_is_an_error() {
        for text in ["", "not a certificate", "/etc/ssl/ca.pem", "MIIB"] {
            let error = client_config(&Trust::pem(text), None, &[]).unwrap_err();
            assert!(matches!(error, TlsError::NoCertificate { .. }), "{text}: {error}");
        }
    }

    #[test]
    fn pem_around_something_that_is_no_certificate_is_an_error() {
        let text = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        let error = client_config(&Trust::pem(text), None, &[]).unwrap_err().to_string();
        assert!(error.contains("CA certificate cannot be used"), "{error}");
    }

    #[test]
    fn a_client_key_that_is_missing_is_named() {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let identity = Identity::new(made.cert.pem(), "");
        let error = client_config(&Trust::Nothing, Some(&identity), &[]).unwrap_err().to_string();
        assert!(error.contains("client key"), "{error}");
    }
}

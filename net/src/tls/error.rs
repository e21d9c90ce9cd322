//! Why there is no TLS configuration. Nothing of what was read is quoted.

use super::pem::{Flaw, Pem};

/// Why there is no TLS configuration.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum TlsError {
    /// The text holds no certificate.
    #[error(
        "the {subject} is no PEM: it holds no certificate (expected -----BEGIN CERTIFICATE-----){details}"
    )]
    NoCertificate {
        /// What the text was given as.
        subject: &'static str,
        /// What it looks like instead.
        details: String,
    },
    /// The text can be read, and what is in it is of no use.
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
    /// rustls refuses the combination. It has seen neither key nor certificate by then.
    #[error("no TLS configuration: {0}")]
    Refused(#[from] rustls::Error),
}

impl TlsError {
    /// A text without certificates.
    pub(super) fn no_certificate(subject: &'static str, pem: &Pem) -> Self {
        let details = match (pem.flaw(), pem.blocks.is_empty()) {
            (Some(Flaw::NoBlock) | None, true) => String::new(),
            (Some(flaw), _) => format!(": {flaw}"),
            (None, false) => ": its blocks hold something else".into(),
        };
        Self::NoCertificate { subject, details }
    }
}

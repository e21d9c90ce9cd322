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
        reason: Unusable,
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

/// What is wrong with a certificate or a key that can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    /// The chain is in another order.
    #[error("the key belongs to certificate {0} of the chain: the one that it belongs to has to be first")]
    NotFirst(usize),
    /// The two do not belong together.
    #[error("the {0} belongs to another certificate")]
    OtherKey(&'static str),
    /// A key where a certificate is due.
    #[error("it holds a key and no certificate: the two may have been exchanged")]
    KeyAlone,
    /// A certificate where a key is due.
    #[error("it holds a certificate and no key: the two may have been exchanged")]
    CertificateAlone,
    /// A key of another kind.
    #[error(
        "no key that this agent can sign with: RSA of 2048 to 8192 bits, ECDSA on P-256, P-384 or P-521, Ed25519"
    )]
    KeyKind,
    /// A key with a password.
    #[error(
        "it is encrypted, and there is nobody to ask for the password: take the encryption off with openssl pkey"
    )]
    Encrypted,
    /// Nothing.
    #[error("it holds no key (expected PEM: -----BEGIN ... PRIVATE KEY-----)")]
    NoKey,
    /// Something else.
    #[error("it is no PEM: {0}")]
    NoPem(Flaw),
    /// PEM around something else.
    #[error("what it holds between BEGIN and END is no certificate")]
    NotCertificates,
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

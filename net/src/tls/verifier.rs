//! Whether a server's certificate is believed: as webpki says, and in three cases as Go does where
//! webpki does not.
//!
//! - A certificate that was configured itself is believed as it is (`crypto/x509`: "if the leaf is
//!   in the roots, the chain is the leaf").
//! - One that is signed by a configured authority may itself be marked as an authority, or as
//!   fit for anything (`anyExtendedKeyUsage`).
//!
//! Dates and name are verified in any case, and first: they are what people can mend.

use std::sync::Arc;

use rustls::{
    CertificateError, DigitallySignedStruct, Error, OtherError, SignatureScheme,
    client::{
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        verify_server_cert_signed_by_trust_anchor, verify_server_name,
    },
    crypto::{CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime},
    server::ParsedCertificate,
};

use super::{
    certificate::{Certificate, shown_time},
    roots::Roots,
};

/// A server's certificate is not believed. Continues "the certificate of host:port ...".
#[derive(Debug, thiserror::Error)]
pub(super) enum Distrusted {
    #[error("cannot be read")]
    Unreadable,
    #[error("expired on {}: it has to be renewed there", shown_time(*.0))]
    Expired(i64),
    #[error("is not valid before {}: compare the clocks of both sides", shown_time(*.0))]
    NotYetValid(i64),
    #[error(
        "names no host (it has no subject alternative name, and the name in its subject, {subject}, does not count): it has to be issued anew with {name}"
    )]
    NoNames { subject: String, name: String },
    #[error("is not for {name}: it is for {names}")]
    OtherName { name: String, names: String },
    #[error("is for other purposes than TLS servers (its extended key usage)")]
    OtherPurpose,
    #[error(
        "is signed by itself and is not among the CA certificates that are trusted: give the CA certificate that it belongs to"
    )]
    SelfSigned,
    #[error(
        "is signed by {0}, which none of the trusted CA certificates stands for: give the CA certificate that it belongs to"
    )]
    UnknownIssuer(String),
    #[error("or its chain is signed in a way that is not supported (SHA-1, or RSA below 2048 bits?)")]
    Algorithm,
    #[error("or its chain has a signature that is wrong: {0} signed with another key")]
    BadSignature(String),
    #[error("is signed by way of a certificate that expired")]
    ExpiredIssuer,
    #[error("or its chain is not accepted: {0}")]
    Chain(CertificateError),
    #[error("or its chain is not accepted: {0}")]
    Other(Error),
}

/// Verifies servers' certificates against configured ones.
#[derive(Debug)]
pub(super) struct Verifier {
    roots: Roots,
    algorithms: WebPkiSupportedAlgorithms,
}

impl Verifier {
    pub(super) fn new(roots: Roots, provider: &CryptoProvider) -> Self {
        Self { roots, algorithms: provider.signature_verification_algorithms }
    }

    fn verify(
        &self,
        der: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        now: UnixTime,
    ) -> Result<(), Distrusted> {
        let certificate = Certificate::parse(der).ok_or(Distrusted::Unreadable)?;
        in_time(&certificate, now)?;
        // webpki reads no version 1, which has no names either.
        let parsed = ParsedCertificate::try_from(der).ok().filter(|_| certificate.has_names());
        let Some(parsed) = parsed else {
            let (subject, name) = (certificate.shown_subject(), name.to_str().into_owned());
            return Err(Distrusted::NoNames { subject, name });
        };
        verify_server_name(&parsed, name).map_err(|_| Distrusted::OtherName {
            name: name.to_str().into_owned(),
            names: certificate.shown_names(),
        })?;
        if !certificate.may_serve() {
            return Err(Distrusted::OtherPurpose);
        }
        if self.roots.contains(der) {
            return Ok(());
        }
        let verdict = verify_server_cert_signed_by_trust_anchor(
            &parsed,
            &self.roots.authorities,
            intermediates,
            now,
            self.algorithms.all,
        );
        match verdict {
            Err(error) if !self.is_signed_by_a_root(&certificate) => Err(untrusted(&certificate, error)),
            _ => Ok(()),
        }
    }

    /// For what webpki does not take by its kind.
    fn is_signed_by_a_root(&self, certificate: &Certificate<'_>) -> bool {
        if certificate.has_unknown_critical() {
            return false;
        }
        self.roots.named(certificate.issuer).filter(|root| !root.has_name_constraints()).any(|root| {
            let fits = self.algorithms.all.iter().filter(|algorithm| {
                algorithm.signature_alg_id().as_ref() == certificate.signature_algorithm
                    && algorithm.public_key_alg_id().as_ref() == root.key_algorithm
            });
            let mut fits = fits.map(|algorithm| {
                algorithm.verify_signature(root.key, certificate.signed, certificate.signature)
            });
            fits.any(|verified| verified.is_ok())
        })
    }
}

fn in_time(certificate: &Certificate<'_>, now: UnixTime) -> Result<(), Distrusted> {
    let now = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
    let (from, to) = (certificate.not_before, certificate.not_after);
    if now > to {
        return Err(Distrusted::Expired(to));
    }
    if now < from {
        return Err(Distrusted::NotYetValid(from));
    }
    Ok(())
}

/// webpki's verdict on the chain.
fn untrusted(certificate: &Certificate<'_>, error: Error) -> Distrusted {
    let issuer = || certificate.shown_issuer();
    let Error::InvalidCertificate(why) = error else { return Distrusted::Other(error) };
    match why {
        CertificateError::UnknownIssuer if certificate.issuer == certificate.subject => {
            Distrusted::SelfSigned
        }
        CertificateError::UnknownIssuer => Distrusted::UnknownIssuer(issuer()),
        CertificateError::UnsupportedSignatureAlgorithmContext { .. }
        | CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => Distrusted::Algorithm,
        CertificateError::BadSignature => Distrusted::BadSignature(issuer()),
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => Distrusted::ExpiredIssuer,
        why => Distrusted::Chain(why),
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        match self.verify(end_entity, intermediates, server_name, now) {
            Ok(()) => Ok(ServerCertVerified::assertion()),
            Err(why) => Err(CertificateError::Other(OtherError(Arc::new(why))).into()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// Believes everybody, signatures included: who can be anybody can also sign.
#[derive(Debug)]
pub(super) struct Credulous(pub(super) Arc<CryptoProvider>);

impl ServerCertVerifier for Credulous {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

//! Whom a client believes: authorities, and certificates that are believed as they are.

use rustls::{RootCertStore, pki_types::CertificateDer};

use super::{
    Trust,
    certificate::Certificate,
    error::{TlsError, Unusable},
    pem::{self, Label},
};

const SUBJECT: &str = "CA certificate";

/// The configured certificates.
#[derive(Debug)]
pub(super) struct Roots {
    /// Those that may sign others.
    pub(super) authorities: RootCertStore,
    /// All of them, in the order of their bytes. One that a peer presents itself needs no signature
    /// of anybody, whether it may sign others or not.
    all: Vec<CertificateDer<'static>>,
}

impl Roots {
    /// Reads the system's store from disk where that is asked for. `None`: everybody is believed.
    pub(super) fn read(trust: &Trust) -> Result<Option<Self>, TlsError> {
        match trust {
            Trust::System => Self::system().map(Some),
            Trust::Pem(pem) => Self::pem(pem).map(Some),
            Trust::Nothing => Ok(None),
        }
    }

    fn system() -> Result<Self, TlsError> {
        let found = rustls_native_certs::load_native_certs();
        // Stores of old systems hold a few that cannot be read: not our business.
        let roots = Self::of(found.certs);
        if roots.all.is_empty() {
            let details = found.errors.iter().map(|error| format!("; {error}")).collect();
            return Err(TlsError::EmptySystemStore { details });
        }
        Ok(roots)
    }

    /// What cannot be used is left out, as long as anything else can be.
    fn pem(text: &[u8]) -> Result<Self, TlsError> {
        let pem = pem::read(text);
        let certificates = pem.blocks.iter().filter(|block| block.label == Label::Certificate);
        let certificates: Vec<_> =
            certificates.map(|block| CertificateDer::from(block.der.clone())).collect();
        if certificates.is_empty() {
            return Err(TlsError::no_certificate(SUBJECT, &pem));
        }
        let roots = Self::of(certificates);
        if roots.all.is_empty() {
            return Err(TlsError::Unusable { subject: SUBJECT, reason: Unusable::NotCertificates });
        }
        Ok(roots)
    }

    fn of(certificates: Vec<CertificateDer<'static>>) -> Self {
        let mut authorities = RootCertStore::empty();
        let mut all: Vec<_> = certificates
            .into_iter()
            .filter(|der| match Certificate::parse(der) {
                // A server's certificate that was given as CA is no authority.
                Some(certificate) if certificate.may_sign() => {
                    let _ = authorities.add(der.clone());
                    true
                }
                Some(_) => true,
                None => false,
            })
            .collect();
        all.sort_unstable_by(|a, b| a.as_ref().cmp(b.as_ref()));
        all.dedup();
        Self { authorities, all }
    }

    /// Whether exactly this certificate was configured.
    pub(super) fn contains(&self, der: &CertificateDer<'_>) -> bool {
        self.all.binary_search_by(|known| known.as_ref().cmp(der.as_ref())).is_ok()
    }

    /// The authorities that bear this name.
    pub(super) fn named(&self, subject: &[u8]) -> impl Iterator<Item = Certificate<'_>> {
        self.all
            .iter()
            .filter_map(|der| Certificate::parse(der))
            .filter(move |root| root.subject == subject && root.may_sign())
    }
}

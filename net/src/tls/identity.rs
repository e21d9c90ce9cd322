//! Our own certificate and key, used and not judged: an expired certificate, or one of X.509
//! version 1, is for the peer to accept or refuse.

use std::{fmt, sync::Arc};

use rustls::{
    crypto::CryptoProvider,
    pki_types::{CertificateDer, PrivateKeyDer},
    sign::{CertifiedKey, SigningKey},
};

use super::{
    certificate::Certificate,
    der::{BIT_STRING, Der, SEQUENCE},
    error::{TlsError, Unusable},
    pem::{self, Block, Flaw, Label},
};

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

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").finish_non_exhaustive()
    }
}

/// What errors call the two parts.
#[derive(Debug, Clone, Copy)]
pub(super) struct Subjects {
    pub(super) certificate: &'static str,
    pub(super) key: &'static str,
}

/// A client's.
pub(super) const CLIENT: Subjects = Subjects { certificate: "client certificate", key: "client key" };
/// A server's.
pub(super) const SERVER: Subjects = Subjects { certificate: "server certificate", key: "server key" };

/// Reads both and sees that they belong together.
pub(super) fn read(
    identity: &Identity,
    subjects: Subjects,
    provider: &CryptoProvider,
) -> Result<CertifiedKey, TlsError> {
    let chain = chain(&identity.certificates, subjects.certificate)?;
    let key = key(&identity.key, subjects.key, provider)?;
    let keys: Vec<_> = chain.iter().map(|der| Certificate::parse(der).map(|found| found.key)).collect();
    if let (Some(Some(first)), Some(own)) = (keys.first(), own_public_key(&*key))
        && !same_key(first, &own)
    {
        let reason = match keys.iter().position(|key| key.is_some_and(|key| same_key(key, &own))) {
            Some(at) => Unusable::NotFirst(at + 1),
            None => Unusable::OtherKey(subjects.key),
        };
        return Err(TlsError::Unusable { subject: subjects.certificate, reason });
    }
    Ok(CertifiedKey::new(chain, key))
}

fn chain(text: &[u8], subject: &'static str) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let pem = pem::read(text);
    let found: Vec<_> = pem
        .blocks
        .iter()
        .filter(|block| block.label == Label::Certificate)
        .map(|block| CertificateDer::from(block.der.clone()))
        .collect();
    if !found.is_empty() {
        return Ok(found);
    }
    if pem.first(Label::PrivateKey).is_some() {
        return Err(TlsError::Unusable { subject, reason: Unusable::KeyAlone });
    }
    Err(TlsError::no_certificate(subject, &pem))
}

fn key(
    text: &[u8],
    subject: &'static str,
    provider: &CryptoProvider,
) -> Result<Arc<dyn SigningKey>, TlsError> {
    let unusable = |reason| TlsError::Unusable { subject, reason };
    let pem = pem::read(text);
    match pem.blocks.iter().find(|block| matches!(block.label, Label::PrivateKey | Label::EncryptedKey)) {
        Some(Block { label: Label::PrivateKey, der }) => {
            load(der, provider).ok_or_else(|| unusable(Unusable::KeyKind))
        }
        Some(_) => Err(unusable(Unusable::Encrypted)),
        None if pem.first(Label::Certificate).is_some() => Err(unusable(Unusable::CertificateAlone)),
        None => match pem.flaw() {
            None | Some(Flaw::NoBlock) => Err(unusable(Unusable::NoKey)),
            Some(flaw) => Err(unusable(Unusable::NoPem(flaw))),
        },
    }
}

/// By what is in it: labels are often wrong. Errors of a library that saw a key are not kept.
fn load(der: &[u8], provider: &CryptoProvider) -> Option<Arc<dyn SigningKey>> {
    let forms: [fn(Vec<u8>) -> PrivateKeyDer<'static>; 3] = [
        |der| PrivateKeyDer::Pkcs8(der.into()),
        |der| PrivateKeyDer::Pkcs1(der.into()),
        |der| PrivateKeyDer::Sec1(der.into()),
    ];
    forms.iter().find_map(|form| provider.key_provider.load_private_key(form(der.to_vec())).ok())
}

/// A certificate may have a point in its short form: one coordinate, and which of two.
fn same_key(certificates: &[u8], own: &[u8]) -> bool {
    match (certificates, own) {
        ([2 | 3, x @ ..], [4, point @ ..]) if point.len() == 2 * x.len() => point.starts_with(x),
        _ => certificates == own,
    }
}

/// The key's public half, as certificates have it.
fn own_public_key(key: &dyn SigningKey) -> Option<Vec<u8>> {
    let info = key.public_key()?;
    let mut parts = Der(info.as_ref()).expect(SEQUENCE)?.inside();
    parts.expect(SEQUENCE)?;
    Some(parts.expect(BIT_STRING)?.bits()?.to_vec())
}

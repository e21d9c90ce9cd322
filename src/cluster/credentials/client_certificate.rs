//! A client certificate and its key, read again from the files that somebody else renews.

use std::{io, path::Path, sync::Arc, time::Instant};

use rustls::{
    crypto::aws_lc_rs::sign::any_supported_type,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};

use super::FileState;
use crate::{
    cluster::{
        config::IdentityFiles,
        reload::{self, OneAtATime, RenewalError},
    },
    net::tls::Identity,
    time,
};

/// What was read: the parts that come from files.
type ReadFiles = io::Result<(Option<Vec<u8>>, Option<Vec<u8>>)>;

/// The pair in use, and where it comes from.
#[derive(Debug)]
pub(super) struct ClientCertificate {
    kept: FileState<Arc<Identity>>,
    files: IdentityFiles,
    reading: OneAtATime<ReadFiles>,
}

impl ClientCertificate {
    /// One that was read at `now`.
    pub(super) fn new(identity: Option<Identity>, files: IdentityFiles, now: Instant) -> Self {
        let kept = FileState { value: identity.map(Arc::new), read_at: Some(now), ..FileState::default() };
        Self { kept, files, reading: OneAtATime::default() }
    }

    /// The pair to use now. Where it has changed it is another `Arc`, and so other connections.
    pub(super) async fn present(&mut self) -> Option<Arc<Identity>> {
        let now = time::now();
        let current = self.kept.value.clone()?;
        if self.files.is_empty() || !self.kept.is_due(now) {
            return Some(current);
        }
        let files = self.files.clone();
        let read = self.reading.run(move || read(&files), reload::PATIENCE).await;
        let renewed = match read {
            Ok(Ok(parts)) => renewed(&current, parts),
            Ok(Err(error)) => Err(error.into()),
            Err(problem) => Err(problem),
        };
        let before = self.kept.edition;
        if let Err(problem) = self.kept.learn(now, renewed) {
            self.complain(now, &problem);
        } else if self.kept.edition != before {
            tracing::info!("the client certificate was renewed");
        }
        self.kept.value.clone()
    }

    fn complain(&mut self, now: Instant, problem: &RenewalError) {
        if self.kept.complain(now) {
            let shown = |path: &Option<_>| path.as_deref().map(Path::display).map(|p| p.to_string());
            tracing::warn!(
                certificate = shown(&self.files.certificate),
                key = shown(&self.files.key),
                "going on with the client certificate read before: {problem}"
            );
        }
    }

    /// Something was refused that this identity came with.
    pub(super) fn refuse(&mut self, identity: Option<&Arc<Identity>>) {
        let mine = self.kept.value.as_ref();
        self.kept.refused |= matches!((mine, identity), (Some(a), Some(b)) if Arc::ptr_eq(a, b));
    }
}

/// Blocks. Certificate first: who renews them writes the key first or both at once.
fn read(files: &IdentityFiles) -> ReadFiles {
    let read = |path: &Option<_>| {
        let read = |path: &std::path::PathBuf| {
            reload::read(path, reload::MAX_FILE, reload::PIPE_DEADLINE)
                .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))
        };
        path.as_ref().map(read).transpose()
    };
    Ok((read(&files.certificate)?, read(&files.key)?))
}

/// The parts that were read, and the others as they are.
fn renewed(
    current: &Identity,
    (certificates, key): (Option<Vec<u8>>, Option<Vec<u8>>),
) -> Result<Arc<Identity>, RenewalError> {
    let identity = Identity {
        certificates: certificates.unwrap_or_else(|| current.certificates.clone()),
        key: key.unwrap_or_else(|| current.key.clone()),
    };
    if identity == *current || is_pair(&identity.certificates, &identity.key) {
        return Ok(Arc::new(identity));
    }
    Err(RenewalError::Mismatch)
}

/// Whether the key is that of the first certificate: its public half stands in there, byte by byte. The
/// certificate is not judged otherwise.
fn is_pair(certificates: &[u8], key: &[u8]) -> bool {
    let Some(Ok(leaf)) = CertificateDer::pem_slice_iter(certificates).next() else { return false };
    let Ok(key) = PrivateKeyDer::from_pem_slice(key) else { return false };
    let Ok(key) = any_supported_type(&key) else { return false };
    let Some(public) = key.public_key() else { return true };
    leaf.windows(public.len()).any(|window| window == &*public)
}

#[cfg(test)]
mod tests {
    use std::{fs, time::Duration};

    use super::*;
    use crate::net;

    fn made() -> (String, String) {
        let made = rcgen::generate_simple_self_signed(["client".to_owned()]).unwrap();
        (made.cert.pem(), made.signing_key.serialize_pem())
    }

    #[test]
    fn a_pair_is_two_halves_of_one_key() {
        let ((certificate, key), (other, other_key)) = (made(), made());
        assert!(is_pair(certificate.as_bytes(), key.as_bytes()));
        assert!(!is_pair(certificate.as_bytes(), other_key.as_bytes()));
        assert!(!is_pair(other.as_bytes(), key.as_bytes()));
        assert!(!is_pair(b"", key.as_bytes()) && !is_pair(certificate.as_bytes(), b"-----BEGIN"));
    }

    #[test]
    fn half_of_a_renewal_is_passed_over_until_the_other_half_is_there() {
        let dir = tempfile::tempdir().unwrap();
        let ((certificates, key), (new, new_key)) = (made(), made());
        let paths = ["crt", "key"].map(|name| dir.path().join(name));
        fs::write(&paths[0], &certificates).unwrap();
        fs::write(&paths[1], &key).unwrap();
        let files = IdentityFiles { certificate: Some(paths[0].clone()), key: Some(paths[1].clone()) };
        let identity = Identity::new(certificates, key);
        let mut pair = ClientCertificate::new(Some(identity), files, time::now());
        net::testing::run(async {
            let first = pair.present().await.unwrap();
            // Make every look due.
            let mut again = async || {
                pair.kept.read_at = None;
                pair.present().await.unwrap()
            };
            assert!(Arc::ptr_eq(&first, &again().await), "unchanged files are the same identity");
            fs::write(&paths[0], &new).unwrap();
            assert!(Arc::ptr_eq(&first, &again().await), "half of it");
            fs::write(&paths[1], &new_key[..40]).unwrap();
            assert!(Arc::ptr_eq(&first, &again().await), "three quarters");
            fs::remove_file(&paths[1]).unwrap();
            assert!(Arc::ptr_eq(&first, &again().await), "gone");
            fs::write(&paths[1], &new_key).unwrap();
            assert_eq!(again().await.certificates, new.as_bytes());
        });
    }

    #[test]
    fn after_a_refusal_the_files_are_looked_at_within_a_second_and_after_half_a_renewal_within_five() {
        let (certificates, key) = made();
        let files = IdentityFiles { certificate: Some("/nowhere".into()), key: None };
        let now = time::now();
        let mut pair = ClientCertificate::new(Some(Identity::new(certificates, key)), files, now);
        let current = pair.kept.value.clone();
        assert!(!pair.kept.is_due(now + Duration::from_secs(59)));
        pair.refuse(current.as_ref());
        assert!(!pair.kept.is_due(now) && pair.kept.is_due(now + Duration::from_secs(1)));
        pair.kept.refused = false;
        pair.kept.learn(now, Err(RenewalError::Mismatch)).unwrap_err();
        assert!(!pair.kept.is_due(now + Duration::from_secs(4)));
        assert!(pair.kept.is_due(now + Duration::from_secs(5)));
        assert!(pair.kept.complain(now) && !pair.kept.complain(now + Duration::from_secs(59)));
    }
}

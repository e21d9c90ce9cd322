//! The cryptography: aws-lc-rs by way of rustls, with one more key exchange.

use std::sync::Arc;

use aws_lc_rs::{
    agreement::{ECDH_P521, EphemeralPrivateKey, UnparsedPublicKey, agree_ephemeral},
    rand::SystemRandom,
};
use rustls::{
    Error, NamedGroup, PeerMisbehaved,
    crypto::{
        ActiveKeyExchange, CryptoProvider, GetRandomFailed, SharedSecret, SupportedKxGroup,
        aws_lc_rs::default_provider,
    },
};

/// rustls' provider, and P-521 to exchange keys on. In TLS 1.2 a client that does not name that
/// curve is shown no certificate with a key on it, and may not show one.
pub(super) fn provider() -> Arc<CryptoProvider> {
    let mut provider = default_provider();
    provider.kx_groups.push(&Secp521r1);
    Arc::new(provider)
}

#[derive(Debug)]
struct Secp521r1;

impl SupportedKxGroup for Secp521r1 {
    fn start(&self) -> Result<Box<dyn ActiveKeyExchange>, Error> {
        let failed = |_| Error::from(GetRandomFailed);
        let private = EphemeralPrivateKey::generate(&ECDH_P521, &SystemRandom::new()).map_err(failed)?;
        let public = private.compute_public_key().map_err(failed)?.as_ref().to_vec();
        Ok(Box::new(Secp521r1Exchange { private, public }))
    }

    fn name(&self) -> NamedGroup {
        NamedGroup::secp521r1
    }
}

struct Secp521r1Exchange {
    private: EphemeralPrivateKey,
    public: Vec<u8>,
}

impl ActiveKeyExchange for Secp521r1Exchange {
    fn complete(self: Box<Self>, peer: &[u8]) -> Result<SharedSecret, Error> {
        let misbehaved = Error::from(PeerMisbehaved::InvalidKeyShare);
        // RFC 8446, 4.2.8.2: an uncompressed point and nothing else.
        if peer.first() != Some(&4) {
            return Err(misbehaved);
        }
        let peer = UnparsedPublicKey::new(&ECDH_P521, peer);
        agree_ephemeral(self.private, peer, misbehaved, |secret| Ok(SharedSecret::from(secret)))
    }

    fn pub_key(&self) -> &[u8] {
        &self.public
    }

    fn group(&self) -> NamedGroup {
        NamedGroup::secp521r1
    }
}

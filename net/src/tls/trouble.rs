//! What went wrong between us and a TLS peer, in words that say whose part it is to mend it.

use std::{fmt, io, rc::Rc};

use rustls::{AlertDescription, CertificateError, Error};

use super::verifier::Distrusted;

/// The peer of a connection of ours, for errors on it.
#[derive(Debug, Clone)]
pub(crate) struct TlsPeer {
    /// `host:port`.
    pub(crate) name: Rc<str>,
    /// Whether we have a certificate of our own to show.
    pub(crate) identified: bool,
}

impl TlsPeer {
    /// The same error, in our words where it is one of TLS.
    pub(crate) fn explain(&self, error: io::Error) -> io::Error {
        let words = match error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) {
            Some(tls) => self.words(tls),
            None => return error,
        };
        io::Error::new(error.kind(), TlsTrouble(words))
    }

    /// Why a handshake failed.
    pub(crate) fn explain_handshake(&self, error: io::Error) -> io::Error {
        if error.kind() == io::ErrorKind::UnexpectedEof {
            let words = format!("{} closed the connection in the middle of the TLS handshake", self.name);
            return io::Error::new(error.kind(), TlsTrouble(words));
        }
        self.explain(error)
    }

    fn words(&self, error: &Error) -> String {
        let peer = &self.name;
        match error {
            Error::InvalidCertificate(CertificateError::Other(why)) => {
                match why.0.downcast_ref::<Distrusted>() {
                    Some(why) => format!("the certificate of {peer} {why}"),
                    None => format!("the certificate of {peer} is not accepted: {why}"),
                }
            }
            Error::InvalidCertificate(CertificateError::BadSignature) => {
                format!("{peer} does not hold the key of the certificate that it shows")
            }
            Error::InvalidCertificate(why) => format!("the certificate of {peer} is not accepted: {why}"),
            Error::AlertReceived(alert) => self.alert(*alert),
            Error::InvalidMessage(rustls::InvalidMessage::InvalidContentType) => {
                format!("what {peer} answers is no TLS: does it speak plain HTTP there?")
            }
            Error::PeerIncompatible(why) => format!(
                "{peer} has no version or algorithm of TLS in common with us, who speak 1.2 and 1.3 ({why:?})"
            ),
            other => format!("{peer}: {other}"),
        }
    }

    fn alert(&self, alert: AlertDescription) -> String {
        let peer = &self.name;
        match alert {
            AlertDescription::CertificateRequired => {
                format!("{peer} wants a client certificate (alert certificate_required)")
            }
            AlertDescription::UnknownCA => self.refused(
                alert,
                "it does not know the CA that signed it: use one that it trusts, or have that CA added there",
            ),
            AlertDescription::CertificateExpired => self.refused(alert, "it expired: renew it"),
            AlertDescription::CertificateRevoked => self.refused(alert, "it is revoked: get another one"),
            AlertDescription::BadCertificate
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::CertificateUnknown
            | AlertDescription::DecryptError
            | AlertDescription::AccessDenied => self.refused(alert, "its log may say why"),
            AlertDescription::HandshakeFailure | AlertDescription::InsufficientSecurity => format!(
                "{peer} broke off the TLS handshake (alert {}): no algorithm in common{}",
                words_of(alert),
                if self.identified { "" } else { ", or it wants a client certificate" }
            ),
            AlertDescription::ProtocolVersion => {
                format!("{peer} speaks neither TLS 1.2 nor 1.3 (alert protocol_version)")
            }
            AlertDescription::UnrecognisedName => {
                format!(
                    "{peer} has no certificate for the name that it was asked for (alert unrecognized_name)"
                )
            }
            AlertDescription::NoApplicationProtocol => {
                format!("{peer} does not speak the protocol that is needed (alert no_application_protocol)")
            }
            other => format!("{peer} broke off TLS (alert {})", words_of(other)),
        }
    }

    fn refused(&self, alert: AlertDescription, why: &str) -> String {
        let (peer, alert) = (&self.name, words_of(alert));
        match self.identified {
            true => format!("{peer} refuses our client certificate (alert {alert}): {why}"),
            false => format!("{peer} refuses us (alert {alert}): it may want a client certificate"),
        }
    }
}

/// `UnknownCA`: as the TLS library spells it, which is what people search for.
fn words_of(alert: AlertDescription) -> String {
    format!("{alert:?}")
}

/// An error on a connection, in words.
#[derive(Debug)]
struct TlsTrouble(String);

impl fmt::Display for TlsTrouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for TlsTrouble {}

//! Settings of the control plane side: who the agent is, where membership is, how to log in.

use std::fmt;

use super::{
    flags,
    settings::SettingsReader,
    url::{BaseUrl, HostPort},
    value::{self, ValueError},
};
pub use crate::net::tls::Trust;
use crate::net::tls::client_config;

/// Who this agent is; all of it is told to membership at each join.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdentitySettings {
    /// The region's id.
    pub id: String,
    /// The region's URL; Gateway hosts end in its host.
    pub base_url: BaseUrl,
    /// More URLs of the region, free text to the agent.
    pub additional_base_urls: Vec<String>,
    /// A production region.
    pub production: bool,
    /// An outdated region.
    pub outdated: bool,
}

/// Where membership is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MembershipSettings {
    /// Its address.
    pub server: HostPort,
    /// Present where TLS is on.
    pub tls: Option<Trust>,
    /// Longest message that is read, in bytes.
    pub max_message_bytes: usize,
}

/// How to log in to membership.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AuthSettings {
    /// A fixed token.
    Token(Secret),
    /// An access token by OAuth 2.0 client credentials, fetched for each join.
    Bearer {
        /// The issuer, as configured.
        issuer: String,
        /// The secret of client `region_<id>`.
        client_secret: Secret,
    },
}

impl IdentitySettings {
    pub(super) fn read(settings: &mut SettingsReader<'_>) -> Option<Self> {
        let id =
            settings.require(&flags::ID, "the id under which membership knows this region", value::metadata);
        let base_url = settings.require(
            &flags::BASE_URL,
            "the URL under which this region's stacks are reached, such as https://region.example.com",
            |text| Ok(BaseUrl::parse(text)?),
        );
        let additional_base_urls = settings.list(&flags::ADDITIONAL_BASE_URLS, value::metadata);
        let production = settings.switch(&flags::PRODUCTION);
        let outdated = settings.switch(&flags::OUTDATED);
        Some(Self { id: id?, base_url: base_url?, additional_base_urls, production, outdated })
    }
}

/// Where a gRPC target without a port leads.
const GRPC_PORT: u16 = 443;

impl MembershipSettings {
    pub(super) fn read(settings: &mut SettingsReader<'_>) -> Option<Self> {
        let server = settings.read(&flags::SERVER_ADDRESS, |text| Ok(HostPort::parse(text, GRPC_PORT)?));
        // What has no effect stops nothing.
        let tls = match settings.switch(&flags::TLS_ENABLED) {
            true => Some(trust(settings)),
            false => {
                if settings.is_given(&flags::TLS_CA_CERT) {
                    settings.note("--tls-ca-cert has no effect without --tls-enabled");
                }
                None
            }
        };
        let max_message_bytes = max_message_bytes(settings);
        Some(Self { server: server?, tls, max_message_bytes: max_message_bytes? })
    }
}

/// The least that a usual order fits in, and the most of which the agent's memory (128 MiB in
/// deployments) could hold one at all.
const MESSAGE_BYTES: (usize, usize) = (1 << 10, 64 << 20);

pub(super) fn max_message_bytes(settings: &mut SettingsReader<'_>) -> Option<usize> {
    let (least, most) = MESSAGE_BYTES;
    settings.read(&flags::MAX_MESSAGE_BYTES, |text| value::whole(text, least, most))
}

fn trust(settings: &mut SettingsReader<'_>) -> Trust {
    if settings.switch(&flags::TLS_INSECURE_SKIP_VERIFY) {
        settings.note("membership's certificate is not verified (--tls-insecure-skip-verify)");
        return Trust::Nothing;
    }
    settings.read(&flags::TLS_CA_CERT, authorities).unwrap_or(Trust::System)
}

/// Certificates to trust, tried here so that a fault in them is told with all others.
fn authorities(pem: &str) -> Result<Trust, ValueError> {
    let trust = Trust::pem(pem);
    client_config(&trust, None, &[])?;
    Ok(trust)
}

/// A secret: `Debug` does not tell it, and there is no `Display`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a secret.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The secret itself, to be sent where it belongs.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

#[derive(Clone, Copy)]
enum AuthMode {
    Token,
    Bearer,
}

impl AuthSettings {
    pub(super) fn read(settings: &mut SettingsReader<'_>) -> Option<Self> {
        let modes = [("token", AuthMode::Token), ("bearer", AuthMode::Bearer)];
        let mode = settings
            .require(&flags::AUTHENTICATION_MODE, "token or bearer", |text| value::choice(text, &modes));
        match mode? {
            AuthMode::Token => {
                let token = settings.require(
                    &flags::AUTHENTICATION_TOKEN,
                    "the token, for --authentication-mode is token",
                    value::metadata,
                );
                Some(Self::Token(Secret::new(token?)))
            }
            AuthMode::Bearer => {
                let issuer = settings.require(
                    &flags::AUTHENTICATION_ISSUER,
                    "the issuer's URL, for --authentication-mode is bearer",
                    |text| Ok(BaseUrl::parse(text)?.text),
                );
                let client_secret = settings.require(
                    &flags::AUTHENTICATION_CLIENT_SECRET,
                    "the client secret, for --authentication-mode is bearer",
                    |text| Ok(Secret::new(text)),
                );
                Some(Self::Bearer { issuer: issuer?, client_secret: client_secret? })
            }
        }
    }
}

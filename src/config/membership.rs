//! Settings of the control plane side: who the agent is, where membership is, how to log in.

use super::{
    flags,
    secret::Secret,
    settings::Settings,
    url::{BaseUrl, HostPort},
    value,
};
pub use crate::net::tls::Trust;
use crate::net::tls::client_config;

/// Who this agent is; all of it is told to membership at each join.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
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
pub struct Membership {
    /// Its address.
    pub server: HostPort,
    /// Present where TLS is on.
    pub tls: Option<Trust>,
    /// Longest message that is read, in bytes.
    pub max_message_bytes: usize,
}

/// How to log in to membership.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Auth {
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

impl Identity {
    pub(super) fn read(settings: &mut Settings<'_>) -> Option<Self> {
        let id =
            settings.require(&flags::ID, "the id under which membership knows this region", value::metadata);
        let base_url = settings.require(
            &flags::BASE_URL,
            "the URL under which this region's stacks are reached, such as https://region.example.com",
            BaseUrl::parse,
        );
        let additional_base_urls = settings.list(&flags::ADDITIONAL_BASE_URLS, value::metadata);
        let production = settings.switch(&flags::PRODUCTION);
        let outdated = settings.switch(&flags::OUTDATED);
        Some(Self { id: id?, base_url: base_url?, additional_base_urls, production, outdated })
    }
}

/// Where a gRPC target without a port leads.
const GRPC_PORT: u16 = 443;

impl Membership {
    pub(super) fn read(settings: &mut Settings<'_>) -> Option<Self> {
        let server = settings.read(&flags::SERVER_ADDRESS, |text| HostPort::parse(text, GRPC_PORT));
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

pub(super) fn max_message_bytes(settings: &mut Settings<'_>) -> Option<usize> {
    let (least, most) = MESSAGE_BYTES;
    settings.read(&flags::MAX_MESSAGE_BYTES, |text| value::whole(text, least, most))
}

fn trust(settings: &mut Settings<'_>) -> Trust {
    if settings.switch(&flags::TLS_INSECURE_SKIP_VERIFY) {
        settings.note("membership's certificate is not verified (--tls-insecure-skip-verify)");
        return Trust::Nothing;
    }
    settings.read(&flags::TLS_CA_CERT, authorities).unwrap_or(Trust::System)
}

/// Certificates to trust, tried here so that a fault in them is told with all others.
fn authorities(pem: &str) -> Result<Trust, String> {
    let trust = Trust::pem(pem);
    match client_config(&trust, None, &[]) {
        Ok(_) => Ok(trust),
        Err(fault) => Err(format!("{fault}: give PEM text, not a file's name")),
    }
}

#[derive(Clone, Copy)]
enum Mode {
    Token,
    Bearer,
}

impl Auth {
    pub(super) fn read(settings: &mut Settings<'_>) -> Option<Self> {
        let modes = [("token", Mode::Token), ("bearer", Mode::Bearer)];
        let mode = settings
            .require(&flags::AUTHENTICATION_MODE, "token or bearer", |text| value::choice(text, &modes));
        match mode? {
            Mode::Token => {
                let token = settings.require(
                    &flags::AUTHENTICATION_TOKEN,
                    "the token, for --authentication-mode is token",
                    value::metadata,
                );
                Some(Self::Token(Secret::new(token?)))
            }
            Mode::Bearer => {
                let issuer = settings.require(
                    &flags::AUTHENTICATION_ISSUER,
                    "the issuer's URL, for --authentication-mode is bearer",
                    |text| BaseUrl::parse(text).map(|url| url.text),
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

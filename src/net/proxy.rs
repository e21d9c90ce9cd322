//! Which connections go through an HTTP proxy: `HTTPS_PROXY` and `NO_PROXY`.

use std::{fmt, net::IpAddr};

use base64::{Engine, prelude::BASE64_STANDARD};

use crate::net::endpoint::Endpoint;

/// The proxy to use and for whom not to.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Proxy {
    server: Option<Server>,
    except: Vec<Except>,
    plain_too: bool,
}

/// A proxy that speaks CONNECT over plain HTTP.
#[derive(Clone, PartialEq, Eq)]
pub struct Server {
    /// Where it listens.
    pub endpoint: Endpoint,
    /// Value of the `Proxy-Authorization` header.
    pub authorization: Option<String>,
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("endpoint", &self.endpoint).finish_non_exhaustive()
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proxy").field("server", &self.server).finish_non_exhaustive()
    }
}

/// The environment names a proxy that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("HTTPS_PROXY cannot be used: expected http://[user:password@]host[:port] ({reason})")]
pub struct ProxyError {
    reason: String,
}

/// One entry of NO_PROXY.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Except {
    All,
    Network {
        address: IpAddr,
        bits: u8,
        port: Option<u16>,
    },
    /// A name and what is under it; with a leading dot only what is under it.
    Domain {
        name: String,
        itself: bool,
        port: Option<u16>,
    },
}

impl Proxy {
    /// No proxy for anybody.
    pub fn none() -> Self {
        Self::default()
    }

    /// As the process' environment says; the lower-case name wins where both are set.
    pub fn from_env() -> Result<Self, ProxyError> {
        Self::read(|name| std::env::var(name).ok())
    }

    /// The same from any source of variables.
    pub fn read(variable: impl Fn(&str) -> Option<String>) -> Result<Self, ProxyError> {
        let either = |lower: &str| {
            let set = |name: &str| variable(name).filter(|value| !value.trim().is_empty());
            set(lower).or_else(|| set(&lower.to_uppercase()))
        };
        let server = either("https_proxy").map(|text| Server::parse(text.trim())).transpose()?;
        let except = either("no_proxy").unwrap_or_default();
        let except = except.split([',', ' ']).map(str::trim).filter(|entry| !entry.is_empty());
        Ok(Self { server, except: except.map(Except::parse).collect(), plain_too: false })
    }

    /// Also for connections without TLS, as gRPC clients do (HTTP clients do not).
    #[must_use]
    pub fn for_plain_too(mut self) -> Self {
        self.plain_too = true;
        self
    }

    /// The proxy on the way to `endpoint`. This host itself is always reached directly.
    pub fn on_the_way_to(&self, endpoint: &Endpoint) -> Option<&Server> {
        let server = self.server.as_ref()?;
        let address: Option<IpAddr> = endpoint.host.parse().ok();
        let local = endpoint.host.eq_ignore_ascii_case("localhost")
            || address.is_some_and(|address| address.is_loopback());
        let excepted = || self.except.iter().any(|entry| entry.holds(endpoint, address));
        ((endpoint.secure || self.plain_too) && !local && !excepted()).then_some(server)
    }
}

impl Server {
    fn parse(text: &str) -> Result<Self, ProxyError> {
        let error = |reason: &str| ProxyError { reason: reason.into() };
        let (scheme, rest) = text.split_once("://").unwrap_or(("http", text));
        if !scheme.eq_ignore_ascii_case("http") {
            return Err(error(&format!("scheme {scheme:?} is not supported")));
        }
        let authority = rest.split('/').next().unwrap_or_default();
        let (user, host) = match authority.rsplit_once('@') {
            Some((user, host)) => (Some(user), host),
            None => (None, authority),
        };
        let endpoint = Endpoint::from_host_port(false, host, 80).map_err(|e| error(&e.to_string()))?;
        let authorization =
            user.map(|user| format!("Basic {}", BASE64_STANDARD.encode(percent_decoded(user))));
        Ok(Self { endpoint, authorization })
    }
}

/// A user name and password in a URL are percent-encoded.
fn percent_decoded(text: &str) -> Vec<u8> {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let hex = bytes.get(at + 1..at + 3).filter(|_| bytes[at] == b'%');
        let byte = hex.and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok());
        decoded.push(byte.unwrap_or(bytes[at]));
        at += if byte.is_some() { 3 } else { 1 };
    }
    decoded
}

impl Except {
    fn parse(text: &str) -> Self {
        if text == "*" {
            return Self::All;
        }
        if let Some((address, bits)) = text.split_once('/')
            && let (Ok(address), Ok(bits)) = (address.parse(), bits.parse())
        {
            return Self::Network { address, bits, port: None };
        }
        if let Ok(address) = text.parse() {
            return Self::Network { address, bits: 128, port: None };
        }
        let (host, port) = match text.rsplit_once(':').map(|(host, port)| (host, port.parse())) {
            Some((host, Ok(port))) => (host, Some(port)),
            _ => (text, None),
        };
        if let Ok(address) = host.trim_matches(['[', ']']).parse() {
            return Self::Network { address, bits: 128, port };
        }
        let name = host.strip_prefix('*').unwrap_or(host);
        let itself = !name.starts_with('.');
        Self::Domain { name: name.trim_start_matches('.').to_ascii_lowercase(), itself, port }
    }

    fn holds(&self, endpoint: &Endpoint, address: Option<IpAddr>) -> bool {
        let same_port = |port: &Option<u16>| port.is_none_or(|port| port == endpoint.port);
        match self {
            Self::All => true,
            Self::Network { address: network, bits, port } => {
                same_port(port) && address.is_some_and(|address| in_network(address, *network, *bits))
            }
            Self::Domain { name, itself, port } => {
                let host = endpoint.host.trim_end_matches('.').to_ascii_lowercase();
                let under = || host.strip_suffix(name.as_str()).is_some_and(|before| before.ends_with('.'));
                same_port(port) && ((*itself && host == *name) || under())
            }
        }
    }
}

fn in_network(address: IpAddr, network: IpAddr, bits: u8) -> bool {
    let (address, network, width) = match (address, network) {
        (IpAddr::V4(a), IpAddr::V4(n)) => (u128::from(a.to_bits()), u128::from(n.to_bits()), 32),
        (IpAddr::V6(a), IpAddr::V6(n)) => (a.to_bits(), n.to_bits(), 128),
        _ => return false,
    };
    let free = width - u32::from(bits).min(width);
    (address ^ network).checked_shr(free).unwrap_or(0) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxy(variables: &[(&str, &str)]) -> Proxy {
        let found =
            |name: &str| variables.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned());
        Proxy::read(found).unwrap()
    }

    fn used(no_proxy: &str, url: &str) -> bool {
        let proxy = proxy(&[("HTTPS_PROXY", "proxy:3128"), ("NO_PROXY", no_proxy)]);
        proxy.on_the_way_to(&Endpoint::from_url(url).unwrap()).is_some()
    }

    #[test]
    fn without_a_variable_or_with_an_empty_one_there_is_none() {
        let there = Endpoint::from_url("https://example.com").unwrap();
        assert!(proxy(&[]).on_the_way_to(&there).is_none());
        assert!(proxy(&[("HTTPS_PROXY", "")]).on_the_way_to(&there).is_none());
    }

    #[test]
    fn the_lower_case_variable_wins() {
        let proxy = proxy(&[("HTTPS_PROXY", "http://upper"), ("https_proxy", "http://lower:1")]);
        let there = Endpoint::from_url("https://example.com").unwrap();
        let server = proxy.on_the_way_to(&there).unwrap();
        assert_eq!((&*server.endpoint.host, server.endpoint.port), ("lower", 1));
    }

    #[test]
    fn user_and_password_become_a_header() {
        let proxy = proxy(&[("https_proxy", "http://us%40er:p%3Ass@proxy/")]);
        let there = Endpoint::from_url("https://example.com").unwrap();
        let server = proxy.on_the_way_to(&there).unwrap();
        let expected = format!("Basic {}", BASE64_STANDARD.encode("us@er:p:ss"));
        assert_eq!(server.authorization, Some(expected));
        assert!(!format!("{proxy:?}").contains("Basic"));
    }

    #[test]
    fn plain_connections_go_directly_unless_asked_for() {
        let proxy = proxy(&[("https_proxy", "http://proxy")]);
        let there = Endpoint::from_url("http://example.com").unwrap();
        assert!(proxy.on_the_way_to(&there).is_none());
        assert!(proxy.for_plain_too().on_the_way_to(&there).is_some());
    }

    #[test]
    fn no_proxy_knows_names_domains_addresses_networks_and_ports() {
        assert!(used("", "https://a.example.com"));
        assert!(!used("*", "https://a.example.com"));
        assert!(!used("example.com", "https://A.Example.com"));
        assert!(!used("other, example.com", "https://example.com"));
        assert!(used(".example.com", "https://example.com"));
        assert!(!used(".example.com", "https://a.example.com"));
        assert!(!used("*.example.com", "https://a.example.com"));
        assert!(used("ample.com", "https://example.com"));
        assert!(!used("10.0.0.0/8", "https://10.96.0.1"));
        assert!(used("10.0.0.0/8", "https://11.0.0.1"));
        assert!(!used("0.0.0.0/0", "https://11.0.0.1"));
        assert!(!used("10.1.2.3", "https://10.1.2.3:6443"));
        assert!(used("10.1.2.3:443", "https://10.1.2.3:6443"));
        assert!(!used("example.com:6443", "https://example.com:6443"));
        assert!(!used("fd00::/8", "https://[fd00::1]:6443"));
    }

    #[test]
    fn this_host_is_reached_directly() {
        for url in ["https://localhost:6443", "https://127.0.0.1:6443", "https://[::1]:6443"] {
            assert!(!used("", url), "{url}");
        }
    }

    #[test]
    fn a_proxy_that_cannot_be_used_is_an_error() {
        for text in ["socks5://proxy:1080", "https://proxy", "http://", "http://proxy:none"] {
            assert!(Proxy::read(|name| (name == "https_proxy").then(|| text.into())).is_err(), "{text}");
        }
    }
}

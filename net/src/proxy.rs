//! Which connections go through a proxy, and through which: `HTTPS_PROXY` and `NO_PROXY`, or one
//! that was named for this very peer.
//!
//! The grammar is Go's. hyper-util's matcher reads curl's: there `.example.com` means the domain itself, too, no
//! entry of `NO_PROXY` has a port, and this very host is reached through the proxy.

use std::{fmt, net::IpAddr};

use base64::{Engine, prelude::BASE64_STANDARD};
use percent_encoding::percent_decode_str;

use crate::endpoint::Endpoint;

/// The proxy to use and for whom not to.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Proxy {
    route: ProxyRoute,
    plain_too: bool,
}

#[derive(Clone, Default, PartialEq, Eq)]
enum ProxyRoute {
    #[default]
    Direct,
    /// Named for the peer: it holds for every host, this one included.
    Explicit(ProxyServer),
    /// The environment's, which has exceptions. Whether it can be used is asked by whom it holds for.
    Environment { server: Result<ProxyServer, ProxyError>, except: Vec<NoProxyEntry> },
}

/// A proxy.
#[derive(Clone, PartialEq, Eq)]
pub struct ProxyServer {
    /// Where it listens.
    pub endpoint: Endpoint,
    /// What it speaks.
    pub protocol: ProxyProtocol,
    /// Name and password, decoded.
    pub user: Option<(Vec<u8>, Vec<u8>)>,
}

/// What a proxy speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProxyProtocol {
    /// HTTP's CONNECT; over TLS where the endpoint is secure.
    Http,
    /// SOCKS 5. Names are always resolved by the proxy, as Go does it for either of its schemes.
    Socks5,
}

impl fmt::Debug for ProxyServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("endpoint", &self.endpoint).finish_non_exhaustive()
    }
}

/// As a URL, without name and password.
impl fmt::Display for ProxyServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.protocol {
            ProxyProtocol::Http => self.endpoint.fmt(f),
            ProxyProtocol::Socks5 => write!(f, "socks5://{}", self.endpoint.authority()),
        }
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let server = match &self.route {
            ProxyRoute::Direct => None,
            ProxyRoute::Explicit(server) => Some(server),
            ProxyRoute::Environment { server, .. } => server.as_ref().ok(),
        };
        f.debug_struct("Proxy").field("server", &server).finish_non_exhaustive()
    }
}

/// The environment names a proxy that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{variable} cannot be used: {problem}; correct it, or name in NO_PROXY who is reached without it")]
pub struct ProxyError {
    variable: String,
    problem: ProxyUrlError,
}

/// Why a text names no proxy. Nothing of the text is shown but its scheme: it may hold a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProxyUrlError {
    /// A scheme that there is no way to speak.
    #[error("{EXPECTED} (scheme {0:?} is not supported)")]
    Scheme(String),
    /// What stands before `://` is no scheme.
    #[error("{EXPECTED} (its scheme is none)")]
    NoScheme,
    /// No host, or no port.
    #[error("{EXPECTED} (there is no host:port in it; encode / ? # in a password as %2F %3F %23)")]
    NoHost,
    /// A name or password that is too long.
    #[error("{EXPECTED} (SOCKS has no room for a name or password of more than 255 bytes)")]
    LongUser,
}

const EXPECTED: &str = "expected [http|https|socks5]://[user:password@]host[:port]";

/// One entry of NO_PROXY.
#[derive(Debug, Clone, PartialEq, Eq)]
enum NoProxyEntry {
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

    /// This one, for every peer.
    pub fn explicit(url: &str) -> Result<Self, ProxyUrlError> {
        Ok(Self { route: ProxyRoute::Explicit(ProxyServer::parse(url)?), plain_too: true })
    }

    /// As the process' environment says; the lower-case name wins where both are set.
    pub fn from_env() -> Self {
        Self::read(|name| std::env::var(name).ok())
    }

    /// The same from any source of variables.
    pub fn read(variable: impl Fn(&str) -> Option<String>) -> Self {
        let either = |lower: &str| {
            let set = |name: String| {
                let text = variable(&name)?.trim().to_owned();
                (!text.is_empty()).then_some((name, text))
            };
            set(lower.to_owned()).or_else(|| set(lower.to_uppercase()))
        };
        let Some((variable, text)) = either("https_proxy") else { return Self::none() };
        let server = ProxyServer::parse(&text).map_err(|problem| ProxyError { variable, problem });
        let except = either("no_proxy").map(|(_, text)| text).unwrap_or_default();
        let except = except.split([',', ' ']).map(str::trim).filter(|entry| !entry.is_empty());
        let except = except.map(NoProxyEntry::parse).collect();
        Self { route: ProxyRoute::Environment { server, except }, plain_too: false }
    }

    /// Also for connections without TLS, as gRPC clients do (HTTP clients do not).
    #[must_use]
    pub fn for_plain_too(mut self) -> Self {
        self.plain_too = true;
        self
    }

    /// The proxy on the way to `endpoint`. The environment's never stands between a host and itself. An
    /// error where it is one that cannot be used.
    pub fn on_the_way_to(&self, endpoint: &Endpoint) -> Result<Option<&ProxyServer>, ProxyError> {
        if !endpoint.secure && !self.plain_too {
            return Ok(None);
        }
        match &self.route {
            ProxyRoute::Direct => Ok(None),
            ProxyRoute::Explicit(server) => Ok(Some(server)),
            ProxyRoute::Environment { server, except } => {
                let address: Option<IpAddr> = endpoint.host.parse().ok();
                let local = endpoint.host.eq_ignore_ascii_case("localhost")
                    || address.is_some_and(|address| address.is_loopback());
                if local || except.iter().any(|entry| entry.holds(endpoint, address)) {
                    return Ok(None);
                }
                server.as_ref().map(Some).map_err(Clone::clone)
            }
        }
    }
}

impl ProxyServer {
    /// From a URL; without a scheme it is `http`.
    pub fn parse(text: &str) -> Result<Self, ProxyUrlError> {
        let (scheme, rest) = text.split_once("://").unwrap_or(("http", text));
        let (protocol, secure, port) = match &*scheme.to_ascii_lowercase() {
            "http" => (ProxyProtocol::Http, false, 80),
            "https" => (ProxyProtocol::Http, true, 443),
            "socks5" | "socks5h" => (ProxyProtocol::Socks5, false, 1080),
            other if other.len() <= 10 && other.bytes().all(|b| b.is_ascii_alphanumeric()) => {
                return Err(ProxyUrlError::Scheme(other.to_owned()));
            }
            _ => return Err(ProxyUrlError::NoScheme),
        };
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let (user, host) = match authority.rsplit_once('@') {
            Some((user, host)) => (Some(user), host),
            None => (None, authority),
        };
        let endpoint = Endpoint::from_host_port(secure, host, port).map_err(|_| ProxyUrlError::NoHost)?;
        let user = user.map(|user| {
            let (name, password) = user.split_once(':').unwrap_or((user, ""));
            let decoded = |text| percent_decode_str(text).collect::<Vec<u8>>();
            (decoded(name), decoded(password))
        });
        let fits = |part: &[u8]| part.len() <= 255;
        if protocol == ProxyProtocol::Socks5
            && user.as_ref().is_some_and(|(name, password)| !fits(name) || !fits(password))
        {
            return Err(ProxyUrlError::LongUser);
        }
        Ok(Self { endpoint, protocol, user })
    }

    /// Value of the `Proxy-Authorization` header.
    pub fn authorization(&self) -> Option<String> {
        let (name, password) = self.user.as_ref()?;
        let pair = [name.as_slice(), b":", password].concat();
        Some(format!("Basic {}", BASE64_STANDARD.encode(pair)))
    }
}

impl NoProxyEntry {
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
        Proxy::read(found)
    }

    fn used(no_proxy: &str, url: &str) -> bool {
        let proxy = proxy(&[("HTTPS_PROXY", "proxy:3128"), ("NO_PROXY", no_proxy)]);
        proxy.on_the_way_to(&Endpoint::from_url(url).unwrap()).unwrap().is_some()
    }

    #[test]
    fn without_a_variable_or_with_an_empty_one_there_is_none() {
        let there = Endpoint::from_url("https://example.com").unwrap();
        assert!(proxy(&[]).on_the_way_to(&there).unwrap().is_none());
        assert!(proxy(&[("HTTPS_PROXY", "")]).on_the_way_to(&there).unwrap().is_none());
    }

    #[test]
    fn the_lower_case_variable_wins() {
        let proxy = proxy(&[("HTTPS_PROXY", "http://upper"), ("https_proxy", "http://lower:1")]);
        let there = Endpoint::from_url("https://example.com").unwrap();
        let server = proxy.on_the_way_to(&there).unwrap().unwrap();
        assert_eq!((&*server.endpoint.host, server.endpoint.port), ("lower", 1));
    }

    #[test]
    fn user_and_password_become_a_header() {
        let proxy = proxy(&[("https_proxy", "http://us%40er:p%3Ass@proxy/")]);
        let there = Endpoint::from_url("https://example.com").unwrap();
        let server = proxy.on_the_way_to(&there).unwrap().unwrap();
        let expected = format!("Basic {}", BASE64_STANDARD.encode("us@er:p:ss"));
        assert_eq!(server.authorization(), Some(expected));
        assert!(!format!("{proxy:?}").contains("Basic"));
    }

    #[test]
    fn plain_connections_go_directly_unless_asked_for() {
        let proxy = proxy(&[("https_proxy", "http://proxy")]);
        let there = Endpoint::from_url("http://example.com").unwrap();
        assert!(proxy.on_the_way_to(&there).unwrap().is_none());
        assert!(proxy.for_plain_too().on_the_way_to(&there).unwrap().is_some());
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
    fn one_that_was_named_for_the_peer_holds_for_this_host_and_without_tls() {
        let proxy = Proxy::explicit("http://proxy:3128").unwrap();
        for url in ["https://localhost:6443", "https://127.0.0.1:6443", "http://example.com"] {
            assert!(proxy.on_the_way_to(&Endpoint::from_url(url).unwrap()).unwrap().is_some(), "{url}");
        }
    }

    #[test]
    fn schemes_have_their_ports_and_speech() {
        let known = [
            ("proxy", "http://proxy:80", ProxyProtocol::Http),
            ("HTTP://proxy:3128", "http://proxy:3128", ProxyProtocol::Http),
            ("https://proxy", "https://proxy:443", ProxyProtocol::Http),
            ("socks5://[::1]", "socks5://[::1]:1080", ProxyProtocol::Socks5),
            ("socks5h://u:p@proxy:9/", "socks5://proxy:9", ProxyProtocol::Socks5),
        ];
        for (text, expected, protocol) in known {
            let server = ProxyServer::parse(text).unwrap();
            let shown = ProxyServer {
                endpoint: Endpoint::new(server.endpoint.secure, &server.endpoint.host, server.endpoint.port),
                ..server
            };
            assert_eq!((shown.to_string(), shown.protocol), (expected.to_owned(), protocol), "{text}");
        }
    }

    #[test]
    fn one_that_cannot_be_used_is_an_error_where_it_is_needed_which_names_the_variable_and_no_password() {
        for text in [
            "ftp://u:s3cret@proxy",
            "http://",
            "http://u:s3cret@proxy:none",
            "http://u:s3/cret@proxy",
            "u:s3://cret@x",
        ] {
            let proxy = proxy(&[("HTTPS_PROXY", text), ("NO_PROXY", "near.example")]);
            let to = |host: &str| proxy.on_the_way_to(&Endpoint::new(true, host, 443)).map(|s| s.is_some());
            assert_eq!((to("near.example"), to("localhost")), (Ok(false), Ok(false)));
            let error = to("far.example").unwrap_err().to_string();
            assert!(error.starts_with("HTTPS_PROXY cannot be used"), "{error}");
            assert!(!error.contains("s3"), "{error}");
            assert!(!format!("{proxy:?}").contains("s3"));
        }
    }
}

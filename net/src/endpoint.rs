//! Where to connect to: a host, a port, and whether TLS is spoken there.

use std::{fmt, net::Ipv6Addr};

/// A host and port, and whether TLS is spoken there. The host's case is kept.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Endpoint {
    /// TLS or not.
    pub secure: bool,
    /// Name or address; an IPv6 address without its brackets.
    pub host: String,
    /// Port.
    pub port: u16,
    /// As it was written: `host`, `host:port`.
    authority: String,
    /// The name that its certificate shall bear, where that is not `host`.
    server_name: Option<String>,
}

/// Why a text names no endpoint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    /// Neither `http://` nor `https://`.
    #[error("{text:?} is no http:// or https:// URL")]
    NoUrl {
        /// What was given.
        text: String,
    },
    /// Not of the form `host:port`.
    #[error("{text:?} is not of the form host:port")]
    NoAuthority {
        /// What was given.
        text: String,
    },
}

/// What of a text that is no endpoint may be shown. Before an @ there may be a password.
fn shown(text: &str) -> String {
    const MOST: usize = 200;
    if text.contains('@') { "(not shown)".into() } else { text.chars().take(MOST).collect() }
}

impl Endpoint {
    /// From parts.
    pub fn new(secure: bool, host: &str, port: u16) -> Self {
        let authority =
            if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
        Self { secure, host: host.into(), port, authority, server_name: None }
    }

    /// From a URL; its path is the caller's. Without a port, the scheme's.
    pub fn from_url(text: &str) -> Result<Self, EndpointError> {
        let error = || EndpointError::NoUrl { text: shown(text) };
        let uri: http::Uri = text.parse().map_err(|_| error())?;
        let secure = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(error()),
        };
        let authority = uri.authority().ok_or_else(error)?;
        Self::from_authority(secure, authority, if secure { 443 } else { 80 }).ok_or_else(error)
    }

    /// From `host:port` or `host`; Go's gRPC targets `dns:///…` and `passthrough:///…`, which
    /// existing configurations may have, mean the same.
    pub fn from_host_port(secure: bool, text: &str, default_port: u16) -> Result<Self, EndpointError> {
        let error = || EndpointError::NoAuthority { text: shown(text) };
        let bare = ["dns:///", "passthrough:///"].iter().find_map(|scheme| text.strip_prefix(scheme));
        let authority: http::uri::Authority = bare.unwrap_or(text).parse().map_err(|_| error())?;
        Self::from_authority(secure, &authority, default_port).ok_or_else(error)
    }

    fn from_authority(secure: bool, authority: &http::uri::Authority, default_port: u16) -> Option<Self> {
        let host = authority.host();
        let shown = authority.as_str();
        // User names belong to proxies, and `host:` has no port though it parses.
        let shown = shown.rsplit_once('@').map_or(shown, |(_, host)| host);
        let port = match shown.strip_prefix(host)? {
            "" => default_port,
            port => port.strip_prefix(':')?.parse().ok().filter(|&port| port != 0)?,
        };
        let bare = match host.strip_prefix('[') {
            // It may name a zone.
            Some(address) => address.strip_suffix(']').filter(|address| {
                address.split('%').next().is_some_and(|address| address.parse::<Ipv6Addr>().is_ok())
            })?,
            None => host,
        };
        (!bare.is_empty() && !bare.contains(['[', ']'])).then(|| Self {
            secure,
            host: bare.into(),
            port,
            authority: shown.into(),
            server_name: None,
        })
    }

    /// The same endpoint, whose certificate is to bear another name than its host.
    #[must_use]
    pub fn presenting(mut self, server_name: &str) -> Self {
        self.server_name = Some(server_name.into());
        self
    }

    /// The name to ask for and to verify in TLS.
    pub fn server_name(&self) -> &str {
        self.server_name.as_deref().unwrap_or(&self.host)
    }

    /// For the `Host` header and `:authority`: as it was written.
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// `http` or `https`.
    pub fn scheme(&self) -> &'static str {
        if self.secure { "https" } else { "http" }
    }

    /// For CONNECT: always with a port.
    pub fn host_port(&self) -> String {
        Self::new(self.secure, &self.host, self.port).authority
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme(), self.authority)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_hosts_case_and_an_explicit_port() {
        let endpoint = Endpoint::from_url("https://API.Example.com:443/k8s/clusters/c-1").unwrap();
        assert_eq!(
            (endpoint.secure, &*endpoint.host, endpoint.port, endpoint.authority()),
            (true, "API.Example.com", 443, "API.Example.com:443")
        );
    }

    #[test]
    fn takes_the_schemes_port_where_none_is_given() {
        let plain = Endpoint::from_url("http://one").unwrap();
        assert_eq!((plain.port, plain.authority(), plain.host_port()), (80, "one", "one:80".into()));
        assert_eq!(Endpoint::from_url("https://two/").unwrap().port, 443);
        assert_eq!(Endpoint::from_host_port(true, "three", 443).unwrap().port, 443);
        let target = Endpoint::from_host_port(true, "dns:///four:8081", 443).unwrap();
        assert_eq!((&*target.host, target.port), ("four", 8081));
    }

    #[test]
    fn an_ipv6_address_loses_its_brackets_but_not_in_the_authority() {
        let endpoint = Endpoint::from_host_port(false, "[::1]:8081", 443).unwrap();
        assert_eq!((&*endpoint.host, endpoint.port, endpoint.authority()), ("::1", 8081, "[::1]:8081"));
        assert_eq!(endpoint.host_port(), "[::1]:8081");
    }

    #[test]
    fn what_is_no_endpoint_is_refused() {
        for text in ["", "localhost", "ftp://one", "https://", "/path", "https://one:0", "https://one:99999"]
        {
            assert!(Endpoint::from_url(text).is_err(), "{text}");
        }
        for text in [
            "",
            ":80",
            "one:",
            "one:x",
            "http://one:80",
            "one two",
            "one:0",
            "one[]:80",
            "[]:80",
            "[one]:80",
            "[::1]80",
        ] {
            assert!(Endpoint::from_host_port(false, text, 443).is_err(), "{text}");
        }
    }
}

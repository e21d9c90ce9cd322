//! Addresses as they were configured, and not normalised: membership is told the very text, and a
//! Gateway's host keeps its case and its port.

use std::fmt;

use crate::stack::desired;

/// Why a text is no URL, or no address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// No URL.
    #[error("not a URL: give a URL such as https://region.example.com")]
    NoUrl,
    /// A URL of another kind.
    #[error("the scheme is neither http nor https")]
    Scheme,
    /// A URL with a user, and perhaps a password.
    #[error("a URL with a user would be shown to everybody: leave out what stands before the @")]
    User,
    /// A URL where an address is due.
    #[error("a URL: give host:port alone")]
    Url,
    /// The port that stands for none.
    #[error("port 0 cannot be connected to: give host:port")]
    PortZero,
    /// What stands in brackets is no address.
    #[error("no IPv6 address stands in the brackets")]
    Brackets,
    /// No host.
    #[error("the host is missing")]
    NoHost,
    /// No host name.
    #[error("the host has characters that no host name has")]
    HostName,
    /// A port that there is not.
    #[error("the port is above 65535")]
    PortTooHigh,
    /// No port.
    #[error("what follows the host is no port")]
    NoPort,
}

/// A region's URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseUrl {
    /// The whole text, as configured.
    pub text: String,
    /// `http` or `https`.
    pub scheme: String,
    /// `host` or `host:port`, as configured.
    pub host_port: String,
}

impl BaseUrl {
    /// Takes a URL apart.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        let graphic = text.chars().all(|c| c.is_ascii_graphic());
        let Some((scheme, rest)) = text.split_once("://").filter(|_| graphic) else {
            return Err(AddressError::NoUrl);
        };
        let scheme = scheme.to_ascii_lowercase();
        if scheme != "http" && scheme != "https" {
            return Err(AddressError::Scheme);
        }
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let host_port = &rest[..end];
        if host_port.contains('@') {
            return Err(AddressError::User);
        }
        host_and_port(host_port)?;
        Ok(Self { text: text.into(), scheme, host_port: host_port.into() })
    }
}

/// What decisions need of it.
impl From<&BaseUrl> for desired::StackBaseUrl {
    fn from(url: &BaseUrl) -> Self {
        Self { scheme: url.scheme.clone(), host: url.host_port.clone() }
    }
}

impl fmt::Display for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// A host and the port to connect to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostPort {
    /// A name or an address; an IPv6 address without its brackets.
    pub host: String,
    /// The port.
    pub port: u16,
}

impl HostPort {
    /// Takes `host:port` apart; without a port it is `default`. The prefix of a gRPC target
    /// (`dns:///`) is taken away, since the Go agent takes one.
    pub fn parse(text: &str, default: u16) -> Result<Self, AddressError> {
        let target = ["dns:///", "passthrough:///"].iter().find_map(|p| text.strip_prefix(p)).unwrap_or(text);
        if target.contains("://") {
            return Err(AddressError::Url);
        }
        let (host, port) = host_and_port(target)?;
        match port.unwrap_or(default) {
            0 => Err(AddressError::PortZero),
            port => Ok(Self { host: host.into(), port }),
        }
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

/// The host, without brackets, and the port where there is one.
fn host_and_port(text: &str) -> Result<(&str, Option<u16>), AddressError> {
    let (host, rest) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, rest)) => {
            address.parse::<std::net::Ipv6Addr>().map_err(|_| AddressError::Brackets)?;
            (address, rest)
        }
        None => {
            let (host, rest) = text.split_at(text.find(':').unwrap_or(text.len()));
            let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
            if host.is_empty() {
                return Err(AddressError::NoHost);
            }
            if !host.chars().all(plain) {
                return Err(AddressError::HostName);
            }
            (host, rest)
        }
    };
    let port = match rest.strip_prefix(':') {
        None if rest.is_empty() => None,
        Some("") => None,
        Some(digits) if digits.bytes().all(|b| b.is_ascii_digit()) => {
            Some(digits.parse().map_err(|_| AddressError::PortTooHigh)?)
        }
        _ => return Err(AddressError::NoPort),
    };
    Ok((host, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_url_stays_as_it_was_configured() {
        let url = BaseUrl::parse("HTTPS://Region.Example.com:443/path?x#y").unwrap();
        assert_eq!(url.text, "HTTPS://Region.Example.com:443/path?x#y");
        assert_eq!((url.scheme.as_str(), url.host_port.as_str()), ("https", "Region.Example.com:443"));
    }

    #[test]
    fn a_base_url_needs_scheme_and_host_and_no_user() {
        for text in [
            "",
            "example.com",
            "ftp://a",
            "https://",
            "https:///x",
            "https://:443",
            "https://u:p@a",
            "https://a b",
            "https://a:b",
            "https://a:70000",
            "https://exa\u{e4}mple",
            "https://a\n",
        ] {
            assert!(BaseUrl::parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn an_address_has_a_host_and_a_port() {
        let parse = |text| HostPort::parse(text, 443).map(|a| (a.host.clone(), a.port, a.to_string()));
        let some = |host: &str, port, text: &str| Ok((host.to_owned(), port, text.to_owned()));
        assert_eq!(parse("localhost:8081"), some("localhost", 8081, "localhost:8081"));
        assert_eq!(parse("membership"), some("membership", 443, "membership:443"));
        assert_eq!(parse("[::1]:80"), some("::1", 80, "[::1]:80"));
        assert_eq!(parse("dns:///m.svc:8081"), some("m.svc", 8081, "m.svc:8081"));
        for text in ["", ":80", "http://a:80", "a:80:90", "::1", "a:0", "[x]:1", "[::1]80"] {
            assert!(parse(text).is_err(), "{text:?}");
        }
    }
}

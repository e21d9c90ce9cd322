//! Names to addresses: the host's resolver, asked where it blocks no executor.

use std::{
    io,
    net::{IpAddr, SocketAddr, ToSocketAddrs},
};

use crate::{BlockingError, blocking};

/// Why a name has no address.
#[derive(Debug, thiserror::Error)]
pub enum DnsError {
    /// The resolver's answer.
    #[error("cannot resolve {host:?}: {source}")]
    Resolver {
        /// The name.
        host: String,
        /// The resolver's error.
        source: io::Error,
    },
    /// The name exists and has no address.
    #[error("{0:?} has no address")]
    NoAddress(String),
    /// The resolver could not be asked.
    #[error("cannot ask the resolver for {host:?}: {source}")]
    NotAsked {
        /// The name.
        host: String,
        /// Why not.
        source: BlockingError,
    },
}

/// All addresses of a host, in the system's order of preference. The system resolver blocks
/// (and reads files), so it runs on a thread of its own; an address needs no resolver.
pub async fn resolve(host: &str, port: u16) -> Result<Vec<SocketAddr>, DnsError> {
    if let Ok(address) = host.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(address, port)]);
    }
    let name = host.to_owned();
    let found = blocking(move || (name.as_str(), port).to_socket_addrs().map(Iterator::collect::<Vec<_>>))
        .await
        .map_err(|source| DnsError::NotAsked { host: host.into(), source })?
        .map_err(|source| DnsError::Resolver { host: host.into(), source })?;
    if found.is_empty() {
        return Err(DnsError::NoAddress(host.into()));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::run;

    #[test]
    fn localhost_and_addresses_resolve_and_nonsense_does_not() {
        run(async {
            let found = resolve("localhost", 80).await.unwrap();
            assert!(found.iter().all(|a| a.ip().is_loopback() && a.port() == 80), "{found:?}");
            assert_eq!(resolve("::1", 1).await.unwrap(), ["[::1]:1".parse().unwrap()]);
            let error = resolve("no such name", 80).await.unwrap_err().to_string();
            assert!(error.contains("no such name"), "{error}");
        });
    }
}

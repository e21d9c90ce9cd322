//! TLS to servers of OpenSSL's, with certificates of OpenSSL's: what Go accepts is accepted, and
//! errors say whose certificate is wrong.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

#[path = "tls/client.rs"]
mod client;
#[path = "tls/identities.rs"]
mod identities;
#[path = "tls/openssl.rs"]
mod openssl;
#[path = "tls/servers.rs"]
mod servers;
#[path = "tls/troubles.rs"]
mod troubles;

//! TLS to servers of OpenSSL's, with certificates of OpenSSL's: what Go accepts is accepted, and
//! errors say whose certificate is wrong.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]
#![allow(unreachable_pub, reason = "a test is a crate of its own")]

#[path = "tls/api_server.rs"]
mod api_server;
#[path = "tls/client.rs"]
mod client;
#[path = "support/e2e.rs"]
mod e2e;
#[path = "tls/identities.rs"]
mod identities;
#[path = "tls/openssl.rs"]
mod openssl;
#[path = "tls/servers.rs"]
mod servers;
#[path = "support/support.rs"]
mod support;
#[path = "tls/troubles.rs"]
mod troubles;

//! TLS to servers of OpenSSL's, with certificates of OpenSSL's: what Go accepts is accepted, and
//! errors say whose certificate is wrong.

mod api_server;
mod client;
mod identities;
mod openssl;
mod servers;
mod troubles;

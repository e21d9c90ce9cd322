//! The Kubernetes side, one [`Client`] per shard.
//!
//! [`request`] builds what is sent and [`answer`] reads what comes back, both pure, and so is
//! [`mod@watch`], which keeps a kind in view; [`watching`] performs it. Between
//! them stand the permits ([`limiter`], [`permit`]), who we are ([`config`], [`kubeconfig`],
//! [`credentials`], [`exec`]) and the connections ([`client`] over the private `transport`).

pub mod answer;
mod body;
pub mod catalog;
pub mod client;
pub mod config;
mod connection;
pub mod credentials;
pub mod exec;
pub(crate) mod gunzip;
mod impersonation;
pub mod kubeconfig;
pub mod limiter;
pub(crate) mod lines;
mod page;
pub mod permit;
mod reload;
pub mod request;
mod scan;
pub mod store;
pub mod target;
mod transport;
mod unread;
pub mod warning;
pub mod watch;
pub mod watching;

#[cfg(test)]
pub(crate) use transport::simulated;

pub use client::{Client, Counts, Limits};
pub use config::{ClusterConfig, ClusterConfigError};
pub use permit::Permit;
pub use target::Target;
pub use watch::News;
pub use watching::watch;

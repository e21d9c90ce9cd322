//! The Kubernetes side, one [`KubeClient`] per shard.
//!
//! [`request`] builds what is sent and [`response`] reads what comes back, both pure, and so is
//! [`reflector`], which keeps a kind in view; its [driver](reflector::run) performs it. Between
//! them stand the permits ([`limiter`]), who we are ([`config`], [`kubeconfig`],
//! [`credentials`], [`exec`]) and the connections ([`client`] over the private `transport`).

mod body;
mod buffer_budget;
pub mod catalog;
pub mod client;
pub mod config;
mod connection;
mod connection_pool;
pub mod credentials;
pub mod exec;
pub(crate) mod gunzip;
mod json_scanner;
pub mod kubeconfig;
pub mod limiter;
pub(crate) mod line_buffer;
mod list_reader;
pub mod reflector;
mod reload;
pub mod request;
pub mod response;
mod send_error;
pub mod store;
mod transport;
pub mod warning;

#[cfg(test)]
pub(crate) use send_error::SendError;
#[cfg(test)]
pub(crate) use transport::simulated;

pub use client::{ClientLimits, KubeClient, SentCounts};
pub use config::{ClusterConfig, ClusterConfigError};
pub use limiter::Permit;
pub use reflector::ReflectorEvent;
pub use request::WatchTarget;

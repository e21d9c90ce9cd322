//! The Kubernetes side, one [`Client`] per shard.
//!
//! [`request`] builds what is sent and [`answer`] reads what comes back, both pure. Between
//! them stand the permits ([`limiter`], [`permit`]), who we are ([`config`], [`kubeconfig`],
//! [`credentials`], [`exec`]) and the connections.

pub mod answer;
pub mod config;
pub mod credentials;
pub mod exec;
pub mod kubeconfig;
pub mod limiter;
pub mod permit;
pub mod request;
pub mod warning;

//! What every input from outside is held to, whatever its bytes.
//!
//! Each function takes the bytes of one input, has the agent read them, and panics where what was
//! read is not what it may be. Each is called by the target of its name in `fuzz/`, where a fuzzer
//! makes up the bytes, and by the tests below, with the seeds of that target and thousands of
//! variations of them.
//!
//! What holds is stated in the words of the other side (the API server's rules, say), and where it
//! can be in other code than that which is checked.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a check fails by panicking")]

mod answers;
mod compressed;
mod gzip;
mod join;
mod kubeconfig;
mod kubernetes;
mod list;
#[cfg(test)]
mod mutator;
mod oidc;
mod orders;
mod peer;
mod plugin;
mod replay;
mod script;
mod settings;
mod socks;
mod store;
mod trace;
mod urls;
mod watch;

pub use self::{
    answers::answers, compressed::compressed, gzip::gzip, join::join, kubeconfig::kubeconfig, list::list,
    oidc::oidc, orders::orders, peer::peer, plugin::plugin, replay::replay, settings::settings, socks::socks,
    store::store, trace::trace, urls::urls, watch::watch,
};

#[cfg(test)]
mod tests;

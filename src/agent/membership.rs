//! Membership as a source of orders: the session on the front shard.

use std::{cell::Cell, net::SocketAddr, rc::Rc, sync::Arc, time::Duration};

use futures::FutureExt;
use tracing::{error, info, warn};

use super::front::{Feed, Front, Source};
use crate::{
    config::{Auth as AuthSettings, Config, Identity},
    membership::{
        auth::Auth,
        hello::{Hello, VERSION},
        leave::Leaver,
        reports::Reports,
        session::{Session, SessionConfig, USER_TIMEOUT},
        wire::{self, server},
    },
    net::{
        connect::Connector,
        endpoint::Endpoint,
        proxy::{Proxy, ProxyError},
        tls::{self, TlsError},
    },
    stack::report::Report,
};

/// Bound on resolving, connecting and the TLS handshake.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Why membership cannot even be tried.
#[derive(Debug, thiserror::Error)]
pub enum MembershipError {
    /// TLS to it cannot be configured.
    #[error("TLS to membership: {0}")]
    Tls(#[from] TlsError),
    /// The proxy in the environment is no proxy.
    #[error(transparent)]
    Proxy(#[from] ProxyError),
}

/// Orders of the membership that `config` names.
pub(super) fn source(config: &Config) -> Result<Source, MembershipError> {
    let server = &config.membership.server;
    let tls = match &config.membership.tls {
        Some(trust) => {
            if *trust == tls::Trust::Nothing {
                warn!(%server, "the certificate of membership is NOT verified (--tls-insecure-skip-verify): anybody in between can read and change orders; give its CA with --tls-ca-cert instead");
            }
            Some(tls::client_config(trust, None, &[tls::H2])?)
        }
        None => None,
    };
    let session = SessionConfig {
        endpoint: Endpoint::new(tls.is_some(), &server.host, server.port),
        connector: Connector {
            tls,
            proxy: Proxy::from_env()?,
            connect_timeout: CONNECT_TIMEOUT,
            user_timeout: Some(USER_TIMEOUT),
        },
        auth: match &config.auth {
            AuthSettings::Token(token) => Auth::Token(token.expose().to_owned()),
            AuthSettings::Bearer { issuer, client_secret } => {
                Auth::Bearer { issuer: issuer.clone(), client_secret: client_secret.expose().to_owned() }
            }
        },
        hello: hello(&config.identity),
    };
    Ok(Arc::new(move |front| feed(session.clone(), front)))
}

/// Orders of a membership on this machine that asks for no credentials, in plain text: for the
/// demo.
pub fn local(address: SocketAddr, id: &str, base_url: &str) -> Source {
    let session = SessionConfig {
        endpoint: Endpoint::new(false, &address.ip().to_string(), address.port()),
        connector: Connector {
            tls: None,
            proxy: Proxy::none(),
            connect_timeout: CONNECT_TIMEOUT,
            user_timeout: Some(USER_TIMEOUT),
        },
        auth: Auth::Token(String::new()),
        hello: Hello {
            id: id.to_owned(),
            base_url: base_url.to_owned(),
            version: VERSION.to_owned(),
            ..Hello::default()
        },
    };
    Arc::new(move |front| feed(session.clone(), front))
}

/// Who the agent says it is, but for the modules.
fn hello(identity: &Identity) -> Hello {
    Hello {
        id: identity.id.clone(),
        base_url: identity.base_url.text.clone(),
        additional_base_urls: identity.additional_base_urls.iter().map(|url| url.text.clone()).collect(),
        production: identity.production,
        outdated: identity.outdated,
        version: VERSION.to_owned(),
        ..Hello::default()
    }
}

fn feed(mut config: SessionConfig, front: Front) -> Feed {
    let modules = &front.catalog.modules;
    config.hello.modules = modules.iter().map(|module| module.singular.clone()).collect();
    config.hello.enterprise_modules =
        modules.iter().filter(|module| module.enterprise).map(|module| module.singular.clone()).collect();
    let reports = Reports::new();
    let outbox = reports.clone();
    Feed {
        run: stay(config, front, reports).boxed_local(),
        report: Rc::new(move |report: &Report| outbox.push(report.clone())),
    }
}

/// Stays joined until the agent stops: then takes no more orders, and closes the stream once
/// nothing is in flight any more.
async fn stay(config: SessionConfig, front: Front, reports: Reports) {
    let session = match Session::new(config, reports) {
        Ok(session) => session,
        Err(failure) => {
            error!("cannot join membership: {failure}");
            return;
        }
    };
    let leaver = Leaver::new();
    let leave = leaver.leave();
    let bad = Rc::new(Cell::new(0_u64));
    let leaving = async {
        front.stop.wait().await;
        leaver.stop_orders();
        front.drained().await;
        leaver.close();
    };
    let running = session.run(async |message| accept(&front, &bad, message).await, leave);
    let (left, ()) = futures::join!(running, leaving);
    match left.unsent {
        0 => info!(graceful = left.graceful, "left membership"),
        unsent => warn!(graceful = left.graceful, unsent, "left membership with reports unsent"),
    }
}

async fn accept(front: &Front, bad: &Cell<u64>, message: server::Order) {
    match wire::order(message) {
        Ok(Some(order)) => front.submit(order).await,
        Ok(None) => {
            warn!("an order of a kind that this version does not know is passed over; upgrade the agent")
        }
        Err(failure) => {
            bad.set(bad.get() + 1);
            error!(refused_so_far = bad.get(), "an order is refused, all others go on: {failure}");
        }
    }
}

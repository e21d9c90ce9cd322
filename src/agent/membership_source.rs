//! Membership as a source of orders: the session on the coordinator's shard.

use std::{
    cell::{Cell, RefCell},
    convert::Infallible,
    net::SocketAddr,
    pin::pin,
    sync::Arc,
    time::Duration,
};

use futures::{
    FutureExt,
    future::{Either, select},
};
use shards::CoopBudget;
use tracing::{error, info, warn};

use super::coordinator::{OrderSource, SourceHandle};
use crate::{
    config::{AuthSettings, Config, IdentitySettings},
    log_throttle::LogThrottle,
    membership::{
        auth::MembershipAuth,
        close::SessionCloser,
        downlink::{Inbound, LONGEST},
        join_metadata::{CurrentMetadata, JoinMetadata, VERSION},
        session::{Session, SessionConfig, USER_TIMEOUT},
        wire::OrderDecoder,
    },
    net::{
        self,
        connect::Connector,
        endpoint::Endpoint,
        proxy::{Proxy, ProxyError},
        tls::{self, TlsError},
    },
    stack::object::Resource,
    time::now,
};

/// Bound on resolving, connecting and the TLS handshake.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Why membership cannot even be tried.
#[derive(Debug, thiserror::Error)]
pub enum MembershipError {
    /// TLS to it cannot be configured.
    #[error("TLS to membership: {0}")]
    Tls(#[from] TlsError),
    /// The proxy on the way there, from the environment, cannot be used.
    #[error(transparent)]
    Proxy(#[from] ProxyError),
}

/// Orders of the membership that `config` names.
pub(super) fn order_source(config: &Config) -> Result<OrderSource, MembershipError> {
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
    let endpoint = Endpoint::new(tls.is_some(), &server.host, server.port);
    let proxy = Proxy::from_env();
    proxy.on_the_way_to(&endpoint)?;
    let session = SessionConfig {
        endpoint,
        connector: Connector {
            tls,
            proxy,
            connect_timeout: CONNECT_TIMEOUT,
            user_timeout: Some(USER_TIMEOUT),
        },
        auth: match &config.auth {
            AuthSettings::Token(token) => MembershipAuth::Token(token.expose().to_owned()),
            AuthSettings::Bearer { issuer, client_secret } => MembershipAuth::Bearer {
                issuer: issuer.clone(),
                client_secret: client_secret.expose().to_owned(),
            },
        },
        id: config.identity.id.clone(),
    };
    let join_metadata = join_metadata(&config.identity);
    let longest = config.membership.max_message_bytes;
    Ok(Arc::new(move |agent| stay(session.clone(), longest, join_metadata.clone(), agent).boxed_local()))
}

/// Orders of a membership on this machine that asks for no credentials, in plain text: for the
/// demo.
pub fn local(address: SocketAddr, id: &str, base_url: &str) -> OrderSource {
    let session = SessionConfig {
        endpoint: Endpoint::new(false, &address.ip().to_string(), address.port()),
        connector: Connector {
            tls: None,
            proxy: Proxy::none(),
            connect_timeout: CONNECT_TIMEOUT,
            user_timeout: Some(USER_TIMEOUT),
        },
        auth: MembershipAuth::Token(String::new()),
        id: id.to_owned(),
    };
    let join_metadata = JoinMetadata {
        id: id.to_owned(),
        base_url: base_url.to_owned(),
        version: VERSION.to_owned(),
        ..JoinMetadata::default()
    };
    Arc::new(move |agent| stay(session.clone(), LONGEST, join_metadata.clone(), agent).boxed_local())
}

/// Who the agent says it is, but for the modules.
fn join_metadata(identity: &IdentitySettings) -> JoinMetadata {
    JoinMetadata {
        id: identity.id.clone(),
        base_url: identity.base_url.text.clone(),
        additional_base_urls: identity.additional_base_urls.clone(),
        production: identity.production,
        outdated: identity.outdated,
        version: VERSION.to_owned(),
        ..JoinMetadata::default()
    }
}

/// What the agent says of itself in a cluster with these modules.
fn with_modules(join_metadata: &JoinMetadata, modules: &[Arc<Resource>]) -> JoinMetadata {
    let names = |modules: &mut dyn Iterator<Item = &Arc<Resource>>| {
        modules.map(|module| module.singular.clone()).collect()
    };
    JoinMetadata {
        modules: names(&mut modules.iter()),
        enterprise_modules: names(&mut modules.iter().filter(|module| module.enterprise)),
        ..join_metadata.clone()
    }
}

/// Stays joined until the agent stops: then takes no more orders, and closes the stream once
/// nothing is in flight any more.
async fn stay(config: SessionConfig, longest: usize, join_metadata: JoinMetadata, agent: SourceHandle) {
    let modules = agent.modules().clone();
    let metadata = match CurrentMetadata::new(&with_modules(&join_metadata, &modules.kinds)) {
        Ok(metadata) => metadata,
        Err(failure) => {
            error!("cannot join membership: {failure}");
            return;
        }
    };
    let session = Session::new(config, metadata.clone(), agent.reports()).longest(longest);
    let closer = SessionCloser::new();
    let closing = closer.signal();
    let intake = OrderIntake::new(agent.clone());
    let leaving = async {
        agent.stop().wait().await;
        closer.stop_orders();
        agent.drained().await;
        closer.close();
    };
    let running = session.run(async |message| intake.accept(message).await, closing);
    let introducing = introduce(&agent, &join_metadata, &metadata, modules.generation);
    let introducing = pin!(async { futures::join!(introducing, intake.log_rest()).0 });
    let both = pin!(async { futures::join!(running, leaving) });
    let left = match select(both, introducing).await {
        Either::Left(((left, ()), _)) => left,
        Either::Right((never, _)) => match never {},
    };
    match left.unsent {
        0 => info!(graceful = left.graceful, "left membership"),
        unsent => warn!(graceful = left.graceful, unsent, "left membership with reports unsent"),
    }
}

/// Joins anew whenever the modules have changed.
async fn introduce(
    agent: &SourceHandle,
    join_metadata: &JoinMetadata,
    metadata: &CurrentMetadata,
    mut generation: u64,
) -> Infallible {
    loop {
        let modules = agent.modules_after(generation).await;
        generation = modules.generation;
        if let Err(failure) = metadata.change(&with_modules(join_metadata, &modules.kinds)) {
            error!("membership is not told of the changed modules: {failure}");
        }
    }
}

/// Fields of a message that are read in one go: some tenths of a millisecond at most.
const FIELDS: usize = 500;

/// How often what was not logged is looked at.
const LOOK: Duration = Duration::from_secs(1);

/// Where messages become orders.
struct OrderIntake {
    agent: SourceHandle,
    /// Messages that are no orders.
    refused: Cell<u64>,
    lines: RefCell<LogThrottle<(&'static str, &'static str)>>,
}

impl OrderIntake {
    fn new(agent: SourceHandle) -> Self {
        Self { agent, refused: Cell::new(0), lines: RefCell::default() }
    }

    /// Takes a message in. One of any size is read in small steps, so that Pongs need not wait.
    async fn accept(&self, inbound: Inbound) {
        let message = match inbound {
            Inbound::Message(message) => message,
            Inbound::TooLong { bytes, longest } => {
                return self.refuse(("message", "longer than --max-message-bytes"), || {
                    format!(
                        "a message of {bytes} bytes from membership is left out: --max-message-bytes allows \
                         {longest}"
                    )
                });
            }
        };
        let is_module = |name: &str| self.agent.is_module(name);
        let (mut reading, mut budget) = (OrderDecoder::new(&message, &is_module), CoopBudget::new());
        loop {
            match reading.step(FIELDS) {
                Ok(true) => break,
                Ok(false) => budget.check().await,
                Err(malformed) => {
                    return self.refuse(("message", "no order"), || {
                        let bytes = message.len();
                        format!(
                            "left out: a message of {bytes} bytes from membership is no order: {malformed}"
                        )
                    });
                }
            }
        }
        match reading.finish() {
            Ok((Some(order), trace)) => self.agent.submit(order, trace).await,
            Ok((None, _)) => self.pass_over(),
            Err(failure) => {
                self.refuse(failure.kind(), || format!("an order is refused, all others go on: {failure}"))
            }
        }
    }

    /// An order of a kind to come.
    fn pass_over(&self) {
        if let Some(unsaid) = self.lines.borrow_mut().say(now(), ("message", "of an unknown kind")) {
            warn!(
                "an order of a kind that this version does not know is passed over; upgrade the agent{unsaid}"
            );
        }
    }

    fn refuse(&self, kind: (&'static str, &'static str), line: impl FnOnce() -> String) {
        self.refused.set(self.refused.get() + 1);
        if let Some(unsaid) = self.lines.borrow_mut().say(now(), kind) {
            error!(refused_so_far = self.refused.get(), "{}{unsaid}", line());
        }
    }

    /// Says how many lines were not, though nothing of their kind follows.
    async fn log_rest(&self) -> Infallible {
        loop {
            net::sleep(LOOK).await;
            for (kind, unsaid) in self.lines.borrow_mut().overdue(now()) {
                let (what, how) = kind.unwrap_or(("others", "of several kinds"));
                error!(refused_so_far = self.refused.get(), "{unsaid} more were left out: {what}, {how}");
            }
        }
    }
}

//! The session: joined whenever that is possible, for as long as the process lives.

use std::time::Duration;

use futures::future::{Either, select};
use std::pin::pin;
use tonic::metadata::MetadataMap;
use tracing::{info, warn};

use crate::{
    membership::{
        auth::MembershipAuth,
        close::{CloseSignal, CloseStage},
        downlink::{Inbound, LONGEST},
        join_metadata::CurrentMetadata,
        reconnect::Reconnect,
        report_channel::ReportChannel,
        stream::{JoinStream, StreamEnd, StreamError},
    },
    net::{connect::Connector, endpoint::Endpoint, sleep},
    time,
};

/// A good value for [`Connector::user_timeout`]: with a heartbeat every 5 s there is always data
/// on its way, so a peer that is gone shows within this time.
pub const USER_TIMEOUT: Duration = Duration::from_secs(20);

/// What a session needs to know.
#[derive(Debug, Clone)]
pub struct SessionConfig {
    /// Where membership is.
    pub endpoint: Endpoint,
    /// How to get there: TLS offering `h2`, the proxy, [`USER_TIMEOUT`].
    pub connector: Connector,
    /// How to authenticate.
    pub auth: MembershipAuth,
    /// The agent's id, which bearer tokens are asked for.
    pub id: String,
}

/// How a session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionEnd {
    /// Whether the server saw the end of the stream and ended its own half.
    pub graceful: bool,
    /// Reports that were never sent.
    pub unsent: usize,
}

/// A session that has not begun.
#[derive(Debug)]
pub struct Session {
    config: SessionConfig,
    metadata: CurrentMetadata,
    reports: ReportChannel,
    reconnect: Reconnect,
    longest: usize,
}

impl Session {
    /// A session that will introduce itself like this and send these reports.
    pub fn new(config: SessionConfig, metadata: CurrentMetadata, reports: ReportChannel) -> Self {
        Self { config, metadata, reports, reconnect: Reconnect::new(), longest: LONGEST }
    }

    /// Takes messages of at most so many bytes.
    pub fn longest(self, longest: usize) -> Self {
        Self { longest, ..self }
    }

    /// Joins, and joins again whenever the stream ends, until asked to leave.
    ///
    /// `orders` is handed every message but Ping and Connected, one after the other; while it
    /// waits (for room in a queue) no more is read, so that the server is held back and
    /// memory stays bounded. Heartbeats and reports go on meanwhile.
    pub async fn run(mut self, mut orders: impl AsyncFnMut(Inbound), closing: CloseSignal) -> SessionEnd {
        loop {
            let ended = {
                let attempt = pin!(self.attempt(&mut orders, &closing));
                attempt.await
            };
            self.reports.close();
            let ended = match ended {
                Ok(Some(left)) => return left,
                Ok(None) => {
                    info!("joining again: the modules of this cluster have changed");
                    continue;
                }
                Err(ended) => ended,
            };
            let wait = self.reconnect.ended(time::now(), fastrand::f64());
            self.log(&ended, wait);
            if let Either::Left(_) = select(pin!(closing.reached(CloseStage::Close)), pin!(sleep(wait))).await
            {
                return self.not_joined();
            }
        }
    }

    /// One try: authenticate, connect, join, stay. `None`: to be joined again at once.
    async fn attempt(
        &mut self,
        orders: &mut impl AsyncFnMut(Inbound),
        closing: &CloseSignal,
    ) -> Result<Option<SessionEnd>, StreamError> {
        let (metadata, version) = self.metadata.current();
        let opened = {
            let open = pin!(self.open(metadata));
            match select(open, pin!(closing.reached(CloseStage::Close))).await {
                Either::Left((stream, _)) => Some(stream?),
                Either::Right(_) => None,
            }
        };
        let Some(stream) = opened else { return Ok(Some(self.not_joined())) };
        let outdated = self.metadata.newer_than(version);
        let parting = stream.stay(&mut self.reconnect, &self.reports, orders, closing, outdated).await?;
        Ok(match parting {
            StreamEnd::Closed { graceful } => Some(SessionEnd { graceful, unsent: self.reports.waiting() }),
            StreamEnd::Outdated => None,
            StreamEnd::Dismissed => return Err(StreamError::Dismissed),
        })
    }

    async fn open(&self, mut metadata: MetadataMap) -> Result<JoinStream, StreamError> {
        #[cfg(test)]
        if let Some(peer) = crate::membership::stream::simulated::installed() {
            return Ok(JoinStream::simulated(peer, metadata));
        }
        let SessionConfig { endpoint, connector, auth, id } = &self.config;
        let (key, value) = auth.credential(id, &connector.proxy).await?;
        let io = connector.connect(endpoint).await?.io;
        metadata.insert(key, value);
        JoinStream::open(io, endpoint, metadata, self.longest).await
    }

    fn not_joined(&self) -> SessionEnd {
        SessionEnd { graceful: true, unsent: self.reports.waiting() }
    }

    fn log(&self, ended: &StreamError, wait: Duration) {
        let membership = &self.config.endpoint;
        match ended {
            StreamError::Auth(error) => {
                warn!(%membership, ?wait, "cannot authenticate, will try again: {error}");
            }
            StreamError::Status(status) if is_refused(status.code()) => {
                let (code, reason) = (status.code(), status.message());
                warn!(%membership, ?wait, ?code, "membership refuses this agent, will try again: {reason}");
            }
            broken @ (StreamError::Ended | StreamError::Dismissed) => {
                info!(%membership, ?wait, "will join again: {broken}");
            }
            ended => warn!(%membership, ?wait, "not joined, will try again: {ended}"),
        }
    }
}

fn is_refused(code: tonic::Code) -> bool {
    use tonic::Code;
    matches!(code, Code::Unauthenticated | Code::PermissionDenied | Code::AlreadyExists)
}

#[cfg(test)]
mod tests;

//! From a request to a reply, or to the stream that it opens.

#[cfg(test)]
pub(crate) mod simulated;

#[cfg(test)]
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request};

use super::{
    body::{BodyError, LargeBodies},
    config::ClusterConfig,
    connection::{PendingResponse, SendProgress, addressed},
    connection_pool::{ConnectionPool, ConnectionUse, PooledConnection},
    credentials::Presented,
    response::ApiResponse,
    send_error::SendError,
};
use crate::net::{self, endpoint::Endpoint};

/// How often a request that was surely not applied is sent on another connection.
const ATTEMPTS: usize = 4;

/// What carries requests, one for each client.
pub(super) struct Transport {
    pool: ConnectionPool,
    large_bodies: LargeBodies,
    #[cfg(test)]
    simulated: Option<Rc<dyn simulated::Network>>,
}

/// A request as it goes out, and who asks.
#[derive(Debug)]
pub(super) struct OutgoingRequest {
    pub(super) head: Request<()>,
    pub(super) body: Bytes,
    pub(super) presented: Presented,
}

/// What came of asking for a stream.
#[derive(Debug)]
pub(super) enum Opened {
    /// 2xx: this follows.
    Stream(Box<ResponseStream>),
    /// Anything else, read whole.
    Reply(ApiResponse),
}

/// A body that lasts as long as it likes, with the connection that it comes over. Dropping it ends
/// it: on HTTP/2 the stream alone, on HTTP/1.1 the connection, which is nobody else's.
#[derive(Debug)]
#[cfg_attr(test, allow(clippy::large_enum_variant, reason = "the large one is the one there is"))]
pub(super) enum ResponseStream {
    Real(PendingResponse, #[allow(dead_code, reason = "kept while the body lasts")] PooledConnection),
    #[cfg(test)]
    Simulated(simulated::SimulatedBody),
}

impl ResponseStream {
    /// See [`Body::chunk`](super::body::Body::chunk).
    pub(super) async fn chunk(&mut self) -> Result<Option<Bytes>, BodyError> {
        match self {
            ResponseStream::Real(begun, _) => begun.body.chunk().await,
            #[cfg(test)]
            ResponseStream::Simulated(chunks) => chunks.next().await,
        }
    }

    /// What it was announced with.
    pub(super) fn headers(&self) -> Option<&HeaderMap> {
        match self {
            ResponseStream::Real(begun, _) => Some(&begun.head.headers),
            #[cfg(test)]
            ResponseStream::Simulated(_) => None,
        }
    }
}

impl Transport {
    pub(super) fn new(config: ClusterConfig) -> Self {
        Self {
            pool: ConnectionPool::new(config),
            large_bodies: LargeBodies::new(),
            #[cfg(test)]
            simulated: simulated::installed(),
        }
    }

    /// Where the server is.
    pub(super) fn endpoint(&self) -> &Endpoint {
        &self.pool.config.endpoint
    }

    /// Sends a request and reads its whole reply, within `deadline` from now.
    pub(super) async fn exchange(
        &self,
        outgoing: &OutgoingRequest,
        deadline: Duration,
    ) -> Result<ApiResponse, SendError> {
        #[cfg(test)]
        if let Some(network) = &self.simulated {
            return simulated::exchange(network, outgoing, deadline).await;
        }
        let progress = SendProgress::default();
        let exchange = async {
            let (pending, connection) = self.begin(outgoing, ConnectionUse::Brief, &progress).await?;
            self.finish(pending, connection).await
        };
        self.within(deadline, &progress, exchange).await
    }

    /// Sends a request whose answer is a stream. The deadline holds until that begins, or for the
    /// whole of another answer.
    pub(super) async fn open(
        &self,
        outgoing: &OutgoingRequest,
        used: ConnectionUse,
        deadline: Duration,
    ) -> Result<Opened, SendError> {
        #[cfg(test)]
        if let Some(network) = &self.simulated {
            return simulated::open(network, outgoing, deadline).await;
        }
        let progress = SendProgress::default();
        let opening = async {
            let (pending, connection) = self.begin(outgoing, used, &progress).await?;
            if pending.head.status.is_success() {
                self.pool.succeeded();
                return Ok(Opened::Stream(Box::new(ResponseStream::Real(pending, connection))));
            }
            self.finish(pending, connection).await.map(Opened::Reply)
        };
        self.within(deadline, &progress, opening).await
    }

    /// Takes back the connection of a stream that has ended, where others can use it.
    pub(super) fn close(&self, stream: ResponseStream) {
        match stream {
            ResponseStream::Real(pending, connection) => {
                connection.connection().release(pending);
                self.pool.give_back(connection);
            }
            #[cfg(test)]
            ResponseStream::Simulated(_) => {}
        }
    }

    async fn within<T>(
        &self,
        deadline: Duration,
        progress: &SendProgress,
        sending: impl Future<Output = Result<T, SendError>>,
    ) -> Result<T, SendError> {
        if let Ok(result) = net::timeout(deadline, sending).await {
            return result;
        }
        let Some(sent) = progress.sent.get() else {
            return Err(SendError::NoConnection { deadline, last: self.pool.last_failure() });
        };
        if let Some(monitor) = progress.monitor.take() {
            // Not a word for a whole deadline: whatever else is on that connection waits in vain.
            if monitor.heard() < sent {
                monitor.cut();
                self.pool.failed("the connection fell silent");
            }
        }
        Err(SendError::NoAnswer(deadline))
    }

    /// Sends until the head of an answer is there.
    async fn begin(
        &self,
        outgoing: &OutgoingRequest,
        used: ConnectionUse,
        progress: &SendProgress,
    ) -> Result<(PendingResponse, PooledConnection), SendError> {
        let OutgoingRequest { head, body, presented } = outgoing;
        let mut last = String::new();
        for attempt in 0..ATTEMPTS {
            let pooled = self.pool.acquire(presented.identity.as_ref(), used).await?;
            let connection = pooled.connection();
            let ClusterConfig { endpoint, path, .. } = &self.pool.config;
            let request = addressed(head, body.clone(), endpoint, path, connection.protocol())?;
            match connection.begin(request, progress).await {
                Ok(pending) => return Ok((pending, pooled)),
                Err(error) if error.may_have_arrived() => {
                    self.pool.failed(&error.to_string());
                    return Err(error);
                }
                Err(error) => {
                    let cause = error.to_string();
                    self.pool.give_up(&pooled);
                    if attempt > 0 {
                        // At once on another connection; from there on at the pace of failures.
                        self.pool.failed(&cause);
                    }
                    last = cause;
                }
            }
        }
        Err(SendError::NoneTookIt { attempts: ATTEMPTS, last })
    }

    /// Reads the rest of an answer.
    async fn finish(
        &self,
        pending: PendingResponse,
        connection: PooledConnection,
    ) -> Result<ApiResponse, SendError> {
        let finished = connection.connection().finish(pending, &self.large_bodies).await;
        match &finished {
            Ok(_) => {
                self.pool.succeeded();
                self.pool.give_back(connection);
            }
            // The connection did what it is for.
            Err(BodyError::Unusable(_)) => self.pool.succeeded(),
            Err(BodyError::Broken(cause)) => self.pool.failed(cause),
        }
        Ok(finished?)
    }
}

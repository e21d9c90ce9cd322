//! The client of one shard: permits, writes, reads.

mod watches;

pub(in crate::cluster) use watches::{Listed, Pieces};

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    time::Duration,
};

use futures::StreamExt;
use http::{HeaderName, HeaderValue, StatusCode, header};
use shards::Wakeup;

use super::{
    buffer_budget::BufferBudget,
    config::ClusterConfig,
    credentials::Credentials,
    limiter::{Permit, Permits, TokenBucket},
    reflector::MOST_ITEMS,
    request::{self, ApiRequest, RequestError},
    response::{self, ApiResponse},
    send_error::SendError,
    transport::{OutgoingRequest, Transport},
    warning,
};
use crate::{
    log_throttle::LogThrottle,
    net::endpoint::Endpoint,
    stack::{
        object::{Object, ObjectKey},
        write::{ReadError, Refusal, Write, WriteAnswer},
    },
    time,
};

/// Requests of one read that are on their way together, each with its own permit.
const READS_TOGETHER: usize = 6;

/// So many failures in a row are more than one request's bad luck.
const OUTAGE: u32 = 2;

/// What one client may do, already divided over the shards.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ClientLimits {
    /// Requests a second; 0 is unlimited.
    pub qps: f64,
    /// Requests that may be saved up.
    pub burst: u32,
    /// Requests on their way at a time.
    pub max_in_flight: usize,
    /// For one request, from the permit to the end of its answer.
    pub deadline: Duration,
}

/// What a client has sent so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SentCounts {
    /// All requests, writes included.
    pub requests: u64,
    /// Creates, patches and deletes.
    pub writes: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum RequestKind {
    Read,
    Write,
}

/// The Kubernetes client of one shard. Clones are the same client.
#[derive(Clone)]
pub struct KubeClient(Rc<ClientInner>);

struct ClientInner {
    transport: Transport,
    credentials: Credentials,
    permits: Permits,
    headers: Vec<(HeaderName, HeaderValue)>,
    compression: bool,
    deadline: Duration,
    counts: Cell<SentCounts>,
    health: RequestHealth,
    /// What has begun to come in for lists and watches.
    buffer_budget: BufferBudget,
    /// See [`KubeClient::listing_at_most`].
    most_items: Cell<u64>,
    warnings: RefCell<LogThrottle<&'static str>>,
}

impl std::fmt::Debug for KubeClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KubeClient")
            .field("permits", &self.0.permits)
            .field("counts", &self.counts())
            .finish_non_exhaustive()
    }
}

impl KubeClient {
    /// A client that has not connected yet. To be made on the shard that will use it.
    pub fn new(config: &ClusterConfig, limits: ClientLimits) -> Self {
        let bucket = TokenBucket::new(limits.qps, limits.burst, time::now());
        Self(Rc::new(ClientInner {
            credentials: Credentials::new(
                config.credentials.clone(),
                config.identity.clone(),
                config.identity_files.clone(),
            ),
            permits: Permits::new(bucket, limits.max_in_flight),
            headers: config.headers.clone(),
            compression: config.compression,
            deadline: limits.deadline,
            counts: Cell::default(),
            health: RequestHealth::default(),
            buffer_budget: BufferBudget::default(),
            most_items: Cell::new(MOST_ITEMS),
            warnings: RefCell::default(),
            transport: Transport::new(config.clone()),
        }))
    }

    /// Waits for the right to one request. What to ask is best decided with it in hand; dropped
    /// unused it costs nothing.
    pub async fn permit(&self) -> Permit {
        self.0.permits.acquire().await
    }

    /// Performs a write. To be awaited to its end: dropped halfway, its outcome is lost.
    pub async fn write(&self, permit: Permit, write: &Write) -> WriteAnswer {
        let request = match request::write(write) {
            Ok(request) => request,
            Err(error) => return WriteAnswer::Refused(never_sent(&error)),
        };
        match self.perform(permit, request, RequestKind::Write).await {
            Ok(reply) => {
                let warnings = response::warnings(write, &reply);
                warning::tell(&mut self.0.warnings.borrow_mut(), write.key(), &warnings, time::now());
                response::write(write, &reply)
            }
            Err(error) if error.may_have_arrived() => {
                WriteAnswer::InDoubt { cause: error.to_string(), retry_after: None }
            }
            Err(error) => WriteAnswer::NotApplied { cause: error.to_string(), retry_after: None },
        }
    }

    /// Reads objects by name, all of them or none: where one read fails, all do, and nothing looks
    /// absent that is not. Those that are not in the answer are absent. Retrying is the caller's.
    pub async fn read(&self, keys: &[ObjectKey]) -> Result<Vec<Object>, ReadError> {
        let reads = keys.iter().map(|key| self.get(key));
        let found: Vec<_> = futures::stream::iter(reads).buffer_unordered(READS_TOGETHER).collect().await;
        found.into_iter().filter_map(Result::transpose).collect()
    }

    /// The most items that a list of this client may have; the flag `--kube-max-list-items`.
    #[must_use]
    pub fn listing_at_most(self, items: u64) -> Self {
        self.0.most_items.set(items);
        self
    }

    /// Where the API server is.
    pub fn server(&self) -> &Endpoint {
        self.0.transport.endpoint()
    }

    /// Until when the API server wants to be left alone, if it does.
    pub fn paused_until(&self) -> Option<time::Instant> {
        self.0.permits.paused_until()
    }

    /// Waits until requests are answered again, after they were not.
    pub(super) async fn recovered(&self) {
        self.0.health.recovered().await;
    }

    /// What has been sent so far.
    pub fn counts(&self) -> SentCounts {
        self.0.counts.get()
    }

    /// Permits that are out, and requests that wait for one.
    #[cfg(test)]
    pub(crate) fn load(&self) -> (usize, usize) {
        (self.0.permits.in_flight(), self.0.permits.waiting())
    }

    async fn get(&self, key: &ObjectKey) -> Result<Option<Object>, ReadError> {
        let reply = self.ask(&key.to_string(), request::get(key)).await?;
        response::read_one(key, &reply)
    }

    async fn ask(
        &self,
        subject: &str,
        request: Result<ApiRequest, RequestError>,
    ) -> Result<ApiResponse, ReadError> {
        let request = request.map_err(|error| ReadError::Refused {
            subject: subject.to_owned(),
            refusal: never_sent(&error),
        })?;
        let permit = self.permit().await;
        let asked = self.perform(permit, request, RequestKind::Read).await;
        asked.map_err(|error| ReadError::Failed {
            subject: subject.to_owned(),
            cause: error.to_string(),
            retry_after: None,
        })
    }

    async fn perform(
        &self,
        mut permit: Permit,
        request: ApiRequest,
        kind: RequestKind,
    ) -> Result<ApiResponse, SendError> {
        permit.spend();
        let outgoing = self.prepare(request).await?;
        let result = self.0.transport.exchange(&outgoing, self.0.deadline).await;
        self.count(&result, kind);
        match &result {
            Ok(reply) => self.0.health.replied(reply.status),
            Err(_) => self.0.health.failed(),
        }
        let reply = self.doubt(result, &outgoing).await?;
        self.heed(&reply, &outgoing).await;
        let busy = [StatusCode::TOO_MANY_REQUESTS, StatusCode::SERVICE_UNAVAILABLE];
        if let Some(pause) = reply.retry_after().filter(|_| busy.contains(&reply.status)) {
            // A little longer, each shard on its own, so that they do not come back together.
            self.0.permits.pause(time::times(pause, 1.0 + fastrand::f64() / 4.0));
        }
        Ok(reply)
    }

    /// The request as it goes out, with who asks.
    async fn prepare(&self, request: ApiRequest) -> Result<OutgoingRequest, SendError> {
        let presented = self.0.credentials.present().await;
        let presented = presented.map_err(|error| {
            self.0.health.failed();
            SendError::Credentials(error)
        })?;
        let (mut head, body) = request.into_parts();
        head.headers.extend(presented.header.clone().map(|value| (header::AUTHORIZATION, value)));
        if !self.0.compression {
            head.headers.remove(header::ACCEPT_ENCODING);
        }
        for (name, value) in &self.0.headers {
            head.headers.append(name, value.clone());
        }
        Ok(OutgoingRequest { head: http::Request::from_parts(head, ()), body: body.into(), presented })
    }

    fn count<T>(&self, result: &Result<T, SendError>, kind: RequestKind) {
        if result.as_ref().err().is_none_or(SendError::may_have_arrived) {
            let SentCounts { requests, writes } = self.0.counts.get();
            let writes = writes + u64::from(kind == RequestKind::Write);
            self.0.counts.set(SentCounts { requests: requests + 1, writes });
        }
    }

    /// Where nothing was answered, who we are may be the reason.
    async fn doubt<T>(
        &self,
        result: Result<T, SendError>,
        outgoing: &OutgoingRequest,
    ) -> Result<T, SendError> {
        if result.is_err() {
            self.0.credentials.doubt(&outgoing.presented).await;
        }
        result
    }

    async fn heed(&self, reply: &ApiResponse, outgoing: &OutgoingRequest) {
        if reply.unauthorized() {
            self.0.credentials.refused(&outgoing.presented).await;
        }
    }
}

/// Whether requests are answered, and when they are again.
#[derive(Debug, Default)]
struct RequestHealth {
    /// Failures since the last success.
    failures: Cell<u32>,
    /// Counts successes after failures.
    recoveries: Cell<u64>,
    changed: Wakeup,
}

impl RequestHealth {
    /// An answer. What is the matter with one request alone says nothing of others.
    fn replied(&self, status: StatusCode) {
        let is_general = matches!(status, StatusCode::UNAUTHORIZED | StatusCode::TOO_MANY_REQUESTS);
        if status.is_success() {
            self.succeeded();
        } else if is_general || status.is_server_error() {
            self.failed();
        }
    }

    fn failed(&self) {
        self.failures.set(self.failures.get().saturating_add(1));
    }

    fn succeeded(&self) {
        if self.failures.replace(0) >= OUTAGE {
            self.recoveries.set(self.recoveries.get() + 1);
            self.changed.notify();
        }
    }

    /// Waits for the next success after failures.
    async fn recovered(&self) {
        let seen = self.recoveries.get();
        self.changed.until(|| (self.recoveries.get() != seen).then_some(())).await;
    }
}

fn never_sent(error: &RequestError) -> Refusal {
    Refusal { code: 400, reason: "NotSent".into(), message: error.to_string() }
}

#[cfg(test)]
mod tests;

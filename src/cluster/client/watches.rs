//! The requests that keep a kind in view: pages of a list, and the stream of a watch.
//!
//! Neither of these makes the whole client pause where the server wants to be left alone: whoever
//! watches heeds that for its own kind. A kind that was defined just now answers lists with 429 for
//! seconds while writes to it, and everything else, go through.

use std::time::Duration;

use super::{KubeClient, RequestKind};
use crate::{
    cluster::{
        body::BodyError,
        buffer_budget::BufferBudget,
        catalog,
        connection_pool::ConnectionUse,
        limiter::Permit,
        request::{self, ApiRequest, RequestError, WatchTarget},
        response::{ApiResponse, check_json},
        send_error::SendError,
        transport::{Opened, ResponseStream},
    },
    net,
    stack::{object::Catalog, write::ReadError},
    time,
};

/// Pages of definitions: there are a dozen of modules.
const MOST_PAGES: usize = 100;
/// A page that comes more slowly than so many bytes within a deadline is given up.
const PACE: usize = 1 << 20;

/// What was answered to a request for a list.
#[derive(Debug)]
pub(in crate::cluster) enum Listed {
    /// 2xx: a page, as it comes in.
    Page(Pieces),
    /// Anything else, or what was there at once.
    Reply(ApiResponse),
}

/// A page of a list as it comes in.
#[derive(Debug)]
pub(in crate::cluster) struct Pieces {
    client: KubeClient,
    /// Until it has ended.
    stream: Option<Box<ResponseStream>>,
    /// For how long more may be waited, and how much has come since that was settled.
    left: Duration,
    come: usize,
}

impl KubeClient {
    /// What all lists and watches of this client hold of what has begun to come in.
    pub(in crate::cluster) fn buffer_budget(&self) -> &BufferBudget {
        &self.0.buffer_budget
    }

    /// The most items that a list may have.
    pub(in crate::cluster) fn most_items(&self) -> u64 {
        self.0.most_items.get()
    }

    /// Discovers the module kinds.
    pub async fn catalog(&self) -> Result<Catalog, ReadError> {
        let mut modules = Vec::new();
        let mut next: Option<String> = None;
        for _ in 0..MOST_PAGES {
            let page = self.definitions(next.as_deref()).await?;
            modules.extend(page.modules);
            match page.next {
                Some(token) if next.as_ref() != Some(&token) => next = Some(token),
                Some(_) => {
                    return Err(catalog::failed("the list goes on with the page that it ended with"));
                }
                None => return Ok(Catalog::new(modules)),
            }
        }
        Err(catalog::failed(format!("the list does not end after {MOST_PAGES} pages")))
    }

    async fn definitions(&self, token: Option<&str>) -> Result<catalog::ModulesPage, ReadError> {
        let permit = self.permit().await;
        match self.list(permit, request::module_crds(token)).await.map_err(catalog::failed)? {
            Listed::Reply(reply) => catalog::page(&reply),
            Listed::Page(mut pieces) => {
                let mut reader = catalog::ModulesReader::default();
                while let Some(piece) = pieces.next().await.map_err(catalog::failed)? {
                    reader.push(&piece).map_err(catalog::failed)?;
                }
                reader.finish().map_err(catalog::failed)
            }
        }
    }

    /// Asks for a page of all there is of a target; whatever is answered, or why nothing is.
    pub(in crate::cluster) async fn page(
        &self,
        permit: Permit,
        target: &WatchTarget,
        token: Option<&str>,
    ) -> Result<Listed, SendError> {
        self.list(permit, request::list_all(target, token)).await
    }

    async fn list(
        &self,
        permit: Permit,
        request: Result<ApiRequest, RequestError>,
    ) -> Result<Listed, SendError> {
        Ok(match self.begin(permit, request, ConnectionUse::Brief).await? {
            Opened::Reply(reply) => Listed::Reply(reply),
            Opened::Stream(stream) => Listed::Page(Pieces {
                client: self.clone(),
                stream: Some(stream),
                left: self.0.deadline,
                come: 0,
            }),
        })
    }

    /// Opens a watch. The deadline holds until it begins; then its permit is free for others, and it
    /// lasts until the server ends it or it is dropped.
    pub(in crate::cluster) async fn open(
        &self,
        permit: Permit,
        target: &WatchTarget,
        version: &str,
        timeout: Duration,
    ) -> Result<Opened, SendError> {
        self.begin(permit, request::watch(target, version, timeout), ConnectionUse::Lasting).await
    }

    async fn begin(
        &self,
        mut permit: Permit,
        request: Result<ApiRequest, RequestError>,
        used: ConnectionUse,
    ) -> Result<Opened, SendError> {
        permit.spend();
        let opening = async {
            let outgoing = self.prepare(request?).await?;
            let result = self.0.transport.open(&outgoing, used, self.0.deadline).await;
            self.count(&result, RequestKind::Read);
            match self.doubt(result, &outgoing).await {
                Ok(Opened::Reply(reply)) => {
                    self.0.health.replied(reply.status);
                    self.heed(&reply, &outgoing).await;
                    Ok(Opened::Reply(reply))
                }
                Ok(stream) => {
                    self.0.health.succeeded();
                    Ok(stream)
                }
                Err(failure) => {
                    self.0.health.failed();
                    Err(failure)
                }
            }
        };
        let opened = opening.await?;
        if let Opened::Stream(stream) = &opened
            && let Some(headers) = stream.headers()
        {
            check_json(headers)?;
        }
        Ok(opened)
    }
}

impl Pieces {
    /// What comes next; `None` once the page has come to its end.
    pub(in crate::cluster) async fn next(&mut self) -> Result<Option<bytes::Bytes>, BodyError> {
        let Some(stream) = &mut self.stream else { return Ok(None) };
        let asked = time::now();
        let Ok(chunk) = net::timeout(self.left, stream.chunk()).await else {
            let deadline = self.client.0.deadline;
            return Err(BodyError::Broken(format!(
                "the list stopped coming: no {PACE} bytes within {deadline:?}"
            )));
        };
        // Only what was waited for counts: who reads it may be slow as well.
        self.left = self.left.saturating_sub(time::now().saturating_duration_since(asked));
        let chunk = chunk?;
        match &chunk {
            Some(chunk) => {
                self.come = self.come.saturating_add(chunk.len());
                if self.come >= PACE {
                    (self.come, self.left) = (0, self.client.0.deadline);
                }
            }
            None => {
                if let Some(stream) = self.stream.take() {
                    self.client.0.transport.close(*stream);
                }
            }
        }
        Ok(chunk)
    }
}

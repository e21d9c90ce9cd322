//! What keeping a kind in view asks of the API server.
//!
//! Neither of these makes the whole client pause where the server wants to be left alone: whoever
//! watches heeds that for its own kind. A kind that was defined just now answers lists with 429 for
//! seconds while writes to it, and everything else, go through.

use std::time::Duration;

use futures::lock::MutexGuard;

use super::Client;
use crate::cluster::{
    answer::Reply,
    permit::Permit,
    request::{self, ApiRequest, RequestError},
    target::Target,
    transport::{Failure, Opened},
};

impl Client {
    /// The right to have a page of a list in memory, which on each shard one at a time has.
    pub(in crate::cluster) async fn page_right(&self) -> MutexGuard<'_, ()> {
        self.0.page.lock().await
    }

    /// The same for a page that takes long to come, one more on each shard.
    pub(in crate::cluster) async fn slow_page_right(&self) -> MutexGuard<'_, ()> {
        self.0.slow_page.lock().await
    }

    /// Asks for a page of all there is of a target; whatever is answered, or why nothing is.
    pub(in crate::cluster) async fn page(
        &self,
        mut permit: Permit,
        target: &Target,
        token: Option<&str>,
    ) -> Result<Reply, String> {
        permit.spend();
        let request = request::list_all(target, token);
        let asked = async {
            let prepared = self.prepare(built(request)?).await?;
            let result = self.0.transport.exchange(prepared.outgoing(), self.0.deadline).await;
            self.count(matches!(result, Err(Failure::NotSent(_))), false);
            self.0.health.note(&result);
            let reply = result?;
            self.heed(&reply, &prepared).await;
            Ok(reply)
        };
        asked.await.map_err(cause)
    }

    /// Opens a watch. The deadline holds until it begins; then its permit is free for others, and it
    /// lasts until the server ends it or it is dropped.
    pub(in crate::cluster) async fn open(
        &self,
        mut permit: Permit,
        target: &Target,
        version: &str,
        timeout: Duration,
    ) -> Result<Opened, String> {
        permit.spend();
        let request = request::watch(target, version, timeout);
        let opening = async {
            let prepared = self.prepare(built(request)?).await?;
            let result = self.0.transport.open(prepared.outgoing(), self.0.deadline).await;
            self.count(matches!(result, Err(Failure::NotSent(_))), false);
            match result {
                Ok(Opened::Reply(reply)) => {
                    self.0.health.replied(reply.status);
                    self.heed(&reply, &prepared).await;
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
        opening.await.map_err(cause)
    }
}

fn built(request: Result<ApiRequest, RequestError>) -> Result<ApiRequest, Failure> {
    request.map_err(|error| Failure::NotSent(error.to_string()))
}

fn cause(failure: Failure) -> String {
    let (Failure::NotSent(cause) | Failure::Lost(cause)) = failure;
    cause
}

//! Whether requests of one client are answered, and when they are again.

use std::cell::Cell;

use http::StatusCode;
use shards::Wakeup;

use crate::cluster::{answer::Reply, transport::Failure};

/// So many failures in a row are more than one request's bad luck.
const OUTAGE: u32 = 2;

/// See the [module](self).
#[derive(Debug, Default)]
pub(super) struct Health {
    /// Failures since the last success.
    failures: Cell<u32>,
    /// Counts successes after failures.
    recoveries: Cell<u64>,
    changed: Wakeup,
}

impl Health {
    /// What came of a request.
    pub(super) fn note(&self, result: &Result<Reply, Failure>) {
        match result {
            Ok(reply) => self.replied(reply.status),
            Err(_) => self.failed(),
        }
    }

    /// An answer. What is the matter with one request alone says nothing of others.
    pub(super) fn replied(&self, status: StatusCode) {
        let is_general = matches!(status, StatusCode::UNAUTHORIZED | StatusCode::TOO_MANY_REQUESTS);
        if status.is_success() {
            self.succeeded();
        } else if is_general || status.is_server_error() {
            self.failed();
        }
    }

    pub(super) fn failed(&self) {
        self.failures.set(self.failures.get().saturating_add(1));
    }

    pub(super) fn succeeded(&self) {
        if self.failures.replace(0) >= OUTAGE {
            self.recoveries.set(self.recoveries.get() + 1);
            self.changed.notify();
        }
    }

    /// Waits for the next success after failures.
    pub(super) async fn recovered(&self) {
        let seen = self.recoveries.get();
        self.changed.until(|| (self.recoveries.get() != seen).then_some(())).await;
    }
}

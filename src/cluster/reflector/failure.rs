//! How the machine takes trouble: what it goes on with, when, and what it says about it.

use std::time::{Duration, Instant};

use http::StatusCode;

use super::{IDLE, LONGEST_PAUSE, REFUSED, Reflector, ReflectorEvent, ReflectorState, STUMBLES};
use crate::{
    cluster::{request::WatchTarget, response::ApiResponse},
    stack::write::Refusal,
    time::{after, times},
};

/// A run of failures is told again after so long: whoever looks at the log of the last minutes sees it.
const AGAIN: Duration = Duration::from_secs(600);

/// A run of failures, as it is logged: once, and then now and then with a count.
#[derive(Debug)]
pub(super) struct FailureRun {
    since: Instant,
    told: Instant,
    /// Failures that were not told.
    untold: u32,
}

/// Whether a wait may be cut short. One whose attempt was made early, and failed, may not: what fails
/// although others succeed fails for a reason of its own.
#[derive(Debug, Default, Clone, Copy, PartialEq)]
pub(super) enum RetryEarly {
    #[default]
    May,
    Hurried,
    MayNot,
}

impl Reflector {
    /// Other requests are answered again: a wait after a failure is over, too.
    pub fn hurry(&mut self, now: Instant) {
        let ReflectorState::Waiting { until, early: true, .. } = &mut self.state else { return };
        if self.hurry == RetryEarly::May {
            self.hurry = RetryEarly::Hurried;
            *until = now;
        }
    }

    /// Says of a failure what has to be said, and tells the consumer.
    fn failed(&mut self, what: &str, cause: &str, wait: Duration, now: Instant) {
        self.bad = true;
        self.health = Some(ReflectorEvent::Failing { cause: cause.to_owned() });
        let kind = &self.target;
        let run = match &mut self.run {
            Some(run) if now.saturating_duration_since(run.told) < AGAIN => {
                run.untold += 1;
                tracing::debug!(%kind, error = cause, retry_in = ?wait, "list and watch: {what}");
                return;
            }
            run => run.get_or_insert(FailureRun { since: now, told: now, untold: 0 }),
        };
        let (untold, since) = (std::mem::take(&mut run.untold), now.saturating_duration_since(run.since));
        run.told = now;
        if untold == 0 {
            tracing::warn!(%kind, error = cause, retry_in = ?wait, "list and watch: {what}");
        } else {
            tracing::warn!(%kind, error = cause, retry_in = ?wait, failures = untold, failing_for = ?since,
                "list and watch: still {what}");
        }
    }

    /// An answer that is not what was asked for; `again` is where it stood.
    pub(super) fn turned_down(
        &mut self,
        verb: &str,
        reply: &ApiResponse,
        again: ReflectorState,
        now: Instant,
    ) {
        match ErrorClass::of(reply) {
            ErrorClass::Expired(cause) => self.expired(&cause, now),
            ErrorClass::Busy(cause, pause) => self.busy(&cause, pause, again, now),
            ErrorClass::Failed(cause) => self.stumble(&cause, again, now),
            ErrorClass::Refused { missing, refusal } => self.refuse(verb, missing, refusal, now),
        }
    }

    /// A failure that says nothing against going on from where it stood; unless it is one of many.
    pub(super) fn stumble(&mut self, cause: &str, again: ReflectorState, now: Instant) {
        let wait = self.backoff.fail(self.random.f64());
        let then = self.once_more(again);
        self.failed("failed", cause, wait, now);
        self.wait(wait, then, now);
        self.hurry = if self.hurry == RetryEarly::Hurried { RetryEarly::MayNot } else { RetryEarly::May };
        if let ReflectorState::Waiting { early, .. } = &mut self.state {
            *early = true;
        }
    }

    /// The server is asked again when it wants to be, and a little later, each kind on its own.
    fn busy(&mut self, cause: &str, pause: Duration, again: ReflectorState, now: Instant) {
        let wait = times(pause.min(LONGEST_PAUSE), 1.0 + self.random.f64() / 4.0);
        let then = self.once_more(again);
        self.failed("the API server is busy", cause, wait, now);
        self.wait(wait, then, now);
    }

    /// What it stood at may be what the server cannot go on from, whatever it says.
    fn once_more(&mut self, again: ReflectorState) -> ReflectorState {
        self.stumbles += 1;
        if self.stumbles <= STUMBLES {
            return again;
        }
        self.stumbles = 0;
        ReflectorState::default()
    }

    /// The server no longer knows what happened since. That is in the nature of things, so the first
    /// time it is no failure; one list after the other that expires at once is.
    pub(super) fn expired(&mut self, cause: &str, now: Instant) {
        let first = self.backoff.failures() == 0;
        let wait = self.backoff.fail(self.random.f64());
        let wait = if first { Duration::ZERO } else { wait };
        if first {
            tracing::info!(kind = %self.target, cause, "list and watch: starting afresh");
        } else {
            self.failed("starting afresh", cause, wait, now);
        }
        self.wait(wait, ReflectorState::default(), now);
    }

    /// What came cannot be relied on, and so cannot what was missed for it: a fresh list.
    pub(super) fn unusable(&mut self, cause: &str, now: Instant) {
        let wait = self.backoff.fail(self.random.f64());
        self.failed("starting afresh", cause, wait, now);
        self.wait(wait, ReflectorState::default(), now);
    }

    /// Not resumed: a version that the server has yet to reach would be silent again.
    pub(super) fn fell_silent(&mut self, now: Instant) {
        tracing::warn!(kind = %self.target, silent_for = ?IDLE,
            "list and watch: nothing was heard, not even a bookmark; starting afresh");
        if let ReflectorState::Watching(watching) = std::mem::take(&mut self.state) {
            self.settle(&watching, now);
        }
    }

    fn refuse(&mut self, verb: &str, missing: bool, refusal: Refusal, now: Instant) {
        let (shortest, longest) = REFUSED;
        let wait = match missing {
            // A kind that was defined just now is served a moment later.
            true => self.backoff.fail(self.random.f64()),
            false => shortest.saturating_add(times(longest.saturating_sub(shortest), self.random.f64())),
        };
        if self.refused.replace(missing) != Some(missing) {
            let target = &self.target;
            if missing {
                tracing::warn!(kind = %target, error = %refusal,
                    "the API server does not serve this kind; asking again, ever more slowly: \
                     install its CustomResourceDefinition");
            } else if verb == "watch" && *target == WatchTarget::definitions() {
                // Who follows definitions says what becomes of it.
            } else {
                tracing::error!(kind = %target, error = %refusal,
                    "may not {verb} this kind; asking again every 30 to 60 s: \
                     grant get, list and watch on {target}");
            }
            self.bad = true;
            self.news = Some(ReflectorEvent::Refused { missing, refusal });
        }
        self.wait(wait, ReflectorState::default(), now);
    }

    fn wait(&mut self, wait: Duration, then: ReflectorState, now: Instant) {
        self.state = ReflectorState::Waiting { until: after(now, wait), then: Box::new(then), early: false };
    }
}

/// What follows from such an answer.
#[derive(Debug, PartialEq)]
pub(super) enum ErrorClass {
    /// The version or the list's later pages are gone: a fresh list.
    Expired(String),
    /// The server is busy, and says how long it wants to be left alone.
    Busy(String, Duration),
    /// It may go better the next time.
    Failed(String),
    /// It will not go better until somebody changes something.
    Refused {
        /// The kind is not served, as opposed to a right that is not granted.
        missing: bool,
        /// The server's words.
        refusal: Refusal,
    },
}

impl ErrorClass {
    /// Reads an answer.
    pub(super) fn of(reply: &ApiResponse) -> Self {
        let cause = reply.cause();
        let reason = reply.api_status().map(|status| status.reason).unwrap_or_default();
        match reply.status {
            StatusCode::GONE => Self::Expired(cause),
            _ if reason == "Expired" || reason == "Gone" => Self::Expired(cause),
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => match reply.retry_after() {
                Some(pause) => Self::Busy(cause, pause),
                None => Self::Failed(cause),
            },
            // Plain text from where no such kind is served; there is no object that it could mean.
            StatusCode::NOT_FOUND => Self::Refused { missing: true, refusal: reply.refusal() },
            // The credentials are renewed meanwhile.
            StatusCode::UNAUTHORIZED | StatusCode::REQUEST_TIMEOUT | StatusCode::CONFLICT => {
                Self::Failed(cause)
            }
            status if status.is_client_error() || status.is_redirection() => {
                Self::Refused { missing: false, refusal: reply.refusal() }
            }
            _ => Self::Failed(cause),
        }
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, header};
    use serde_json::json;

    use super::*;

    fn of(code: u16, retry_after: Option<&'static str>, body: &str) -> ErrorClass {
        let mut headers = HeaderMap::new();
        headers.extend(retry_after.map(|value| (header::RETRY_AFTER, value.parse().unwrap())));
        let status = StatusCode::from_u16(code).unwrap();
        ErrorClass::of(&ApiResponse { status, headers, body: body.to_owned().into() })
    }

    #[test]
    fn what_expired_is_listed_anew() {
        assert!(matches!(of(410, None, ""), ErrorClass::Expired(_)));
        let status = json!({"kind": "Status", "reason": "Expired", "code": 400}).to_string();
        assert!(matches!(of(400, None, &status), ErrorClass::Expired(_)));
    }

    #[test]
    fn a_busy_server_says_how_long() {
        for code in [429, 503] {
            assert!(matches!(of(code, Some("3"), ""), ErrorClass::Busy(_, pause) if pause.as_secs() == 3));
            assert!(matches!(of(code, None, ""), ErrorClass::Failed(_)));
        }
    }

    #[test]
    fn only_what_cannot_pass_by_itself_is_a_refusal() {
        for code in [400, 403, 405, 406, 301] {
            assert!(matches!(of(code, None, ""), ErrorClass::Refused { missing: false, .. }), "{code}");
        }
        for code in [401, 408, 409, 500, 502, 504] {
            assert!(matches!(of(code, None, ""), ErrorClass::Failed(_)), "{code}");
        }
        assert!(matches!(of(404, None, "404 page not found\n"), ErrorClass::Refused { missing: true, .. }));
    }
}

//! What an answer means that is neither a list nor the beginning of a watch.

use std::time::Duration;

use http::StatusCode;

use crate::{cluster::answer::Reply, stack::write::Refusal};

/// What follows from such an answer.
#[derive(Debug, PartialEq)]
pub(super) enum Verdict {
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

impl Verdict {
    /// Reads an answer.
    pub(super) fn of(reply: &Reply) -> Self {
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

    fn of(code: u16, retry_after: Option<&'static str>, body: &str) -> Verdict {
        let mut headers = HeaderMap::new();
        headers.extend(retry_after.map(|value| (header::RETRY_AFTER, value.parse().unwrap())));
        let status = StatusCode::from_u16(code).unwrap();
        Verdict::of(&Reply { status, headers, body: body.to_owned().into() })
    }

    #[test]
    fn what_expired_is_listed_anew() {
        assert!(matches!(of(410, None, ""), Verdict::Expired(_)));
        let status = json!({"kind": "Status", "reason": "Expired", "code": 400}).to_string();
        assert!(matches!(of(400, None, &status), Verdict::Expired(_)));
    }

    #[test]
    fn a_busy_server_says_how_long() {
        for code in [429, 503] {
            assert!(matches!(of(code, Some("3"), ""), Verdict::Busy(_, pause) if pause.as_secs() == 3));
            assert!(matches!(of(code, None, ""), Verdict::Failed(_)));
        }
    }

    #[test]
    fn only_what_cannot_pass_by_itself_is_a_refusal() {
        for code in [400, 403, 405, 406, 301] {
            assert!(matches!(of(code, None, ""), Verdict::Refused { missing: false, .. }), "{code}");
        }
        for code in [401, 408, 409, 500, 502, 504] {
            assert!(matches!(of(code, None, ""), Verdict::Failed(_)), "{code}");
        }
        assert!(matches!(of(404, None, "404 page not found\n"), Verdict::Refused { missing: true, .. }));
    }
}

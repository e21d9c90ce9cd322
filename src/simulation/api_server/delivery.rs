//! What becomes of a request on its way, and of its answer.

use std::{rc::Rc, time::Duration};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use futures::channel::oneshot;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde_json::json;

use super::{ApiServer, Call, watch};
use crate::{
    cluster::{response::ApiResponse, simulated::SimulatedAnswer},
    embedded::{
        failure::ApiFailure,
        reply,
        respond::{ServedAnswer, ServedRequest},
        routes::Query,
    },
    net,
};

/// A message takes at most this long, mostly.
const HOP: Duration = Duration::from_millis(4);

/// What becomes of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Nothing out of the ordinary.
    Pass,
    /// It does not get onto the network.
    Refuse,
    /// It gets lost; the client sees a reset.
    Lose,
    /// It is carried out; the client sees a reset.
    LoseAnswer,
    /// It is held back so long and then carried out.
    Hold(Duration),
    /// It is not carried out; this is the answer.
    Answer { code: u16, retry_after: Option<u32> },
    /// It is carried out; this is the answer all the same.
    Deny(u16),
    /// It is not carried out, and nobody says so.
    BlackHole,
    /// It is a list, and shows how things stood then.
    Stale(u64),
}

impl Fate {
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Refuse => "refuse",
            Self::Lose => "lose",
            Self::LoseAnswer => "lose-answer",
            Self::Hold(_) => "hold",
            Self::Answer { code: 410, .. } => "lost-page",
            Self::Answer { .. } => "error",
            Self::Deny(_) => "deny",
            Self::BlackHole => "black-hole",
            Self::Stale(_) => "stale-list",
        }
    }
}

impl ApiServer {
    /// Leaves the fate of a request to chance.
    pub(super) fn draw(&self, call: &Call) -> Fate {
        let faults = self.faults.borrow().clone();
        if self.chance(faults.refuse) {
            return Fate::Refuse;
        }
        if self.chance(faults.lose) {
            return Fate::Lose;
        }
        if self.chance(faults.lose_answer) {
            return Fate::LoseAnswer;
        }
        if self.chance(faults.hold) {
            return Fate::Hold(self.random(faults.hold_for));
        }
        if self.chance(faults.error) {
            let code = self.pick(&[429, 500, 503, 504]);
            let retry_after = (code == 429 || self.chance(0.3)).then(|| self.pick(&[1, 1, 2, 5]));
            return Fate::Answer { code, retry_after };
        }
        if self.chance(faults.deny) {
            return Fate::Deny(self.pick(&[500, 504]));
        }
        if self.chance(faults.black_hole) {
            return Fate::BlackHole;
        }
        if call.later_page && self.chance(faults.lost_page) {
            return Fate::Answer { code: 410, retry_after: None };
        }
        if call.verb == "list" && !call.later_page && self.chance(faults.stale_list) {
            let now = self.cluster.borrow().version();
            return Fate::Stale(now.saturating_sub(self.rng.borrow_mut().u64(1..60)).max(1));
        }
        Fate::Pass
    }
}

/// Brings a request to its end, whether or not somebody still waits for the answer.
pub(super) async fn deliver(
    server: Rc<ApiServer>,
    mut request: ServedRequest,
    call: Call,
    fate: Fate,
    tell: oneshot::Sender<SimulatedAnswer>,
) {
    if fate != Fate::Pass {
        server.strike(fate.name());
    }
    if let Some(page) = server.page.get().filter(|_| call.verb == "list") {
        request.query = request.query.with("limit", &page.to_string());
    }
    let slow = if server.chance(0.02) { 50 } else { 1 };
    net::sleep(server.random(HOP * slow)).await;
    let answer = match fate {
        Fate::Refuse | Fate::Lose => return,
        Fate::BlackHole => {
            // Kept, so that nobody hears of it.
            let mut tell = tell;
            return tell.cancellation().await;
        }
        Fate::Answer { code, retry_after } => ServedAnswer::Reply(trouble(code, retry_after)),
        Fate::Deny(code) => {
            server.perform(&request, &call);
            ServedAnswer::Reply(trouble(code, None))
        }
        Fate::LoseAnswer => {
            server.perform(&request, &call);
            return;
        }
        Fate::Hold(time) => {
            net::sleep(time).await;
            server.perform(&request, &call)
        }
        Fate::Stale(version) => {
            show_version(&mut request, version);
            match server.perform(&request, &call) {
                // It does not reach back that far.
                ServedAnswer::Reply(reply) if reply.code == 410 => {
                    request.query.forget("continue");
                    server.perform(&request, &call)
                }
                answer => answer,
            }
        }
        Fate::Pass => server.perform(&request, &call),
    };
    if server.is_down() {
        return;
    }
    net::sleep(server.random(HOP)).await;
    let outcome = match answer {
        ServedAnswer::Reply(reply) => SimulatedAnswer::Reply(whole(reply)),
        ServedAnswer::Watch(watcher) => SimulatedAnswer::Stream(watch::start(&server, call.plural, *watcher)),
    };
    let _ = tell.send(outcome);
}

/// Lets a list begin like a later page of one that was begun when this was the newest version.
fn show_version(request: &mut ServedRequest, version: u64) {
    if request.query.get("continue").is_none() {
        let token = json!({"v": "meta.k8s.io/v1", "rv": version, "start": "\0"}).to_string();
        let limit = request.query.get("limit").map(|limit| format!("limit={limit}&")).unwrap_or_default();
        let selector = request.query.get("labelSelector").map(|selector| {
            let pair = form_urlencoded::Serializer::new(String::new())
                .append_pair("labelSelector", selector)
                .finish();
            format!("{pair}&")
        });
        let selector = selector.unwrap_or_default();
        request.query = Query::parse(&format!("{limit}{selector}continue={}", URL_SAFE_NO_PAD.encode(token)));
    }
}

/// What a server in trouble says.
fn trouble(code: u16, retry_after: Option<u32>) -> reply::ApiReply {
    let (reason, message) = match code {
        410 => ("Expired", "The provided continue parameter is too old"),
        429 => ("TooManyRequests", "Too many requests, please try again later."),
        503 => ("ServiceUnavailable", "the server is currently unable to handle the request"),
        504 => ("Timeout", "the server was unable to return a response in the time allotted"),
        _ => ("InternalError", "an error on the server has prevented the request from succeeding"),
    };
    ApiFailure { retry_after, ..ApiFailure::new(code, reason, message) }.into()
}

/// A reply as it comes out of the network.
fn whole(reply: reply::ApiReply) -> ApiResponse {
    let mut headers = HeaderMap::new();
    let kind = if reply.json { "application/json" } else { "text/plain; charset=utf-8" };
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    for warning in &reply.warnings {
        if let Ok(value) = HeaderValue::from_str(&format!("299 - {warning:?}")) {
            headers.append(header::WARNING, value);
        }
    }
    if let Some(seconds) = reply.retry_after {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    let status = StatusCode::from_u16(reply.code).unwrap_or_default();
    ApiResponse { status, headers, body: reply.body }
}

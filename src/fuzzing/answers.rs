//! What the API server answers to reads and writes.

use std::time::{Duration, Instant};

use http::StatusCode;
use serde_json::{Value, json};

use super::{
    kubernetes::{check_object, ledgers},
    script,
};
use crate::{
    cluster::{
        limiter::{LONGEST_PAUSE, TokenBucket},
        reflector::{Reflector, ReflectorInput, ReflectorStep},
        request::WatchTarget,
        response::{self, ApiResponse},
    },
    stack::{
        object::{Object, ObjectKey},
        write::{Write, WriteAnswer},
    },
    time,
};

const NAME: &str = "org-a";
const UID: &str = "u-1";
/// The longest that anything waits for a server that says when to come again, or says no.
const LONGEST_WAIT: Duration = Duration::from_secs(80);

/// A whole reply of HTTP, read as the answer to everything that is ever asked. *Absent*, *refused*,
/// *gone* and *stored* are said only where the server said so; and no server can have the agent wait
/// for longer than that.
pub fn answers(data: &[u8]) {
    let Some(reply) = script::reply(data) else { return };
    let key = ObjectKey::new(&ledgers(), NAME);
    match response::read_one(&key, &reply) {
        Ok(Some(object)) => check_shown(&object, &reply),
        Ok(None) => assert!(says_absent(&reply), "{reply:?}"),
        Err(_) => assert!(!says_absent(&reply)),
    }
    let body = json!({"metadata": {"resourceVersion": "1"}});
    for write in [
        Write::Create { key: key.clone(), body: body.clone() },
        Write::Patch { key: key.clone(), resource_version: "1".into(), body },
        Write::Delete { key, uid: UID.into(), resource_version: "1".into() },
    ] {
        check(&write, response::write(&write, &reply), &reply);
    }
    check_waits(&reply, time::now());
}

fn check(write: &Write, answer: WriteAnswer, reply: &ApiResponse) {
    let status = reply.status;
    match answer {
        WriteAnswer::Stored(object) => {
            check_shown(&object, reply);
            assert!(object.terminating || !matches!(write, Write::Delete { .. }));
        }
        WriteAnswer::Gone { uid } => {
            assert!(status.is_success() && matches!(write, Write::Delete { .. }));
            assert_eq!(uid, UID, "what was asked to go is what is gone");
            assert_ne!(json(reply)["status"], "Failure");
        }
        WriteAnswer::AlreadyExists | WriteAnswer::Conflict => assert_eq!(status, StatusCode::CONFLICT),
        WriteAnswer::NotFound => {
            assert!(says_absent(reply));
            assert!(!matches!(write, Write::Create { .. }));
        }
        WriteAnswer::StoredInPart { warning } => {
            assert!(status.is_success() && reply.headers.contains_key("warning"), "{warning}");
        }
        WriteAnswer::Refused(_) => assert!(status != StatusCode::UNAUTHORIZED && status.as_u16() >= 300),
        WriteAnswer::NotApplied { .. } => assert!([401, 429].contains(&status.as_u16()), "{status}"),
        WriteAnswer::InDoubt { .. } => {
            assert!(!says_absent(reply) || matches!(write, Write::Create { .. }));
        }
    }
}

fn json(reply: &ApiResponse) -> Value {
    serde_json::from_slice(&reply.body).unwrap_or_default()
}

/// The one thing that means absent: a 404 with a Status, in JSON, that says NotFound of this object
/// or of none by name.
fn says_absent(reply: &ApiResponse) -> bool {
    let json = json(reply);
    let name = json.pointer("/details/name").and_then(Value::as_str).unwrap_or_default();
    reply.status == StatusCode::NOT_FOUND
        && json["kind"] == "Status"
        && json["reason"] == "NotFound"
        && matches!(name, "" | NAME)
        // A Status whose fields are of other types is none.
        && serde_json::from_value::<kube::core::response::Status>(json).is_ok()
}

fn check_shown(object: &Object, reply: &ApiResponse) {
    assert!(reply.status.is_success());
    assert_eq!(&*object.key.name, NAME);
    check_object(object);
}

/// Whatever `Retry-After` says: all requests wait a bounded time, and so does list and watch.
fn check_waits(reply: &ApiResponse, now: Instant) {
    if let Some(pause) = reply.retry_after() {
        assert!(pause <= LONGEST_PAUSE);
        let mut bucket = TokenBucket::new(10.0, 5, now);
        bucket.pause(now, pause);
        assert!(bucket.take(now + LONGEST_PAUSE).is_ok());
    }
    let mut listing = Reflector::new(WatchTarget::kind(&ledgers()), 7);
    for _ in 0..8 {
        let input = match listing.step(now) {
            ReflectorStep::List { .. } => ReflectorInput::Page { reply: reply.clone(), asked: now },
            ReflectorStep::Open { .. } => ReflectorInput::Answer(reply.clone()),
            ReflectorStep::Wait { until } => {
                assert!(until <= now + LONGEST_WAIT);
                return;
            }
            ReflectorStep::Tell(_) | ReflectorStep::GoOn => continue,
            ReflectorStep::More => panic!("all of the page was there"),
            ReflectorStep::Read { .. } => panic!("nothing was opened"),
        };
        listing.take(input, now);
    }
}

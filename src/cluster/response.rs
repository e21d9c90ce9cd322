//! What the API server's replies mean.
//!
//! The rule behind every line: *absent*, *refused* and *applied* are said only where the server
//! said so; whatever leaves a doubt is a failure of the read or an unknown outcome of the write.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, StatusCode, header};
use jiff::{Timestamp, fmt::rfc2822::DateTimeParser};
use kube::core::response::Status;
use serde_json::Value;

use super::{
    json_scanner::{self, TooManyValues},
    limiter::LONGEST_PAUSE,
    warning,
};
use crate::{
    redact,
    stack::{
        object::{Object, ObjectKey},
        write::{ReadError, Refusal, Write, WriteAnswer},
    },
};

/// A whole reply: status, headers, body.
#[derive(Debug, Clone)]
pub struct ApiResponse {
    /// HTTP status.
    pub status: StatusCode,
    /// Headers.
    pub headers: HeaderMap,
    /// The body, complete and decoded (`Content-Encoding` says how it came).
    pub body: Bytes,
}

impl ApiResponse {
    /// What `Retry-After` asks for, a minute at most.
    pub fn retry_after(&self) -> Option<Duration> {
        retry_after(&self.headers)
    }

    /// Whether the credentials were not accepted.
    pub fn unauthorized(&self) -> bool {
        self.status == StatusCode::UNAUTHORIZED
    }

    /// The body as a `Status`, if it is one.
    pub(super) fn api_status(&self) -> Option<Status> {
        let value = self.json()?;
        if value.get("kind").and_then(Value::as_str) != Some("Status") {
            return None;
        }
        serde_json::from_value(value).ok()
    }

    fn json(&self) -> Option<Value> {
        json_scanner::check(&self.body).ok()?;
        serde_json::from_slice(&self.body).ok()
    }

    /// The server's reason and words; the body's beginning where it sent no Status.
    pub(super) fn refusal(&self) -> Refusal {
        let code = self.status.as_u16();
        match self.api_status() {
            Some(status) => Refusal { code, reason: status.reason, message: status.message },
            None => {
                let text: String = String::from_utf8_lossy(&self.body).trim().chars().take(300).collect();
                let mut message = if text.is_empty() { "the server gave no reason".to_owned() } else { text };
                if self.status.is_redirection() {
                    let to = self.headers.get(header::LOCATION).and_then(|to| to.to_str().ok());
                    message = format!(
                        "redirected to {}, which no API server does: check the server's URL and the proxy",
                        to.unwrap_or("somewhere else")
                    );
                }
                Refusal { code, reason: String::new(), message }
            }
        }
    }

    /// The same on one line.
    pub(super) fn cause(&self) -> String {
        let refusal = self.refusal();
        match refusal.reason.as_str() {
            "" => format!("{}: {}", self.status, refusal.message),
            reason => format!("{} {reason}: {}", self.status.as_u16(), refusal.message),
        }
    }

    /// The 404 of an object, as opposed to that of a path (the kind is not served), which comes
    /// as plain text.
    fn says_object_is_absent(&self, name: &str) -> bool {
        let Some(status) = self.api_status() else { return false };
        let named = status.details.map(|details| details.name).unwrap_or_default();
        self.status == StatusCode::NOT_FOUND
            && status.reason == "NotFound"
            && (named.is_empty() || named == name)
    }

    /// An object beyond what the store takes answers as an internal error: in etcd's words, or in
    /// those of the gRPC client before it.
    fn too_large(&self) -> bool {
        const WORDS: [&str; 2] = ["request is too large", "trying to send message larger than max"];
        let message = self.refusal().message;
        self.status.is_server_error() && WORDS.iter().any(|words| message.contains(words))
    }
}

/// An answer that is not what an API server says: a page of a proxy that stands before it, say.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the answer is {0:?}, no JSON: check the server's URL and what stands before it")]
pub(crate) struct NotJson(String);

/// Whether an answer says that it is JSON. One that does not say what it is gets the benefit of the
/// doubt.
pub(super) fn check_json(headers: &HeaderMap) -> Result<(), NotJson> {
    let Some(kind) = headers.get(header::CONTENT_TYPE) else { return Ok(()) };
    let kind: String = String::from_utf8_lossy(kind.as_bytes()).chars().take(80).collect();
    let essence = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let is_json = essence.is_empty() || essence == "application/json" || essence.ends_with("+json");
    if is_json { Ok(()) } else { Err(NotJson(kind)) }
}

/// Why an answer that tells of success cannot be taken for one.
#[derive(Debug, thiserror::Error)]
enum ResponseFault {
    #[error(transparent)]
    NotJson(#[from] NotJson),
    #[error("the answer has {0}")]
    TooManyValues(#[from] TooManyValues),
    #[error("with an answer that is no JSON: {0}")]
    Syntax(String),
    #[error("with an answer that is no object: {0}")]
    NotAnObject(String),
    #[error("the answer is about {0}")]
    OtherObject(ObjectKey),
}

impl ResponseFault {
    /// As it is told of a reply.
    fn after(&self, reply: &ApiResponse) -> String {
        format!("{}, but {self}", reply.status)
    }
}

/// What the server warns of after a write, without the secrets that it quotes from it.
pub fn warnings(write: &Write, reply: &ApiResponse) -> warning::Warnings {
    let mut warnings = warning::read(&reply.headers);
    if let Write::Create { body, .. } | Write::Patch { body, .. } = write {
        let secrets = redact::secrets_in(body);
        for (text, _) in &mut warnings.texts {
            *text = redact::without(text, secrets.iter().copied());
        }
    }
    warnings
}

/// How long the server wants to be left alone, of which [`LONGEST_PAUSE`] is believed: a header may
/// hold any number, and what is asked for by mistake must not be heeded for years. `None` where it
/// does not say, or says what is neither.
///
/// A date is read beside the answer's own `Date`, as proxies send both and clocks differ; without
/// that it says nothing.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = header_text(headers, &header::RETRY_AFTER)?;
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        // More digits than a number has room for are many seconds.
        return Some(text.parse().map_or(LONGEST_PAUSE, Duration::from_secs).min(LONGEST_PAUSE));
    }
    let (then, now) = (date(text)?, date(header_text(headers, &header::DATE)?)?);
    let seconds = then.as_second().saturating_sub(now.as_second());
    Some(Duration::from_secs(u64::try_from(seconds).unwrap_or(0)).min(LONGEST_PAUSE))
}

fn header_text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    Some(headers.get(name)?.to_str().ok()?.trim())
}

fn date(text: &str) -> Option<Timestamp> {
    DateTimeParser::new().parse_timestamp(text).ok()
}

/// How a write ended.
pub fn write(write: &Write, reply: &ApiResponse) -> WriteAnswer {
    let mut answer = read_write(write, reply);
    // The server quotes the values that it does not like.
    if let Write::Create { body, .. } | Write::Patch { body, .. } = write {
        let text = match &mut answer {
            WriteAnswer::Refused(refusal) => &mut refusal.message,
            WriteAnswer::StoredInPart { warning } => warning,
            WriteAnswer::NotApplied { cause, .. } | WriteAnswer::InDoubt { cause, .. } => cause,
            _ => return answer,
        };
        *text = redact::without(text, redact::secrets_in(body));
    }
    answer
}

fn read_write(write: &Write, reply: &ApiResponse) -> WriteAnswer {
    let status = reply.status;
    let retry_after = reply.retry_after();
    if status.is_success() {
        return match write {
            Write::Delete { key, uid, .. } => deleted(key, uid, reply),
            Write::Create { key, .. } | Write::Patch { key, .. } => stored(key, reply),
        };
    }
    match status {
        // The request did not get as far as the store in either case.
        StatusCode::UNAUTHORIZED | StatusCode::TOO_MANY_REQUESTS => {
            WriteAnswer::NotApplied { cause: reply.cause(), retry_after }
        }
        StatusCode::CONFLICT => match reply.api_status() {
            Some(status) if status.reason == "AlreadyExists" => WriteAnswer::AlreadyExists,
            _ => WriteAnswer::Conflict,
        },
        StatusCode::NOT_FOUND
            if !matches!(write, Write::Create { .. }) && reply.says_object_is_absent(&write.key().name) =>
        {
            WriteAnswer::NotFound
        }
        // A proxy that gave up waiting; what it passed on may still arrive.
        StatusCode::REQUEST_TIMEOUT => WriteAnswer::InDoubt { cause: reply.cause(), retry_after },
        _ if status.is_client_error() || status.is_redirection() || reply.too_large() => {
            WriteAnswer::Refused(reply.refusal())
        }
        _ => WriteAnswer::InDoubt { cause: reply.cause(), retry_after },
    }
}

fn stored(key: &ObjectKey, reply: &ApiResponse) -> WriteAnswer {
    if let Some(message) = warning::read(&reply.headers).not_stored {
        return WriteAnswer::StoredInPart { warning: message };
    }
    match object(key, reply) {
        Ok(object) => WriteAnswer::Stored(Box::new(object)),
        Err(fault) => WriteAnswer::InDoubt { cause: fault.after(reply), retry_after: None },
    }
}

/// A deletion answers with the object while something holds it, with a Status once it is gone. The
/// precondition says which one went; an answer that speaks of another, or of a failure, is in doubt.
fn deleted(key: &ObjectKey, uid: &str, reply: &ApiResponse) -> WriteAnswer {
    let unknown = |cause| WriteAnswer::InDoubt { cause, retry_after: None };
    let gone = |told: &str| match told {
        "" => WriteAnswer::Gone { uid: uid.to_owned() },
        told if told == uid => WriteAnswer::Gone { uid: uid.to_owned() },
        told => unknown(format!("{}, but the answer is about uid {told:?}, not {uid}", reply.status)),
    };
    let json = reply.json().unwrap_or_default();
    let text = |path: &str| json.pointer(path).and_then(Value::as_str).unwrap_or_default();
    if text("/kind") == "Status" {
        return match text("/status") {
            "Failure" => unknown(reply.cause()),
            _ => gone(text("/details/uid")),
        };
    }
    match object(key, reply) {
        Ok(object) if object.terminating => WriteAnswer::Stored(Box::new(object)),
        Ok(object) => gone(&object.uid),
        Err(fault) => unknown(fault.after(reply)),
    }
}

fn object(key: &ObjectKey, reply: &ApiResponse) -> Result<Object, ResponseFault> {
    check_json(&reply.headers)?;
    json_scanner::check(&reply.body)?;
    let json = serde_json::from_slice(&reply.body)
        .map_err(|error| ResponseFault::Syntax(redact::serde(&error.to_string())))?;
    let object = Object::from_json(&key.resource, json)
        .map_err(|error| ResponseFault::NotAnObject(redact::serde(&error.to_string())))?;
    if object.key.name != key.name {
        return Err(ResponseFault::OtherObject(object.key));
    }
    Ok(object)
}

/// The object that was read by name; `None` where it surely is absent.
pub fn read_one(key: &ObjectKey, reply: &ApiResponse) -> Result<Option<Object>, ReadError> {
    let subject = key.to_string();
    if reply.status.is_success() {
        return match object(key, reply) {
            Ok(object) => Ok(Some(object)),
            Err(fault) => Err(ReadError::Failed { subject, cause: fault.after(reply), retry_after: None }),
        };
    }
    if reply.says_object_is_absent(&key.name) {
        return Ok(None);
    }
    Err(read_error(subject, reply))
}

pub(super) fn read_error(subject: String, reply: &ApiResponse) -> ReadError {
    let status = reply.status;
    let passing = matches!(
        status,
        StatusCode::UNAUTHORIZED
            | StatusCode::REQUEST_TIMEOUT
            | StatusCode::CONFLICT
            // The list's later pages have expired: from the start again.
            | StatusCode::GONE
            | StatusCode::TOO_MANY_REQUESTS
    );
    if passing || !(status.is_client_error() || status.is_redirection()) {
        return ReadError::Failed { subject, cause: reply.cause(), retry_after: reply.retry_after() };
    }
    ReadError::Refused { subject, refusal: reply.refusal() }
}

#[cfg(test)]
mod tests;

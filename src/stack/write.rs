//! Reads and writes as values: the machine names them, the cluster client performs them.

use std::{fmt, sync::Arc, time::Duration};

use serde_json::Value;

use super::object::{Object, ObjectKey, Resource};

/// One conditional write.
#[derive(Debug, Clone, PartialEq)]
pub enum Write {
    /// Create-only.
    Create {
        /// The object.
        key: ObjectKey,
        /// The whole object as JSON.
        body: Value,
    },
    /// JSON merge patch, on the resourceVersion it was computed from (which stands in the body too).
    Patch {
        /// The object.
        key: ObjectKey,
        /// `metadata.resourceVersion` of the body.
        resource_version: String,
        /// The merge patch, `metadata.resourceVersion` included.
        body: Value,
    },
    /// Background deletion on uid and resourceVersion.
    Delete {
        /// The object.
        key: ObjectKey,
        /// Precondition.
        uid: String,
        /// Precondition.
        resource_version: String,
    },
}

impl Write {
    /// The object it is about.
    pub fn key(&self) -> &ObjectKey {
        match self {
            Write::Create { key, .. } | Write::Patch { key, .. } | Write::Delete { key, .. } => key,
        }
    }

    /// The HTTP verb's name in Kubernetes: `create`, `patch`, `delete`.
    pub fn verb(&self) -> &'static str {
        match self {
            Write::Create { .. } => "create",
            Write::Patch { .. } => "patch",
            Write::Delete { .. } => "delete",
        }
    }
}

/// How a write ended, as far as the agent can know.
#[derive(Debug, Clone, PartialEq)]
pub enum WriteAnswer {
    /// 2xx with the object as it now stands (a delete that waits for a finalizer, too).
    Stored(Box<Object>),
    /// A delete after which nothing is left; this uid is gone for good.
    Gone {
        /// The uid that is gone.
        uid: String,
    },
    /// 409 AlreadyExists: the name is taken.
    AlreadyExists,
    /// 409 Conflict: the object moved (or, for a delete, is another one).
    Conflict,
    /// 404 for the object (not for the kind).
    NotFound,
    /// 2xx with a warning that something in it was not stored.
    StoredInPart {
        /// The server's words.
        warning: String,
    },
    /// The server will not take this content, now or later.
    Refused(Refusal),
    /// Surely not applied, and worth another try: 429, or it never left this process.
    NotApplied {
        /// Why.
        cause: String,
        /// What `Retry-After` asked for.
        retry_after: Option<Duration>,
    },
    /// May have been applied, or may yet be: deadline, reset, 5xx.
    InDoubt {
        /// Why.
        cause: String,
        /// What `Retry-After` asked for.
        retry_after: Option<Duration>,
    },
}

/// Why the API server will not take a write.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Refusal {
    /// HTTP status.
    pub code: u16,
    /// The Status' reason, `Invalid` say; empty where there was none.
    pub reason: String,
    /// The server's words.
    pub message: String,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({} {})", self.message, self.code, self.reason)
    }
}

/// Why a write, or a read, is not tried again soon.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Rejection {
    /// The server said no.
    Refused(Refusal),
    /// It was taken, but for something in it.
    StoredInPart {
        /// The server's words.
        warning: String,
    },
    /// It was answered as stored, and the object does not show it.
    NotShown,
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(refusal) => refusal.fmt(f),
            Self::StoredInPart { warning } => {
                write!(f, "taken, but without it: {warning} (200 UnknownField)")
            }
            Self::NotShown => {
                f.write_str("it was answered as stored, and the object does not show it (200 NotStored)")
            }
        }
    }
}

/// Why a read failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// The server says no, and would again: 400, 403, 404 of the kind.
    #[error("{subject}: {refusal}")]
    Refused {
        /// What was read.
        subject: String,
        /// The server's word.
        refusal: Refusal,
    },
    /// Worth another try.
    #[error("{subject}: {cause}")]
    Failed {
        /// What was read.
        subject: String,
        /// Why it failed.
        cause: String,
        /// What `Retry-After` asked for.
        retry_after: Option<Duration>,
    },
}

/// A class of transient failures. Many stacks fail together when the API server is away, or one webhook
/// is. Those of one class can be expected to fail for one cause, and a success of that class shows that
/// the cause is gone. What the API server has against an order's own content (a refusal,
/// a conflict, somebody else's object) is of none.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FailureClass {
    /// Requests of any kind: there is no connection, the credentials are not accepted, or there are
    /// too many.
    Any,
    /// Reads by name.
    Read,
    /// Writes of one verb to one kind, which is as finely as webhooks are told apart: an answer of 5xx,
    /// or none.
    Write {
        /// As [`Write::verb`] has it.
        verb: &'static str,
        /// The kind.
        kind: Arc<Resource>,
    },
}

impl FailureClass {
    /// The class that failures of this write are of, if the API server had to do with them.
    pub fn of(write: &Write) -> Self {
        Self::Write { verb: write.verb(), kind: Arc::clone(&write.key().resource) }
    }

    /// What an answer to a write shows to go well: the writes of its class, and requests as such. A
    /// refusal says nothing: it may come from before the webhooks, or from a proxy.
    pub fn proved_by(write: &Write, answer: &WriteAnswer) -> Vec<Self> {
        match answer {
            WriteAnswer::Stored(_) | WriteAnswer::Gone { .. } | WriteAnswer::AlreadyExists => {
                vec![Self::of(write), Self::Any]
            }
            WriteAnswer::Conflict | WriteAnswer::NotFound => vec![Self::Any],
            WriteAnswer::StoredInPart { .. }
            | WriteAnswer::Refused(_)
            | WriteAnswer::NotApplied { .. }
            | WriteAnswer::InDoubt { .. } => Vec::new(),
        }
    }
}

impl fmt::Display for FailureClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("requests"),
            Self::Read => f.write_str("reads"),
            Self::Write { verb, kind } => write!(f, "{verb} {}", kind.plural),
        }
    }
}

//! Reads and writes as values: the machine names them, the cluster client performs them.

use std::{fmt, time::Duration};

use serde_json::Value;

use super::object::{Object, ObjectKey};

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
    /// HTTP status; 200 where it was taken with a warning and not stored.
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

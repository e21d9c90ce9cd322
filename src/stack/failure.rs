//! What failures have in common.
//!
//! Many stacks fail together when the API server is away, or one webhook is. Those of one class can
//! be expected to fail for one cause, and a success of that class shows that the cause is gone.

use std::{fmt, sync::Arc};

use super::{
    object::Resource,
    write::{Write, WriteAnswer},
};

/// A class of transient failures. What the API server has against an order's own content (a refusal,
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
            WriteAnswer::Refused(_) | WriteAnswer::NotApplied { .. } | WriteAnswer::InDoubt { .. } => {
                Vec::new()
            }
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

//! How a stream comes to its end.

use tonic::Status;

use super::LONGEST_SILENCE;
use crate::net::{endpoint::Endpoint, line::NoGreeting};

/// Why a stream is no more.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Broken {
    #[error("{}", told(.0))]
    Status(Status),
    #[error("membership ended the stream")]
    Ended,
    /// In good order: it announced that this connection takes no more requests.
    #[error("membership asked for another connection")]
    Dismissed,
    #[error("HTTP/2: {0}")]
    Http(#[from] hyper::Error),
    #[error("{endpoint}: {cause}")]
    NoGreeting { endpoint: Endpoint, cause: NoGreeting },
    #[error("membership took the join and did not answer it within {LONGEST_SILENCE:?}")]
    Unanswered,
    /// What the peer did is not to be borne.
    #[error("{0}")]
    Offence(String),
}

/// How a stream was left that did not break.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Parting {
    /// It was asked to leave.
    Left {
        /// The server ended its half, too.
        graceful: bool,
    },
    /// What was joined under is no longer true.
    Outdated,
    /// Membership wants to be joined over another connection.
    Dismissed,
}

/// A status with its cause: tonic's text for a broken connection alone says nothing.
fn told(status: &Status) -> String {
    let mut text = format!("{:?}: {}", status.code(), status.message());
    let mut cause = std::error::Error::source(status);
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    text
}

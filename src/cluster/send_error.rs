//! Why a request brought no answer, and whether it may have been carried out all the same.

use std::time::Duration;

use super::{
    body::BodyError, connection::RequestUriError, connection_pool::DialError, credentials::CredentialsError,
    request::RequestError, response::NotJson,
};

/// Sent or lost: the one question that matters for a write. See [`SendError::may_have_arrived`].
#[derive(Debug, thiserror::Error)]
pub(crate) enum SendError {
    /// It could not be built.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// Nobody may ask.
    #[error("no credentials: {0}")]
    Credentials(#[from] CredentialsError),
    /// There is no connection.
    #[error(transparent)]
    Dial(Box<DialError>),
    /// It does not fit the server's URL.
    #[error(transparent)]
    Address(#[from] RequestUriError),
    /// It waited for a connection for its whole deadline.
    #[error("no connection within {deadline:?}{}", after(.last.as_deref()))]
    NoConnection {
        deadline: Duration,
        /// Why connecting failed last.
        last: Option<String>,
    },
    /// No byte of it went out, or the server says that it did nothing with it.
    #[error("{0}")]
    GivenBack(String),
    /// The same on one connection after the other.
    #[error("none of {attempts} connections took it: {last}")]
    NoneTookIt { attempts: usize, last: String },
    /// It was handed to a connection, and nothing came for the rest of its deadline.
    #[error("no answer within {0:?}")]
    NoAnswer(Duration),
    /// The connection or the stream broke.
    #[error("{0}")]
    Broke(String),
    /// The answer cannot be read.
    #[error(transparent)]
    Body(#[from] BodyError),
    /// The answer is none of an API server's.
    #[error(transparent)]
    NotJson(#[from] NotJson),
}

impl SendError {
    /// Whether the server may have got something of it: then nobody knows what came of it.
    pub(crate) fn may_have_arrived(&self) -> bool {
        match self {
            Self::Request(_)
            | Self::Credentials(_)
            | Self::Dial(_)
            | Self::Address(_)
            | Self::NoConnection { .. }
            | Self::GivenBack(_)
            | Self::NoneTookIt { .. } => false,
            Self::NoAnswer(_) | Self::Broke(_) | Self::Body(_) | Self::NotJson(_) => true,
        }
    }
}

impl From<DialError> for SendError {
    fn from(error: DialError) -> Self {
        Self::Dial(Box::new(error))
    }
}

fn after(last: Option<&str>) -> String {
    last.map(|last| format!(" (last failure: {last})")).unwrap_or_default()
}

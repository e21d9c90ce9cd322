//! What becomes of a request.

use std::{
    fmt,
    io::{self, Write},
    sync::Arc,
    time::Duration,
};

use crate::support::http1::Http1Request;

/// What becomes of a request.
#[derive(Debug, Clone)]
pub enum RequestFate {
    /// It is delivered, and so is its answer.
    Pass,
    /// It is delivered after this long.
    Delay(Duration),
    /// It is delivered, and its connection closed in place of the answer.
    DropAnswer,
    /// It is not delivered, and its connection closed.
    Lose,
    /// It is not delivered, and its connection reset.
    Reset,
    /// It is not delivered; the connection stays open, and nothing ever comes of it.
    Swallow,
    /// It is delivered, and its connection closed behind so many bytes of the answer's body.
    Cut(usize),
    /// It is delivered; of the answer only the head comes, and the connection stays open.
    Mute,
    /// It is delivered, and its answer comes at so many bytes a second.
    Throttle(usize),
    /// It is delivered, and its answer comes line by line, each as it is told here.
    Lines(Tamper),
    /// It is delivered to another path.
    Elsewhere(Path),
    /// It is not delivered; what is written here is the answer, head and body, and its connection is
    /// closed behind it.
    Says(AnswerWriter),
    /// It is not delivered; this is the answer.
    Answer {
        status: u16,
        /// Seconds in a `Retry-After` header.
        retry_after: Option<u32>,
        /// JSON.
        body: String,
    },
}

impl RequestFate {
    /// Every line of the answer, a watch most often, is as told.
    pub fn lines(tamper: impl Fn(&str) -> LineFate + Send + Sync + 'static) -> Self {
        Self::Lines(Tamper(Arc::new(tamper)))
    }

    /// What this writes is the answer, whatever it is.
    pub fn says(
        speak: impl Fn(&Http1Request, &mut dyn Write) -> io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        Self::Says(AnswerWriter(Arc::new(speak)))
    }

    /// It is delivered to this path, query included.
    pub fn elsewhere(path: impl Fn(&Http1Request) -> String + Send + Sync + 'static) -> Self {
        Self::Elsewhere(Path(Arc::new(path)))
    }

    /// A `Status` in place of an answer.
    pub fn status(status: u16, reason: &str, retry_after: Option<u32>) -> Self {
        let body = serde_json::json!({
            "kind": "Status", "apiVersion": "v1", "status": "Failure",
            "code": status, "reason": reason, "message": "as told",
        });
        Self::Answer { status, retry_after, body: body.to_string() }
    }
}

/// What becomes of a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LineFate {
    Pass,
    Drop,
    /// So many bytes of it come, and the connection is closed.
    Cut(usize),
    /// This comes in its place; line ends are for whoever writes it.
    Instead(String),
}

/// Decides on lines, each without its end.
#[derive(Clone)]
pub struct Tamper(pub(super) Arc<dyn Fn(&str) -> LineFate + Send + Sync>);

impl fmt::Debug for Tamper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tamper")
    }
}

type Speak = dyn Fn(&Http1Request, &mut dyn Write) -> io::Result<()> + Send + Sync;

/// Writes an answer.
#[derive(Clone)]
pub struct AnswerWriter(pub(super) Arc<Speak>);

impl fmt::Debug for AnswerWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Speech")
    }
}

/// Says where a request goes.
#[derive(Clone)]
pub struct Path(pub(super) Arc<dyn Fn(&Http1Request) -> String + Send + Sync>);

impl fmt::Debug for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Path")
    }
}

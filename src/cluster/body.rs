//! The body of an answer, decoded as it comes in, and how much of it is read.

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, StatusCode, header};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use shards::CoopBudget;

use super::{
    gunzip::Gunzip,
    limiter::{Permit, Permits, TokenBucket},
};
use crate::{net::chain, time};

/// What an object may weigh, decoded: a single one, an item of a list, an event. etcd takes 1.5 MiB
/// by default, and clusters that raise this stay below.
pub(crate) const OBJECT: usize = 4 << 20;
/// What is read of an error. A Status has some hundred bytes; a longer one, or a page of HTML, says
/// what it is at its beginning.
pub(crate) const ERROR: usize = 64 << 10;
/// Answers of a client that grow beyond [`ERROR`] at the same time. The others wait with what they
/// have, so that a server that answers every request with megabytes costs this many times [`OBJECT`].
const LARGE_TOGETHER: usize = 2;

/// A body that comes in.
#[derive(Debug)]
pub(super) struct ResponseBody {
    incoming: Incoming,
    gunzip: Option<Gunzip>,
    /// What came and is not decoded yet.
    pending: Bytes,
    ended: bool,
}

/// Why there is no more of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BodyError {
    /// The connection or the stream broke.
    #[error("{0}")]
    Broken(String),
    /// What came cannot be decoded, or is more than it may be.
    #[error("{0}")]
    Unusable(String),
}

/// Room for answers that are read whole; one for each client.
#[derive(Debug)]
pub(super) struct LargeBodies(Permits);

impl LargeBodies {
    pub(super) fn new() -> Self {
        Self(Permits::new(TokenBucket::new(0.0, 1, time::now()), LARGE_TOGETHER))
    }
}

impl ResponseBody {
    /// The body that these headers announce.
    pub(super) fn new(headers: &HeaderMap, incoming: Incoming) -> Result<Self, BodyError> {
        let encoding = headers.get(header::CONTENT_ENCODING).map(|value| value.as_bytes());
        let gunzip = match encoding {
            None | Some(b"identity") => None,
            Some(b"gzip" | b"x-gzip") => Some(Gunzip::new()),
            Some(other) => {
                let other: String = String::from_utf8_lossy(other).chars().take(40).collect();
                return Err(BodyError::Unusable(format!("the answer is encoded as {other:?}: nobody asked")));
            }
        };
        Ok(Self { incoming, gunzip, pending: Bytes::new(), ended: false })
    }

    /// Whether it has come to its end, so that the connection is free.
    pub(super) fn has_ended(&self) -> bool {
        self.ended
    }

    /// What comes next: soon after it was sent, and perhaps nothing where it decodes to nothing yet;
    /// `None` once it has come to its end in order. Nothing is lost where this is given up waiting.
    pub(super) async fn chunk(&mut self) -> Result<Option<Bytes>, BodyError> {
        while self.pending.is_empty() {
            if self.ended {
                return Ok(None);
            }
            match self.incoming.frame().await {
                Some(Ok(frame)) => self.pending = frame.into_data().unwrap_or_default(),
                Some(Err(error)) => return Err(BodyError::Broken(chain(&error))),
                None => {
                    self.ended = true;
                    self.finish()?;
                }
            }
        }
        let Some(gunzip) = &mut self.gunzip else { return Ok(Some(std::mem::take(&mut self.pending))) };
        let decoded = gunzip.push(&mut self.pending);
        decoded.map(Some).map_err(|error| BodyError::Unusable(format!("no gzip: {error}")))
    }

    /// All of it, where it says that something went well: [`OBJECT`] bytes at most. Of an error the
    /// beginning, [`ERROR`] bytes; what follows is not waited for.
    pub(super) async fn read(&mut self, status: StatusCode, room: &LargeBodies) -> Result<Bytes, BodyError> {
        let (mut bytes, mut budget) = (BytesMut::new(), CoopBudget::new());
        let mut large: Option<Permit> = None;
        while let Some(chunk) = self.chunk().await? {
            let grown = bytes.len().saturating_add(chunk.len());
            if grown > ERROR && !status.is_success() {
                bytes.extend_from_slice(&chunk[..ERROR.saturating_sub(bytes.len())]);
                break;
            }
            if grown > OBJECT {
                let most = OBJECT >> 20;
                return Err(BodyError::Unusable(format!(
                    "{status}, but the answer is larger than {most} MiB"
                )));
            }
            if grown > ERROR && large.is_none() {
                large = Some(room.0.acquire().await);
            }
            bytes.extend_from_slice(&chunk);
            budget.check().await;
        }
        Ok(bytes.freeze())
    }

    fn finish(&mut self) -> Result<(), BodyError> {
        let finished = self.gunzip.as_mut().map_or(Ok(()), Gunzip::finish);
        finished.map_err(|error| BodyError::Unusable(format!("its gzip ends early or is damaged: {error}")))
    }
}

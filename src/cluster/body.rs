//! The body of an answer, decoded as it comes in.

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, header};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use shards::Turn;

use super::{
    connection::chain,
    gunzip::{Gunzip, PIECE},
};

/// A body that comes in.
#[derive(Debug)]
pub(super) struct Body {
    incoming: Incoming,
    gunzip: Option<Gunzip>,
    /// What came and is not decoded yet.
    pending: Bytes,
    ended: bool,
}

/// Why there is no more of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum BodyError {
    /// The connection or the stream broke.
    #[error("{0}")]
    Broken(String),
    /// What came cannot be decoded.
    #[error("{0}")]
    Unusable(String),
}

impl Body {
    /// The body that these headers announce.
    pub(super) fn new(headers: &HeaderMap, incoming: Incoming) -> Result<Self, BodyError> {
        let encoding = headers.get(header::CONTENT_ENCODING).map(|value| value.as_bytes());
        let gunzip = match encoding {
            None | Some(b"identity") => None,
            Some(b"gzip" | b"x-gzip") => Some(Gunzip::new()),
            Some(other) => {
                let other = String::from_utf8_lossy(other);
                return Err(BodyError::Unusable(format!("the answer is encoded as {other}: nobody asked")));
            }
        };
        Ok(Self { incoming, gunzip, pending: Bytes::new(), ended: false })
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
        let piece = self.pending.split_to(PIECE.min(self.pending.len()));
        gunzip.push(&piece).map(Some).map_err(|error| BodyError::Unusable(format!("no gzip: {error}")))
    }

    /// All of it, where that is no more than `most` bytes once decoded.
    pub(super) async fn whole(mut self, most: usize) -> Result<Bytes, BodyError> {
        let (mut bytes, mut turn) = (BytesMut::new(), Turn::new());
        while let Some(chunk) = self.chunk().await? {
            if bytes.len() + chunk.len() > most {
                let most = most >> 20;
                return Err(BodyError::Unusable(format!("the answer is larger than {most} MiB")));
            }
            bytes.extend_from_slice(&chunk);
            if self.gunzip.is_some() {
                turn.check().await;
            }
        }
        Ok(bytes.freeze())
    }

    fn finish(&mut self) -> Result<(), BodyError> {
        let finished = self.gunzip.as_mut().map_or(Ok(()), Gunzip::finish);
        finished.map_err(|error| BodyError::Unusable(format!("its gzip ends early or is damaged: {error}")))
    }
}

//! Whether a peer abuses an HTTP/2 connection, from its frames alone. Pure.
//!
//! Frames are looked at below h2, which obeys them without end: it answers PINGs, reads over frames of
//! unknown types, and keeps every 1xx answer for somebody who never asks for it.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use crate::http2_frames::{ACK, DATA, END_STREAM, GOAWAY, HEADERS, Http2Frame, RST_STREAM, SETTINGS};

/// Interim answers to one request: RFC 9110 knows of four kinds, of which a server sends one or two.
pub const MOST_INFORMATIONAL: u32 = 100;

/// What may come in one go that is no answer: far more than any server has to say about its
/// connection, and 256 times the largest frame that we take.
const MOST_NOISE: usize = 4 << 20;
/// How fast that is forgiven, per second: pings and settings of a connection that lasts for years.
const FORGIVEN: usize = 16 << 10;
/// What a server may say to each frame of ours: two WINDOW_UPDATEs and a PING that measures the line.
const LEAVE: usize = 256;

/// Streams of which is known that their answer has begun; more are in no one's interest.
const MOST_STREAMS: usize = 4096;

/// Why a connection is ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Abuse {
    /// Interim answers without end.
    #[error("more than {MOST_INFORMATIONAL} interim answers (1xx) to one request")]
    Informational,
    /// Frames without end that belong to no answer.
    #[error("more than {} MiB of frames that are no answer to anything", MOST_NOISE >> 20)]
    Noise,
    /// Another protocol.
    #[error("its first frame is no SETTINGS: it does not speak HTTP/2")]
    NoSettings,
}

/// What a peer did so far.
#[derive(Debug)]
pub struct AbuseDetector {
    settings: bool,
    going_away: Option<u32>,
    /// Bytes that were no answer, less what was forgiven.
    noise: usize,
    forgiven: Instant,
    /// Heads that came on a stream whose answer has no content yet.
    heads: HashMap<u32, u32>,
}

impl AbuseDetector {
    /// Of a peer that has said nothing yet.
    pub fn new(now: Instant) -> Self {
        Self { settings: false, going_away: None, noise: 0, forgiven: now, heads: HashMap::new() }
    }

    /// The peer has sent its preface, which is SETTINGS.
    pub fn has_preface(&self) -> bool {
        self.settings
    }

    /// The error code with which the peer announced that it takes no more requests.
    pub fn going_away(&self) -> Option<u32> {
        self.going_away
    }

    /// Takes in the head of a frame that came.
    pub fn received(&mut self, frame: &Http2Frame, now: Instant) -> Result<(), Abuse> {
        if !self.settings {
            if frame.kind != SETTINGS || frame.has(ACK) {
                return Err(Abuse::NoSettings);
            }
            self.settings = true;
        }
        match frame.kind {
            DATA => {
                self.heads.remove(&frame.stream);
                if frame.content() > 0 {
                    self.noise = 0;
                    return Ok(());
                }
            }
            HEADERS if frame.has(END_STREAM) => {
                self.heads.remove(&frame.stream);
                self.noise = 0;
                return Ok(());
            }
            HEADERS => return self.head(frame.stream),
            RST_STREAM => drop(self.heads.remove(&frame.stream)),
            GOAWAY => self.going_away = Some(frame.error_code()),
            _ => {}
        }
        self.noise(frame.size(), now)
    }

    /// Takes in the head of a frame of ours.
    pub fn sent(&mut self, frame: &Http2Frame) {
        if matches!(frame.kind, DATA | HEADERS) {
            self.noise = self.noise.saturating_sub(LEAVE);
        }
    }

    /// The head of an answer, or of an interim one.
    fn head(&mut self, stream: u32) -> Result<(), Abuse> {
        if self.heads.len() >= MOST_STREAMS && !self.heads.contains_key(&stream) {
            self.heads.clear();
        }
        let heads = self.heads.entry(stream).or_default();
        *heads += 1;
        match *heads {
            1 => self.noise = 0,
            // The answer's own head comes after the last interim one.
            heads if heads > MOST_INFORMATIONAL + 1 => return Err(Abuse::Informational),
            _ => {}
        }
        Ok(())
    }

    fn noise(&mut self, bytes: usize, now: Instant) -> Result<(), Abuse> {
        let since = now.saturating_duration_since(self.forgiven);
        if since >= Duration::from_secs(1) {
            let seconds = usize::try_from(since.as_secs()).unwrap_or(usize::MAX);
            self.noise = self.noise.saturating_sub(seconds.saturating_mul(FORGIVEN));
            self.forgiven = now;
        }
        self.noise = self.noise.saturating_add(bytes);
        if self.noise > MOST_NOISE { Err(Abuse::Noise) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests;

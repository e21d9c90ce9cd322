//! Who we are to the API server, kept fresh.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use base64::{Engine, prelude::BASE64_STANDARD};
use futures::lock::Mutex;
use http::HeaderValue;

use super::exec::{Credential, ExecPlugin};
use crate::{
    net::{self, tls::Identity},
    time,
};

/// A token file is read again this often (kubelets rotate tokens long before they expire).
const RECHECK: Duration = Duration::from_secs(60);
/// A refusal has the file read again, but not more often than this.
const RECHECK_REFUSED: Duration = Duration::from_millis(500);
/// A plugin is not run more often than this, whether it failed or brought what was refused.
const RERUN_SECONDS: i64 = 10;

/// Where credentials come from.
#[derive(Clone)]
pub enum Source {
    /// Nowhere, or from the client certificate alone.
    Nothing,
    /// The value of the `Authorization` header.
    Fixed(HeaderValue),
    /// A file with a bearer token that somebody else keeps fresh.
    TokenFile(PathBuf),
    /// A command.
    Exec(Arc<ExecPlugin>),
}

impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Source::Nothing => f.write_str("Nothing"),
            Source::Fixed(_) => f.write_str("Fixed(..)"),
            Source::TokenFile(path) => f.debug_tuple("TokenFile").field(path).finish(),
            Source::Exec(_) => f.write_str("Exec(..)"),
        }
    }
}

/// What a request is sent with.
#[derive(Debug, Clone, Default)]
pub struct Presented {
    /// Value of the `Authorization` header.
    pub header: Option<HeaderValue>,
    /// The client certificate that came with it.
    pub identity: Option<Arc<Identity>>,
    /// Which edition of the credentials this is, for [`Credentials::refused`].
    edition: u64,
}

/// Why there are no credentials. The request was not sent.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CredentialsError {
    /// The token file.
    #[error("token file {path}: {problem}")]
    TokenFile {
        /// Which one.
        path: String,
        /// Why it gives no token.
        problem: String,
    },
    /// The plugin.
    #[error("{0}")]
    Exec(String),
}

/// One shard's credentials. The lock is an awaited one: while one request reads the file, the
/// others wait for what it finds.
#[derive(Debug)]
pub struct Credentials {
    source: Source,
    file: Mutex<TokenFile>,
}

impl Credentials {
    /// Credentials from a source.
    pub fn new(source: Source) -> Self {
        Self { source, file: Mutex::default() }
    }

    /// What to send a request with now. Reads the file or runs the plugin where it is time to.
    pub async fn present(&self) -> Result<Presented, CredentialsError> {
        match &self.source {
            Source::Nothing => Ok(Presented::default()),
            Source::Fixed(header) => Ok(Presented { header: Some(header.clone()), ..Presented::default() }),
            Source::TokenFile(path) => self.read_file(path).await,
            Source::Exec(plugin) => ask_plugin(plugin).await,
        }
    }

    /// The server did not accept these: the next request gets new ones, if there are any.
    pub async fn refused(&self, presented: &Presented) {
        match &self.source {
            Source::Nothing | Source::Fixed(_) => {}
            Source::TokenFile(_) => self.file.lock().await.refuse(presented.edition),
            Source::Exec(plugin) => plugin.cache.lock().await.refuse(presented.edition),
        }
    }

    async fn read_file(&self, path: &Path) -> Result<Presented, CredentialsError> {
        let mut file = self.file.lock().await;
        let now = time::now();
        if file.is_due(now) {
            let name = path.to_owned();
            let token = match net::blocking(move || std::fs::read_to_string(name)).await {
                Ok(Ok(text)) => bearer(text.trim()),
                Ok(Err(error)) => Err(error.to_string()),
                Err(error) => Err(error.to_string()),
            };
            if let Err(problem) = file.learn(now, token) {
                let error = CredentialsError::TokenFile { path: path.display().to_string(), problem };
                if file.token.is_none() {
                    return Err(error);
                }
                tracing::warn!(%error, "going on with the token read before");
            }
        }
        Ok(Presented { header: file.token.clone(), identity: None, edition: file.edition })
    }
}

/// What is known of a token file.
#[derive(Debug, Default)]
struct TokenFile {
    token: Option<HeaderValue>,
    edition: u64,
    read_at: Option<Instant>,
    refused: bool,
}

impl TokenFile {
    fn is_due(&self, now: Instant) -> bool {
        if self.token.is_none() {
            return true;
        }
        let wait = if self.refused { RECHECK_REFUSED } else { RECHECK };
        self.read_at.is_none_or(|at| now.saturating_duration_since(at) >= wait)
    }

    /// A token that is the same as before stays refused, if it was.
    fn learn(&mut self, now: Instant, token: Result<HeaderValue, String>) -> Result<(), String> {
        self.read_at = Some(now);
        let token = token?;
        if self.token.as_ref() != Some(&token) {
            self.edition += 1;
            self.refused = false;
            self.token = Some(token);
        }
        Ok(())
    }

    fn refuse(&mut self, edition: u64) {
        self.refused |= self.edition == edition;
    }
}

/// What a plugin brought, or how it failed. Shared by all shards.
#[derive(Debug, Default)]
pub struct Cache {
    brought: Option<Brought>,
    failed: Option<(i64, String)>,
    runs: u64,
}

#[derive(Debug)]
struct Brought {
    presented: Presented,
    at: i64,
    expires: Option<i64>,
    refused: bool,
}

impl Cache {
    /// What can be used at `now` (seconds since the epoch) without running the plugin.
    fn usable(&self, now: i64) -> Option<Result<Presented, CredentialsError>> {
        if let Some(brought) = &self.brought {
            // A little early, since a request takes its time; but a short life is a life, too.
            let early = brought.expires.map_or(0, |expires| ((expires - brought.at) / 10).clamp(0, 10));
            let expired = brought.expires.is_some_and(|expires| now >= expires - early);
            let rested = now - brought.at >= RERUN_SECONDS;
            let due = expired || (brought.refused && rested);
            if !due {
                return Some(Ok(brought.presented.clone()));
            }
        }
        match &self.failed {
            Some((at, problem)) if now - at < RERUN_SECONDS => {
                Some(Err(CredentialsError::Exec(problem.clone())))
            }
            _ => None,
        }
    }

    fn learn(&mut self, now: i64, result: Result<Credential, String>) -> Result<Presented, CredentialsError> {
        self.runs += 1;
        match result {
            Ok(credential) => {
                let presented = Presented {
                    header: credential.header,
                    identity: credential.identity.map(Arc::new),
                    edition: self.runs,
                };
                let expires = credential.expires;
                self.failed = None;
                self.brought =
                    Some(Brought { presented: presented.clone(), at: now, expires, refused: false });
                Ok(presented)
            }
            Err(problem) => {
                self.failed = Some((now, problem.clone()));
                Err(CredentialsError::Exec(problem))
            }
        }
    }

    fn refuse(&mut self, edition: u64) {
        if let Some(brought) = self.brought.as_mut().filter(|b| b.presented.edition == edition) {
            brought.refused = true;
        }
    }
}

/// Runs the plugin at most once at a time: who comes meanwhile waits and takes its result.
async fn ask_plugin(plugin: &Arc<ExecPlugin>) -> Result<Presented, CredentialsError> {
    let mut cache = plugin.cache.lock().await;
    if let Some(known) = cache.usable(time::unix_seconds()) {
        return known;
    }
    let run = Arc::clone(plugin);
    let result = match net::blocking(move || run.run()).await {
        Ok(result) => result.map_err(|error| error.to_string()),
        Err(error) => Err(error.to_string()),
    };
    cache.learn(time::unix_seconds(), result)
}

/// `Authorization: Bearer`.
pub(super) fn bearer(token: &str) -> Result<HeaderValue, String> {
    if token.is_empty() {
        return Err("is empty".into());
    }
    secret(&format!("Bearer {token}"))
}

/// `Authorization: Basic`.
pub(super) fn basic(user: &str, password: &str) -> Result<HeaderValue, String> {
    secret(&format!("Basic {}", BASE64_STANDARD.encode(format!("{user}:{password}"))))
}

fn secret(value: &str) -> Result<HeaderValue, String> {
    let mut header =
        HeaderValue::from_str(value).map_err(|_| "holds characters that no header may have".to_owned())?;
    header.set_sensitive(true);
    Ok(header)
}

#[cfg(test)]
mod tests;

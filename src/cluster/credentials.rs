//! Who we are to the API server, kept fresh.

mod client_certificate;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use base64::{Engine, prelude::BASE64_STANDARD};
use futures::{
    channel::oneshot,
    lock::{Mutex, MutexGuard},
};
use http::HeaderValue;

use super::{
    config::IdentityFiles,
    exec::{Credential, ExecError, ExecPlugin},
    reload::{self, OneAtATime, RenewalError},
};
use crate::{net::tls::Identity, time};

use client_certificate::ClientCertificate;

/// A file is read again this often (kubelets rotate tokens long before they expire).
const RECHECK: Duration = Duration::from_secs(60);
/// One that could not be used is looked at again somewhat sooner: it may have been half written.
const RECHECK_FAILED: Duration = Duration::from_secs(5);
/// A refusal has the file read again, but not more often than this.
const RECHECK_REFUSED: Duration = Duration::from_millis(500);
/// A plugin is not run more often than this, whether it failed or brought what was refused.
const RERUN_SECONDS: i64 = 10;

/// Where credentials come from.
#[derive(Clone)]
pub enum CredentialSource {
    /// Nowhere, or from the client certificate alone.
    Nothing,
    /// The value of the `Authorization` header.
    Fixed(HeaderValue),
    /// A file with a bearer token that somebody else keeps fresh.
    TokenFile {
        /// The file.
        path: PathBuf,
        /// The `Authorization` header to go on with until the file can be read.
        until_read: Option<HeaderValue>,
    },
    /// A command.
    Exec(Arc<ExecPlugin>),
}

impl std::fmt::Debug for CredentialSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            CredentialSource::Nothing => f.write_str("Nothing"),
            CredentialSource::Fixed(_) => f.write_str("Fixed(..)"),
            CredentialSource::TokenFile { path, .. } => f.debug_tuple("TokenFile").field(path).finish(),
            CredentialSource::Exec(_) => f.write_str("Exec(..)"),
        }
    }
}

/// What a request is sent with.
#[derive(Debug, Clone, Default)]
pub struct Presented {
    /// Value of the `Authorization` header.
    pub header: Option<HeaderValue>,
    /// The client certificate: whose connection the request has to go over.
    pub identity: Option<Arc<Identity>>,
    /// Which edition of the credentials this is, for [`Credentials::refused`].
    edition: u64,
}

/// Why there are no credentials. The request was not sent.
#[derive(Debug, thiserror::Error)]
pub enum CredentialsError {
    /// The token file.
    #[error("token file {path}: {problem}")]
    TokenFile {
        /// Which one.
        path: String,
        /// Why it gives no token.
        problem: RenewalError,
    },
    /// The plugin.
    #[error(transparent)]
    Exec(#[from] ExecError),
}

/// Why something cannot be sent as `Authorization`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// There is nothing.
    #[error("is empty")]
    Empty,
    /// Bytes.
    #[error("is no text")]
    NotText,
    /// Line breaks, say.
    #[error("holds characters that no header may have")]
    Characters,
}

/// One shard's credentials. The locks are awaited ones: while one request reads a file, the
/// others wait for what it finds.
#[derive(Debug)]
pub struct Credentials {
    source: CredentialSource,
    token: Mutex<TokenFile>,
    pair: Mutex<ClientCertificate>,
}

impl Credentials {
    /// Credentials from a source, beside a client certificate, which is read again from its files.
    pub fn new(source: CredentialSource, identity: Option<Identity>, files: IdentityFiles) -> Self {
        let mut token = TokenFile::default();
        if let CredentialSource::TokenFile { until_read, .. } = &source {
            token.kept.value.clone_from(until_read);
        }
        Self {
            source,
            token: Mutex::new(token),
            pair: Mutex::new(ClientCertificate::new(identity, files, time::now())),
        }
    }

    /// What to send a request with now. Reads files or runs the plugin where it is time to.
    pub async fn present(&self) -> Result<Presented, CredentialsError> {
        let mut presented = match &self.source {
            CredentialSource::Nothing => Presented::default(),
            CredentialSource::Fixed(header) => {
                Presented { header: Some(header.clone()), ..Presented::default() }
            }
            CredentialSource::TokenFile { path, .. } => self.read_token(path).await?,
            CredentialSource::Exec(plugin) => ask_plugin(plugin).await?,
        };
        if presented.identity.is_none() {
            presented.identity = self.pair.lock().await.present().await;
        }
        Ok(presented)
    }

    /// The server did not accept these: the next request gets new ones, if there are any.
    pub async fn refused(&self, presented: &Presented) {
        match &self.source {
            CredentialSource::Nothing | CredentialSource::Fixed(_) => {}
            CredentialSource::TokenFile { .. } => self.token.lock().await.kept.refuse(presented.edition),
            CredentialSource::Exec(plugin) => plugin.cache.lock().await.refuse(presented.edition),
        }
        self.doubt(presented).await;
    }

    /// A connection failed, or could not be made: it may be for the certificate, which a server can
    /// refuse in ways that do not say so.
    pub async fn doubt(&self, presented: &Presented) {
        self.pair.lock().await.refuse(presented.identity.as_ref());
    }

    async fn read_token(&self, path: &Path) -> Result<Presented, CredentialsError> {
        let mut file = self.token.lock().await;
        let now = time::now();
        if file.kept.is_due(now) {
            let name = path.to_owned();
            let read = move || reload::read(&name, reload::MAX_FILE, reload::PIPE_DEADLINE);
            let token = match file.reading.run(read, reload::PATIENCE).await {
                Ok(Ok(bytes)) => token(&bytes).map_err(RenewalError::from),
                Ok(Err(error)) => Err(error.into()),
                Err(problem) => Err(problem),
            };
            if let Err(problem) = file.kept.learn(now, token) {
                let error = CredentialsError::TokenFile { path: path.display().to_string(), problem };
                if file.kept.value.is_none() {
                    return Err(error);
                }
                if file.kept.complain(now) {
                    tracing::warn!(%error, "going on with the token read before");
                }
            }
        }
        let kept = &file.kept;
        Ok(Presented { header: kept.value.clone(), identity: None, edition: kept.edition })
    }
}

/// A token file, and what it said last.
#[derive(Debug, Default)]
struct TokenFile {
    kept: FileState<HeaderValue>,
    reading: OneAtATime<std::io::Result<Vec<u8>>>,
}

fn token(bytes: &[u8]) -> Result<HeaderValue, HeaderError> {
    bearer(std::str::from_utf8(bytes).map_err(|_| HeaderError::NotText)?.trim())
}

/// What a file said last, and when to look again.
#[derive(Debug)]
struct FileState<T> {
    value: Option<T>,
    edition: u64,
    read_at: Option<Instant>,
    failed: bool,
    refused: bool,
    complained_at: Option<Instant>,
}

impl<T> Default for FileState<T> {
    fn default() -> Self {
        Self { value: None, edition: 0, read_at: None, failed: false, refused: false, complained_at: None }
    }
}

impl<T: PartialEq> FileState<T> {
    fn is_due(&self, now: Instant) -> bool {
        if self.value.is_none() {
            return true;
        }
        let wait = match (self.refused, self.failed) {
            (true, _) => RECHECK_REFUSED,
            (false, true) => RECHECK_FAILED,
            (false, false) => RECHECK,
        };
        self.read_at.is_none_or(|at| now.saturating_duration_since(at) >= wait)
    }

    /// A value that is the same as before stays refused, if it was.
    fn learn(&mut self, now: Instant, value: Result<T, RenewalError>) -> Result<(), RenewalError> {
        self.read_at = Some(now);
        self.failed = value.is_err();
        let value = value?;
        if self.value.as_ref() != Some(&value) {
            self.edition += 1;
            self.refused = false;
            self.value = Some(value);
        }
        Ok(())
    }

    fn refuse(&mut self, edition: u64) {
        self.refused |= self.edition == edition;
    }

    /// Whether it is time to say that the file cannot be used: once a minute is enough.
    fn complain(&mut self, now: Instant) -> bool {
        let due = self.complained_at.is_none_or(|at| now.saturating_duration_since(at) >= RECHECK);
        if due {
            self.complained_at = Some(now);
        }
        due
    }
}

/// What a plugin brought, or how it failed. Shared by all shards.
#[derive(Debug, Default)]
pub struct PluginCache {
    /// Of a run that goes on.
    running: Option<oneshot::Receiver<Result<Credential, ExecError>>>,
    brought: Option<Brought>,
    failed: Option<(i64, ExecError)>,
    runs: u64,
}

#[derive(Debug)]
struct Brought {
    presented: Presented,
    at: i64,
    expires: Option<i64>,
    refused: bool,
}

impl PluginCache {
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
            Some((at, error)) if now - at < RERUN_SECONDS => Some(Err(error.clone().into())),
            _ => None,
        }
    }

    fn learn(
        &mut self,
        now: i64,
        result: Result<Credential, ExecError>,
    ) -> Result<Presented, CredentialsError> {
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
            Err(error) => {
                self.failed = Some((now, error.clone()));
                Err(error.into())
            }
        }
    }

    fn refuse(&mut self, edition: u64) {
        if let Some(brought) = self.brought.as_mut().filter(|b| b.presented.edition == edition) {
            brought.refused = true;
        }
    }
}

/// Runs the plugin at most once at a time: who comes meanwhile waits and takes its result, also where
/// the one that began the run has given up.
async fn ask_plugin(plugin: &Arc<ExecPlugin>) -> Result<Presented, CredentialsError> {
    let mut cache = plugin.cache.lock().await;
    if let Some(known) = cache.usable(time::unix_seconds()) {
        return known;
    }
    let result = run_plugin(plugin, &mut cache).await;
    cache.running = None;
    cache.learn(time::unix_seconds(), result)
}

async fn run_plugin(
    plugin: &Arc<ExecPlugin>,
    cache: &mut MutexGuard<'_, PluginCache>,
) -> Result<Credential, ExecError> {
    if cache.running.is_none() {
        let (done, running) = oneshot::channel();
        let plugin = Arc::clone(plugin);
        std::thread::Builder::new()
            .name("plugin".into())
            .spawn(move || {
                // Nobody may want it any more.
                let _ = done.send(plugin.run());
            })
            .map_err(|error| ExecError::NoThread(error.to_string()))?;
        cache.running = Some(running);
    }
    match &mut cache.running {
        Some(running) => running.await.unwrap_or(Err(ExecError::BrokeOff)),
        None => Err(ExecError::BrokeOff),
    }
}

/// `Authorization: Bearer`.
pub(super) fn bearer(token: &str) -> Result<HeaderValue, HeaderError> {
    if token.is_empty() {
        return Err(HeaderError::Empty);
    }
    secret(&format!("Bearer {token}"))
}

/// `Authorization: Basic`.
pub(super) fn basic(user: &str, password: &str) -> Result<HeaderValue, HeaderError> {
    secret(&format!("Basic {}", BASE64_STANDARD.encode(format!("{user}:{password}"))))
}

fn secret(value: &str) -> Result<HeaderValue, HeaderError> {
    let mut header = HeaderValue::from_bytes(value.as_bytes()).map_err(|_| HeaderError::Characters)?;
    header.set_sensitive(true);
    Ok(header)
}

#[cfg(test)]
mod tests;

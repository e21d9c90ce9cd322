//! Credential plugins: a command that prints an `ExecCredential`.

mod process;

use std::{
    io::{self, ErrorKind},
    process::Command,
    sync::Arc,
    time::Duration,
};

use base64::{Engine, prelude::BASE64_STANDARD};
use futures::lock::Mutex;
use http::HeaderValue;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{
    credentials::{PluginCache, bearer},
    kubeconfig::{ExecConfig, KubeconfigCluster},
};
use crate::net::tls::Identity;

/// A plugin that takes longer than this is ended.
const TIMEOUT: Duration = Duration::from_secs(60);
/// What is shown of a failing plugin's last words.
const MAX_SAID: usize = 500;
const V1: &str = "client.authentication.k8s.io/v1";
const V1_BETA1: &str = "client.authentication.k8s.io/v1beta1";

/// One command, ready to be run.
#[derive(Debug, Clone)]
pub struct ExecPlugin {
    command: String,
    args: Vec<String>,
    env: Vec<(String, String)>,
    api_version: String,
    hint: String,
    timeout: Duration,
    /// What it has brought. The one thing that shards share: a plugin is slow and costly, so
    /// once for the process must do. The lock is an awaited one and hardly ever contended.
    pub(super) cache: Arc<Mutex<PluginCache>>,
}

/// What a plugin brought.
#[derive(Debug, Clone)]
pub struct Credential {
    /// Value of the `Authorization` header.
    pub header: Option<HeaderValue>,
    /// Client certificate.
    pub identity: Option<Identity>,
    /// When it expires, seconds since the epoch.
    pub expires: Option<i64>,
}

/// Why a plugin brought nothing.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ExecError {
    /// There is no such command.
    #[error("credential plugin {command:?} was not found{hint}")]
    NotFound {
        /// The command.
        command: String,
        /// What the kubeconfig advises.
        hint: String,
    },
    /// It ended with an error, or not at all.
    #[error("credential plugin {command:?}: {problem}")]
    Failed {
        /// The command.
        command: String,
        /// What happened.
        problem: String,
    },
    /// There is no thread to run it on.
    #[error("no thread for the credential plugin: {0}")]
    NoThread(String),
    /// Its thread ended without a word.
    #[error("the credential plugin's run broke off")]
    BrokeOff,
    /// It printed something else.
    #[error("credential plugin {command:?} printed no usable ExecCredential: {problem}")]
    Output {
        /// The command.
        command: String,
        /// What is wrong with it.
        problem: String,
    },
}

/// What is wrong with a plugin's description.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ExecConfigError {
    #[error("command is missing")]
    NoCommand,
    #[error("apiVersion {0:?} is not supported: use {V1} or v1beta1")]
    ApiVersion(String),
    #[error("interactiveMode Always cannot be: nobody is there to be asked")]
    Interactive,
    #[error("interactiveMode {0:?} is not known: use Never or IfAvailable")]
    InteractiveMode(String),
    #[error("env has a variable whose name is empty or has = in it")]
    Variable,
}

impl ExecPlugin {
    /// A plugin as the kubeconfig describes it, and the cluster's CA (PEM), which it is told where it
    /// wants that; the error says what is wrong with it.
    pub(crate) fn new(
        exec: &ExecConfig,
        cluster: &KubeconfigCluster,
        ca: Option<Vec<u8>>,
    ) -> Result<Self, ExecConfigError> {
        if exec.command.is_empty() {
            return Err(ExecConfigError::NoCommand);
        }
        let api_version = match &*exec.api_version {
            // client-go insists on it. There is nothing to be confused about: it is what is expected.
            "" => V1.to_owned(),
            V1 | V1_BETA1 => exec.api_version.clone(),
            other => return Err(ExecConfigError::ApiVersion(other.to_owned())),
        };
        match &*exec.interactive_mode {
            "" | "Never" | "IfAvailable" => {}
            "Always" => return Err(ExecConfigError::Interactive),
            other => return Err(ExecConfigError::InteractiveMode(other.to_owned())),
        }
        if exec.env.iter().any(|(name, _)| name.is_empty() || name.contains(['=', '\0'])) {
            return Err(ExecConfigError::Variable);
        }
        let mut spec = json!({"interactive": false});
        if exec.provide_cluster_info {
            spec["cluster"] = cluster_info(cluster, ca);
        }
        let info = json!({"apiVersion": api_version, "kind": "ExecCredential", "spec": spec});
        let mut env = exec.env.clone();
        env.push(("KUBERNETES_EXEC_INFO".into(), info.to_string()));
        tracing::debug!(command = exec.command, "credentials come from a plugin");
        Ok(Self {
            command: exec.command.clone(),
            args: exec.args.clone(),
            env,
            api_version,
            hint: exec.install_hint.clone(),
            timeout: TIMEOUT,
            cache: Arc::default(),
        })
    }

    /// Runs it and reads what it prints. Blocks for as long as it takes.
    pub fn run(&self) -> Result<Credential, ExecError> {
        let mut command = Command::new(&self.command);
        command.args(&self.args).envs(self.env.iter().map(|(name, value)| (name, value)));
        let output = match process::run(command, self.timeout) {
            Ok(output) => output,
            Err(process::ProcessError::NotStarted(error)) => return Err(self.not_started(&error)),
            Err(error) => return Err(self.failed(error.to_string())),
        };
        if !output.status.success() {
            let said = said(&output.stderr, &self.hidden(&output.stdout));
            let said = if said.is_empty() { said } else { format!(" and said: {said}") };
            return Err(self.failed(format!("it failed ({}){said}", output.status)));
        }
        self.parse(&String::from_utf8_lossy(&output.stdout))
    }

    pub(crate) fn parse(&self, stdout: &str) -> Result<Credential, ExecError> {
        let failed = |problem: String| ExecError::Output { command: self.command.clone(), problem };
        let output: ExecCredentialJson = serde_json::from_str(stdout)
            // The position is enough: the text may be a secret.
            .map_err(|e| failed(format!("no JSON of that shape, line {} column {}", e.line(), e.column())))?;
        if output.kind != "ExecCredential" || output.api_version != self.api_version {
            let found = format!("{:?} {:?}", output.api_version, output.kind);
            return Err(failed(format!("expected {} ExecCredential, found {found}", self.api_version)));
        }
        let status = output.status.ok_or_else(|| failed("it has no status".into()))?;
        let header = status.token.as_deref().filter(|token| !token.is_empty()).map(bearer).transpose();
        let header = header.map_err(|problem| failed(format!("status.token: {problem}")))?;
        let filled = |text: Option<String>| text.filter(|text| !text.is_empty());
        let pair = (filled(status.client_certificate_data), filled(status.client_key_data));
        let identity = match pair {
            (Some(certificates), Some(key)) => Some(Identity::new(certificates, key)),
            (None, None) => None,
            _ => return Err(failed("a client certificate needs a key and a key a certificate".into())),
        };
        if header.is_none() && identity.is_none() {
            return Err(failed("it holds neither a token nor a client certificate".into()));
        }
        let expires = filled(status.expiration_timestamp);
        let expires = expires.as_deref().map(str::parse::<jiff::Timestamp>).transpose();
        // Without the text: who knows what was put there.
        let expires =
            expires.map_err(|_| failed("status.expirationTimestamp is no time of RFC 3339".into()))?;
        Ok(Credential { header, identity, expires: expires.map(jiff::Timestamp::as_second) })
    }

    fn not_started(&self, error: &io::Error) -> ExecError {
        if error.kind() == ErrorKind::NotFound {
            let hint = said(self.hint.as_bytes(), &[]);
            let hint = if hint.is_empty() { hint } else { format!(": {hint}") };
            return ExecError::NotFound { command: self.command.clone(), hint };
        }
        self.failed(error.to_string())
    }

    /// What may be a secret, should the plugin repeat it: what it was given, and what it printed.
    fn hidden(&self, stdout: &[u8]) -> Vec<String> {
        let given = self.env.iter().map(|(_, value)| value.as_str());
        let given = given.filter(|value| value.len() >= 6 && !value.starts_with('{'));
        let named = self.args.iter().flat_map(|arg| arg.split('=')).filter(|part| part.len() >= 12);
        let printed = String::from_utf8_lossy(&stdout[..stdout.len().min(16 << 10)]).into_owned();
        let printed = printed.split(|c: char| c.is_whitespace() || "\"',:{}".contains(c));
        given.chain(named).chain(printed.filter(|part| part.len() >= 6)).map(str::to_owned).collect()
    }

    fn failed(&self, problem: String) -> ExecError {
        ExecError::Failed { command: self.command.clone(), problem }
    }
}

/// What the plugin is told of the cluster; what is not set is left out.
fn cluster_info(cluster: &KubeconfigCluster, ca: Option<Vec<u8>>) -> Value {
    let text = |text: &str| (!text.is_empty()).then(|| Value::from(text));
    let on = |switch: bool| switch.then_some(Value::Bool(true));
    let fields = [
        ("server", text(&cluster.server)),
        ("tls-server-name", text(&cluster.tls_server_name)),
        ("insecure-skip-tls-verify", on(cluster.insecure_skip_tls_verify)),
        ("certificate-authority-data", ca.map(|pem| Value::from(BASE64_STANDARD.encode(pem)))),
        ("proxy-url", text(&cluster.proxy_url)),
        ("disable-compression", on(cluster.disable_compression)),
        ("config", cluster.extension.clone()),
    ];
    fields
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), value?)))
        .collect::<Map<_, _>>()
        .into()
}

/// Words of somebody else, in one line of bounded length. What looks like a credential is left out:
/// words with something of `hidden` in them, JSON that was meant for its output, PEM, and any word that
/// is as long as a token.
fn said(bytes: &[u8], hidden: &[String]) -> String {
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(16 << 10)]);
    let mut line = String::new();
    for word in text.split_whitespace() {
        let secret = word.len() > 60
            || word.contains(['{', '}'])
            || word.contains("-----")
            || hidden.iter().any(|hidden| word.contains(hidden.as_str()));
        let word = if secret { "[...]" } else { word };
        if secret && line.ends_with("[...]") {
            continue;
        }
        if line.len() + word.len() > MAX_SAID {
            line.push_str(" ...");
            break;
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.extend(word.chars().map(|c| if c.is_control() { '?' } else { c }));
    }
    line
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ExecCredentialJson {
    #[serde(default)]
    api_version: String,
    #[serde(default)]
    kind: String,
    status: Option<ExecStatusJson>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ExecStatusJson {
    token: Option<String>,
    expiration_timestamp: Option<String>,
    client_certificate_data: Option<String>,
    client_key_data: Option<String>,
}

#[cfg(test)]
mod tests;

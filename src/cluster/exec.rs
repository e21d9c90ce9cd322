//! Credential plugins: a command that prints an `ExecCredential`.

use std::{
    io::{ErrorKind, Read},
    process::{Command, Stdio},
    sync::{Arc, mpsc},
    time::Duration,
};

use base64::{Engine, prelude::BASE64_STANDARD};
use futures::lock::Mutex;
use http::HeaderValue;
use kube::config::{Cluster, ExecAuthCluster, ExecConfig};
use serde::Deserialize;
use serde_json::{Value, json};

use super::credentials::{Cache, bearer};
use crate::{net::tls::Identity, time};

/// A plugin that takes longer than this is ended.
const TIMEOUT: Duration = Duration::from_secs(60);
/// What a plugin may print.
const MAX_OUTPUT: u64 = 1 << 20;

/// One command, ready to be run.
#[derive(Debug, Clone)]
pub struct ExecPlugin {
    command: String,
    args: Vec<String>,
    env: Vec<(String, String)>,
    api_version: String,
    hint: Option<String>,
    timeout: Duration,
    /// What it has brought. The one thing that shards share: a plugin is slow and costly, so
    /// once for the process must do. The lock is an awaited one and hardly ever contended.
    pub(super) cache: Arc<Mutex<Cache>>,
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
    /// It printed something else.
    #[error("credential plugin {command:?} printed no usable ExecCredential: {problem}")]
    Output {
        /// The command.
        command: String,
        /// What is wrong with it.
        problem: String,
    },
}

impl ExecPlugin {
    /// A plugin as the kubeconfig describes it; the error says what is wrong with that.
    pub fn new(exec: &ExecConfig, cluster: &Cluster, origin: &str) -> Result<Self, String> {
        let command = exec.command.clone().filter(|command| !command.is_empty());
        let command = command.ok_or("command is missing")?;
        let api_version =
            exec.api_version.clone().unwrap_or_else(|| "client.authentication.k8s.io/v1".into());
        if !matches!(
            api_version.as_str(),
            "client.authentication.k8s.io/v1" | "client.authentication.k8s.io/v1beta1"
        ) {
            return Err(format!(
                "apiVersion {api_version:?} is not supported: use client.authentication.k8s.io/v1 or v1beta1"
            ));
        }
        let mut spec = json!({"interactive": false});
        if exec.provide_cluster_info {
            let info = ExecAuthCluster::try_from(cluster).map_err(|error| error.to_string())?;
            spec["cluster"] = cluster_info(&info);
        }
        let info = json!({"apiVersion": api_version, "kind": "ExecCredential", "spec": spec});
        let mut env: Vec<_> = exec
            .env
            .iter()
            .flatten()
            .filter_map(|entry| Some((entry.get("name")?.clone(), entry.get("value")?.clone())))
            .collect();
        env.push(("KUBERNETES_EXEC_INFO".into(), info.to_string()));
        tracing::debug!(origin, command, "credentials come from a plugin");
        Ok(Self {
            command,
            args: exec.args.clone().unwrap_or_default(),
            env,
            api_version,
            hint: exec.install_hint.clone(),
            timeout: TIMEOUT,
            cache: Arc::default(),
        })
    }

    /// Runs it and reads what it prints. Blocks for as long as it takes.
    pub fn run(&self) -> Result<Credential, ExecError> {
        let (success, stdout, stderr) = self.output()?;
        if !success {
            let said: String = stderr.trim().chars().take(500).collect();
            return Err(self.failed(format!("it failed and said: {said}")));
        }
        self.parse(&stdout)
    }

    fn output(&self) -> Result<(bool, String, String), ExecError> {
        let mut child = Command::new(&self.command)
            .args(&self.args)
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| self.not_started(&error))?;
        let stdout = drain(child.stdout.take());
        let stderr = drain(child.stderr.take());
        let deadline = time::after(time::now(), self.timeout);
        let status = loop {
            match child.try_wait() {
                Ok(Some(status)) => break status,
                Ok(None) if time::now() < deadline => std::thread::sleep(Duration::from_millis(10)),
                Ok(None) => {
                    let _ = child.kill();
                    let _ = child.wait();
                    return Err(self.failed(format!("it did not end within {:?}", self.timeout)));
                }
                Err(error) => return Err(self.failed(error.to_string())),
            }
        };
        // A grandchild may hold the pipes open: what the plugin itself wrote is there by now.
        let collect =
            |pipe: mpsc::Receiver<String>| pipe.recv_timeout(Duration::from_secs(2)).unwrap_or_default();
        Ok((status.success(), collect(stdout), collect(stderr)))
    }

    pub(crate) fn parse(&self, stdout: &str) -> Result<Credential, ExecError> {
        let failed = |problem: String| ExecError::Output { command: self.command.clone(), problem };
        let output: Output = serde_json::from_str(stdout)
            // The position is enough: the text may be a secret.
            .map_err(|e| failed(format!("no JSON of that shape, line {} column {}", e.line(), e.column())))?;
        if output.kind != "ExecCredential" || output.api_version != self.api_version {
            let found = format!("{:?} {:?}", output.api_version, output.kind);
            return Err(failed(format!("expected {} ExecCredential, found {found}", self.api_version)));
        }
        let status = output.status.ok_or_else(|| failed("it has no status".into()))?;
        let header = status.token.as_deref().filter(|token| !token.is_empty()).map(bearer).transpose();
        let header = header.map_err(|problem| failed(format!("status.token: {problem}")))?;
        let identity = match (status.client_certificate_data, status.client_key_data) {
            (Some(certificates), Some(key)) => Some(Identity::new(certificates, key)),
            (None, None) => None,
            _ => return Err(failed("a client certificate needs a key and a key a certificate".into())),
        };
        if header.is_none() && identity.is_none() {
            return Err(failed("it holds neither a token nor a client certificate".into()));
        }
        let expires = status.expiration_timestamp.as_deref().map(str::parse::<jiff::Timestamp>).transpose();
        let expires = expires.map_err(|error| failed(format!("status.expirationTimestamp: {error}")))?;
        Ok(Credential { header, identity, expires: expires.map(jiff::Timestamp::as_second) })
    }

    fn not_started(&self, error: &std::io::Error) -> ExecError {
        if error.kind() == ErrorKind::NotFound {
            let hint = self.hint.as_deref().map(str::trim).filter(|hint| !hint.is_empty());
            let hint = hint.map(|hint| format!(": {hint}")).unwrap_or_default();
            return ExecError::NotFound { command: self.command.clone(), hint };
        }
        self.failed(error.to_string())
    }

    fn failed(&self, problem: String) -> ExecError {
        ExecError::Failed { command: self.command.clone(), problem }
    }
}

fn cluster_info(info: &ExecAuthCluster) -> Value {
    let ca = info.certificate_authority_data.as_ref().map(|pem| BASE64_STANDARD.encode(pem));
    let fields = [
        ("server", info.server.clone().map(Value::from)),
        ("tls-server-name", info.tls_server_name.clone().map(Value::from)),
        ("insecure-skip-tls-verify", info.insecure_skip_tls_verify.map(Value::from)),
        ("certificate-authority-data", ca.map(Value::from)),
        ("proxy-url", info.proxy_url.clone().map(Value::from)),
        ("config", info.config.clone()),
    ];
    fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
}

/// Reads a pipe to its end on a thread of its own, so that a full one never stops the child.
fn drain(pipe: Option<impl Read + Send + 'static>) -> mpsc::Receiver<String> {
    let (done, result) = mpsc::channel();
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(pipe) = pipe {
            let _ = pipe.take(MAX_OUTPUT).read_to_end(&mut bytes);
        }
        let _ = done.send(String::from_utf8_lossy(&bytes).into_owned());
    });
    result
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Output {
    #[serde(default)]
    api_version: String,
    #[serde(default)]
    kind: String,
    status: Option<Status>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Status {
    token: Option<String>,
    expiration_timestamp: Option<String>,
    client_certificate_data: Option<String>,
    client_key_data: Option<String>,
}

#[cfg(test)]
mod tests;

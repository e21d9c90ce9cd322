//! Which API server, and who we are to it.

use std::{
    io,
    path::{Path, PathBuf},
};

use http::{HeaderName, HeaderValue};

use super::{credentials::Source, kubeconfig};
use crate::net::{
    endpoint::{Endpoint, EndpointError},
    proxy::Proxy,
    tls::{self, Identity, Trust},
};

/// Where a pod finds its service account.
const SERVICE_ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// Everything needed to talk to one API server. Crosses threads: each shard makes its own
/// [`super::Client`] of it.
#[derive(Debug, Clone)]
pub struct ClusterConfig {
    /// Where these settings came from, for messages.
    pub origin: String,
    /// The server.
    pub endpoint: Endpoint,
    /// What its paths begin with, without a `/` at the end; mostly empty.
    pub path: String,
    /// How its certificate is verified.
    pub trust: Trust,
    /// The file that `trust` was read from; read again for each new connection.
    pub trust_file: Option<PathBuf>,
    /// Our certificate.
    pub identity: Option<Identity>,
    /// Our token, or where it comes from.
    pub credentials: Source,
    /// Headers of every request, `Impersonate-User` say.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// The way there.
    pub proxy: Proxy,
}

/// Why there is no usable configuration. Each message names the file, the field and the remedy.
#[derive(Debug, thiserror::Error)]
pub enum ClusterConfigError {
    /// Neither a pod's service account nor a kubeconfig.
    #[error(
        "no cluster to talk to: this is no pod with a service account, and the kubeconfig {path} cannot be read ({source}); name one with --kube-config"
    )]
    NoKubeconfig {
        /// Where it was looked for.
        path: String,
        /// Why it was not read.
        #[source]
        source: io::Error,
    },
    /// The kubeconfig is no kubeconfig.
    #[error("kubeconfig {path} does not parse: {reason}")]
    Parse {
        /// The file.
        path: String,
        /// Where and why.
        reason: String,
    },
    /// A field is missing or says something that cannot be used.
    #[error("{origin}: {field}: {problem}")]
    Field {
        /// The file.
        origin: String,
        /// The field's path in it.
        field: String,
        /// What is wrong with it, and what would be right.
        problem: String,
    },
    /// A file that is named there cannot be read.
    #[error("{origin}: {field}: cannot read {file}: {source}")]
    File {
        /// The file that names it.
        origin: String,
        /// The field's path in it.
        field: String,
        /// The file named.
        file: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// The process' surroundings, as tests can make them up.
pub(crate) struct Surroundings<'a> {
    /// Environment variables; empty ones count as unset.
    pub(crate) variable: &'a dyn Fn(&str) -> Option<String>,
    /// Where the service account is mounted.
    pub(crate) service_account: &'a Path,
}

impl ClusterConfig {
    /// In a pod the service account, else the kubeconfig at `path` (`~/.kube/config` where
    /// none is given). Reads files; to be called before shards run.
    pub fn load(path: Option<&Path>) -> Result<Self, ClusterConfigError> {
        Self::load_in(
            path,
            &Surroundings {
                variable: &|name| std::env::var(name).ok(),
                service_account: Path::new(SERVICE_ACCOUNT),
            },
        )
    }

    /// A server without TLS verification questions or credentials: for the embedded one.
    pub fn plain(url: &str) -> Result<Self, EndpointError> {
        Ok(Self {
            origin: url.to_owned(),
            endpoint: Endpoint::from_url(url)?,
            path: path_of(url),
            trust: Trust::System,
            trust_file: None,
            identity: None,
            credentials: Source::Nothing,
            headers: Vec::new(),
            proxy: Proxy::none(),
        })
    }

    pub(super) fn load_in(
        path: Option<&Path>,
        around: &Surroundings<'_>,
    ) -> Result<Self, ClusterConfigError> {
        let config = match in_cluster(around)? {
            Some(config) => config,
            None => kubeconfig::load(&expand(path, around), around)?,
        };
        config.check()?;
        Ok(config)
    }

    /// Certificates that cannot be used fail here and not at the first connection.
    fn check(&self) -> Result<(), ClusterConfigError> {
        if self.endpoint.secure {
            tls::client_config(&self.trust, self.identity.as_ref(), &[tls::H2, tls::HTTP1])
                .map_err(|error| self.fault("TLS", &error.to_string()))?;
        }
        Ok(())
    }

    fn fault(&self, field: &str, problem: &str) -> ClusterConfigError {
        ClusterConfigError::Field {
            origin: self.origin.clone(),
            field: field.to_owned(),
            problem: problem.to_owned(),
        }
    }
}

/// A pod has both variables and the token. Variables without a token are a pod without a
/// service account, which may bring a kubeconfig instead.
fn in_cluster(around: &Surroundings<'_>) -> Result<Option<ClusterConfig>, ClusterConfigError> {
    let variable = |name: &str| (around.variable)(name).filter(|value| !value.trim().is_empty());
    let token = around.service_account.join("token");
    let (Some(host), Some(port)) = (variable("KUBERNETES_SERVICE_HOST"), variable("KUBERNETES_SERVICE_PORT"))
    else {
        return Ok(None);
    };
    if !token.is_file() {
        return Ok(None);
    }
    let origin = "service account of this pod".to_owned();
    let field = |field: &str, problem: String| ClusterConfigError::Field {
        origin: origin.clone(),
        field: field.to_owned(),
        problem,
    };
    let port = port
        .trim()
        .parse::<u16>()
        .map_err(|error| field("KUBERNETES_SERVICE_PORT", format!("{port:?} is no port: {error}")))?;
    let ca = around.service_account.join("ca.crt");
    let pem = std::fs::read(&ca).map_err(|source| ClusterConfigError::File {
        origin: origin.clone(),
        field: "ca.crt".into(),
        file: ca.clone(),
        source,
    })?;
    let proxy = proxy_from_env(around).map_err(|problem| field("HTTPS_PROXY", problem))?;
    Ok(Some(ClusterConfig {
        origin,
        endpoint: Endpoint::new(true, host.trim(), port),
        path: String::new(),
        trust: Trust::Pem(pem),
        trust_file: Some(ca),
        identity: None,
        credentials: Source::TokenFile(token),
        headers: Vec::new(),
        proxy,
    }))
}

pub(super) fn proxy_from_env(around: &Surroundings<'_>) -> Result<Proxy, String> {
    Proxy::read(|name| (around.variable)(name)).map_err(|error| error.to_string())
}

/// The path of a URL, without the `/` at its end.
pub(super) fn path_of(url: &str) -> String {
    let path = url.parse::<http::Uri>().map(|uri| uri.path().to_owned()).unwrap_or_default();
    path.trim_end_matches('/').to_owned()
}

fn expand(path: Option<&Path>, around: &Surroundings<'_>) -> PathBuf {
    let path = path.unwrap_or(Path::new("~/.kube/config"));
    match (path.strip_prefix("~"), (around.variable)("HOME")) {
        (Ok(rest), Some(home)) => Path::new(&home).join(rest),
        _ => path.to_owned(),
    }
}

#[cfg(test)]
mod tests;

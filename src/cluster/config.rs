//! Which API server, and who the agent is to it: from a kubeconfig, or a pod's service account.

use std::{
    io,
    path::{Path, PathBuf},
};

use http::{HeaderName, HeaderValue};

use super::{
    credentials::CredentialSource,
    kubeconfig::{self, KubeconfigFault},
    reload,
};
use crate::net::{
    endpoint::{Endpoint, EndpointError},
    proxy::{Proxy, ProxyError},
    tls::{self, Identity, Trust},
};

/// Where a pod finds its service account.
const SERVICE_ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// Everything needed to talk to one API server. Crosses threads: each shard makes its own
/// [`super::KubeClient`] of it.
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
    /// The files that `identity` was read from; read again now and then.
    pub identity_files: IdentityFiles,
    /// Our token, or where it comes from.
    pub credentials: CredentialSource,
    /// Headers of every request, `Impersonate-User` say.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// The way there.
    pub proxy: Proxy,
    /// Whether answers may come compressed.
    pub compression: bool,
}

/// Where a client certificate and its key come from; `None` for what does not come from a file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct IdentityFiles {
    /// The certificate and its chain.
    pub certificate: Option<PathBuf>,
    /// The private key.
    pub key: Option<PathBuf>,
}

impl IdentityFiles {
    /// Whether there is nothing to read.
    pub fn is_empty(&self) -> bool {
        self.certificate.is_none() && self.key.is_none()
    }
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
    /// None of the files that the variable names is there.
    #[error(
        "no cluster to talk to: of the kubeconfigs that KUBECONFIG names none is there ({missing}); correct it or name one with --kube-config"
    )]
    NoneOfThem {
        /// Their names.
        missing: String,
    },
    /// The proxy on the way cannot be used.
    #[error("{origin}: {problem}")]
    Proxy {
        /// What the server was read from.
        origin: String,
        /// What is wrong with the proxy, by the name of the variable.
        problem: String,
    },
    /// The kubeconfig is no kubeconfig.
    #[error("kubeconfig {path} does not parse: {reason}")]
    Parse {
        /// The file.
        path: String,
        /// Where and why.
        reason: KubeconfigFault,
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
    /// In a pod the service account, else the kubeconfig that was `named`, else those in the variable
    /// `KUBECONFIG`, else `~/.kube/config`. Reads files; to be called before shards run.
    pub fn load(named: Option<&Path>) -> Result<Self, ClusterConfigError> {
        Self::load_in(
            named,
            &Surroundings {
                variable: &|name| std::env::var(name).ok(),
                service_account: Path::new(SERVICE_ACCOUNT),
            },
        )
    }

    /// A server without TLS verification questions or credentials: for the embedded one.
    pub fn plain(url: &str) -> Result<Self, EndpointError> {
        Ok(Self { origin: url.to_owned(), path: path_of(url), ..Self::to(Endpoint::from_url(url)?) })
    }

    /// A server, and nothing known but where it is.
    pub(super) fn to(endpoint: Endpoint) -> Self {
        Self {
            origin: String::new(),
            endpoint,
            path: String::new(),
            trust: Trust::System,
            trust_file: None,
            identity: None,
            identity_files: IdentityFiles::default(),
            credentials: CredentialSource::Nothing,
            headers: Vec::new(),
            proxy: Proxy::none(),
            compression: true,
        }
    }

    pub(super) fn load_in(
        named: Option<&Path>,
        around: &Surroundings<'_>,
    ) -> Result<Self, ClusterConfigError> {
        let config = match in_cluster(around)? {
            Some(config) => {
                // As with the Go agent, even where a file is named: what one image runs everywhere
                // with must not send a pod to some other cluster.
                if named.is_some() {
                    tracing::warn!("--kube-config has no effect in a pod: its service account is used");
                } else if (around.variable)(kubeconfig::VARIABLE).is_some_and(|list| !list.is_empty()) {
                    tracing::warn!("KUBECONFIG has no effect in a pod: its service account is used");
                }
                config
            }
            None => kubeconfig::load(named, around)?,
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
    let pem = reload::read(&ca, reload::MAX_FILE, reload::PIPE_DEADLINE).map_err(|source| {
        ClusterConfigError::File { origin: origin.clone(), field: "ca.crt".into(), file: ca.clone(), source }
    })?;
    let endpoint = Endpoint::new(true, host.trim(), port);
    let proxy = Proxy::read(|name| (around.variable)(name));
    let unusable = |error: ProxyError| field("the proxy on the way", error.to_string());
    proxy.on_the_way_to(&endpoint).map_err(unusable)?;
    Ok(Some(ClusterConfig {
        origin,
        trust: Trust::Pem(pem),
        trust_file: Some(ca),
        credentials: CredentialSource::TokenFile { path: token, until_read: None },
        proxy,
        ..ClusterConfig::to(endpoint)
    }))
}

/// The path of a URL, without the `/` at its end.
pub(super) fn path_of(url: &str) -> String {
    let path = url.parse::<http::Uri>().map(|uri| uri.path().to_owned()).unwrap_or_default();
    path.trim_end_matches('/').to_owned()
}

/// A path; one that begins with `~/` lies below the home folder.
pub(super) fn below_home(path: &Path, around: &Surroundings<'_>) -> PathBuf {
    match (path.strip_prefix("~"), (around.variable)("HOME")) {
        (Ok(rest), Some(home)) => Path::new(&home).join(rest),
        _ => path.to_owned(),
    }
}

#[cfg(test)]
mod tests;

//! Kubeconfig files: the current context's server and user, as client-go understands them.

mod file;
mod impersonation;
mod sources;
mod yaml;

use std::path::{Path, PathBuf};

use http::{HeaderName, HeaderValue};

pub use self::file::ExecConfig;
pub(crate) use self::file::{AuthInfo, Kubeconfig, KubeconfigCluster};
pub(super) use self::sources::VARIABLE;
pub use self::yaml::KubeconfigFault;

use self::file::{FileOrData, KubeconfigContext};
use super::{
    config::{ClusterConfig, ClusterConfigError, IdentityFiles, Surroundings, path_of},
    credentials::{CredentialSource, HeaderError, basic, bearer},
    exec::ExecPlugin,
    reload,
};
use crate::net::{
    endpoint::Endpoint,
    proxy::Proxy,
    tls::{Identity, Trust},
};

type Result<T> = std::result::Result<T, ClusterConfigError>;

/// Reads the file that was named, or those that are read where none was, and everything that they name.
pub(super) fn load(named: Option<&Path>, around: &Surroundings<'_>) -> Result<ClusterConfig> {
    let loaded = sources::read(named, around)?;
    interpret(&loaded.shown, &loaded.file, around)
}

/// What a file says, `shown` being its name.
pub(crate) fn interpret(shown: &str, file: &Kubeconfig, around: &Surroundings<'_>) -> Result<ClusterConfig> {
    let chosen = CurrentContext::of(shown, file)?;
    let url = chosen.server()?;
    let mut endpoint =
        Endpoint::from_url(&url).map_err(|error| chosen.cluster.fault("server", &error.to_string()))?;
    let server_name = chosen.cluster.is.tls_server_name.trim();
    if !server_name.is_empty() {
        endpoint = endpoint.presenting(server_name);
    }
    let mut config = ClusterConfig {
        origin: format!("kubeconfig {shown}"),
        path: path_of(&url),
        headers: chosen.impersonation()?,
        proxy: chosen.proxy(around)?,
        compression: !chosen.cluster.is.disable_compression,
        ..ClusterConfig::to(endpoint)
    };
    if config.endpoint.secure {
        (config.trust, config.trust_file) = chosen.trust()?;
        (config.identity, config.identity_files) = chosen.identity()?;
        config.credentials = chosen.credentials(config.identity.is_some())?;
    } else if chosen.has_credentials() {
        tracing::warn!(
            server = %config.endpoint,
            "the kubeconfig's credentials are not sent, as kubectl does not: the server has no TLS"
        );
    }
    config.proxy.on_the_way_to(&config.endpoint).map_err(|error| ClusterConfigError::Proxy {
        origin: config.origin.clone(),
        problem: error.to_string(),
    })?;
    Ok(config)
}

/// The same file as its text.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn parse(shown: &str, text: &[u8]) -> Result<Kubeconfig> {
    Kubeconfig::parse(text, Path::new(shown))
        .map_err(|reason| ClusterConfigError::Parse { path: shown.to_owned(), reason })
}

/// One entry of a file, as errors name it.
struct KubeconfigEntry<'a, T> {
    is: &'a T,
    /// `clusters[name].cluster`
    path: String,
    origin: &'a Path,
}

impl<T> KubeconfigEntry<'_, T> {
    fn fault(&self, field: &str, problem: &str) -> ClusterConfigError {
        ClusterConfigError::Field {
            origin: format!("kubeconfig {}", self.origin.display()),
            field: format!("{}.{field}", self.path),
            problem: problem.to_owned(),
        }
    }

    fn read(&self, field: &str, file: &Path) -> Result<Vec<u8>> {
        reload::read(file, reload::MAX_FILE, reload::PIPE_DEADLINE).map_err(|source| {
            ClusterConfigError::File {
                origin: format!("kubeconfig {}", self.origin.display()),
                field: format!("{}.{field}", self.path),
                file: file.to_owned(),
                source,
            }
        })
    }

    /// The data, which counts before the file; and the file, where it is that which was read.
    fn bytes(&self, field: &str, what: &FileOrData) -> Result<Option<(Vec<u8>, Option<PathBuf>)>> {
        match &what.data {
            Some(Ok(bytes)) => Ok(Some((bytes.clone(), None))),
            Some(Err(problem)) => Err(self.fault(&format!("{field}-data"), &problem.to_string())),
            None if !what.is_set() => Ok(None),
            None => Ok(Some((self.read(field, &what.file)?, Some(what.file.clone())))),
        }
    }
}

/// Cluster and user of the current context.
struct CurrentContext<'a> {
    cluster: KubeconfigEntry<'a, KubeconfigCluster>,
    user: KubeconfigEntry<'a, AuthInfo>,
}

impl<'a> CurrentContext<'a> {
    fn of(shown: &str, file: &'a Kubeconfig) -> Result<Self> {
        let fault = |origin: &str, field: String, problem: String| ClusterConfigError::Field {
            origin: format!("kubeconfig {origin}"),
            field,
            problem,
        };
        let current = &file.current_context;
        if current.is_empty() {
            let problem = match file.is_empty() {
                true => "is not set: the file is empty",
                false => "is not set: choose one with `kubectl config use-context`",
            };
            return Err(fault(shown, "current-context".into(), problem.into()));
        }
        let Some(context) = file.contexts.get(current) else {
            let problem = format!("names {current:?}, which is not among contexts");
            return Err(fault(shown, "current-context".into(), problem));
        };
        let missing = |field: &str, name: &str, list: &str| {
            let problem = match name {
                "" => "is not set".to_owned(),
                _ => format!("names {name:?}, which is not among {list}"),
            };
            let origin = context.origin.display().to_string();
            fault(&origin, format!("contexts[{current}].context.{field}"), problem)
        };
        let KubeconfigContext { cluster, user, .. } = context;
        let found = file.clusters.get(cluster).ok_or_else(|| missing("cluster", cluster, "clusters"))?;
        let path = format!("clusters[{cluster}].cluster");
        let cluster = KubeconfigEntry { is: found, path, origin: &found.origin };
        // client-go asks for a user, though an empty one will do. None is as good as that.
        let found = match user.is_empty() {
            true => &file.nobody,
            false => file.users.get(user).ok_or_else(|| missing("user", user, "users"))?,
        };
        let user = KubeconfigEntry { is: found, path: format!("users[{user}].user"), origin: &found.origin };
        Ok(Self { cluster, user })
    }

    /// Its URL. Without a scheme it is a host that speaks plain HTTP, as for client-go.
    fn server(&self) -> Result<String> {
        let server = self.cluster.is.server.trim();
        if server.is_empty() {
            return Err(self.cluster.fault("server", "is not set"));
        }
        Ok(if server.contains("://") { server.to_owned() } else { format!("http://{server}") })
    }

    fn trust(&self) -> Result<(Trust, Option<PathBuf>)> {
        let cluster = self.cluster.is;
        if cluster.insecure_skip_tls_verify {
            if cluster.certificate_authority.is_set() {
                let problem = "cannot be on beside a certificate-authority: leave one of them out";
                return Err(self.cluster.fault("insecure-skip-tls-verify", problem));
            }
            return Ok((Trust::Nothing, None));
        }
        Ok(match self.cluster.bytes("certificate-authority", &cluster.certificate_authority)? {
            Some((pem, file)) => (Trust::Pem(pem), file),
            None => (Trust::System, None),
        })
    }

    /// A key without a certificate is nobody's, as for client-go.
    fn identity(&self) -> Result<(Option<Identity>, IdentityFiles)> {
        let user = self.user.is;
        let Some((certificates, certificate_file)) =
            self.user.bytes("client-certificate", &user.client_certificate)?
        else {
            return Ok((None, IdentityFiles::default()));
        };
        let Some((key, key_file)) = self.user.bytes("client-key", &user.client_key)? else {
            return Err(self.user.fault("client-key", "is missing beside client-certificate"));
        };
        Ok((
            Some(Identity::new(certificates, key)),
            IdentityFiles { certificate: certificate_file, key: key_file },
        ))
    }

    fn has_credentials(&self) -> bool {
        let user = self.user.is;
        !user.token.is_empty()
            || !user.token_file.as_os_str().is_empty()
            || !user.username.is_empty()
            || user.client_certificate.is_set()
            || user.exec.is_some()
    }

    /// Precedence as in client-go: a plugin is only run where there is nothing else, a client
    /// certificate included. A token file counts before a token, which stands in until it can be read.
    fn credentials(&self, certified: bool) -> Result<CredentialSource> {
        let user = self.user.is;
        if let Some(name) = &user.auth_provider {
            let problem = format!("{name:?} is not supported: use an exec plugin");
            return Err(self.user.fault("auth-provider", &problem));
        }
        let header = |field: &str, header: std::result::Result<HeaderValue, HeaderError>| {
            header.map_err(|problem| self.user.fault(field, &problem.to_string()))
        };
        let (token, named) = (user.token.trim(), !user.username.is_empty() || !user.password.is_empty());
        let token = (!token.is_empty()).then(|| header("token", bearer(token))).transpose()?;
        if named && token.is_some() {
            return Err(self.user.fault("token", "cannot be given beside username and password"));
        }
        if !user.token_file.as_os_str().is_empty() {
            if token.is_none() {
                self.user.read("tokenFile", &user.token_file)?;
            }
            return Ok(CredentialSource::TokenFile { path: user.token_file.clone(), until_read: token });
        }
        if let Some(token) = token {
            return Ok(CredentialSource::Fixed(token));
        }
        if !user.username.is_empty() {
            return header("username", basic(&user.username, &user.password)).map(CredentialSource::Fixed);
        }
        match &user.exec {
            Some(exec) if !certified => self.plugin(exec),
            _ => Ok(CredentialSource::Nothing),
        }
    }

    fn plugin(&self, exec: &ExecConfig) -> Result<CredentialSource> {
        let cluster = self.cluster.is;
        let ca = match exec.provide_cluster_info {
            true => self.cluster.bytes("certificate-authority", &cluster.certificate_authority)?,
            false => None,
        };
        let plugin = ExecPlugin::new(exec, cluster, ca.map(|(pem, _)| pem))
            .map_err(|problem| self.user.fault("exec", &problem.to_string()))?;
        Ok(CredentialSource::Exec(plugin.into()))
    }

    fn impersonation(&self) -> Result<Vec<(HeaderName, HeaderValue)>> {
        impersonation::headers(self.user.is).map_err(|(field, problem)| self.user.fault(field, problem))
    }

    /// One that is named for this very server holds whatever the server; the environment's has exceptions.
    fn proxy(&self, around: &Surroundings<'_>) -> Result<Proxy> {
        match self.cluster.is.proxy_url.trim() {
            "" => Ok(Proxy::read(|name| (around.variable)(name))),
            url => Proxy::explicit(url)
                .map_err(|problem| self.cluster.fault("proxy-url", &format!("cannot be used: {problem}"))),
        }
    }
}

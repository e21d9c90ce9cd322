//! Kubeconfig files: the current context's server and user.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use base64::{Engine, prelude::BASE64_STANDARD};
use http::{HeaderName, HeaderValue};
use kube::config::{AuthInfo, Cluster, Kubeconfig, KubeconfigError};
use secrecy::ExposeSecret;

use super::{
    config::{ClusterConfig, ClusterConfigError, Surroundings, path_of, proxy_from_env},
    credentials::{Source, basic, bearer},
    exec::ExecPlugin,
};
use crate::net::{
    endpoint::Endpoint,
    proxy::Proxy,
    tls::{Identity, Trust},
};

type Result<T> = std::result::Result<T, ClusterConfigError>;

/// Reads the file and everything that it names.
pub(super) fn load(path: &Path, around: &Surroundings<'_>) -> Result<ClusterConfig> {
    let shown = path.display().to_string();
    check_encoding(path, &shown)?;
    let kubeconfig = Kubeconfig::read_from(path).map_err(|error| unread(&shown, error))?;
    interpret(&shown, &kubeconfig, around)
}

/// What a file says, `shown` being its name.
pub(crate) fn interpret(shown: &str, file: &Kubeconfig, around: &Surroundings<'_>) -> Result<ClusterConfig> {
    File { origin: format!("kubeconfig {shown}") }.config(file, around)
}

/// The same file as its text.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn parse(shown: &str, text: &str) -> Result<Kubeconfig> {
    Kubeconfig::from_yaml(text).map_err(|error| unread(shown, error))
}

/// kube takes UTF-16 in pairs of bytes, and panics where the last one has no other.
fn check_encoding(path: &Path, shown: &str) -> Result<()> {
    match std::fs::read(path).as_deref() {
        Ok(bytes @ ([0xff, 0xfe, ..] | [0xfe, 0xff, ..])) if bytes.len() % 2 == 1 => {
            Err(ClusterConfigError::Parse {
                path: shown.to_owned(),
                reason: "half a letter of UTF-16".into(),
            })
        }
        _ => Ok(()),
    }
}

fn unread(shown: &str, error: KubeconfigError) -> ClusterConfigError {
    let path = shown.to_owned();
    match error {
        KubeconfigError::ReadConfig(source, _) if source.kind() == std::io::ErrorKind::InvalidData => {
            ClusterConfigError::Parse { path, reason: source.to_string() }
        }
        KubeconfigError::ReadConfig(source, _) => ClusterConfigError::NoKubeconfig { path, source },
        KubeconfigError::Parse(error) => {
            // Without the excerpt that this error can show: it may hold a secret.
            let text = error.without_snippet().to_string();
            ClusterConfigError::Parse { path, reason: text.replace('\n', " ") }
        }
        other => ClusterConfigError::Parse { path, reason: other.to_string() },
    }
}

/// The file, as errors name it.
struct File {
    origin: String,
}

impl File {
    fn config(&self, kubeconfig: &Kubeconfig, around: &Surroundings<'_>) -> Result<ClusterConfig> {
        let (cluster_name, cluster, user_name, user) = self.context(kubeconfig)?;
        let cluster_field = |field: &str| format!("clusters[{cluster_name}].cluster.{field}");
        let user_field = |field: &str| format!("users[{user_name}].user.{field}");
        let server = cluster.server.as_deref().unwrap_or_default().trim();
        let mut endpoint = Endpoint::from_url(server)
            .map_err(|error| self.fault(&cluster_field("server"), &error.to_string()))?;
        if let Some(name) = filled(cluster.tls_server_name.as_deref()) {
            endpoint = endpoint.presenting(name);
        }
        let (trust, trust_file) = self.trust(cluster, &cluster_field)?;
        Ok(ClusterConfig {
            endpoint,
            path: path_of(server),
            trust,
            trust_file,
            identity: self.identity(&user, &user_field)?,
            credentials: self.credentials(cluster, &user, &user_field)?,
            headers: self.impersonation(&user, &user_field)?,
            proxy: self.proxy(cluster, around, &cluster_field)?,
            origin: self.origin.clone(),
        })
    }

    /// Cluster and user of the current context, with their names.
    fn context<'a>(&self, file: &'a Kubeconfig) -> Result<(&'a str, &'a Cluster, &'a str, AuthInfo)> {
        let current = filled(file.current_context.as_deref()).ok_or_else(|| {
            self.fault("current-context", "is not set: choose one with `kubectl config use-context`")
        })?;
        let context =
            file.contexts.iter().find(|c| c.name == current).and_then(|c| c.context.as_ref()).ok_or_else(
                || self.fault("current-context", &format!("names {current:?}, which is not among contexts")),
            )?;
        let cluster =
            file.clusters.iter().find(|c| c.name == context.cluster).and_then(|c| c.cluster.as_ref());
        let cluster = cluster.ok_or_else(|| {
            let problem = format!("names {:?}, which is not among clusters", context.cluster);
            self.fault(&format!("contexts[{current}].context.cluster"), &problem)
        })?;
        let Some(name) = filled(context.user.as_deref()) else {
            return Ok((&context.cluster, cluster, "", AuthInfo::default()));
        };
        let user = file.auth_infos.iter().find(|user| user.name == name).ok_or_else(|| {
            let problem = format!("names {name:?}, which is not among users");
            self.fault(&format!("contexts[{current}].context.user"), &problem)
        })?;
        Ok((&context.cluster, cluster, name, user.auth_info.clone().unwrap_or_default()))
    }

    fn trust(&self, cluster: &Cluster, field: &dyn Fn(&str) -> String) -> Result<(Trust, Option<PathBuf>)> {
        let data = filled(cluster.certificate_authority_data.as_deref());
        let file = filled(cluster.certificate_authority.as_deref());
        if cluster.insecure_skip_tls_verify == Some(true) {
            return Ok((Trust::Nothing, None));
        }
        Ok(match (data, file) {
            (Some(data), _) => (Trust::Pem(self.decode(&field("certificate-authority-data"), data)?), None),
            (None, Some(file)) => {
                let pem = self.read(&field("certificate-authority"), file)?;
                (Trust::Pem(pem), Some(file.into()))
            }
            (None, None) => (Trust::System, None),
        })
    }

    fn identity(&self, user: &AuthInfo, field: &dyn Fn(&str) -> String) -> Result<Option<Identity>> {
        let certificates = self.data_or_file(
            user.client_certificate_data.as_deref(),
            user.client_certificate.as_deref(),
            &field("client-certificate"),
        )?;
        let key_data = user.client_key_data.as_ref().map(ExposeSecret::expose_secret);
        let key = self.data_or_file(key_data, user.client_key.as_deref(), &field("client-key"))?;
        match (certificates, key) {
            (Some(certificates), Some(key)) => Ok(Some(Identity { certificates, key })),
            (None, None) => Ok(None),
            (Some(_), None) => Err(self.fault(&field("client-key"), "is missing beside client-certificate")),
            (None, Some(_)) => Err(self.fault(&field("client-certificate"), "is missing beside client-key")),
        }
    }

    /// Precedence as in kubectl: a token file before a token, either before a plugin.
    fn credentials(
        &self,
        cluster: &Cluster,
        user: &AuthInfo,
        field: &dyn Fn(&str) -> String,
    ) -> Result<Source> {
        if let Some(file) = filled(user.token_file.as_deref()) {
            self.read(&field("tokenFile"), file)?;
            return Ok(Source::TokenFile(file.into()));
        }
        let token = user.token.as_ref().map(ExposeSecret::expose_secret);
        if let Some(token) = filled(token) {
            let header = bearer(token.trim()).map_err(|problem| self.fault(&field("token"), &problem))?;
            return Ok(Source::Fixed(header));
        }
        if let Some(name) = filled(user.username.as_deref()) {
            let password = user.password.as_ref().map(ExposeSecret::expose_secret);
            let header = basic(name, password.unwrap_or_default())
                .map_err(|problem| self.fault(&field("password"), &problem))?;
            return Ok(Source::Fixed(header));
        }
        if let Some(exec) = &user.exec {
            let plugin = ExecPlugin::new(exec, cluster, &self.origin)
                .map_err(|problem| self.fault(&field("exec"), &problem))?;
            return Ok(Source::Exec(Arc::new(plugin)));
        }
        if let Some(provider) = &user.auth_provider {
            let problem = format!("{:?} is not supported, nor is it by kubectl: use exec", provider.name);
            return Err(self.fault(&field("auth-provider"), &problem));
        }
        Ok(Source::Nothing)
    }

    fn impersonation(
        &self,
        user: &AuthInfo,
        field: &dyn Fn(&str) -> String,
    ) -> Result<Vec<(HeaderName, HeaderValue)>> {
        if user.impersonate_user_extra.as_ref().is_some_and(|extra| !extra.is_empty()) {
            return Err(self.fault(&field("as-user-extra"), "is not supported: leave it out"));
        }
        let users = user.impersonate.iter().map(|v| ("as", "impersonate-user", v));
        let uids = user.impersonate_uid.iter().map(|v| ("as-uid", "impersonate-uid", v));
        let groups = user.impersonate_groups.iter().flatten().map(|v| ("as-groups", "impersonate-group", v));
        users
            .chain(uids)
            .chain(groups)
            .map(|(name, header, value)| {
                let value = HeaderValue::from_str(value)
                    .map_err(|_| self.fault(&field(name), "does not fit into a header"))?;
                Ok((HeaderName::from_static(header), value))
            })
            .collect()
    }

    fn proxy(
        &self,
        cluster: &Cluster,
        around: &Surroundings<'_>,
        field: &dyn Fn(&str) -> String,
    ) -> Result<Proxy> {
        let Some(url) = filled(cluster.proxy_url.as_deref()) else {
            return proxy_from_env(around).map_err(|problem| self.fault("HTTPS_PROXY", &problem));
        };
        let only = |name: &str| (name == "https_proxy").then(|| url.to_owned());
        // Named for this very server, so it counts without TLS, too.
        Proxy::read(only).map(Proxy::for_plain_too).map_err(|_| {
            let problem = "cannot be used: expected http://[user:password@]host[:port]";
            self.fault(&field("proxy-url"), problem)
        })
    }

    fn data_or_file(&self, data: Option<&str>, file: Option<&str>, field: &str) -> Result<Option<Vec<u8>>> {
        match (filled(data), filled(file)) {
            (Some(data), _) => self.decode(&format!("{field}-data"), data).map(Some),
            (None, Some(file)) => self.read(field, file).map(Some),
            (None, None) => Ok(None),
        }
    }

    fn decode(&self, field: &str, data: &str) -> Result<Vec<u8>> {
        let compact: String = data.split_whitespace().collect();
        BASE64_STANDARD.decode(compact).map_err(|_| self.fault(field, "is no base64"))
    }

    fn read(&self, field: &str, file: &str) -> Result<Vec<u8>> {
        std::fs::read(file).map_err(|source| ClusterConfigError::File {
            origin: self.origin.clone(),
            field: field.to_owned(),
            file: file.into(),
            source,
        })
    }

    fn fault(&self, field: &str, problem: &str) -> ClusterConfigError {
        ClusterConfigError::Field {
            origin: self.origin.clone(),
            field: field.to_owned(),
            problem: problem.to_owned(),
        }
    }
}

fn filled(text: Option<&str>) -> Option<&str> {
    text.filter(|text| !text.trim().is_empty())
}

//! What a kubeconfig says, typed: the fields that matter here and no others.
//!
//! Not kube's `Kubeconfig`: that refuses a key that stands twice, takes empty for set, has PEM as text
//! only and panics at half a letter of UTF-16. Shapes and meanings are those of client-go's
//! `tools/clientcmd/api/v1/types.go`.

use std::path::{Path, PathBuf};

use base64::Engine;
use indexmap::IndexMap;
use serde_json::Value;

use super::yaml::{self, KubeconfigFault, YamlNode};
use crate::net::tls::pem::BASE64;

/// The cluster's extension that credential plugins are given.
const EXEC_EXTENSION: &str = "client.authentication.k8s.io/exec";

/// One file, or several that were merged. Texts are empty where nothing is set.
#[derive(Default)]
pub(crate) struct Kubeconfig {
    pub(crate) current_context: String,
    pub(crate) contexts: IndexMap<String, KubeconfigContext>,
    pub(crate) clusters: IndexMap<String, KubeconfigCluster>,
    pub(crate) users: IndexMap<String, AuthInfo>,
    /// Whoever acts where no user is named: one of whom nothing is known.
    pub(crate) nobody: AuthInfo,
}

/// Who is who where.
#[derive(Default)]
pub(crate) struct KubeconfigContext {
    pub(crate) cluster: String,
    pub(crate) user: String,
    /// The file that says so.
    pub(crate) origin: PathBuf,
}

/// A server.
#[derive(Default)]
pub(crate) struct KubeconfigCluster {
    pub(crate) server: String,
    pub(crate) tls_server_name: String,
    pub(crate) insecure_skip_tls_verify: bool,
    pub(crate) certificate_authority: FileOrData,
    pub(crate) proxy_url: String,
    pub(crate) disable_compression: bool,
    /// For credential plugins.
    pub(crate) extension: Option<Value>,
    pub(crate) origin: PathBuf,
}

/// A user. No `Debug`: it is made of secrets.
#[derive(Default)]
pub(crate) struct AuthInfo {
    pub(crate) client_certificate: FileOrData,
    pub(crate) client_key: FileOrData,
    pub(crate) token: String,
    pub(crate) token_file: PathBuf,
    pub(crate) impersonate: String,
    pub(crate) impersonate_uid: String,
    pub(crate) impersonate_groups: Vec<String>,
    pub(crate) impersonate_extra: Vec<(String, Vec<String>)>,
    pub(crate) username: String,
    pub(crate) password: String,
    /// Its name.
    pub(crate) auth_provider: Option<String>,
    pub(crate) exec: Option<ExecConfig>,
    pub(crate) origin: PathBuf,
}

/// A credential plugin.
#[derive(Debug, Clone, Default)]
pub struct ExecConfig {
    pub(crate) command: String,
    pub(crate) args: Vec<String>,
    pub(crate) env: Vec<(String, String)>,
    pub(crate) api_version: String,
    pub(crate) install_hint: String,
    pub(crate) interactive_mode: String,
    pub(crate) provide_cluster_info: bool,
}

#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("is no base64")]
pub(crate) struct NotBase64;

/// What can be given in two ways. The path is empty, and the data `None`, where nothing is set.
#[derive(Default)]
pub(crate) struct FileOrData {
    pub(crate) file: PathBuf,
    /// What stood behind the base64, or that there was none.
    pub(crate) data: Option<Result<Vec<u8>, NotBase64>>,
}

impl FileOrData {
    pub(crate) fn is_set(&self) -> bool {
        self.data.is_some() || !self.file.as_os_str().is_empty()
    }
}

impl Kubeconfig {
    /// A file's content. Relative paths are resolved against the folder of `origin`.
    pub(crate) fn parse(bytes: &[u8], origin: &Path) -> Result<Self, KubeconfigFault> {
        let tree = yaml::parse(bytes)?;
        let root = YamlNode::root(&tree)?;
        for (field, known) in [("apiVersion", "v1"), ("kind", "Config")] {
            let said = root.text(field)?;
            if !said.is_empty() && said != known {
                return Err(KubeconfigFault::OtherKind { field, wanted: known });
            }
        }
        let folder = FileReader { origin };
        Ok(Self {
            current_context: root.text("current-context")?,
            contexts: named(&root, "contexts", "context", |node| folder.context(node))?,
            clusters: named(&root, "clusters", "cluster", |node| folder.cluster(node))?,
            users: named(&root, "users", "user", |node| folder.user(node))?,
            nobody: AuthInfo::default(),
        })
    }

    /// Takes in a file of less weight: what was set first, and whoever had a name first, stays.
    pub(crate) fn merge(&mut self, other: Self) {
        if self.current_context.is_empty() {
            self.current_context = other.current_context;
        }
        keep_first(&mut self.contexts, other.contexts);
        keep_first(&mut self.clusters, other.clusters);
        keep_first(&mut self.users, other.users);
    }

    /// Nothing at all is set.
    pub(crate) fn is_empty(&self) -> bool {
        self.current_context.is_empty()
            && self.contexts.is_empty()
            && self.clusters.is_empty()
            && self.users.is_empty()
    }
}

fn keep_first<T>(first: &mut IndexMap<String, T>, second: IndexMap<String, T>) {
    for (name, item) in second {
        first.entry(name).or_insert(item);
    }
}

fn named<'a, T>(
    root: &YamlNode<'a>,
    list: &'static str,
    field: &str,
    read: impl Fn(&YamlNode<'a>) -> Result<T, KubeconfigFault>,
) -> Result<IndexMap<String, T>, KubeconfigFault> {
    let mut all = IndexMap::new();
    for item in root.children(list)? {
        let name = item.text("name")?;
        let value = read(&item.child_or_empty(field)?)?;
        if all.insert(name.clone(), value).is_some() {
            return Err(KubeconfigFault::Twice { list, name });
        }
    }
    Ok(all)
}

/// The file whose parts are read.
struct FileReader<'a> {
    origin: &'a Path,
}

impl FileReader<'_> {
    fn context(&self, node: &YamlNode<'_>) -> Result<KubeconfigContext, KubeconfigFault> {
        Ok(KubeconfigContext {
            cluster: node.text("cluster")?,
            user: node.text("user")?,
            origin: self.origin.to_owned(),
        })
    }

    fn cluster(&self, node: &YamlNode<'_>) -> Result<KubeconfigCluster, KubeconfigFault> {
        let mut extension = None;
        for item in node.children("extensions")? {
            if item.text("name")? == EXEC_EXTENSION {
                extension = item.value("extension").cloned();
            }
        }
        Ok(KubeconfigCluster {
            server: node.text("server")?,
            tls_server_name: node.text("tls-server-name")?,
            insecure_skip_tls_verify: node.switch("insecure-skip-tls-verify")?,
            certificate_authority: self.file_or_data(node, "certificate-authority")?,
            proxy_url: node.text("proxy-url")?,
            disable_compression: node.switch("disable-compression")?,
            extension,
            origin: self.origin.to_owned(),
        })
    }

    fn user(&self, node: &YamlNode<'_>) -> Result<AuthInfo, KubeconfigFault> {
        let provider = node.child("auth-provider")?;
        let provider = provider.map(|provider| provider.text("name")).transpose()?;
        let exec = node.child("exec")?.map(|exec| self.exec(&exec)).transpose()?;
        Ok(AuthInfo {
            client_certificate: self.file_or_data(node, "client-certificate")?,
            client_key: self.file_or_data(node, "client-key")?,
            token: node.text("token")?,
            token_file: self.path(&node.text("tokenFile")?),
            impersonate: node.text("as")?,
            impersonate_uid: node.text("as-uid")?,
            impersonate_groups: node.texts("as-groups")?,
            impersonate_extra: node.text_lists("as-user-extra")?,
            username: node.text("username")?,
            password: node.text("password")?,
            auth_provider: provider,
            exec,
            origin: self.origin.to_owned(),
        })
    }

    fn exec(&self, node: &YamlNode<'_>) -> Result<ExecConfig, KubeconfigFault> {
        let command = node.text("command")?;
        let variable =
            |entry: &YamlNode<'_>| Ok::<_, KubeconfigFault>((entry.text("name")?, entry.text("value")?));
        Ok(ExecConfig {
            // One without a slash is looked for in PATH.
            command: match command.contains('/') {
                true => self.path(&command).display().to_string(),
                false => command,
            },
            args: node.texts("args")?,
            env: node.children("env")?.iter().map(variable).collect::<Result<_, _>>()?,
            api_version: node.text("apiVersion")?,
            install_hint: node.text("installHint")?,
            interactive_mode: node.text("interactiveMode")?,
            provide_cluster_info: node.switch("provideClusterInfo")?,
        })
    }

    fn file_or_data(&self, node: &YamlNode<'_>, field: &str) -> Result<FileOrData, KubeconfigFault> {
        let data = node.text(&format!("{field}-data"))?;
        let compact: String = data.split_whitespace().collect();
        let decoded = || {
            // The error would show a byte of what may be a key.
            BASE64.decode(&compact).map_err(|_| NotBase64)
        };
        Ok(FileOrData { file: self.path(&node.text(field)?), data: (!compact.is_empty()).then(decoded) })
    }

    /// An empty path stays empty.
    fn path(&self, text: &str) -> PathBuf {
        if text.is_empty() {
            return PathBuf::new();
        }
        self.origin.parent().unwrap_or(Path::new("")).join(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Kubeconfig {
        Kubeconfig::parse(text.as_bytes(), Path::new("/etc/a/config")).unwrap()
    }

    #[test]
    fn relative_paths_lie_beside_the_file_and_empty_ones_nowhere() {
        let file = parse(
            "users: [{name: u, user: {tokenFile: t, client-certificate: '', exec: {command: ./login}}}]\n\
             clusters: [{name: c, cluster: {certificate-authority: /ca.pem, certificate-authority-data: ''}}]",
        );
        let user = &file.users["u"];
        assert_eq!(user.token_file, Path::new("/etc/a/t"));
        assert!(!user.client_certificate.is_set());
        assert_eq!(user.exec.as_ref().unwrap().command, "/etc/a/./login");
        assert_eq!(file.clusters["c"].certificate_authority.file, Path::new("/ca.pem"));
        assert!(file.clusters["c"].certificate_authority.data.is_none());
    }

    #[test]
    fn null_sections_and_nothing_at_all_are_an_empty_file() {
        for text in ["", "clusters: null\nusers:\ncontexts: []\nextensions: [{name: x}]"] {
            assert!(parse(text).is_empty(), "{text}");
        }
        assert_eq!(parse("contexts: [{name: a}]").contexts["a"].cluster, "");
    }

    #[test]
    fn the_first_file_to_name_something_wins_as_a_whole() {
        let mut merged = parse("users: [{name: red, user: {token: t}}]");
        merged.merge(parse(
            "current-context: b\nusers: [{name: red, user: {username: u}}, {name: blue, user: {}}]",
        ));
        merged.merge(parse("current-context: c"));
        assert_eq!((&*merged.users["red"].token, &*merged.users["red"].username), ("t", ""));
        assert_eq!((merged.users.len(), &*merged.current_context), (2, "b"));
    }

    #[test]
    fn what_is_no_kubeconfig_is_named() {
        let error =
            |text: &str| Kubeconfig::parse(text.as_bytes(), Path::new("k")).err().unwrap().to_string();
        assert_eq!(error("kind: Pod"), "its kind should be Config");
        assert_eq!(error("apiVersion: v2"), "its apiVersion should be v1");
        assert_eq!(error("users: [{name: a}, {name: a}]"), "users has \"a\" twice");
        assert!(error("users: [{name: a, user: {token: 1}}]").contains("users[0].user.token is a number"));
    }
}

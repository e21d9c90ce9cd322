use std::{collections::HashMap, fs};

use base64::{Engine, prelude::BASE64_STANDARD};

use super::*;

struct Home {
    dir: tempfile::TempDir,
    variables: HashMap<&'static str, String>,
}

impl Home {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap(), variables: HashMap::new() }
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.dir.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path
    }

    fn load(&self, path: Option<&Path>) -> Result<ClusterConfig, ClusterConfigError> {
        let around = Surroundings {
            variable: &|name| self.variables.get(name).cloned(),
            service_account: &self.dir.path().join("sa"),
        };
        ClusterConfig::load_in(path, &around)
    }

    fn kubeconfig(&self, cluster: &str, user: &str) -> Result<ClusterConfig, ClusterConfigError> {
        let text = format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: here\n\
             contexts:\n- name: other\n  context: {{cluster: nowhere}}\n- name: here\n  context: {{cluster: c, user: u}}\n\
             clusters:\n- name: c\n  cluster: {cluster}\n\
             users:\n- name: u\n  user: {user}\n"
        );
        self.load(Some(&self.write("kubeconfig", &text)))
    }

    fn error(&self, cluster: &str, user: &str) -> String {
        self.kubeconfig(cluster, user).unwrap_err().to_string()
    }
}

fn certificate() -> (String, String) {
    let signed = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
    (signed.cert.pem(), signed.signing_key.serialize_pem())
}

const SERVER: &str = "{server: 'https://api.example:6443/k8s/clusters/c-1/', insecure-skip-tls-verify: true}";

#[test]
fn the_current_contexts_server_is_taken() {
    let config = Home::new().kubeconfig(SERVER, "{token: t}").unwrap();
    assert_eq!(config.endpoint.to_string(), "https://api.example:6443");
    assert_eq!(config.path, "/k8s/clusters/c-1");
    assert_eq!(config.trust, Trust::Nothing);
    assert!(matches!(config.credentials, CredentialSource::Fixed(token) if token == "Bearer t"));
}

#[test]
fn certificates_come_as_data_or_from_files_beside_the_kubeconfig() {
    let home = Home::new();
    let (certificate, key) = certificate();
    home.write("ca.pem", &certificate);
    home.write("key.pem", &key);
    let user =
        format!("{{client-certificate-data: {}, client-key: key.pem}}", BASE64_STANDARD.encode(&certificate));
    let config = home.kubeconfig("{server: 'https://one', certificate-authority: ca.pem}", &user).unwrap();
    assert_eq!(config.trust, Trust::pem(certificate.clone()));
    assert_eq!(config.trust_file, Some(home.dir.path().join("ca.pem")));
    let files = IdentityFiles { certificate: None, key: Some(home.dir.path().join("key.pem")) };
    assert_eq!(config.identity_files, files);
    assert_eq!(config.identity, Some(Identity::new(certificate.clone(), key)));

    let data = BASE64_STANDARD.encode(&certificate);
    let cluster = format!("{{server: 'https://one', certificate-authority-data: {data}}}");
    assert_eq!(home.kubeconfig(&cluster, "{}").unwrap().trust, Trust::pem(certificate));
}

#[test]
fn basic_auth_token_files_and_impersonation_are_taken() {
    let home = Home::new();
    let basic =
        home.kubeconfig(SERVER, "{username: me, password: pass, as: admin, as-groups: [a, b]}").unwrap();
    assert!(matches!(basic.credentials, CredentialSource::Fixed(header) if header == "Basic bWU6cGFzcw=="));
    let headers: Vec<_> = basic.headers.iter().map(|(n, v)| (n.as_str(), v.to_str().unwrap())).collect();
    let expected = [("impersonate-user", "admin"), ("impersonate-group", "a"), ("impersonate-group", "b")];
    assert_eq!(headers, expected);

    home.write("token", "t");
    let file = home.kubeconfig(SERVER, "{tokenFile: token, token: stale}").unwrap();
    let CredentialSource::TokenFile { path, until_read } = file.credentials else { panic!() };
    assert_eq!((path, until_read.unwrap()), (home.dir.path().join("token"), "Bearer stale".parse().unwrap()));
}

#[test]
fn a_plugin_is_taken() {
    let user = "{exec: {apiVersion: client.authentication.k8s.io/v1beta1, command: cloud-login, args: [a], env: [{name: A, value: b}]}}";
    let config = Home::new().kubeconfig(SERVER, user).unwrap();
    assert!(matches!(config.credentials, CredentialSource::Exec(_)));
}

#[test]
fn a_proxy_url_of_the_cluster_counts_before_the_environment() {
    let mut home = Home::new();
    home.variables.insert("HTTPS_PROXY", "http://env:3128".into());
    let target = Endpoint::new(true, "api.example", 6443);
    let proxy_of = |cluster: &str| {
        let config = home.kubeconfig(cluster, "{}").unwrap();
        config.proxy.on_the_way_to(&target).unwrap().map(|server| server.endpoint.host.clone())
    };
    assert_eq!(proxy_of("{server: 'http://one', proxy-url: 'http://named:3128'}").as_deref(), Some("named"));
    assert_eq!(proxy_of("{server: 'http://one'}").as_deref(), Some("env"));
}

#[test]
fn a_tls_server_name_is_verified_instead_of_the_host() {
    let config = Home::new()
        .kubeconfig(
            "{server: 'https://10.0.0.1', tls-server-name: api, insecure-skip-tls-verify: true}",
            "{}",
        )
        .unwrap();
    assert_eq!((config.endpoint.server_name(), &*config.endpoint.host), ("api", "10.0.0.1"));
}

#[test]
fn every_fault_names_file_and_field() {
    let home = Home::new();
    let cases = [
        ("{}", "{}", "clusters[c].cluster.server"),
        ("{server: 'ftp://api.example'}", "{}", "clusters[c].cluster.server"),
        ("{server: 7}", "{}", "clusters[0].cluster.server is a number"),
        (
            "{server: 'https://one', certificate-authority-data: '%%'}",
            "{}",
            "certificate-authority-data: is no base64",
        ),
        ("{server: 'https://one', certificate-authority-data: aGVsbG8K}", "{}", "CA certificate is no PEM"),
        (
            "{server: 'https://one', certificate-authority: nowhere.pem}",
            "{}",
            "certificate-authority: cannot read",
        ),
        ("{server: 'http://one', proxy-url: 'socks4://x'}", "{}", "clusters[c].cluster.proxy-url"),
        (
            "{server: 'https://one', certificate-authority-data: aGVsbG8K, insecure-skip-tls-verify: true}",
            "{}",
            "clusters[c].cluster.insecure-skip-tls-verify: cannot be on beside",
        ),
        (SERVER, "{client-certificate-data: aGVsbG8K}", "users[u].user.client-key: is missing"),
        (SERVER, "{token: \"a\\nb\"}", "users[u].user.token"),
        (SERVER, "{tokenFile: nowhere}", "users[u].user.tokenFile: cannot read"),
        (SERVER, "{exec: {}}", "users[u].user.exec: command is missing"),
        (SERVER, "{auth-provider: {name: gcp}}", "users[u].user.auth-provider: \"gcp\" is not supported"),
        (SERVER, "{as-user-extra: {a: [b]}}", "users[u].user.as: is not set"),
        (SERVER, "{token: t, username: u}", "users[u].user.token: cannot be given beside"),
    ];
    for (cluster, user, expected) in cases {
        let error = home.error(cluster, user);
        assert!(error.starts_with("kubeconfig ") && error.contains(expected), "{expected}: {error}");
    }
}

#[test]
fn contexts_that_lead_nowhere_are_named() {
    let home = Home::new();
    let error = |text: &str| home.load(Some(&home.write("k", text))).unwrap_err().to_string();
    assert!(error("clusters: []").contains("current-context: is not set"));
    assert!(error("current-context: x").contains("names \"x\", which is not among contexts"));
    let no_cluster = "current-context: x\ncontexts:\n- name: x\n  context: {cluster: c}\n";
    assert!(error(no_cluster).contains("contexts[x].context.cluster: names \"c\""));
    let no_user = "current-context: x\ncontexts:\n- name: x\n  context: {cluster: c, user: u}\n\
                   clusters:\n- name: c\n  cluster: {server: 'http://one'}\n";
    assert!(error(no_user).contains("contexts[x].context.user: names \"u\""));
    assert!(error("").contains("current-context: is not set: the file is empty"));
}

#[test]
fn what_is_empty_is_not_set() {
    let cluster = "{server: 'https://one', certificate-authority: '', certificate-authority-data: '', \
                   proxy-url: '', tls-server-name: ''}";
    let user = "{client-certificate: '', client-key: '', client-certificate-data: '', tokenFile: '', \
                token: '', username: '', as: '', as-groups: [], as-user-extra: {}, exec: null}";
    let config = Home::new().kubeconfig(cluster, user).unwrap();
    assert_eq!((config.trust, config.trust_file, config.identity), (Trust::System, None, None));
    assert!(matches!(config.credentials, CredentialSource::Nothing) && config.headers.is_empty());
    assert_eq!(config.endpoint.server_name(), "one");
}

#[test]
fn a_key_without_a_certificate_is_nobodys() {
    let config = Home::new().kubeconfig(SERVER, "{client-key-data: aGVsbG8K}").unwrap();
    assert_eq!(config.identity, None);
}

#[test]
fn credentials_do_not_go_out_without_tls() {
    let user = "{token: t, client-certificate: nowhere, as: jane}";
    for server in ["http://one", "one:8080"] {
        let config = Home::new().kubeconfig(&format!("{{server: '{server}'}}"), user).unwrap();
        assert!(matches!(config.credentials, CredentialSource::Nothing) && config.identity.is_none());
        assert_eq!((config.endpoint.secure, config.headers.len()), (false, 1));
    }
}

#[test]
fn an_unusable_proxy_of_the_environment_is_an_error_where_it_is_needed() {
    let mut home = Home::new();
    home.variables.insert("HTTPS_PROXY", "ftp://u:s3cret@proxy".into());
    let error = home.error(SERVER, "{}");
    assert!(error.contains("HTTPS_PROXY cannot be used") && !error.contains("s3cret"), "{error}");
    home.variables.insert("NO_PROXY", "api.example".into());
    home.kubeconfig(SERVER, "{}").unwrap();
}

#[test]
fn a_file_that_does_not_parse_gives_one_line_without_its_content() {
    let home = Home::new();
    for text in
        ["users: [{user: {token: s3cret}}", "clusters: s3cret", "\tusers: s3cret", "users:\n- s3cret\n"]
    {
        let error = home.load(Some(&home.write("k", text))).unwrap_err().to_string();
        assert!(error.starts_with("kubeconfig ") && error.contains("does not parse"), "{error}");
        assert!(!error.contains("s3cret") && !error.contains('\n'), "{error}");
    }
    let binary = home.dir.path().join("binary");
    fs::write(&binary, [0xC3, 0x28, 0x00]).unwrap();
    let error = home.load(Some(&binary)).unwrap_err().to_string();
    assert!(error.contains("does not parse"), "{error}");
}

#[test]
fn without_a_path_the_home_folders_kubeconfig_is_read() {
    let mut home = Home::new();
    home.variables.insert("HOME", home.dir.path().display().to_string());
    let missing = home.load(None).unwrap_err().to_string();
    assert!(missing.contains(".kube/config") && missing.contains("--kube-config"), "{missing}");
    home.write(".kube/config", "current-context: x");
    assert!(home.load(None).unwrap_err().to_string().contains("which is not among contexts"));
}

fn kubeconfig_of(server: &str, current: &str) -> String {
    format!(
        "current-context: {current}\ncontexts: [{{name: {server}, context: {{cluster: {server}, user: u}}}}]\n\
         clusters: [{{name: {server}, cluster: {{server: 'http://{server}'}}}}]\nusers: [{{name: u}}]\n"
    )
}

#[test]
fn the_variables_files_are_merged_and_one_that_is_named_counts_before_them() {
    let mut home = Home::new();
    let one = home.write("one", &kubeconfig_of("one", "''"));
    let two = home.write("two", &kubeconfig_of("two", "two"));
    let both = format!(":{0}:/nowhere/k:{1}:{0}", one.display(), two.display());
    home.variables.insert("KUBECONFIG", both);
    let config = home.load(None).unwrap();
    assert_eq!((&*config.endpoint.host, config.origin.matches(':').count()), ("two", 1));
    let three = home.write("three", &kubeconfig_of("three", "three"));
    assert_eq!(home.load(Some(&three)).unwrap().endpoint.host, "three");
    assert!(home.load(Some(Path::new("/nowhere/k"))).is_err());

    home.write("two", "current-context: [");
    assert!(home.load(None).unwrap_err().to_string().contains("two does not parse"));
    home.variables.insert("KUBECONFIG", "/nowhere/k:/nowhere/l".into());
    let error = home.load(None).unwrap_err().to_string();
    assert!(error.contains("KUBECONFIG") && error.contains("/nowhere/k, /nowhere/l"), "{error}");
}

#[test]
fn in_a_pod_the_service_account_wins() {
    let mut home = Home::new();
    let (ca, _) = certificate();
    home.write("sa/token", "t");
    home.write("sa/ca.crt", &ca);
    home.variables.insert("KUBERNETES_SERVICE_HOST", "fd00::1".into());
    home.variables.insert("KUBERNETES_SERVICE_PORT", "443".into());
    home.variables.insert("KUBECONFIG", "/nowhere".into());
    let config = home.load(Some(Path::new("/nowhere"))).unwrap();
    assert_eq!(config.endpoint.to_string(), "https://[fd00::1]:443");
    assert_eq!(config.trust, Trust::pem(ca));
    assert!(
        matches!(config.credentials, CredentialSource::TokenFile { path, .. } if path == home.dir.path().join("sa/token"))
    );
}

#[test]
fn a_pod_without_a_service_account_uses_its_kubeconfig() {
    let mut home = Home::new();
    home.variables.insert("KUBERNETES_SERVICE_HOST", "10.0.0.1".into());
    home.variables.insert("KUBERNETES_SERVICE_PORT", "443".into());
    assert_eq!(home.kubeconfig(SERVER, "{token: t}").unwrap().endpoint.host, "api.example");
}

#[test]
fn a_service_account_without_a_usable_ca_is_a_fault_by_name() {
    let mut home = Home::new();
    home.write("sa/token", "t");
    home.variables.insert("KUBERNETES_SERVICE_HOST", "10.0.0.1".into());
    home.variables.insert("KUBERNETES_SERVICE_PORT", "443".into());
    assert!(home.load(None).unwrap_err().to_string().contains("ca.crt"));
    home.write("sa/ca.crt", "no pem");
    assert!(home.load(None).unwrap_err().to_string().contains("CA certificate"));
}

#[test]
fn half_a_letter_of_utf_16_is_an_error_of_the_file() {
    let home = Home::new();
    let path = home.write("kubeconfig", "");
    for bytes in [b"\xff\xfea\0b".as_slice(), b"\xfe\xff\0"] {
        fs::write(&path, bytes).unwrap();
        let error = home.load(Some(&path)).unwrap_err().to_string();
        assert!(error.contains("UTF-16"), "{error}");
    }
}

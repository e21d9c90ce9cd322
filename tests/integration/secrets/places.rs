//! Places that take a secret when the process starts.

use std::{ffi::OsString, fs, os::unix::ffi::OsStringExt, path::Path, thread, time::Duration};

use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    secrets::{
        found::Finder,
        malformed::{PemPair, TOKEN, WAYS},
    },
    support::{agent::Invocation, cluster::TestCluster},
};

/// Long enough for a request or two with it.
const LIVES: Duration = Duration::from_millis(1000);

/// Runs it with everything logged, and returns all that it wrote.
pub fn written(invocation: Invocation, json: bool) -> String {
    let log = if json { "true" } else { "false" };
    let mut process = invocation.env("RUST_LOG", "trace").env("JSON_FORMATTING_LOGGER", log).start();
    let end = crate::support::now() + LIVES;
    while crate::support::now() < end && process.ended().is_none() {
        thread::sleep(Duration::from_millis(20));
    }
    if process.ended().is_none() {
        process.terminate();
    }
    thread::sleep(Duration::from_millis(50));
    process.log()
}

/// A kubeconfig of this user. The server is one that nobody is at, over TLS.
fn kubeconfig(folder: &Path, server: &str, user: &Value) -> Invocation {
    let path = folder.join("kubeconfig");
    let config = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "c",
        "clusters": [{"name": "c", "cluster": {"server": server, "insecure-skip-tls-verify": true}}],
        "users": [{"name": "u", "user": user}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
    });
    fs::write(&path, config.to_string()).unwrap();
    Invocation::agent("127.0.0.1:9", &path)
}

/// Every way to get this secret wrong, each in a process of its own, a few at a time.
fn tried(secret: &str, finder: &Finder, start: impl Fn(&Path, &[u8]) -> Option<Invocation> + Sync) {
    let (finder, start) = (&finder, &start);
    thread::scope(|scope| {
        for worker in 0..4 {
            scope.spawn(move || {
                for (nth, (way, malform)) in WAYS.iter().enumerate().filter(|(nth, _)| nth % 4 == worker) {
                    let folder = TempDir::new().unwrap();
                    let Some(invocation) = start(folder.path(), &malform(secret)) else { continue };
                    let written = written(invocation, nth % 2 == 1);
                    assert!(!written.is_empty(), "{way}: nothing was written");
                    if let Some(line) = finder.find(&written) {
                        let line: String = line.chars().take(2000).collect();
                        panic!("{way}: seen in {line}");
                    }
                }
            });
        }
    });
}

/// A secret where none is expected, once as text and once as JSON.
fn misplaced(start: impl Fn(&Path) -> Invocation) {
    for json in [false, true] {
        let folder = TempDir::new().unwrap();
        let written = written(start(folder.path()), json);
        assert_eq!(Finder::new(&[TOKEN.as_bytes()]).find(&written), None);
    }
}

fn text(bytes: &[u8]) -> Option<&str> {
    std::str::from_utf8(bytes).ok()
}

#[test]
fn a_kubeconfigs_token_and_password_are_not_seen() {
    let cluster = TestCluster::start();
    let server = format!("http://{}", cluster.address());
    let finder = Finder::new(&[TOKEN.as_bytes()]);
    tried(TOKEN, &finder, |folder, secret| {
        Some(kubeconfig(folder, &server, &json!({"token": text(secret)?})))
    });
    tried(TOKEN, &finder, |folder, secret| {
        Some(kubeconfig(folder, &server, &json!({"username": "u", "password": text(secret)?})))
    });
    tried(TOKEN, &finder, |folder, secret| {
        let file = folder.join("token");
        fs::write(&file, secret).unwrap();
        Some(kubeconfig(folder, &server, &json!({"tokenFile": file})))
    });
    // Where something else was expected, and as YAML that is none.
    for user in [json!({"token": [TOKEN]}), json!({"exec": TOKEN}), json!({"as-groups": TOKEN}), json!(TOKEN)]
    {
        misplaced(|folder| kubeconfig(folder, &server, &user));
    }
    tried(TOKEN, &finder, |folder, secret| {
        let path = folder.join("kubeconfig");
        fs::write(&path, [&b"users:\n- user:\n    token: &x {\""[..], secret, b"\n  - :"].concat()).unwrap();
        Some(Invocation::agent("127.0.0.1:9", &path))
    });
}

#[test]
fn a_kubeconfigs_private_key_is_not_seen() {
    let pair = PemPair::new();
    let (number, base64) = pair.secrets();
    let finder = Finder::new(&[&number, base64.as_bytes()]);
    let server = "https://127.0.0.1:9";
    let certificate = BASE64_STANDARD.encode(&pair.certificate);
    tried(&pair.key, &finder, |folder, secret| {
        let key = BASE64_STANDARD.encode(secret);
        let user = json!({"client-certificate-data": certificate, "client-key-data": key});
        Some(kubeconfig(folder, server, &user))
    });
    // Without its base64, and in the other's place.
    tried(&pair.key, &finder, |folder, secret| {
        let user = json!({"client-certificate-data": certificate, "client-key-data": text(secret)?});
        Some(kubeconfig(folder, server, &user))
    });
    tried(&pair.key, &finder, |folder, secret| {
        let key = BASE64_STANDARD.encode(secret);
        Some(kubeconfig(folder, server, &json!({"client-certificate-data": key, "client-key-data": key})))
    });
    tried(&pair.key, &finder, |folder, secret| {
        let (crt, key) = (folder.join("crt"), folder.join("key"));
        fs::write(&crt, &pair.certificate).unwrap();
        fs::write(&key, secret).unwrap();
        Some(kubeconfig(folder, server, &json!({"client-certificate": crt, "client-key": key})))
    });
}

#[test]
fn what_a_credential_plugin_brings_is_not_seen() {
    let pair = PemPair::new();
    let (number, base64) = pair.secrets();
    let finder = Finder::new(&[&number, base64.as_bytes(), TOKEN.as_bytes()]);
    let plugin = |folder: &Path, status: Value| {
        let api = "client.authentication.k8s.io/v1";
        let output = json!({"apiVersion": api, "kind": "ExecCredential", "status": status});
        fs::write(folder.join("output"), output.to_string()).unwrap();
        let exec = json!({
            "apiVersion": api, "command": "cat", "args": [folder.join("output")], "interactiveMode": "Never",
            "env": [{"name": "PASSWORD", "value": TOKEN}],
        });
        kubeconfig(folder, "https://127.0.0.1:9", &json!({"exec": exec}))
    };
    tried(&pair.key, &finder, |folder, secret| {
        let status = json!({"clientCertificateData": pair.certificate, "clientKeyData": text(secret)?});
        Some(plugin(folder, status))
    });
    tried(TOKEN, &finder, |folder, secret| Some(plugin(folder, json!({"token": text(secret)?}))));
    // What it prints is no JSON, or of another shape.
    tried(TOKEN, &finder, |folder, secret| {
        let invocation = plugin(folder, json!({}));
        fs::write(folder.join("output"), secret).unwrap();
        Some(invocation)
    });
    for status in
        [json!([TOKEN]), json!({"token": {TOKEN: 1}}), json!({"expirationTimestamp": TOKEN, "token": "t"})]
    {
        misplaced(|folder| plugin(folder, status.clone()));
    }
}

/// Such a flag or variable holds a secret, or does by mistake.
#[test]
fn secrets_of_flags_and_variables_are_not_seen() {
    type Dressed = fn(&[u8]) -> Vec<u8>;
    let cluster = TestCluster::start();
    let finder = Finder::new(&[TOKEN.as_bytes()]);
    let agent = || {
        Invocation::new().args(["--id", "r", "--base-url", "https://r.example.com"]).args([
            "--server-address",
            "127.0.0.1:9",
            "--kube-config",
            cluster.kubeconfig().to_str().unwrap(),
        ])
    };
    let proxied: Dressed = |secret| [&b"http://user:"[..], secret, b"@127.0.0.1:9"].concat();
    // Without an @ it would be the name of a host, which is shown as any other is.
    let named: Dressed = |secret| [&b"socks5://"[..], secret, b":password@127.0.0.1:9"].concat();
    let settings: [(&str, Dressed); 7] = [
        ("authentication-token", <[u8]>::to_vec),
        ("authentication-client-secret", <[u8]>::to_vec),
        ("tls-ca-cert", <[u8]>::to_vec),
        ("authentication-issuer", |secret| [&b"https://user:"[..], secret, b"@127.0.0.1:9"].concat()),
        ("server-address", |secret| [&b"user:"[..], secret, b"@127.0.0.1:9"].concat()),
        ("additional-base-urls", |secret| [&b"https://user:"[..], secret, b"@127.0.0.1:9"].concat()),
        ("licence-token", <[u8]>::to_vec),
    ];
    for (name, value) in settings {
        let mode = if name.contains("secret") || name.contains("issuer") { "bearer" } else { "token" };
        let base = || {
            let agent = agent().args(["--authentication-mode", mode]).env("TLS_ENABLED", "true");
            match name {
                "authentication-token" => agent,
                "authentication-client-secret" => agent.env("AUTHENTICATION_ISSUER", "http://127.0.0.1:9"),
                _ => agent.env("AUTHENTICATION_TOKEN", "t").env("AUTHENTICATION_CLIENT_SECRET", "s"),
            }
        };
        tried(TOKEN, &finder, |_, secret| {
            let value = OsString::from_vec(value(secret));
            (!secret.contains(&0)).then(|| base().arg(format!("--{name}")).arg(value))
        });
        let variable = name.to_uppercase().replace('-', "_");
        tried(TOKEN, &finder, |_, secret| {
            (secret.len() < 100_000).then(|| base().env(&variable, OsString::from_vec(value(secret))))
        });
    }
    for (name, value) in [("HTTPS_PROXY", proxied), ("https_proxy", named)] {
        tried(TOKEN, &finder, |folder, secret| {
            let server = json!({"token": "t"});
            let invocation = kubeconfig(folder, "https://api.example.com", &server);
            Some(invocation.env(name, OsString::from_vec(value(secret))))
        });
    }
}

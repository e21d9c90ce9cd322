//! Kubeconfig files, as JSON (which is YAML, too).

use std::{fs, path::Path};

use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::json;

/// Writes a kubeconfig whose current context points at `url`.
pub fn write(path: &Path, url: &str, ca_pem: Option<&str>, token: Option<&str>) {
    let mut cluster = json!({ "server": url });
    if let Some(pem) = ca_pem {
        cluster["certificate-authority-data"] = BASE64_STANDARD.encode(pem).into();
    }
    let user = token.map_or_else(|| json!({}), |token| json!({ "token": token }));
    let config = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{ "name": "test", "cluster": cluster }],
        "users": [{ "name": "test", "user": user }],
        "contexts": [{ "name": "test", "context": { "cluster": "test", "user": "test" } }],
        "current-context": "test",
    });
    fs::write(path, config.to_string()).expect("kubeconfig");
}

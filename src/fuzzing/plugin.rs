//! What a credential plugin prints.

use serde_json::Value;

use super::kubernetes::check_text;
use crate::cluster::{
    exec::ExecPlugin,
    kubeconfig::{ExecConfig, KubeconfigCluster},
};

/// Stands in the place of every secret, and must be seen nowhere.
const SECRET: &str = "Hush-Hush-4711";
const API_VERSION: &str = "client.authentication.k8s.io/v1";

/// The output of a plugin: where it is taken it says who we are, in a header that can be sent; and
/// where it is not, no error shows a secret of it.
pub fn plugin(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let exec =
        ExecConfig { command: "plugin".into(), api_version: API_VERSION.into(), ..ExecConfig::default() };
    let plugin = ExecPlugin::new(&exec, &KubeconfigCluster::default(), None).expect("a plugin");
    let json: Value = serde_json::from_str(text).unwrap_or_default();
    let status = &json["status"];
    if json.is_array() || status.is_array() {
        // serde takes the fields of a struct in a list, too.
        return;
    }
    if let Err(error) = plugin.parse(&marked(json.clone()).to_string()) {
        assert!(!error.to_string().contains(SECRET), "{error}");
    }
    match plugin.parse(text) {
        Ok(credential) => {
            assert_eq!((&json["apiVersion"], &json["kind"]), (&API_VERSION.into(), &"ExecCredential".into()));
            assert!(credential.header.is_some() || credential.identity.is_some());
            if let Some(header) = &credential.header {
                let token = status["token"].as_str().expect("a token");
                assert_eq!(header.as_bytes(), format!("Bearer {token}").as_bytes());
                assert!(header.is_sensitive());
            }
            let key = status["clientKeyData"].as_str().filter(|key| key.len() > 3);
            assert!(!key.is_some_and(|key| format!("{credential:?}").contains(&format!("{key:?}"))));
        }
        Err(error) => check_text(&error.to_string(), 8 * data.len() + 200),
    }
}

/// The same output with secrets that can be told.
fn marked(mut json: Value) -> Value {
    for name in ["token", "clientKeyData"] {
        if let Some(secret) = json.pointer_mut(&format!("/status/{name}")).filter(|value| value.is_string()) {
            *secret = SECRET.into();
        }
    }
    if json["status"].is_string() {
        json["status"] = SECRET.into();
    }
    json
}

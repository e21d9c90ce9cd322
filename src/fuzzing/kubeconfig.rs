//! A kubeconfig.

use std::path::Path;

use base64::{Engine, prelude::BASE64_STANDARD};
use kube::config::{AuthInfo, Kubeconfig};

use super::kubernetes::check_text;
use crate::cluster::{config::Surroundings, kubeconfig};

/// Stands in the place of every secret, and must be seen nowhere.
const SECRET: &str = "Hush-Hush-4711";

/// The YAML of a kubeconfig: it gives a server that can be connected to or says in one line why not,
/// and shows no secret either way.
pub fn kubeconfig(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if text.contains(SECRET) {
        return;
    }
    let file = match kubeconfig::parse("test", text) {
        Ok(file) => file,
        Err(error) => return check_text(&error.to_string(), 1000 + 2 * text.len()),
    };
    let file = prepared(file);
    let around = Surroundings { variable: &|_| None, service_account: Path::new("/nowhere") };
    match kubeconfig::interpret("test", &file, &around) {
        Ok(config) => {
            assert!(!config.endpoint.host.is_empty() && config.endpoint.port != 0);
            assert!(config.path.is_empty() || config.path.starts_with('/'), "{}", config.path);
            assert!(!config.path.ends_with('/'), "{}", config.path);
            assert!(!format!("{config:?}").contains(SECRET), "{config:?}");
        }
        Err(error) => assert!(!error.to_string().contains(SECRET), "{error}"),
    }
}

/// The same file with secrets that can be told, and without files: they are none of this.
fn prepared(mut file: Kubeconfig) -> Kubeconfig {
    for cluster in file.clusters.iter_mut().filter_map(|named| named.cluster.as_mut()) {
        cluster.certificate_authority = None;
    }
    for user in file.auth_infos.iter_mut().filter_map(|named| named.auth_info.as_mut()) {
        hide(user);
    }
    file
}

fn hide(user: &mut AuthInfo) {
    user.token_file = None;
    user.client_certificate = None;
    user.client_key = None;
    if user.token.is_some() {
        user.token = Some(format!("{SECRET}\u{7f}").into());
    }
    if user.password.is_some() {
        user.password = Some(SECRET.to_owned().into());
    }
    if user.client_key_data.is_some() {
        user.client_key_data = Some(BASE64_STANDARD.encode(SECRET).into());
    }
}

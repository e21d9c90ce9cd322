//! A kubeconfig.

use std::path::{Path, PathBuf};

use super::kubernetes::check_text;
use crate::cluster::{
    config::Surroundings,
    kubeconfig::{self, AuthInfo, Kubeconfig},
};

/// Stands in the place of every secret, and must be seen nowhere.
const SECRET: &str = "Hush-Hush-4711";

/// The bytes of a kubeconfig: it gives a server that can be connected to or says in one line why not,
/// and shows no secret either way. Merged behind itself it is what it was.
pub fn kubeconfig(data: &[u8]) {
    if data.windows(SECRET.len()).any(|window| window == SECRET.as_bytes()) {
        return;
    }
    let (file, again) = match (kubeconfig::parse("test", data), kubeconfig::parse("test", data)) {
        (Ok(file), Ok(again)) => (file, again),
        (Err(error), _) | (_, Err(error)) => return check_text(&error.to_string(), 1000 + 8 * data.len()),
    };
    let sizes = |file: &Kubeconfig| (file.contexts.len(), file.clusters.len(), file.users.len());
    let (current, before) = (file.current_context.clone(), sizes(&file));
    let mut file = prepared(file);
    file.merge(again);
    assert_eq!((&file.current_context, sizes(&file)), (&current, before));

    let around = Surroundings { variable: &|_| None, service_account: Path::new("/nowhere") };
    match kubeconfig::interpret("test", &file, &around) {
        Ok(config) => {
            assert!(!config.endpoint.host.is_empty() && config.endpoint.port != 0);
            assert!(config.path.is_empty() || config.path.starts_with('/'), "{}", config.path);
            assert!(!config.path.ends_with('/'), "{}", config.path);
            assert!(!format!("{config:?}").contains(SECRET), "{config:?}");
            for (_, value) in &config.headers {
                assert!(!value.as_bytes().contains(&b'\n'));
            }
        }
        Err(error) => assert!(!error.to_string().contains(SECRET), "{error}"),
    }
}

/// The same file with secrets that can be told, and without files: they are none of this.
fn prepared(mut file: Kubeconfig) -> Kubeconfig {
    for cluster in file.clusters.values_mut() {
        cluster.certificate_authority.file = PathBuf::new();
        if cluster.proxy_url.contains('@') {
            cluster.proxy_url = format!("socks5://{SECRET}:{SECRET}/{SECRET}@proxy");
        }
    }
    file.users.values_mut().for_each(hide);
    file
}

fn hide(user: &mut AuthInfo) {
    user.token_file = PathBuf::new();
    user.client_certificate.file = PathBuf::new();
    user.client_key.file = PathBuf::new();
    if !user.token.is_empty() {
        user.token = format!("{SECRET}\u{7f}");
    }
    if !user.password.is_empty() {
        user.password = SECRET.to_owned();
    }
    if let Some(data) = &mut user.client_key.data {
        *data = Ok(SECRET.into());
    }
}

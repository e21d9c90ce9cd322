//! Which files are read: the one that was named; those of `KUBECONFIG`; or the home folder's.

use std::{
    io::ErrorKind,
    path::{Path, PathBuf},
    time::Duration,
};

use super::file::Kubeconfig;
use crate::cluster::{
    config::{ClusterConfigError, Surroundings, below_home},
    reload,
};

/// The variable that names files, with colons between them.
pub(crate) const VARIABLE: &str = "KUBECONFIG";
const DEFAULT: &str = "~/.kube/config";
/// A kubeconfig with hundreds of clusters has one or two megabytes.
const MAX_FILE: u64 = 16 << 20;
/// For what comes out of a pipe, as with `--kube-config <(command)`.
const PIPE_DEADLINE: Duration = Duration::from_secs(30);

/// What was read, and its name for messages.
pub(super) struct LoadedKubeconfig {
    pub(super) shown: String,
    pub(super) file: Kubeconfig,
}

/// A file that was named has to be there, and so has the home folder's. Of those in `KUBECONFIG` the
/// ones that are missing are passed over, and the first to say something wins.
pub(super) fn read(
    named: Option<&Path>,
    around: &Surroundings<'_>,
) -> Result<LoadedKubeconfig, ClusterConfigError> {
    if let Some(path) = named {
        return alone(&below_home(path, around));
    }
    let Some(list) = (around.variable)(VARIABLE).filter(|list| !list.is_empty()) else {
        return alone(&below_home(Path::new(DEFAULT), around));
    };
    let mut merged = Kubeconfig::default();
    let (mut found, mut missing) = (Vec::new(), Vec::new());
    for path in paths(&list).iter().map(|path| below_home(path, around)) {
        match one(&path) {
            Ok(file) => {
                merged.merge(file);
                found.push(path.display().to_string());
            }
            Err(ClusterConfigError::NoKubeconfig { path, source })
                if source.kind() == ErrorKind::NotFound =>
            {
                missing.push(path);
            }
            Err(error) => return Err(error),
        }
    }
    if found.is_empty() {
        return Err(ClusterConfigError::NoneOfThem { missing: missing.join(", ") });
    }
    if !missing.is_empty() {
        tracing::warn!(missing = missing.join(", "), "{VARIABLE} names files that are not there");
    }
    Ok(LoadedKubeconfig { shown: found.join(":"), file: merged })
}

/// Empty entries name nothing, and a file twice is read once.
fn paths(list: &str) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = Vec::new();
    for entry in list.split(':').filter(|entry| !entry.is_empty()) {
        if !paths.iter().any(|known| known.as_os_str() == entry) {
            paths.push(entry.into());
        }
    }
    paths
}

fn alone(path: &Path) -> Result<LoadedKubeconfig, ClusterConfigError> {
    Ok(LoadedKubeconfig { shown: path.display().to_string(), file: one(path)? })
}

fn one(path: &Path) -> Result<Kubeconfig, ClusterConfigError> {
    let shown = path.display().to_string();
    let bytes = match reload::read(path, MAX_FILE, PIPE_DEADLINE) {
        Ok(bytes) => bytes,
        Err(source) => return Err(ClusterConfigError::NoKubeconfig { path: shown, source }),
    };
    Kubeconfig::parse(&bytes, path).map_err(|reason| ClusterConfigError::Parse { path: shown, reason })
}

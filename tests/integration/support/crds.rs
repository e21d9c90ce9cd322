//! Which custom resources a server knows.

use std::{fs, path::Path};

use serde_json::Value;

/// A set of CRD manifests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Crds {
    /// This project's own, minimal ones.
    Ours,
    /// The ones that real clusters have: test data beside the repository, which may be absent.
    Operators,
}

impl Crds {
    /// The manifests; `None` where they are not there.
    pub fn manifests(self) -> Option<Vec<Value>> {
        match self {
            Crds::Ours => {
                let ours = stackherd::embedded::crds::manifests();
                Some(ours.iter().map(|(file, yaml)| parse(file, yaml)).collect())
            }
            Crds::Operators => {
                let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/crds");
                let entries = fs::read_dir(folder).ok()?;
                let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
                let yaml = paths.filter(|path| path.extension().is_some_and(|ext| ext == "yaml"));
                let read = |path: &Path| parse(&path.to_string_lossy(), &fs::read_to_string(path).unwrap());
                Some(yaml.map(|path| read(&path)).collect())
            }
        }
    }
}

fn parse(name: &str, yaml: &str) -> Value {
    serde_saphyr::from_str(yaml).unwrap_or_else(|fault| panic!("{name}: {fault}"))
}

//! A copy of the tree, of which only what differs is written anew, so that cargo builds only that.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::{Path, PathBuf},
};

/// Not part of the sources, at the top or below.
const LEFT_OUT: [&str; 2] = ["target", ".git"];

/// Makes `copy` the same as `root` but for these files.
pub(super) fn sync(root: &Path, copy: &Path, replaced: &BTreeMap<PathBuf, String>) -> Result<(), String> {
    let fault = |path: &Path, fault: &io::Error| format!("cannot copy {}: {fault}", path.display());
    let mut wanted: BTreeSet<PathBuf> = replaced.keys().cloned().collect();
    files(root, Path::new(""), &mut wanted)?;
    for path in &wanted {
        let content = match replaced.get(path) {
            Some(text) => text.clone().into_bytes(),
            None => fs::read(root.join(path)).map_err(|error| fault(path, &error))?,
        };
        let to = copy.join(path);
        if !fs::read(&to).is_ok_and(|there| there == content) {
            to.parent()
                .map_or(Ok(()), fs::create_dir_all)
                .and_then(|()| fs::write(&to, content))
                .map_err(|error| fault(path, &error))?;
        }
    }
    let mut there = BTreeSet::new();
    files(copy, Path::new(""), &mut there)?;
    for path in there.difference(&wanted) {
        fs::remove_file(copy.join(path)).map_err(|error| fault(path, &error))?;
    }
    Ok(())
}

/// All files below a folder of `root`, relative to that.
fn files(root: &Path, folder: &Path, found: &mut BTreeSet<PathBuf>) -> Result<(), String> {
    let fault = |fault: io::Error| format!("cannot read {}: {fault}", root.join(folder).display());
    for entry in fs::read_dir(root.join(folder)).map_err(fault)? {
        let entry = entry.map_err(fault)?;
        let kind = entry.file_type().map_err(fault)?;
        let path = folder.join(entry.file_name());
        if kind.is_dir() && !LEFT_OUT.iter().any(|name| path.ends_with(name)) {
            files(root, &path, found)?;
        } else if kind.is_file() && !path.ends_with(".git") {
            found.insert(path);
        }
    }
    Ok(())
}

//! Where things are: the repository, and the folder of the user's cache that survives a clean clone.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process,
};

/// The repository's root.
pub(crate) fn repository() -> PathBuf {
    let xtask = Path::new(env!("CARGO_MANIFEST_DIR"));
    xtask.parent().unwrap_or(xtask).to_path_buf()
}

/// `${XDG_CACHE_HOME:-~/.cache}/stackherd`.
pub(crate) fn folder() -> Result<PathBuf, String> {
    let set = |name: &str| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    set("XDG_CACHE_HOME")
        .filter(|path| path.is_absolute())
        .or_else(|| set("HOME").map(|home| home.join(".cache")))
        .map(|cache| cache.join("stackherd"))
        .ok_or_else(|| "no place for a cache: set HOME or XDG_CACHE_HOME".into())
}

/// Makes `target` by filling a folder of another name beside it and renaming that when it is
/// complete, so that nobody ever finds half of it. Two at once: the first to finish wins.
pub(crate) fn fill(target: &Path, make: impl FnOnce(&Path) -> Result<(), String>) -> Result<(), String> {
    let mut name = target.as_os_str().to_owned();
    name.push(format!(".part-{}", process::id()));
    let part = PathBuf::from(name);
    let made = fs::create_dir_all(&part)
        .map_err(|fault| format!("cannot create {}: {fault}", part.display()))
        .and_then(|()| make(&part))
        .and_then(|()| match fs::rename(&part, target) {
            Err(_) if target.is_dir() => Ok(()),
            renamed => renamed.map_err(|fault| format!("cannot create {}: {fault}", target.display())),
        });
    // After the rename there is nothing under this name any more.
    let _ = fs::remove_dir_all(&part);
    made
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scratch(name: &str) -> PathBuf {
        let folder = env::temp_dir().join(format!("stackherd-xtask-{}-{name}", process::id()));
        fs::create_dir_all(&folder).unwrap();
        folder
    }

    #[test]
    fn a_folder_appears_only_when_it_is_complete() {
        let root = scratch("complete");
        let target = root.join("thing");
        fill(&target, |part| {
            assert!(!target.exists());
            fs::write(part.join("file"), "x").map_err(|fault| fault.to_string())
        })
        .unwrap();
        assert!(target.join("file").exists());
        assert_eq!(fs::read_dir(&root).unwrap().count(), 1, "no part is left");
        fs::remove_dir_all(root).unwrap();
    }

    #[test]
    fn a_failure_leaves_nothing_behind() {
        let root = scratch("failure");
        let target = root.join("thing");
        assert_eq!(fill(&target, |_| Err("broken".into())), Err("broken".into()));
        assert_eq!(fs::read_dir(&root).unwrap().count(), 0);
        fs::remove_dir_all(root).unwrap();
    }
}

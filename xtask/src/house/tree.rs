//! All Rust files of the workspace, and which of them are the product.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use syn::Item;

use super::{
    product,
    source::{BIG, ModulePath, ProductFile, SourceFile},
};

/// Crates that are tools, not the product.
const TOOLS: [&str; 2] = ["xtask", "fuzz"];

/// See the [module](self).
pub(super) struct Tree {
    pub(super) sources: BTreeMap<PathBuf, SourceFile>,
}

impl Tree {
    pub(super) fn read(root: &Path) -> Result<Self, String> {
        let mut paths = Vec::new();
        find(root, Path::new(""), &mut paths).map_err(|fault| format!("{}: {fault}", root.display()))?;
        let mut sources = BTreeMap::new();
        for path in paths {
            sources.insert(path.clone(), SourceFile::read(root, path)?);
        }
        let mut tree = Self { sources };
        for folder in packages(root).map_err(|fault| format!("{}: {fault}", root.display()))? {
            let package =
                if folder.as_os_str().is_empty() { BIG.into() } else { folder.display().to_string() };
            for (file, module) in [("src/lib.rs", vec![]), ("src/main.rs", vec!["main".to_owned()])] {
                tree.enter(&folder.join(file), &ModulePath { package: package.clone(), module });
            }
        }
        Ok(tree)
    }

    /// This module and all below it are part of the product.
    fn enter(&mut self, path: &Path, place: &ModulePath) {
        let Some(source) = self.sources.get_mut(path) else { return };
        source.place = Some(place.clone());
        let mut below = Vec::new();
        for item in &source.ast.items {
            if let Item::Mod(declared) = item
                && declared.content.is_none()
                && !product::is_for_tests(&declared.attrs)
            {
                // What the binary declares, it does not share.
                let mut place = place.clone();
                place.module.push(declared.ident.to_string());
                below.push((source.child(declared), place));
            }
        }
        for (path, place) in below {
            self.enter(&path, &place);
        }
    }

    pub(super) fn products(&self) -> impl Iterator<Item = ProductFile<'_>> {
        self.sources.values().filter_map(SourceFile::product)
    }
}

/// The folders of the product's crates, from the root.
fn packages(root: &Path) -> io::Result<Vec<PathBuf>> {
    let mut packages = vec![PathBuf::new()];
    for entry in fs::read_dir(root)? {
        let name = PathBuf::from(entry?.file_name());
        if root.join(&name).join("Cargo.toml").is_file() && !TOOLS.iter().any(|tool| name == Path::new(tool))
        {
            packages.push(name);
        }
    }
    Ok(packages)
}

fn find(root: &Path, folder: &Path, found: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(root.join(folder))? {
        let entry = entry?;
        let name = entry.file_name();
        let path = folder.join(&name);
        if entry.file_type()?.is_dir() {
            if name != "target" && !name.to_string_lossy().starts_with('.') {
                find(root, &path, found)?;
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    Ok(())
}

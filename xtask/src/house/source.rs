//! One file of the workspace.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::product;

/// A file, read and parsed.
pub(super) struct SourceFile {
    /// From the root of the workspace.
    pub(super) path: PathBuf,
    pub(super) text: String,
    pub(super) ast: syn::File,
    /// Where it stands, if it is part of the product.
    pub(super) place: Option<ModulePath>,
}

/// A module of the product.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ModulePath {
    pub(super) package: String,
    pub(super) module: Vec<String>,
}

/// What of a file is part of the product.
pub(super) struct ProductFile<'a> {
    pub(super) source: &'a SourceFile,
    pub(super) place: &'a ModulePath,
    /// Without what only tests have.
    pub(super) ast: syn::File,
    /// Lines of the file that only tests have.
    pub(super) test_lines: Vec<std::ops::RangeInclusive<usize>>,
}

impl SourceFile {
    pub(super) fn read(root: &Path, path: PathBuf) -> Result<Self, String> {
        let text =
            fs::read_to_string(root.join(&path)).map_err(|fault| format!("{}: {fault}", path.display()))?;
        let ast = syn::parse_file(&text).map_err(|fault| {
            format!("{}:{}: cannot be parsed: {fault}", path.display(), fault.span().start().line)
        })?;
        Ok(Self { path, text, ast, place: None })
    }

    pub(super) fn product(&self) -> Option<ProductFile<'_>> {
        let place = self.place.as_ref()?;
        let mut ast = self.ast.clone();
        let mut test_lines = Vec::new();
        product::strip(&mut ast.items, &mut test_lines);
        Some(ProductFile { source: self, place, ast, test_lines })
    }

    /// The file of a module that this one declares, from the root of the workspace.
    pub(super) fn child(&self, declared: &syn::ItemMod) -> PathBuf {
        let folder = self.path.parent().unwrap_or(Path::new(""));
        if let Some(path) = product::path_of(&declared.attrs) {
            return folder.join(path);
        }
        let stem = self.path.file_stem().unwrap_or_default();
        let is_root = ["lib", "main", "mod"].iter().any(|name| stem == *name);
        let below = if is_root { folder.to_path_buf() } else { folder.join(stem) };
        below.join(format!("{}.rs", declared.ident))
    }
}

impl ModulePath {
    /// Who this is, to others: a module at the top of the big crate, or another crate.
    pub(super) fn area(&self) -> &str {
        area(&self.package, &self.module)
    }
}

/// The crate that is not named after what it holds.
pub(super) const BIG: &str = "stackherd";

fn area<'a>(package: &'a str, module: &'a [String]) -> &'a str {
    match module.first() {
        Some(first) if package == BIG => first,
        _ => package,
    }
}

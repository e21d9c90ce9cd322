//! What each file of the product says of itself, in docs/modules.md.

use std::{
    collections::BTreeMap,
    fmt::Write,
    fs,
    path::{Path, PathBuf},
};

use super::{
    Finding,
    source::{BIG, ProductFile},
    tree::Tree,
};

const PAGE: &str = "docs/modules.md";
const HEAD: &str = "\
# Modules

What each file of the product says of itself: the first sentence of its `//!` comment. `cargo xtask modules` writes this
page, and `cargo xtask house` sees that it is what the files say. What only tests have is left out, the simulation and
the checks of `fuzz/` with it. [architecture.md](architecture.md) says how the files work together.
";

pub(super) fn check(tree: &Tree, root: &Path) -> Result<Vec<Finding>, String> {
    let mut findings: Vec<_> = tree
        .products()
        .filter(|product| sentence(&product.source.text).is_empty())
        .map(|product| Finding {
            file: product.source.path.clone(),
            line: 1,
            what: "does not say what it is".into(),
            remedy: "begin it with a sentence after //!",
        })
        .collect();
    let is = fs::read_to_string(root.join(PAGE)).unwrap_or_default();
    findings.extend(differs(&is, &page(tree)));
    Ok(findings)
}

/// Writes the page anew.
pub(super) fn write(tree: &Tree, root: &Path) -> Result<(), String> {
    fs::write(root.join(PAGE), page(tree)).map_err(|fault| format!("{PAGE}: {fault}"))
}

/// Where the page is not what it should be.
fn differs(is: &str, should: &str) -> Option<Finding> {
    let same = is.lines().zip(should.lines()).take_while(|(is, should)| is == should).count();
    let what = "it is not what the files say of themselves".into();
    let remedy = "run cargo xtask modules, and commit what it writes";
    (is != should).then(|| Finding { file: PAGE.into(), line: same + 1, what, remedy })
}

fn page(tree: &Tree) -> String {
    let products: Vec<_> = tree.products().collect();
    let mut files: BTreeMap<&str, usize> = BTreeMap::new();
    for product in &products {
        *files.entry(product.place.area()).or_default() += 1;
    }
    // By module, so that a file stands before those of its folder.
    let mut groups: BTreeMap<(bool, String), BTreeMap<PathBuf, String>> = BTreeMap::new();
    for product in &products {
        let is_alone = files[product.place.area()] == 1;
        let path = &product.source.path;
        let row = format!("| `{}` | {} |\n", path.display(), cell(&sentence(&product.source.text)));
        let group = (product.place.package != BIG, folder(product, is_alone));
        groups.entry(group).or_default().insert(path.with_extension(""), row);
    }
    let mut page = HEAD.to_owned();
    for ((_, folder), rows) in groups {
        let rows: String = rows.into_values().collect();
        // Writing to a String does not fail.
        let _ = write!(page, "\n## {folder}\n\n| File | What |\n|---|---|\n{rows}");
    }
    page
}

/// The folder under which a file is listed: of the big crate, that of its area, if it has one.
fn folder(product: &ProductFile<'_>, is_alone: bool) -> String {
    match product.place.package.as_str() {
        BIG if is_alone => "src".into(),
        BIG => format!("src/{}", product.place.area()),
        package => format!("{package}/src"),
    }
}

/// The first sentence of a file's `//!` comment, on one line.
fn sentence(text: &str) -> String {
    let comment = text.lines().map_while(|line| line.strip_prefix("//!")).map(str::trim);
    let paragraph: Vec<_> = comment.take_while(|line| !line.is_empty()).collect();
    let paragraph = paragraph.join(" ");
    let end = paragraph.find(". ").map_or(paragraph.len(), |at| at + 1);
    paragraph[..end].to_owned()
}

/// As it may stand in a table: without links to types, and without the sign that ends a cell.
fn cell(sentence: &str) -> String {
    sentence.replace("[`", "`").replace("`]", "`").replace('|', "\\|")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_says_what_it_is_in_its_first_sentence() {
        assert_eq!(sentence("//! Lines. Pure.\n"), "Lines.");
        assert_eq!(sentence("//! Frames, as in\n//! RFC 9113.\n//!\n//! More.\n"), "Frames, as in RFC 9113.");
        assert_eq!(sentence("//! X.509 of version 1. (Go too.)\n"), "X.509 of version 1.");
        assert_eq!(sentence("use std::fmt;\n\n//! Late.\n"), "");
    }

    #[test]
    fn a_cell_ends_where_it_ends() {
        assert_eq!(cell("`replay FILE|-`: runs [`Reflector`]s."), "`replay FILE\\|-`: runs `Reflector`s.");
    }

    #[test]
    fn the_first_line_that_differs_is_named() {
        assert_eq!(differs("a\nb\n", "a\nb\n"), None);
        assert_eq!(differs("a\nb\n", "a\nc\n").map(|finding| finding.line), Some(2));
        assert_eq!(differs("a\n", "a\nc\n").map(|finding| finding.line), Some(2));
        assert_eq!(differs("", "a\n").map(|finding| finding.line), Some(1));
    }
}

//! What CONTRIBUTING.md asks of the sources and a machine can see, file by file.

mod bans;
mod glossary;
mod lines;
mod modules;
mod names;
mod paths;
mod product;
mod source;
mod tree;
mod walls;
mod way;

use std::{fmt, path::PathBuf};

use tree::Tree;

use crate::{cache, safeguards, step};

/// Something that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Finding {
    file: PathBuf,
    line: usize,
    what: String,
    remedy: &'static str,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}\n    {}", self.file.display(), self.line, self.what, self.remedy)
    }
}

/// `cargo xtask house`
pub(crate) fn command() -> Result<(), String> {
    let start = step::now();
    let root = cache::repository();
    let tree = Tree::read(&root)?;
    let mut findings: Vec<Finding> = [
        names::check(&tree),
        walls::check(&tree, &root)?,
        lines::check(&tree),
        bans::check(&tree),
        way::check(&tree, &root)?,
        glossary::check(&tree, &root)?,
        modules::check(&tree, &root)?,
    ]
    .concat();
    findings.sort();
    for finding in &findings {
        eprintln!("{finding}");
    }
    let stale = safeguards::check();
    println!("{}", lines::Count::of(&tree));
    match findings.len() {
        0 => stale.map(|()| eprintln!("<== house: {:.1} s", start.elapsed().as_secs_f64())),
        number => Err(format!("the house is not in order: {number} findings")),
    }
}

/// `cargo xtask modules`
pub(crate) fn modules() -> Result<(), String> {
    let root = cache::repository();
    modules::write(&Tree::read(&root)?, &root)
}

/// `cargo xtask size [FOLDER]`: of this repository, or of another tree of it, to compare.
pub(crate) fn size(folder: Option<&str>) -> Result<(), String> {
    let tree = Tree::read(&folder.map_or_else(cache::repository, PathBuf::from))?;
    println!("{}", lines::Count::of(&tree));
    Ok(())
}

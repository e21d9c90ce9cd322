//! Every family of faults without the safeguard that it is there for: it must fail.
//!
//! One copy of the tree gets all safeguards replaced at once, each by an expression that asks which of
//! them is out in this process. So one build serves them all.

mod copy;
#[path = "../../tests/safeguards/list.rs"]
mod list;
mod red_runs;
mod replace;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Stdio,
};

use list::SAFEGUARDS;
use red_runs::RedRuns;

use crate::{
    cache,
    step::{self, cargo},
};

const LIST: &str = "tests/safeguards/list.rs";
const SWITCH: &str = "tests/safeguards/switch.rs";

/// An expression of the product that keeps something from going wrong.
pub(crate) struct Safeguard {
    name: &'static str,
    /// What it is for, in a sentence.
    about: &'static str,
    file: &'static str,
    /// Where `text` stands, if it does not say that itself. Occurs once in the file.
    within: &'static str,
    /// The expression as it stands in the product. Occurs once in `within`, or in the file.
    text: &'static str,
    /// What stands there without the safeguard: an expression of the same type.
    without: &'static str,
    /// The lib's tests that fail then, by the last part of their names, and what they say.
    tests: &'static [(&'static str, &'static str)],
}

/// `cargo xtask safeguards [NAME | --list]`
pub(crate) fn command(which: Option<&str>) -> Result<(), String> {
    match which {
        Some("--list") => list(),
        None => run(&SAFEGUARDS.iter().collect::<Vec<_>>()),
        Some(name) => match SAFEGUARDS.iter().find(|safeguard| safeguard.name.eq_ignore_ascii_case(name)) {
            Some(safeguard) => run(&[safeguard]),
            None => Err(format!("no safeguard {name:?}: `cargo xtask safeguards --list` names them")),
        },
    }
}

fn list() -> Result<(), String> {
    for Safeguard { name, about, file, tests, .. } in SAFEGUARDS {
        println!("{name}: {about}\n  in {file}");
        for (test, _) in *tests {
            println!("  without it fails {test}");
        }
    }
    Ok(())
}

fn run(chosen: &[&Safeguard]) -> Result<(), String> {
    let start = step::now();
    let target = std::env::var_os("CARGO_TARGET_DIR").filter(|folder| !folder.is_empty());
    let target = target.map_or_else(|| cache::repository().join("target"), PathBuf::from);
    let copy = target.join("safeguards");
    copy::sync(&cache::repository(), &copy, &replaced()?)?;
    let binary = build(&copy, &target)?;
    let red_runs = RedRuns::new(&binary, &copy, chosen)?;
    red_runs.pass_with_all()?;
    let surprises = red_runs.fail_without_theirs();
    if !surprises.is_empty() {
        return Err(surprises.join("\n"));
    }
    let seconds = start.elapsed().as_secs_f64();
    eprintln!("<== safeguards: each of {} is missed where it is out, {seconds:.1} s", chosen.len());
    Ok(())
}

/// Whether each safeguard still stands where the list says.
pub(crate) fn check() -> Result<(), String> {
    replaced().map(drop)
}

/// The files of the copy that differ from the repository's, with their content.
fn replaced() -> Result<BTreeMap<PathBuf, String>, String> {
    let root = cache::repository();
    let read = |path: &Path| {
        fs::read_to_string(root.join(path))
            .map_err(|fault| format!("cannot read {}: {fault}", path.display()))
    };
    let mut files = BTreeMap::new();
    for safeguard in SAFEGUARDS {
        let path = PathBuf::from(safeguard.file);
        let file = match files.get(&path) {
            Some(file) => file,
            None => &read(&path).map_err(|fault| {
                format!("{fault}\nsafeguard {}: name its file of today in {LIST}", safeguard.name)
            })?,
        };
        let file = replace::apply(safeguard, file)?;
        files.insert(path, file);
    }
    // In each crate that has one, the switch.
    let sources: Vec<_> = files.keys().filter_map(|path| replace::source_folder(path)).collect();
    for folder in sources {
        let root = folder.join("lib.rs");
        if !files.contains_key(&root) || !files[&root].contains(replace::SWITCH_MODULE) {
            let file = files.get(&root).map_or_else(|| read(&root), |file| Ok(file.clone()))?;
            files.insert(folder.join("safeguards.rs"), read(Path::new(SWITCH))?);
            files.insert(root, replace::with_switch(&file));
        }
    }
    let (manifest, lock) = (PathBuf::from("Cargo.toml"), PathBuf::from("Cargo.lock"));
    let other = replace::other_version(&read(&manifest)?);
    let other = other.ok_or("Cargo.toml: [workspace.package] does not begin with a version")?;
    let other_lock = replace::other_versions(&read(&lock)?);
    files.extend([(manifest, other), (lock, other_lock)]);
    Ok(files)
}

/// Builds the lib's tests in the copy. What they depend on was built for the tests of the repository.
fn build(copy: &Path, target: &Path) -> Result<PathBuf, String> {
    eprintln!("==> safeguards: building {}", copy.display());
    let mut build = cargo();
    build.current_dir(copy).env("CARGO_TARGET_DIR", target).stderr(Stdio::inherit());
    let messages =
        step::output(build.args(["test", "--lib", "--no-run", "--message-format=json-render-diagnostics"]))
            .map_err(|_| {
            format!(
                "the tree does not compile with its safeguards replaced: mend their replacements in {LIST}"
            )
        })?;
    messages
        .lines()
        .filter_map(|line| line.split_once(r#""executable":""#)?.1.split_once('"'))
        .map(|(path, _)| PathBuf::from(path))
        .next_back()
        .ok_or_else(|| "cargo names no executable of the lib's tests".into())
}

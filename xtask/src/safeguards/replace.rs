//! The text of a file with a safeguard that can be taken out.

use std::path::{Path, PathBuf};

use super::{LIST, Safeguard};

pub(super) const SWITCH_MODULE: &str = "\nmod safeguards;\n";

/// The file's text with this safeguard's expression replaced by one that asks whether it is out.
pub(super) fn apply(safeguard: &Safeguard, file: &str) -> Result<String, String> {
    let &Safeguard { name, within, text, without, .. } = safeguard;
    let outer = if within.is_empty() { text } else { within };
    let at = once(file, outer)
        .and_then(|at| Some(at + once(outer, text)?))
        .ok_or_else(|| stale(safeguard, file))?;
    let (before, after) = (&file[..at], &file[at + text.len()..]);
    Ok(format!("{before}(if crate::safeguards::is_out({name:?}) {{ {without} }} else {{ {text} }}){after}"))
}

/// Where a text stands, if it does so once.
fn once(text: &str, part: &str) -> Option<usize> {
    let mut found = text.match_indices(part);
    match (found.next(), found.next()) {
        (Some((at, _)), None) => Some(at),
        _ => None,
    }
}

fn stale(safeguard: &Safeguard, file: &str) -> String {
    let Safeguard { name, file: path, within, text, .. } = safeguard;
    let (field, outer) = if within.is_empty() { ("text", text) } else { ("within", within) };
    let (field, times) = match file.matches(outer).count() {
        1 => ("text", within.matches(text).count()),
        times => (field, times),
    };
    let place = if field == "text" && !within.is_empty() { "its `within`" } else { path };
    format!(
        "safeguard {name}: its `{field}` stands {times} times in {place}, and has to stand there once\n  \
         {path} was rewritten: say in {LIST} how the safeguard reads now (`within` tells which of several)"
    )
}

/// The folder `src` of the crate that a file belongs to.
pub(super) fn source_folder(file: &Path) -> Option<PathBuf> {
    file.ancestors().filter(|folder| folder.ends_with("src")).last().map(Path::to_path_buf)
}

/// A crate's root with the module that knows which safeguard is out.
pub(super) fn with_switch(root: &str) -> String {
    format!("#![allow(warnings)]\n{root}{SWITCH_MODULE}")
}

/// The workspace's manifest with another version: cargo takes packages of one version at the same place
/// in their workspaces for the same, and would mix up what it built of them.
pub(super) fn other_version(manifest: &str) -> Option<String> {
    let (before, after) = manifest.split_once("[workspace.package]\n")?;
    Some(format!("{before}[workspace.package]\n{}", marked(after)?))
}

/// The same in the lock file, for the packages that are of the workspace.
pub(super) fn other_versions(lock: &str) -> String {
    let mut packages = lock.split("[[package]]\n");
    let mut other = packages.next().unwrap_or_default().to_owned();
    for package in packages {
        other += "[[package]]\n";
        let ours = !package.lines().any(|line| line.starts_with("source = "));
        other += &ours.then(|| marked(package)).flatten().unwrap_or_else(|| package.to_owned());
    }
    other
}

/// With the first version marked as another build of it.
fn marked(text: &str) -> Option<String> {
    let (before, rest) = text.split_once("version = \"")?;
    let (version, rest) = rest.split_once('"')?;
    Some(format!("{before}version = \"{version}+safeguards\"{rest}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: Safeguard = Safeguard {
        name: "One",
        about: "",
        file: "src/a.rs",
        within: "",
        text: "f(x)",
        without: "0",
        tests: &[],
    };

    #[test]
    fn an_expression_asks_whether_it_is_out() {
        let file = apply(&ONE, "let y = f(x) + 1;").unwrap();
        assert_eq!(file, r#"let y = (if crate::safeguards::is_out("One") { 0 } else { f(x) }) + 1;"#);
    }

    #[test]
    fn what_stands_twice_needs_a_place() {
        let file = "let y = f(x);\nlet z = f(x);";
        let fault = apply(&ONE, file).unwrap_err();
        assert!(fault.contains("safeguard One: its `text` stands 2 times in src/a.rs"), "{fault}");
        let placed = apply(&Safeguard { within: "z = f(x)", ..ONE }, file).unwrap();
        assert!(placed.starts_with("let y = f(x);\nlet z = (if "), "{placed}");
        let fault = apply(&Safeguard { within: "w = f(x)", ..ONE }, file).unwrap_err();
        assert!(fault.contains("its `within` stands 0 times in src/a.rs"), "{fault}");
    }

    #[test]
    fn a_file_belongs_to_the_outermost_src_around_it() {
        assert_eq!(source_folder(Path::new("shards/src/mesh/link.rs")), Some(PathBuf::from("shards/src")));
        assert_eq!(source_folder(Path::new("build.rs")), None);
    }

    #[test]
    fn the_copy_has_another_version() {
        let manifest = "[workspace.package]\nversion = \"0.1.0\"\nedition = \"2024\"";
        let other = "[workspace.package]\nversion = \"0.1.0+safeguards\"\nedition = \"2024\"";
        assert_eq!(other_version(manifest).as_deref(), Some(other));
        let lock = "[[package]]\nname = \"a\"\nversion = \"1.0\"\nsource = \"registry\"\n\n\
            [[package]]\nname = \"b\"\nversion = \"0.1.0\"\n";
        let other = lock.replace("0.1.0", "0.1.0+safeguards");
        assert_eq!(other_versions(lock), other);
    }
}

//! Who may know whom: docs/architecture.md says why.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use super::{
    Finding,
    paths::{self, Named},
    source::{BIG, ProductFile},
    tree::Tree,
};

/// Each module at the top of the big crate, and each other crate, with those that it may know.
/// What is not here is for tests only.
const MAY_KNOW: &[(&str, &[&str])] = &[
    ("shards", &[]),
    ("time", &["shards"]),
    ("backoff", &["time"]),
    ("log_throttle", &["time"]),
    ("proto", &[]),
    ("redact", &[]),
    ("output", &["time"]),
    ("net", &["shards", "time"]),
    ("order", &["shards", "stack"]),
    ("stack", &["backoff", "order", "time"]),
    ("cluster", &["backoff", "log_throttle", "net", "order", "redact", "shards", "stack", "time"]),
    ("membership", &["backoff", "net", "order", "proto", "redact", "shards", "stack", "time"]),
    ("config", &["net", "output", "shards", "stack"]),
    ("telemetry", &["config", "output"]),
    ("fatal", &["output", "shards"]),
    ("shutdown", &[]),
    (
        "agent",
        &[
            "cluster",
            "config",
            "fatal",
            "log_throttle",
            "membership",
            "net",
            "order",
            "shards",
            "shutdown",
            "stack",
            "time",
        ],
    ),
    ("embedded", &["net", "proto", "shards"]),
    (
        "replay",
        &["agent", "cluster", "config", "membership", "net", "order", "output", "redact", "stack", "time"],
    ),
    (
        "demo",
        &["agent", "cluster", "config", "embedded", "membership", "net", "output", "shards", "stack", "time"],
    ),
    ("main", &["agent", "config", "demo", "fatal", "output", "replay", "shutdown", "telemetry"]),
];

/// Those that do no IO, with the crates that they may use. All others may use any but the engine.
const PURE: &[(&str, &[&str])] = &[
    ("stack", &["ahash", "fastrand", "serde", "serde_json", "thiserror"]),
    ("order", &["serde_json", "thiserror"]),
];

/// The engine, and who may use it.
const ENGINE: (&str, [&str; 2]) = ("glommio", ["shards", "net"]);

const TABLE: &str = "do without, or, if it shall be so, say it in MAY_KNOW in xtask/src/house/walls.rs";
const CRATES: &str =
    "hand the data in and give back what is to be done; IO is for cluster, membership and net";

pub(super) fn check(tree: &Tree, root: &Path) -> Result<Vec<Finding>, String> {
    let mut areas: BTreeSet<_> = tree.products().map(|product| product.place.area().to_owned()).collect();
    areas.insert("fuzzing".into());
    let packages: BTreeSet<_> = tree.products().map(|product| product.place.package.clone()).collect();
    let crates = crates(root)?.difference(&packages).cloned().collect();
    let walls = Walls { areas, packages, crates };
    Ok(tree.products().flat_map(|product| walls.of(&product)).collect())
}

struct Walls {
    areas: BTreeSet<String>,
    packages: BTreeSet<String>,
    /// Of others, what the workspace depends on.
    crates: BTreeSet<String>,
}

impl Walls {
    fn of(&self, product: &ProductFile<'_>) -> Vec<Finding> {
        let area = product.place.area();
        let mut findings = Vec::new();
        // The root of the big crate declares its modules, and that is all.
        if area == BIG {
            return findings;
        }
        let may_know = MAY_KNOW.iter().find(|(who, _)| *who == area).map_or(&[][..], |(_, whom)| whom);
        let mut seen = BTreeSet::new();
        for Named { segments, line } in paths::named(product) {
            let fault = if let Some(other) = self.area(&segments).filter(|other| *other != area) {
                (!may_know.contains(&other)).then(|| (format!("{area} does not know {other}"), TABLE))
            } else {
                segments
                    .first()
                    .filter(|name| self.crates.contains(*name))
                    .and_then(|name| outside(area, name))
            };
            if let Some((what, remedy)) = fault
                && seen.insert((line, what.clone()))
            {
                findings.push(Finding { file: product.source.path.clone(), line, what, remedy });
            }
        }
        findings
    }

    /// Whom a path leads to, if that is a module at the top or a crate of the workspace.
    fn area<'a>(&self, segments: &'a [String]) -> Option<&'a str> {
        let (first, second) = (segments.first()?, segments.get(1));
        if first == BIG {
            return second.filter(|second| self.areas.contains(*second)).map(String::as_str);
        }
        self.packages.contains(first).then_some(first)
    }
}

/// What is wrong with using this crate of somebody else's.
fn outside(area: &str, name: &str) -> Option<(String, &'static str)> {
    let (engine, users) = ENGINE;
    if name == engine && !users.contains(&area) {
        let remedy =
            "what the engine does goes through shards::engine and net, so that tests can simulate it";
        return Some((format!("{area} does not know {engine}"), remedy));
    }
    let (_, allowed) = PURE.iter().find(|(pure, _)| *pure == area)?;
    (!allowed.contains(&name)).then(|| (format!("{area} does no IO, and so does not know {name}"), CRATES))
}

/// The names of all crates that some manifest of the workspace depends on.
fn crates(root: &Path) -> Result<BTreeSet<String>, String> {
    let fault = |fault: std::io::Error| format!("{}: {fault}", root.display());
    let mut manifests = vec![PathBuf::from("Cargo.toml")];
    for entry in fs::read_dir(root).map_err(fault)? {
        manifests.push(PathBuf::from(entry.map_err(fault)?.file_name()).join("Cargo.toml"));
    }
    let texts = manifests.iter().filter_map(|path| fs::read_to_string(root.join(path)).ok());
    Ok(texts.flat_map(|text| dependencies(&text)).collect())
}

fn dependencies(manifest: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut inside = false;
    for line in manifest.lines() {
        if line.starts_with('[') {
            inside = line.trim_end_matches(']').ends_with("dependencies");
        } else if inside && let Some(end) = line.find(['.', ' ', '=']) {
            found.push(line[..end].replace('-', "_"));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::house::source::{ModulePath, SourceFile};

    fn faults(area: &str, text: &str) -> Vec<String> {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let walls = Walls {
            areas: names(&["cluster", "membership", "stack", "order", "agent", "net", "embedded"]),
            packages: names(&["shards", "net", BIG]),
            crates: names(&["hyper", "glommio", "serde_json"]),
        };
        let source = SourceFile {
            path: "x.rs".into(),
            text: text.into(),
            ast: syn::parse_file(text).unwrap(),
            place: Some(ModulePath { package: BIG.into(), module: vec![area.into(), "deep".into()] }),
        };
        walls.of(&source.product().unwrap()).into_iter().map(|finding| finding.what).collect()
    }

    #[test]
    fn cluster_and_membership_do_not_know_each_other() {
        assert_eq!(
            faults("cluster", "use crate::{stack::Object, membership::Stream};"),
            ["cluster does not know membership"]
        );
        assert_eq!(
            faults("membership", "fn f() { super::super::cluster::g() }"),
            ["membership does not know cluster"]
        );
        assert_eq!(
            faults("membership", "fn f() { println!(\"{}\", crate::cluster::g()) }"),
            ["membership does not know cluster"]
        );
    }

    #[test]
    fn what_is_pure_knows_no_crate_that_does_io() {
        assert_eq!(faults("stack", "use hyper::Body; use serde_json::Value;").len(), 1);
        assert_eq!(faults("agent", "use glommio::Task; use hyper::Body;"), ["agent does not know glommio"]);
    }

    #[test]
    fn tests_may_know_all() {
        assert_eq!(
            faults("cluster", "#[cfg(test)] mod tests { use crate::{embedded, membership}; }"),
            [""; 0]
        );
    }

    #[test]
    fn manifests_say_what_is_depended_on() {
        let text = "[package]\nname = \"a\"\n[dependencies]\nahash.workspace = true\nhttp-body = \"1\"\n[lints]\nb = 1\n";
        assert_eq!(dependencies(text), ["ahash", "http_body"]);
    }
}

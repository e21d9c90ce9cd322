//! Where the binaries of the real API server are.

use std::{env, io::Write, path::PathBuf};

const GO_MOD: &str = include_str!("../../envtest/go.mod");

/// The folder with `etcd` and `kube-apiserver`: `KUBEBUILDER_ASSETS`, else where
/// `cargo xtask envtest` puts them. `None`: they are missing, which was said loudly;
/// with `STACKHERD_REQUIRE_FIXTURES=1` it is a failure instead. `whose` names the tests that want it.
pub fn find(whose: &str) -> Option<PathBuf> {
    let set = |name: &str| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let named = set("KUBEBUILDER_ASSETS");
    let cache = || set("XDG_CACHE_HOME").or_else(|| Some(set("HOME")?.join(".cache")));
    let folder = named.clone().or_else(|| Some(cache()?.join("stackherd").join(cache_folder())));
    let complete =
        |folder: &PathBuf| ["etcd", "kube-apiserver"].iter().all(|name| folder.join(name).is_file());
    if let Some(folder) = folder.filter(complete) {
        return Some(folder);
    }
    if let Some(folder) = named {
        panic!("KUBEBUILDER_ASSETS={} holds no etcd and kube-apiserver", folder.display());
    }
    not_run(whose, "there is no real API server to test against", "cargo xtask envtest");
    None
}

/// Says on stderr that tests were not run, and how they would be; a failure where fixtures are required.
pub fn not_run(whose: &str, why: &str, remedy: &str) {
    let required = env::var("STACKHERD_REQUIRE_FIXTURES").is_ok_and(|value| value == "1");
    assert!(!required, "{whose}: {why}; get it with: {remedy}");
    // Not eprintln: the test harness would swallow that, since the test passes.
    let _ = writeln!(std::io::stderr(), "\n*** NOT RUN: {whose}: {why}; get it with: {remedy}");
}

/// The test that is running.
pub fn this_test() -> String {
    std::thread::current().name().unwrap_or("a test").to_owned()
}

/// All tests of a group, by the name of the file that they are in.
pub fn tests_of(group: &str) -> String {
    format!("all tests of tests/integration/{group}.rs that need it")
}

/// As `cargo xtask envtest` names it, by the versions that go.mod pins.
fn cache_folder() -> String {
    let version = |of: &str| {
        let line = GO_MOD.lines().find_map(|line| line.trim().strip_prefix(of)?.strip_prefix(' '));
        line.and_then(|rest| rest.split_whitespace().next()).expect("go.mod pins it").to_owned()
    };
    format!("envtest-k8s-{}-etcd-{}", version("k8s.io/kubernetes"), version("go.etcd.io/etcd/server/v3"))
}

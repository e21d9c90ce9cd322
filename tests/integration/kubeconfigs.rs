//! Kubeconfigs as kubectl takes them: each folder of `tests/kubeconfigs/` is one, with what kubectl
//! did with it. The agent does the same, or what stands there with a reason.
//!
//! `cargo xtask kubeconfigs` asks kubectl again; see `tests/kubeconfigs/README.md`.

#![allow(clippy::disallowed_types, reason = "threads of a test share what is left to do")]

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{
    machine::MachineShare,
    now,
    recorder::{Pki, Recorder},
};

/// How long somebody may take to ask for something.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long the agent is watched where it should ask for nothing and does not end.
const SILENCE: Duration = Duration::from_secs(3);

/// One folder, as its files are written for one run.
struct KubeconfigCase {
    name: String,
    source: PathBuf,
    folder: TempDir,
    recorder: Recorder,
    settings: Value,
}

impl KubeconfigCase {
    fn prepare(source: &Path, pki: &Arc<Pki>) -> Self {
        let name = source.file_name().unwrap().to_str().unwrap().to_owned();
        let folder = tempfile::Builder::new().prefix("kc").tempdir().unwrap();
        let recorder = Recorder::start(pki);
        let mut names = recorder.names.clone();
        names.push(("@DIR@", folder.path().display().to_string()));
        let files = [("ca", &pki.ca, None)].into_iter();
        let clients = pki.clients.iter().map(|(name, certificate, key)| (*name, certificate, Some(key)));
        for (name, certificate, key) in files.chain(clients) {
            fs::write(folder.path().join(format!("{name}.pem")), certificate).unwrap();
            if let Some(key) = key {
                fs::write(folder.path().join(format!("{name}.key")), key).unwrap();
            }
        }
        let (_, certificate, key) = &pki.clients[0];
        let ca = BASE64_STANDARD.encode(&pki.ca);
        let folded: Vec<_> = ca.as_bytes().chunks(60).map(|line| str::from_utf8(line).unwrap()).collect();
        names.extend([
            ("@CA_DATA_FOLDED@", folded.join("\n      ")),
            ("@CA_DATA@", ca),
            ("@CERT_DATA@", BASE64_STANDARD.encode(certificate)),
            ("@KEY_DATA@", BASE64_STANDARD.encode(key)),
            ("@CERT_JSON@", certificate.replace('\n', "\\n")),
            ("@KEY_JSON@", key.replace('\n', "\\n")),
        ]);
        copy(source, folder.path(), &names);
        let settings = fs::read_to_string(folder.path().join("case.json"));
        let settings = settings.map_or(Value::Null, |text| serde_json::from_str(&text).unwrap());
        Self { name, source: source.to_owned(), folder, recorder, settings }
    }

    /// Runs a command with the case's surroundings and no others; `flag` is what it calls a kubeconfig.
    fn start(&self, mut command: Command, flag: &str) -> Child {
        let named = self.settings["flag"].as_str();
        let default = self.folder.path().join("config").exists().then_some("config");
        if let Some(file) = named.or(default) {
            command.arg(format!("{flag}={}", self.folder.path().join(file).display()));
        }
        command.env_clear().env("HOME", self.folder.path()).env("PATH", "/usr/local/bin:/usr/bin:/bin");
        for (name, value) in self.settings["env"].as_object().into_iter().flatten() {
            command.env(name, value.as_str().unwrap());
        }
        command
            .current_dir(self.folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(fs::File::create(self.folder.path().join("stderr")).unwrap())
            .spawn()
            .expect("its binary")
    }

    /// What the command asked the server for; or that it asked for nothing, and its last words. Where
    /// `quiet` says so, one that does not end is given up on early.
    fn outcome(&self, mut child: Child, quiet: bool) -> Value {
        let start = now();
        let patience = if quiet { SILENCE } else { PATIENCE };
        let mut request = None;
        while request.is_none() && start.elapsed() < patience {
            request = self.recorder.next(Duration::from_millis(20));
            if child.try_wait().unwrap().is_some() {
                // It may have asked just before its end.
                request = request.or_else(|| self.recorder.next(Duration::from_millis(200)));
                break;
            }
        }
        let _ = child.kill();
        child.wait().unwrap();
        if let Some(request) = request {
            return json!({ "request": request });
        }
        let said = fs::read_to_string(self.folder.path().join("stderr")).unwrap();
        let last = said.lines().last().unwrap_or_default();
        let last = last.replace(&self.folder.path().display().to_string(), "@DIR@");
        let shown: String = last.chars().take(300).collect();
        json!({ "error": self.recorder.names.iter().fold(shown, |text, (name, is)| text.replace(is, name)) })
    }

    fn kubectl(&self) -> Value {
        let mut command = Command::new("kubectl");
        command.args(["get", "--raw", "/probe", "--request-timeout", "20s"]);
        let child = self.start(command, "--kubeconfig");
        self.outcome(child, false)
    }

    fn agent(&self, quiet: bool) -> Value {
        let mut command = Command::new(env!("CARGO_BIN_EXE_stackherd"));
        command.args(["replay", "--shards", "1", "--base-url", "http://regions.example", "-"]);
        let mut child = self.start(command, "--kube-config");
        // Held open, so that the replay lasts.
        let stdin = child.stdin.take();
        let outcome = self.outcome(child, quiet);
        drop(stdin);
        outcome
    }

    fn stored(&self, name: &str) -> Option<Value> {
        let text = fs::read_to_string(self.source.join(name)).ok()?;
        Some(serde_json::from_str(&text).unwrap())
    }
}

fn copy(from: &Path, to: &Path, names: &[(&str, String)]) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &target, names);
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        let text = names.iter().fold(text, |text, (name, value)| text.replace(name, value));
        fs::write(&target, text).unwrap();
        if target.extension().is_some_and(|extension| extension == "sh") {
            fs::set_permissions(&target, fs::Permissions::from_mode(0o755)).unwrap();
        }
    }
}

fn cases() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/kubeconfigs");
    let mut cases: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    cases.retain(|path| path.is_dir());
    cases.sort();
    cases
}

/// Runs all cases, a few at a time; `only` names one.
fn each(run: impl Fn(&KubeconfigCase) -> Option<String> + Sync) -> Vec<String> {
    let _share = MachineShare::take();
    let only = std::env::var("KUBECONFIG_CASE").unwrap_or_default();
    let pki = Arc::new(Pki::new());
    let left = Mutex::new(cases());
    let failures = Mutex::new(Vec::new());
    let work = || {
        loop {
            let Some(path) = left.lock().unwrap().pop() else { return };
            if path.ends_with(&only) || only.is_empty() {
                let failure = run(&KubeconfigCase::prepare(&path, &pki));
                failures.lock().unwrap().extend(failure);
            }
        }
    };
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(work);
        }
    });
    let mut failures = failures.into_inner().unwrap();
    failures.sort();
    failures
}

/// Without last words, which are each one's own.
fn essence(outcome: &Value) -> Value {
    match outcome.get("request") {
        Some(request) => request.clone(),
        None => "an error".into(),
    }
}

#[test]
fn every_kubeconfig_means_what_it_means_to_kubectl() {
    let failures = each(|case| {
        let expected = case.stored("ours.json").or_else(|| case.stored("kubectl.json"));
        let expected = essence(&expected.expect("an answer of kubectl: cargo xtask kubeconfigs"));
        let outcome = case.agent(expected == "an error");
        if std::env::var_os("KUBECONFIG_SHOW").is_some() {
            println!("{}: {outcome}", case.name);
        }
        (essence(&outcome) != expected).then(|| format!("{}: {outcome:#} instead of {expected:#}", case.name))
    });
    assert!(failures.is_empty(), "{} differ:\n{}", failures.len(), failures.join("\n"));
}

#[test]
fn what_differs_from_kubectl_on_purpose_is_listed_with_a_reason() {
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/kubeconfigs/README.md");
    let readme = fs::read_to_string(readme).unwrap();
    for case in cases() {
        let name = case.file_name().unwrap().to_str().unwrap();
        let differs = case.join("ours.json").exists();
        assert_eq!(readme.contains(&format!("| `{name}` |")), differs, "{name}");
    }
}

/// Not a test: asks kubectl, and stores what it did.
#[test]
#[ignore = "writes tests/kubeconfigs; run by cargo xtask kubeconfigs"]
fn ask_kubectl() {
    let failures = each(|case| {
        let outcome = case.kubectl();
        let text = serde_json::to_string_pretty(&outcome).unwrap() + "\n";
        fs::write(case.source.join("kubectl.json"), text).err().map(|error| format!("{}: {error}", case.name))
    });
    assert!(failures.is_empty(), "{failures:?}");
}

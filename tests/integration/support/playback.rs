//! `stackherd replay` of some lines, and what it left behind.

use std::{fs, path::Path, time::Duration};

use serde_json::Value;
use stackherd::membership::wire::server::order;
use tempfile::TempDir;

use super::{
    agent::{AgentProcess, BASE_URL, Invocation, ProcessOutcome},
    orders::line,
};
use crate::support::{api_server::RealApiServer, kubeconfig};

/// A loaded machine with a debug build needs a few seconds.
const WITHIN: Duration = Duration::from_secs(60);

/// A folder with a kubeconfig for a server.
pub struct Playback {
    folder: TempDir,
}

impl Playback {
    pub fn on(server: &RealApiServer) -> Self {
        let folder = TempDir::new().expect("temporary folder");
        let path = folder.path().join("kubeconfig");
        kubeconfig::write(&path, &server.url, Some(&server.ca_pem), Some(server.token));
        Self { folder }
    }

    /// Starts `replay` over these orders.
    pub fn start(&self, orders: impl IntoIterator<Item = order::Message>) -> AgentProcess {
        let lines: Vec<String> = orders.into_iter().map(line).collect();
        let file = self.file(&lines.join("\n"));
        self.invocation().arg(file).start()
    }

    /// Runs `replay` over these orders.
    #[track_caller]
    pub fn run(&self, orders: impl IntoIterator<Item = order::Message>) -> ProcessOutcome {
        self.start(orders).outcome(WITHIN)
    }

    /// The same, and it must succeed.
    #[track_caller]
    pub fn applied(&self, orders: impl IntoIterator<Item = order::Message>) -> ProcessOutcome {
        let outcome = self.run(orders);
        assert_eq!(outcome.code, Some(0), "{outcome:#?}");
        outcome
    }

    /// Runs `replay` over a file of this text.
    #[track_caller]
    pub fn lines(&self, text: &str) -> ProcessOutcome {
        let file = self.file(text);
        self.invocation().arg(file).run(WITHIN)
    }

    /// Runs `replay -` with this text on its standard input.
    #[track_caller]
    pub fn piped(&self, text: &str) -> ProcessOutcome {
        let file = self.file(text);
        self.invocation().arg("-").stdin(&file).run(WITHIN)
    }

    fn file(&self, text: &str) -> std::path::PathBuf {
        let file = self.folder.path().join("orders.jsonl");
        fs::write(&file, text).expect("a file");
        file
    }

    fn invocation(&self) -> Invocation {
        let kubeconfig: &Path = &self.folder.path().join("kubeconfig");
        Invocation::new().args(["replay", "--base-url", BASE_URL, "--kube-config"]).arg(kubeconfig)
    }
}

/// The reports among the lines of an output; every line must be one.
#[track_caller]
pub fn reports(stdout: &str) -> Vec<Value> {
    stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|fault| panic!("{fault}: {line}")))
        .collect()
}

/// The stacks that were reported as deleted, sorted.
#[track_caller]
pub fn told_deleted(stdout: &str) -> Vec<String> {
    let name = |report: &Value| report["stackDeleted"]["clusterName"].as_str().map(str::to_owned);
    let mut names: Vec<String> = reports(stdout).iter().filter_map(name).collect();
    names.sort();
    names
}

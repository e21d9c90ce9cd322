//! Results go to standard output as a whole, or the exit code says that they did not.

use std::{
    fs::{self, File},
    io::Read,
    os::fd::OwnedFd,
    path::Path,
    thread,
    time::Duration,
};

use rustix::pipe::{PipeFlags, pipe_with};

use crate::{
    process::WITHIN,
    support::{
        agent::{Invocation, ProcessOutcome, while_it_lives},
        cluster::TestCluster,
        objects::find,
        orders::{StackExt, deleted, line, stack},
    },
};

fn pipe() -> (OwnedFd, OwnedFd) {
    pipe_with(PipeFlags::CLOEXEC).unwrap()
}

/// The write end of a pipe that nobody will ever read.
fn closed() -> OwnedFd {
    pipe().1
}

fn full() -> File {
    File::options().write(true).open("/dev/full").unwrap()
}

/// Says in a line on standard error that the result could not be written, and ends with 1.
#[track_caller]
fn fails_in_a_line(outcome: &ProcessOutcome) {
    assert_eq!(outcome.code, Some(1), "{outcome:#?}");
    let lines = outcome.stderr.lines().filter(|line| line.contains("standard output"));
    assert_eq!(lines.count(), 1, "{outcome:#?}");
    assert!(!outcome.stderr.contains("panicked"), "{outcome:#?}");
}

#[test]
fn a_version_or_help_that_cannot_be_written_is_a_failure() {
    for argument in ["version", "--version", "--help"] {
        fails_in_a_line(&Invocation::new().arg(argument).stdout(full()).run(WITHIN));
        fails_in_a_line(&Invocation::new().arg(argument).stdout(closed()).run(WITHIN));
    }
}

#[test]
fn a_demo_whose_figures_cannot_be_written_is_a_failure() {
    let within = Duration::from_secs(120);
    let demo = |format| Invocation::new().args(["demo", "--stacks", "5", "--format", format]);
    fails_in_a_line(&demo("json").stdout(full()).run(within));
    fails_in_a_line(&demo("text").stdout(closed()).run(within));
}

#[test]
fn the_exit_code_is_the_same_where_nothing_can_be_said_at_all() {
    let code = |invocation: Invocation| invocation.run(WITHIN).code;
    assert_eq!(code(Invocation::new().arg("version").stderr(full())), Some(0));
    assert_eq!(code(Invocation::new().arg("version").stderr(full()).stdout(full())), Some(1));
    assert_eq!(code(Invocation::new().stderr(full())), Some(64));
    assert_eq!(code(Invocation::new().arg("--nonsense").stderr(closed())), Some(64));
    assert_eq!(code(Invocation::new().args(["replay", "/nowhere"]).stderr(full())), Some(1));
}

/// `replay` of these lines on an embedded cluster.
fn replay(cluster: &TestCluster, file: &Path, lines: &[String]) -> Invocation {
    fs::write(file, lines.join("\n")).unwrap();
    let replay = Invocation::new().args(["replay", "--base-url", "https://region.example.com"]);
    let replay = replay.args(["--shards", "2", "--kube-qps", "0", "--kube-burst", "0"]);
    replay.arg("--kube-config").arg(cluster.kubeconfig()).arg(file)
}

fn deletions(number: usize) -> Vec<String> {
    (0..number).map(|n| line(deleted(&format!("absent-{n}")))).collect()
}

#[test]
fn reports_that_cannot_be_printed_fail_a_replay_whose_orders_are_applied() {
    let (cluster, folder) = (TestCluster::start(), tempfile::tempdir().unwrap());
    let file = folder.path().join("orders.jsonl");
    let mut lines = deletions(20);
    lines.push(line(stack("made").modules(&["ledger"]).order()));
    for stdout in [full().into(), closed()] {
        fails_in_a_line(&replay(&cluster, &file, &lines).stdout(stdout).run(WITHIN));
        assert!(find(&cluster.rest(), "ledgers", "made").is_some());
    }
}

#[test]
fn a_slow_reader_of_reports_holds_up_no_order_and_misses_none() {
    let (cluster, folder) = (TestCluster::start(), tempfile::tempdir().unwrap());
    let file = folder.path().join("orders.jsonl");
    let mut lines = deletions(3000);
    let stacks: Vec<String> = (0..8).map(|n| format!("behind-{n}")).collect();
    lines.extend(stacks.iter().map(|name| line(stack(name).modules(&["ledger"]).order())));
    let (reader, writer) = pipe();
    let mut process = replay(&cluster, &file, &lines).stdout(writer).start();
    for name in &stacks {
        while_it_lives(&mut process, name, WITHIN, || find(&cluster.rest(), "ledgers", name));
    }
    // Longer than it waits for reports that do not come.
    thread::sleep(Duration::from_secs(6));
    process.lives();
    let mut text = String::new();
    File::from(reader).read_to_string(&mut text).unwrap();
    let told = text.lines().filter(|line| line.contains("stackDeleted")).count();
    assert_eq!(told, 3000);
    let outcome = process.outcome(WITHIN);
    assert_eq!(outcome.code, Some(0), "{outcome:#?}");
}

#[test]
fn a_replay_whose_reports_nobody_reads_ends_when_it_is_told_to() {
    let (cluster, folder) = (TestCluster::start(), tempfile::tempdir().unwrap());
    let file = folder.path().join("orders.jsonl");
    let (_reader, writer) = pipe();
    let mut process = replay(&cluster, &file, &deletions(3000)).stdout(writer).start();
    thread::sleep(Duration::from_secs(3));
    process.lives();
    process.terminate();
    let outcome = process.outcome(WITHIN);
    assert_eq!(outcome.code, Some(1), "{outcome:#?}");
    assert!(outcome.stderr.contains("nobody reads standard output"), "{outcome:#?}");
}

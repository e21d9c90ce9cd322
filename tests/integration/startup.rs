//! Starts on hosts and clusters that are not as they should be.

use std::{
    collections::BTreeMap,
    fs, io,
    net::{SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use rustix::io::Errno;
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter};
use tempfile::TempDir;

use crate::support::{
    agent::{Invocation, ProcessOutcome, while_it_lives},
    cluster::TestCluster,
    kubeconfig,
    membership::TestMembership,
    objects::find,
    orders::{StackExt, stack},
};

const WITHIN: Duration = Duration::from_secs(30);
/// Of io_uring_setup, on every architecture.
const IO_URING_SETUP: i64 = 425;

/// Runs it where io_uring_setup fails with this error. The filter holds for one thread and what that
/// starts.
fn without_io_uring(error: Errno, invocation: Invocation) -> ProcessOutcome {
    let error = u32::try_from(error.raw_os_error()).unwrap();
    let confined = thread::spawn(move || {
        let filter = SeccompFilter::new(
            BTreeMap::from([(IO_URING_SETUP, Vec::new())]),
            SeccompAction::Allow,
            SeccompAction::Errno(error),
            std::env::consts::ARCH.try_into().unwrap(),
        );
        let program: BpfProgram = filter.unwrap().try_into().unwrap();
        seccompiler::apply_filter(&program).unwrap();
        invocation.run(WITHIN)
    });
    confined.join().unwrap()
}

/// It ended on its own with this code, and said why in one line that has all of these words.
#[track_caller]
fn assert_says_why(outcome: &ProcessOutcome, code: i32, words: &[&str]) {
    assert_eq!(outcome.code, Some(code), "{outcome:#?}");
    let errors: Vec<&str> = outcome.stderr.lines().filter(|line| !line.contains(" INFO ")).collect();
    assert_eq!(errors.len(), 1, "one clear message: {outcome:#?}");
    for word in words {
        assert!(errors[0].contains(word), "{word:?} in {outcome:#?}");
    }
    assert!(!outcome.stderr.contains("panicked"), "{outcome:#?}");
}

/// A kubeconfig of this text, in a folder of its own.
fn config(text: &str) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("kubeconfig");
    fs::write(&path, text).unwrap();
    (folder, path)
}

fn agent(kubeconfig: &Path) -> Invocation {
    // Nobody listens at a discard port: joining is not what is tested.
    Invocation::agent("127.0.0.1:9", kubeconfig)
}

#[test]
fn without_io_uring_it_says_so_and_ends() {
    let cluster = TestCluster::start();
    let demo = || Invocation::new().args(["demo", "--stacks", "1"]);
    // Container runtimes answer one or the other.
    for error in [Errno::PERM, Errno::NOSYS] {
        for invocation in [agent(&cluster.kubeconfig()), demo()] {
            let outcome = without_io_uring(error, invocation);
            assert_says_why(&outcome, 1, &["io_uring", "seccomp"]);
        }
    }
}

#[test]
fn a_kubeconfig_that_does_not_parse_is_named() {
    for text in ["{ this is: [no kubeconfig", "apiVersion: v1\nkind: Config\nclusters: 7\n"] {
        let (_folder, path) = config(text);
        let outcome = agent(&path).run(WITHIN);
        assert_says_why(&outcome, 1, &[path.to_str().unwrap()]);
    }
}

#[test]
fn a_kubeconfig_whose_context_leads_nowhere_is_named() {
    let text = "apiVersion: v1\nkind: Config\ncurrent-context: nowhere\n";
    let (_folder, path) = config(text);
    let outcome = agent(&path).run(WITHIN);
    assert_says_why(&outcome, 1, &[path.to_str().unwrap(), "nowhere"]);
}

#[test]
fn a_missing_kubeconfig_is_named() {
    let outcome = agent(Path::new("/nowhere/kubeconfig")).run(WITHIN);
    assert_says_why(&outcome, 1, &["/nowhere/kubeconfig"]);
    let file = config("");
    let replay = Invocation::new().args(["replay", "--kube-config", "/nowhere/kubeconfig"]).arg(file.1);
    assert_says_why(&replay.run(WITHIN), 1, &["/nowhere/kubeconfig"]);
}

/// A port on which nothing listens yet, and which nobody else gets meanwhile.
struct Closed {
    socket: rustix::fd::OwnedFd,
    address: SocketAddr,
}

impl Closed {
    fn new() -> Self {
        use rustix::net::{AddressFamily, SocketType, bind, getsockname, socket};
        let socket = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
        bind(&socket, &SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let address = getsockname(&socket).unwrap().try_into().unwrap();
        Self { socket, address }
    }

    /// From now on what comes here goes there.
    fn open(self, to: SocketAddr) {
        rustix::net::listen(&self.socket, 64).unwrap();
        let listener = TcpListener::from(self.socket);
        thread::spawn(move || {
            for from in listener.incoming().map_while(Result::ok) {
                let Ok(to) = TcpStream::connect(to) else { continue };
                for (mut from, mut to) in [(from.try_clone(), to.try_clone()), (Ok(to), Ok(from))]
                    .into_iter()
                    .filter_map(|(from, to)| Some((from.ok()?, to.ok()?)))
                {
                    thread::spawn(move || {
                        let _ = io::copy(&mut from, &mut to);
                        let _ = to.shutdown(std::net::Shutdown::Write);
                    });
                }
            }
        });
    }
}

#[test]
fn a_cluster_that_is_not_there_yet_is_waited_for() {
    let (cluster, membership) = (TestCluster::start(), TestMembership::start());
    let closed = Closed::new();
    let (_folder, path) = config("");
    kubeconfig::write(&path, &format!("http://{}", closed.address), None, None);
    let mut agent = Invocation::agent(&membership.address(), &path).start();
    agent.says(WITHIN, &[&closed.address.to_string()]);
    thread::sleep(Duration::from_millis(1500));
    agent.lives();
    let said = agent.lines(&[&closed.address.to_string()]).len();
    assert!((1..20).contains(&said), "{said} lines in two seconds:\n{}", agent.log());

    closed.open(cluster.address());
    let joined = membership.joined(WITHIN);
    joined.order(stack("after-all").modules(&["ledger"]).order());
    while_it_lives(&mut agent, "its stack", WITHIN, || find(&cluster.rest(), "ledgers", "after-all"));
}

#[test]
fn missing_settings_are_listed_in_one_message() {
    let outcome = Invocation::new().run(WITHIN);
    assert_eq!(outcome.code, Some(64), "{outcome:#?}");
    for flag in ["--id", "--base-url", "--authentication-mode"] {
        assert!(outcome.stderr.contains(flag), "{outcome:#?}");
    }
}

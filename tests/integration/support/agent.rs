//! The built binary as a process: started with its flags, watched from outside, ended with the test.

use std::{
    ffi::{OsStr, OsString},
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::support::{eventually, machine::MachineShare, now};

/// The base URL of every agent in the tests.
pub const BASE_URL: &str = "https://region.example.com:8443";
const BINARY: &str = env!("CARGO_BIN_EXE_stackherd");

/// Becomes the program, behind which a watcher waits for our end of a pipe to close, however we
/// end, and kills the program if it still runs then.
const SCRIPT: &str = r#"
exec 3<&0
input=$1
program=$2
shift
(cat <&3; [ /proc/$$/exe -ef "$program" ] && kill -9 $$) >/dev/null 2>&1 &
exec "$@" <"$input" 3<&-
"#;

/// A command line of the binary, with nothing of our environment but the search path.
pub struct Invocation {
    arguments: Vec<OsString>,
    environment: Vec<(String, OsString)>,
    /// Commands to run first.
    shell: String,
    /// What it reads on its standard input.
    stdin: PathBuf,
    /// Where its outputs go, if not to files that the test reads.
    stdout: Option<Stdio>,
    stderr: Option<Stdio>,
}

impl Invocation {
    pub fn new() -> Self {
        Self {
            arguments: Vec::new(),
            environment: Vec::new(),
            shell: String::new(),
            stdin: "/dev/null".into(),
            stdout: None,
            stderr: None,
        }
    }

    /// The agent between this membership (`host:port`) and the cluster of this kubeconfig.
    pub fn agent(membership: &str, kubeconfig: &Path) -> Self {
        Self::new()
            .args(["--id", "region-1", "--base-url", BASE_URL])
            .args(["--authentication-mode", "token", "--authentication-token", "a-token"])
            .args(["--server-address", membership])
            .arg("--kube-config")
            .arg(kubeconfig)
    }

    pub fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.arguments.push(argument.as_ref().to_owned());
        self
    }

    pub fn args<A: AsRef<OsStr>>(mut self, arguments: impl IntoIterator<Item = A>) -> Self {
        self.arguments.extend(arguments.into_iter().map(|argument| argument.as_ref().to_owned()));
        self
    }

    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.environment.push((name.to_owned(), value.as_ref().to_owned()));
        self
    }

    /// Shell commands that run first, in the process that becomes the binary.
    pub fn after(mut self, shell: &str) -> Self {
        self.shell = shell.to_owned();
        self
    }

    /// It reads this file on its standard input.
    pub fn stdin(mut self, file: &Path) -> Self {
        self.stdin = file.to_owned();
        self
    }

    /// What it says on standard output goes there.
    pub fn stdout(mut self, to: impl Into<Stdio>) -> Self {
        self.stdout = Some(to.into());
        self
    }

    /// What it says on standard error goes there.
    pub fn stderr(mut self, to: impl Into<Stdio>) -> Self {
        self.stderr = Some(to.into());
        self
    }

    /// Starts it.
    pub fn start(self) -> AgentProcess {
        let share = MachineShare::take();
        let folder = tempfile::Builder::new().prefix("stackherd-e2e-").tempdir().expect("temporary folder");
        let (out, err) = (folder.path().join("stdout"), folder.path().join("stderr"));
        // Empty where the output goes elsewhere.
        let file = |path: &Path| Stdio::from(File::create(path).expect("a file"));
        let (to_out, to_err) = (file(&out), file(&err));
        let script = format!("{}\n{SCRIPT}", self.shell);
        let mut command = Command::new("/bin/sh");
        command.env_clear().env("HOME", folder.path());
        for name in ["PATH", "TMPDIR", "LLVM_PROFILE_FILE"] {
            command.envs(std::env::var_os(name).map(|value| (name, value)));
        }
        command
            .envs(self.environment)
            .args(["-c", &script, "agent"])
            .args([self.stdin.as_os_str(), BINARY.as_ref()])
            .args(self.arguments)
            .stdin(Stdio::piped())
            .stdout(self.stdout.unwrap_or(to_out))
            .stderr(self.stderr.unwrap_or(to_err));
        AgentProcess { child: command.spawn().expect("/bin/sh"), out, err, _folder: folder, _share: share }
    }

    /// Runs it to its end.
    #[track_caller]
    pub fn run(self, within: Duration) -> ProcessOutcome {
        self.start().outcome(within)
    }
}

/// The running binary; killed when dropped.
pub struct AgentProcess {
    child: Child,
    out: PathBuf,
    err: PathBuf,
    _folder: TempDir,
    _share: MachineShare,
}

/// How a run ended.
#[derive(Debug)]
pub struct ProcessOutcome {
    /// `None` where a signal ended it.
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl AgentProcess {
    fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// All it said, on both outputs.
    pub fn log(&self) -> String {
        let read = |path: &Path| fs::read(path).expect("its output");
        let bytes = [read(&self.out), read(&self.err)].concat();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Lines of the log that contain all of these.
    pub fn lines(&self, with: &[&str]) -> Vec<String> {
        let all = |line: &&str| with.iter().all(|word| line.contains(word));
        self.log().lines().filter(all).map(str::to_owned).collect()
    }

    /// Waits for a line with all of these.
    #[track_caller]
    pub fn says(&self, within: Duration, with: &[&str]) -> String {
        let start = now();
        loop {
            if let Some(line) = self.lines(with).into_iter().next() {
                return line;
            }
            assert!(start.elapsed() < within, "no line with {with:?} within {within:?} in:\n{}", self.log());
            thread::sleep(Duration::from_millis(20));
        }
    }

    pub fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).expect("our own child");
    }

    /// It has ended.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("our own child")
    }

    /// Waits for its end.
    #[track_caller]
    pub fn outcome(mut self, within: Duration) -> ProcessOutcome {
        let start = now();
        let status = loop {
            if let Some(status) = self.ended() {
                break status;
            }
            assert!(start.elapsed() < within, "still running after {within:?}:\n{}", self.log());
            thread::sleep(Duration::from_millis(5));
        };
        let text = |path: &Path| String::from_utf8_lossy(&fs::read(path).expect("its output")).into_owned();
        ProcessOutcome { code: status.code(), stdout: text(&self.out), stderr: text(&self.err) }
    }

    /// Fails with its log if it has ended.
    #[track_caller]
    pub fn lives(&mut self) {
        if let Some(status) = self.ended() {
            panic!("it ended ({status}):\n{}", self.log());
        }
    }

    /// The most memory that it ever had resident, in bytes.
    pub fn peak_memory(&self) -> u64 {
        self.status("VmHWM:") * 1024
    }

    fn status(&self, field: &str) -> u64 {
        let path = format!("/proc/{}/status", self.child.id());
        let text = fs::read_to_string(path).expect("it runs");
        let line = text.lines().find_map(|line| line.strip_prefix(field)).expect("a field of the kernel's");
        line.split_whitespace().next().and_then(|number| number.parse().ok()).expect("a number")
    }

    /// CPU time used so far, of all threads that it has now.
    pub fn cpu_time(&self) -> Duration {
        let threads = fs::read_dir(format!("/proc/{}/task", self.child.id())).expect("it runs");
        let used = threads.filter_map(|thread| {
            // A thread may end meanwhile. Nanoseconds on a core are the first field.
            let text = fs::read_to_string(thread.ok()?.path().join("schedstat")).ok()?;
            text.split_whitespace().next()?.parse::<u64>().ok()
        });
        Duration::from_nanos(used.sum())
    }
}

impl Drop for AgentProcess {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("the log of the process under test:\n{}", tail(&self.log()));
        }
        // Both do nothing where it has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn tail(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(60)..].join("\n")
}

/// `eventually` for conditions that a process under test brings about: it fails at once where the
/// process has ended.
#[track_caller]
pub fn while_it_lives<T>(
    process: &mut AgentProcess,
    what: &str,
    within: Duration,
    mut ask: impl FnMut() -> Option<T>,
) -> T {
    eventually(what, within, || {
        process.lives();
        ask()
    })
}

//! The membership that Python's grpcio serves (`tests/grpcio/server.py`), for the binary to join.

use std::{
    collections::BTreeMap,
    env, fs,
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Stdio},
    sync::mpsc::{self, Receiver},
    thread,
    time::Duration,
};

use serde_json::{Value, json};
use stackherd::membership::wire::server::{Order, order};

use crate::support::assets::{not_run, this_test};

const WITHIN: Duration = Duration::from_secs(30);

/// The Python with grpcio that `cargo xtask grpcio` made, or that `STACKHERD_GRPCIO_PYTHON` names;
/// `None`: there is none, which was said loudly.
pub fn python() -> Option<PathBuf> {
    let set = |name: &str| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let made = || {
        let cache = set("XDG_CACHE_HOME").or_else(|| Some(set("HOME")?.join(".cache")))?;
        let folders = fs::read_dir(cache.join("stackherd")).ok()?.flatten();
        let whole = |name: &str| name.starts_with("grpcio-") && !name.contains(".part-");
        let folders = folders.filter(|folder| folder.file_name().to_str().is_some_and(whole));
        folders.map(|folder| folder.path().join("bin/python")).find(|python| python.exists())
    };
    let python = set("STACKHERD_GRPCIO_PYTHON").or_else(made);
    if python.is_none() {
        not_run(&this_test(), "there is no Python with grpcio", "cargo xtask grpcio");
    }
    python
}

/// The running server; it ends when its standard input does.
pub struct PythonMembership {
    child: Child,
    commands: Option<ChildStdin>,
    events: Receiver<Value>,
    pub port: u16,
}

impl PythonMembership {
    /// Over TLS with a certificate and its key (files), where there are some.
    pub fn start(python: &Path, identity: Option<(&Path, &Path)>) -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut command = Command::new(python);
        command.arg(root.join("tests/grpcio/server.py"));
        command.arg("--proto").arg(root.join("proto/membership.proto"));
        if let Some((certificate, key)) = identity {
            command.arg("--certificate").arg(certificate).arg("--key").arg(key);
        }
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("python");
        let output = BufReader::new(child.stdout.take().expect("piped"));
        let (tell, events) = mpsc::channel();
        thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                let _ = tell.send(serde_json::from_str(&line).expect("JSON Lines"));
            }
        });
        let commands = child.stdin.take();
        let mut server = Self { child, commands, events, port: 0 };
        let listening = server.event("listening");
        server.port = listening["port"].as_u64().and_then(|port| port.try_into().ok()).expect("a port");
        server
    }

    pub fn order(&mut self, order: order::Message) {
        let order = Order { message: Some(order), metadata: Default::default() };
        self.command(&json!({ "order": serde_json::to_value(order).expect("JSON") }));
    }

    /// Ends the stream with an error.
    pub fn kill_stream(&mut self) {
        self.command(&json!({ "kill": true }));
    }

    fn command(&mut self, command: &Value) {
        let stdin = self.commands.as_mut().expect("open until dropped");
        writeln!(stdin, "{command}").expect("it reads");
    }

    /// Waits for an event of this kind; those before it are dropped.
    #[track_caller]
    pub fn event(&self, kind: &str) -> Value {
        self.until(kind, |event| event["event"] == kind)
    }

    /// Waits for a message of the agent's with this field, and says what is in the field.
    #[track_caller]
    pub fn message(&self, field: &str) -> Value {
        let event = self.until(field, |event| event["message"][field].is_object());
        event["message"][field].clone()
    }

    /// All metadata of the next join, values by key in the order of the wire.
    #[track_caller]
    pub fn joined(&self) -> BTreeMap<String, Vec<String>> {
        let event = self.event("joined");
        let pairs =
            serde_json::from_value::<Vec<(String, String)>>(event["metadata"].clone()).expect("pairs");
        let mut metadata = BTreeMap::<String, Vec<String>>::new();
        for (key, value) in pairs {
            metadata.entry(key).or_default().push(value);
        }
        metadata
    }

    #[track_caller]
    fn until(&self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        loop {
            let event =
                self.events.recv_timeout(WITHIN).unwrap_or_else(|_| panic!("no {what} within {WITHIN:?}"));
            if wanted(&event) {
                return event;
            }
        }
    }
}

impl Drop for PythonMembership {
    fn drop(&mut self) {
        // It ends when its input does; a test does not hang where it fails to.
        drop(self.commands.take());
        for _ in 0..100 {
            if let Ok(Some(_)) = self.child.try_wait() {
                return;
            }
            thread::sleep(Duration::from_millis(50));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

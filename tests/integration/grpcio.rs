//! The membership session against a gRPC server that is not ours: Python's grpcio.
//!
//! `cargo xtask grpcio` makes the Python environment. Without it these tests say that they were
//! not run, unless STACKHERD_REQUIRE_FIXTURES=1 makes that a failure.

use std::{
    collections::BTreeMap,
    env, fs,
    io::{BufRead, BufReader, Write},
    path::PathBuf,
    process::{Child, ChildStdin, Command, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

use futures::StreamExt;
use prost::Message as _;
use serde_json::{Value, json};
use stackherd::{
    membership::{
        auth::MembershipAuth,
        close::SessionCloser,
        downlink::Inbound,
        join_metadata::{CurrentMetadata, JoinMetadata, VERSION},
        report_channel::{ReportChannel, StreamGrant},
        session::{Session, SessionConfig, SessionEnd, USER_TIMEOUT},
        wire::server::{Order, order::Message},
    },
    net::{
        Thread,
        connect::Connector,
        endpoint::Endpoint,
        proxy::Proxy,
        spawn, start_thread,
        tls::{self, Trust},
    },
    stack::report::{Report, ReportBody},
};

use crate::support::{grpcio::python, machine::MachineShare};

const SOON: Duration = Duration::from_secs(30);

/// The Python server; it ends when its stdin is closed.
struct PythonServer {
    child: Child,
    commands: Option<ChildStdin>,
    events: mpsc::Receiver<Value>,
    port: u16,
    _share: MachineShare,
}

impl PythonServer {
    fn start(python: &PathBuf, tls: Option<(&str, &str)>) -> Self {
        let arguments = tls.map(|(certificate, key)| vec!["--certificate", certificate, "--key", key]);
        Self::start_with(python, &arguments.unwrap_or_default())
    }

    fn start_with(python: &PathBuf, arguments: &[&str]) -> Self {
        let share = MachineShare::take();
        let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
        let mut command = Command::new(python);
        command.arg(root.join("tests/grpcio/server.py"));
        command.arg("--proto").arg(root.join("proto/membership.proto"));
        command.args(arguments);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let (tell, events) = mpsc::channel();
        thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                let _ = tell.send(serde_json::from_str(&line).unwrap());
            }
        });
        let commands = child.stdin.take();
        let mut membership = Self { child, commands, events, port: 0, _share: share };
        let listening = membership.wait("listening").unwrap();
        membership.port = u16::try_from(listening["port"].as_u64().unwrap()).unwrap();
        membership
    }

    fn command(&mut self, command: &Value) {
        writeln!(self.commands.as_ref().unwrap(), "{command}").unwrap();
    }

    /// The next event of this kind; those before it are dropped.
    fn wait(&self, event: &str) -> Option<Value> {
        self.wait_for(|value| value["event"] == event)
    }

    fn wait_for(&self, wanted: impl Fn(&Value) -> bool) -> Option<Value> {
        loop {
            let value = self.events.recv_timeout(SOON).ok()?;
            if wanted(&value) {
                return Some(value);
            }
        }
    }

    /// All metadata of the next join, values by key.
    fn wait_joined(&self) -> BTreeMap<String, Vec<String>> {
        let joined = self.wait("joined").unwrap();
        let pairs: Vec<(String, String)> = serde_json::from_value(joined["metadata"].clone()).unwrap();
        let mut metadata = BTreeMap::<String, Vec<String>>::new();
        for (key, value) in pairs {
            metadata.entry(key).or_default().push(value);
        }
        metadata
    }
}

impl Drop for PythonServer {
    fn drop(&mut self) {
        drop(self.commands.take());
        let _ = self.child.wait();
    }
}

enum SessionCommand {
    Report(&'static str),
    CloseSignal,
}

/// The session on a thread of its own.
struct SessionThread {
    orders: mpsc::Receiver<Order>,
    tell: futures::channel::mpsc::UnboundedSender<SessionCommand>,
    thread: Thread<SessionEnd>,
}

impl SessionThread {
    fn start(endpoint: Endpoint, trust: Option<&Trust>) -> Self {
        let config = SessionConfig {
            endpoint,
            connector: Connector {
                tls: trust.map(|trust| tls::client_config(trust, None, &[tls::H2]).unwrap()),
                proxy: Proxy::none(),
                connect_timeout: SOON,
                user_timeout: Some(USER_TIMEOUT),
            },
            auth: MembershipAuth::Token("secret token".into()),
            id: "region-1".into(),
        };
        let join_metadata = JoinMetadata {
            id: "region-1".into(),
            base_url: "https://Region.Example.com:443".into(),
            additional_base_urls: vec!["https://one".into(), "https://two/".into()],
            production: true,
            outdated: false,
            version: VERSION.into(),
            modules: vec!["wallets".into(), "ledger".into()],
            enterprise_modules: vec!["wallets".into()],
        };
        let (tell, mut told) = futures::channel::mpsc::unbounded();
        let (to_test, orders) = mpsc::channel();
        let thread = start_thread("agent", move || async move {
            let (reports, closer) = (ReportChannel::new(1), SessionCloser::new());
            let metadata = CurrentMetadata::new(&join_metadata).unwrap();
            let session = Session::new(config, metadata, reports.clone());
            let closing = closer.signal();
            let _control = spawn(async move {
                let mut open = 0;
                while let Some(what) = told.next().await {
                    if let Some(StreamGrant::Opened { stream, .. }) = reports.next_grant(0) {
                        open = stream;
                    }
                    match what {
                        SessionCommand::Report(name) => {
                            let body = ReportBody::StackDeleted { stack: name.into() };
                            reports.push(0, open, vec![Report { body, trace: None }]);
                        }
                        SessionCommand::CloseSignal => closer.close(),
                    }
                }
            });
            let orders = async move |inbound| {
                let Inbound::Message(bytes) = inbound else { panic!("{inbound:?}") };
                drop(to_test.send(Order::decode(bytes).unwrap()));
            };
            session.run(orders, closing).await
        });
        Self { orders, tell, thread: thread.unwrap() }
    }

    fn tell(&self, what: SessionCommand) {
        self.tell.unbounded_send(what).unwrap();
    }

    /// The stack of the next order.
    fn order(&self) -> String {
        match self.orders.recv_timeout(SOON).unwrap().message.unwrap() {
            Message::ExistingStack(stack) => stack.cluster_name,
            Message::DisabledStack(stack) => stack.cluster_name,
            other => panic!("unexpected {other:?}"),
        }
    }
}

/// Everything that a session does, once.
fn whole_session(mut membership: PythonServer, agent: SessionThread) {
    let metadata = membership.wait_joined();
    let expected = [
        ("id", vec!["region-1"]),
        ("baseurl", vec!["https://Region.Example.com:443"]),
        ("additionalbaseurls", vec!["https://one", "https://two/"]),
        ("production", vec!["true"]),
        ("outdated", vec!["false"]),
        ("version", vec![VERSION]),
        ("capabilities", vec!["EE", "MODULE_LIST"]),
        ("module_list", vec!["ledger", "wallets"]),
        ("ee", vec!["wallets"]),
        ("token", vec!["secret token"]),
    ];
    for (key, values) in expected {
        assert_eq!(metadata[key], values, "{key}");
    }

    membership.command(&json!({"order": {"connected": {}}}));
    membership.command(&json!({"order": {"ping": {}}}));
    let pong = membership.wait("message").unwrap();
    assert_eq!(pong["message"], json!({"pong": {}, "metadata": {"_otelCtx": "{}"}}));

    membership.command(&json!({"order": {"existingStack": {"clusterName": "stack-1"}}}));
    assert_eq!(agent.order(), "stack-1");

    let deleted = |name| json!({"stackDeleted": {"clusterName": name}, "metadata": {"_otelCtx": "{}"}});
    agent.tell(SessionCommand::Report("gone"));
    membership.wait_for(|event| event["message"] == deleted("gone")).unwrap();

    membership.command(&json!({"kill": true}));
    assert_eq!(membership.wait_joined(), metadata);
    membership.command(&json!({"order": {"existingStack": {"clusterName": "stack-2"}}}));
    assert_eq!(agent.order(), "stack-2");

    agent.tell(SessionCommand::Report("last"));
    agent.tell(SessionCommand::CloseSignal);
    membership.wait_for(|event| event["message"] == deleted("last")).unwrap();
    membership.wait("half-closed").unwrap();
    assert_eq!(agent.thread.join().unwrap(), SessionEnd { graceful: true, unsent: 0 });
}

#[test]
fn grpcio_serves_a_session_in_plain_text() {
    let Some(python) = python() else { return };
    let membership = PythonServer::start(&python, None);
    let agent = SessionThread::start(Endpoint::new(false, "127.0.0.1", membership.port), None);
    whole_session(membership, agent);
}

#[test]
fn grpcio_serves_a_session_over_tls_with_an_own_authority() {
    let Some(python) = python() else { return };
    let authority_key = rcgen::KeyPair::generate().unwrap();
    let mut authority = rcgen::CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let ca = authority.self_signed(&authority_key).unwrap().pem();
    let issuer = rcgen::Issuer::new(authority, authority_key);
    let key = rcgen::KeyPair::generate().unwrap();
    let server = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let server = server.signed_by(&key, &issuer).unwrap();

    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: String| {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let (certificate, key) = (write("server.pem", server.pem()), write("server.key", key.serialize_pem()));
    let membership = PythonServer::start(&python, Some((&certificate, &key)));
    let endpoint = Endpoint::new(true, "localhost", membership.port);
    let agent = SessionThread::start(endpoint, Some(&Trust::pem(ca)));
    whole_session(membership, agent);
}

#[test]
fn grpcio_sends_two_hundred_thousand_orders_one_by_one() {
    let Some(python) = python() else { return };
    let mut membership = PythonServer::start(&python, None);
    let agent = SessionThread::start(Endpoint::new(false, "127.0.0.1", membership.port), None);
    membership.wait_joined();
    membership.command(&json!({"flood": 200_000}));
    for number in 0..200_000 {
        assert_eq!(agent.order(), format!("stack-{number}"));
    }
    let again = membership.events.try_iter().find(|event| event["event"] == "joined");
    assert_eq!(again, None, "the stream broke");
    agent.tell(SessionCommand::CloseSignal);
    assert!(agent.thread.join().unwrap().graceful);
}

#[test]
fn grpcio_is_understood_where_it_compresses() {
    let Some(python) = python() else { return };
    for compression in ["Gzip", "Deflate"] {
        let mut membership = PythonServer::start_with(&python, &["--compression", compression]);
        let agent = SessionThread::start(Endpoint::new(false, "127.0.0.1", membership.port), None);
        let metadata = membership.wait_joined();
        println!("{compression}: grpcio is told {:?}", metadata.get("grpc-accept-encoding"));
        // Long enough to be worth it: grpcio sends a message as it is where that is shorter.
        for name in ["stack-1", "stack-2"] {
            let versions = "v1.2.3-".repeat(10_000);
            let order = json!({"order": {"existingStack": {"clusterName": name, "versions": versions}}});
            membership.command(&order);
            assert_eq!(agent.order(), name);
        }
        membership.command(&json!({"order": {"ping": {}}}));
        membership.wait_for(|event| event["message"]["pong"].is_object()).unwrap();
        agent.tell(SessionCommand::CloseSignal);
        assert!(agent.thread.join().unwrap().graceful);
    }
}

//! A real etcd and a real kube-apiserver, for tests.

use std::{
    fs,
    net::TcpListener,
    panic::Location,
    path::{Path, PathBuf},
    sync::{Arc, Once},
    thread,
    time::Duration,
};

use serde_json::Value;
use tempfile::TempDir;

use super::{
    assets,
    crds::Crds,
    eventually,
    guarded::Guarded,
    kubeconfig,
    machine::MachineShare,
    now,
    rest::{GROUP_PATH, Rest},
    shared_servers,
};

const TOKEN: &str = "admin-of-the-tests";
/// Of a user who may do nothing until a test lets them.
const LIMITED_TOKEN: &str = "agent-of-the-tests";
/// That user.
pub const LIMITED_USER: &str = "agent";
/// Other tests start servers too, and somebody may take a port between our looking and the server's binding.
const TRIES: usize = 3;
/// A loaded CI machine starts it in half of that.
const READY_WITHIN: Duration = Duration::from_secs(120);

/// A running API server with its etcd; both stop, and their files go, when it is dropped.
pub struct RealApiServer {
    // In this order they are dropped.
    _api_server: Guarded,
    _etcd: Guarded,
    folder: TempDir,
    /// `https://127.0.0.1:<port>`
    pub url: String,
    /// The certificate to trust.
    pub ca_pem: String,
    /// A bearer token that may do everything.
    pub token: &'static str,
    /// For those who need it warmed up.
    pub warm: Once,
}

/// Certificates, each a file.
pub struct Certificates {
    pub server: PathBuf,
    pub server_key: PathBuf,
    /// What a client has to trust; without a comment in it.
    pub trusted: PathBuf,
    /// Who signs clients'.
    pub client_ca: PathBuf,
}

impl Certificates {
    fn arguments(&self) -> [String; 3] {
        [
            format!("--tls-cert-file={}", self.server.display()),
            format!("--tls-private-key-file={}", self.server_key.display()),
            format!("--client-ca-file={}", self.client_ca.display()),
        ]
    }
}

impl RealApiServer {
    /// Starts one that answers for these custom resources; `None` where the binaries or the
    /// manifests are missing (the first was said loudly).
    pub fn start(crds: Crds) -> Option<Arc<Self>> {
        Self::start_anew(&assets::this_test(), crds, None, &[]).map(Arc::new)
    }

    /// One with these arguments more.
    pub fn start_with(crds: Crds, more: &[&str]) -> Option<Arc<Self>> {
        Self::start_anew(&assets::this_test(), crds, None, more).map(Arc::new)
    }

    /// The same with certificates of the caller's making.
    pub fn start_with_certificates(crds: Crds, certificates: &Certificates) -> Option<Arc<Self>> {
        Self::start_anew(&assets::this_test(), crds, Some(certificates), &[]).map(Arc::new)
    }

    fn start_anew(
        whose: &str,
        crds: Crds,
        certificates: Option<&Certificates>,
        more: &[&str],
    ) -> Option<Self> {
        let _share = MachineShare::take();
        let manifests = crds.manifests()?;
        let assets = assets::find(whose)?;
        let server = (1..=TRIES)
            .find_map(|attempt| match Self::launch(&assets, certificates, more) {
                Ok(server) => Some(server),
                Err(words) => {
                    assert!(attempt < TRIES, "the API server does not start:\n{words}");
                    None
                }
            })
            .expect("started or failed");
        server.install(&manifests);
        Some(server)
    }

    /// One for all tests of a group: of the file, or the folder, from which it is asked for. It lasts
    /// while they run, and is there once for all of them.
    #[track_caller]
    pub fn shared(crds: Crds) -> Option<Arc<Self>> {
        let group = group(Location::caller().file());
        let whose = assets::tests_of(&group);
        shared_servers::get((group, crds), || Self::start_anew(&whose, crds, None, &[]))
    }

    /// A client with all rights. The server lasts for as long as it does.
    pub fn rest(self: &Arc<Self>) -> Rest {
        self.client().keeping(Arc::clone(self))
    }

    fn client(&self) -> Rest {
        Rest::new(&self.url, Some(&self.ca_pem), Some(self.token))
    }

    /// Writes a kubeconfig for it and says where.
    pub fn kubeconfig(&self) -> PathBuf {
        let path = self.folder.path().join("kubeconfig");
        kubeconfig::write(&path, &self.url, Some(&self.ca_pem), Some(self.token));
        path
    }

    /// The same for the user [`LIMITED_USER`].
    pub fn limited_kubeconfig(&self) -> PathBuf {
        let path = self.folder.path().join("limited-kubeconfig");
        kubeconfig::write(&path, &self.url, Some(&self.ca_pem), Some(LIMITED_TOKEN));
        path
    }

    fn launch(assets: &Path, certificates: Option<&Certificates>, more: &[&str]) -> Result<Self, String> {
        let folder =
            tempfile::Builder::new().prefix("stackherd-envtest-").tempdir().expect("temporary folder");
        let root = folder.path();
        let [client, peer, port] = free_ports();
        write_secrets(root);
        let arguments = etcd_arguments(root, client, peer);
        // The files go with etcd, which is stopped last.
        let mut etcd = Guarded::start(&assets.join("etcd"), &arguments, root.join("etcd.log"), root);
        let mut arguments = api_server_arguments(root, client, port);
        arguments.extend(more.iter().map(|argument| (*argument).to_owned()));
        let mut ca = root.join("certs/apiserver.crt");
        if let Some(certificates) = certificates {
            arguments.extend(certificates.arguments());
            ca.clone_from(&certificates.trusted);
        }
        let (program, log) = (assets.join("kube-apiserver"), root.join("kube-apiserver.log"));
        let mut api_server = Guarded::start(&program, &arguments, log, Path::new(""));
        let url = format!("https://127.0.0.1:{port}");
        let start = now();
        loop {
            if let Some(ended) = [&mut etcd, &mut api_server].into_iter().find_map(|server| {
                let ended = server.ended();
                ended.then(|| server.last_words())
            }) {
                return Err(ended);
            }
            if let Ok(ca_pem) = fs::read_to_string(&ca)
                && is_ready(&url, &ca_pem)
            {
                return Ok(Self {
                    _api_server: api_server,
                    _etcd: etcd,
                    folder,
                    url,
                    ca_pem,
                    token: TOKEN,
                    warm: Once::new(),
                });
            }
            if start.elapsed() > READY_WITHIN {
                return Err(format!("not ready in {READY_WITHIN:?}\n{}", api_server.last_words()));
            }
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// Installs the definitions and waits until each kind takes objects and lists them.
    fn install(&self, manifests: &[Value]) {
        let rest = self.client();
        for manifest in manifests {
            rest.post("apis/apiextensions.k8s.io/v1/customresourcedefinitions", manifest).expect(201);
        }
        for manifest in manifests {
            let plural = manifest["spec"]["names"]["plural"].as_str().expect("plural");
            let path = format!("{GROUP_PATH}/{plural}");
            eventually(&path, READY_WITHIN, || (rest.get(&path).status == 200).then_some(()));
        }
    }
}

/// `faults`, of both `…/integration/faults.rs` and `…/integration/faults/scene.rs`.
fn group(file: &str) -> String {
    let within = file.rsplit_once("integration/").map_or(file, |(_, within)| within);
    within.split(['/', '.']).next().unwrap_or_default().to_owned()
}

fn is_ready(url: &str, ca_pem: &str) -> bool {
    let answer = Rest::new(url, Some(ca_pem), Some(TOKEN)).open("GET", "readyz", &[], None);
    answer.is_ok_and(|answer| answer.status() == 200)
}

/// Three free loopback ports, distinct because all are held while they are picked.
fn free_ports() -> [u16; 3] {
    let held = [(); 3].map(|()| TcpListener::bind("127.0.0.1:0").expect("a free port"));
    held.map(|listener| listener.local_addr().expect("bound").port())
}

fn write_secrets(root: &Path) {
    let tokens =
        format!("{TOKEN},admin,admin,system:masters\n{LIMITED_TOKEN},{LIMITED_USER},{LIMITED_USER}\n");
    fs::write(root.join("tokens.csv"), tokens).expect("token file");
    let key = rcgen::KeyPair::generate().expect("key");
    fs::write(root.join("service-account.key"), key.serialize_pem()).expect("key file");
    fs::write(root.join("service-account.pub"), key.public_key_pem()).expect("key file");
}

fn etcd_arguments(root: &Path, client: u16, peer: u16) -> Vec<String> {
    vec![
        format!("--data-dir={}", root.join("etcd").display()),
        format!("--listen-client-urls=http://127.0.0.1:{client}"),
        format!("--advertise-client-urls=http://127.0.0.1:{client}"),
        format!("--listen-peer-urls=http://127.0.0.1:{peer}"),
        format!("--initial-advertise-peer-urls=http://127.0.0.1:{peer}"),
        format!("--initial-cluster=default=http://127.0.0.1:{peer}"),
        // Its data does not outlive the test.
        "--unsafe-no-fsync".into(),
    ]
}

fn api_server_arguments(root: &Path, etcd: u16, port: u16) -> Vec<String> {
    let file = |name: &str| root.join(name).display().to_string();
    vec![
        format!("--etcd-servers=http://127.0.0.1:{etcd}"),
        "--bind-address=127.0.0.1".into(),
        "--advertise-address=127.0.0.1".into(),
        format!("--secure-port={port}"),
        format!("--cert-dir={}", file("certs")),
        format!("--token-auth-file={}", file("tokens.csv")),
        "--authorization-mode=RBAC".into(),
        "--service-cluster-ip-range=10.0.0.0/24".into(),
        "--service-account-issuer=https://kubernetes.default.svc".into(),
        format!("--service-account-key-file={}", file("service-account.pub")),
        format!("--service-account-signing-key-file={}", file("service-account.key")),
        // There is no controller that would make service accounts.
        "--disable-admission-plugins=ServiceAccount".into(),
    ]
}

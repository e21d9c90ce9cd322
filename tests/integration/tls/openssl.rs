//! Certificates and servers of OpenSSL's.

use std::{
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use tempfile::TempDir;

/// Runs `openssl` with these arguments; what they name lies in `folder`.
#[track_caller]
pub fn run(folder: &Path, arguments: &str) {
    let mut command = Command::new("openssl");
    let output = command.args(arguments.split(' ')).current_dir(folder).stdin(Stdio::null()).output();
    let output =
        output.expect("these tests need the openssl command (Debian, Ubuntu: apt-get install openssl)");
    assert!(output.status.success(), "openssl {arguments}: {}", String::from_utf8_lossy(&output.stderr));
}

/// A kind of key, as `openssl genpkey` makes it.
pub const P256: &str = "-algorithm EC -pkeyopt ec_paramgen_curve:P-256";
pub const P384: &str = "-algorithm EC -pkeyopt ec_paramgen_curve:P-384";
pub const P521: &str = "-algorithm EC -pkeyopt ec_paramgen_curve:P-521";
pub const RSA: &str = "-algorithm RSA -pkeyopt rsa_keygen_bits:2048";
pub const RSA_3000: &str = "-algorithm RSA -pkeyopt rsa_keygen_bits:3000";
pub const ED25519: &str = "-algorithm ed25519";

/// Extensions of a server's certificate.
pub const SERVER: &str = "subjectAltName=DNS:localhost,IP:127.0.0.1\nbasicConstraints=CA:FALSE";

/// A folder of keys and certificates: `<name>.key` (PKCS #8) and `<name>.crt`.
pub struct OpensslPki {
    folder: TempDir,
}

impl OpensslPki {
    pub fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    pub fn path(&self, file: &str) -> PathBuf {
        self.folder.path().join(file)
    }

    pub fn read(&self, file: &str) -> Vec<u8> {
        fs::read(self.path(file)).unwrap()
    }

    #[track_caller]
    pub fn run(&self, arguments: &str) {
        run(self.folder.path(), arguments);
    }

    fn key(&self, name: &str, kind: &str) {
        self.run(&format!("genpkey {kind} -out {name}.key"));
    }

    /// A certificate that signs itself. `how` is more of `openssl x509`'s arguments, `-sha384` say.
    pub fn own(&self, name: &str, kind: &str, extensions: &str, how: &str) {
        self.key(name, kind);
        self.request(name, &format!("/O=tests/CN={name}"));
        self.sign(name, &format!("-signkey {name}.key {how}"), extensions);
    }

    /// One that `ca` signs.
    pub fn signed(&self, name: &str, ca: &str, kind: &str, extensions: &str, how: &str) {
        self.key(name, kind);
        self.request(name, &format!("/O=tests/CN={name}"));
        self.sign(name, &format!("-CA {ca}.crt -CAkey {ca}.key -CAcreateserial {how}"), extensions);
    }

    /// The same for somebody of this name.
    pub fn signed_as(&self, name: &str, subject: &str, ca: &str, kind: &str, extensions: &str) {
        self.key(name, kind);
        self.request(name, subject);
        self.sign(name, &format!("-CA {ca}.crt -CAkey {ca}.key -CAcreateserial"), extensions);
    }

    fn request(&self, name: &str, subject: &str) {
        self.run(&format!("req -new -key {name}.key -subj {subject} -out {name}.csr"));
    }

    fn sign(&self, name: &str, how: &str, extensions: &str) {
        fs::write(self.path("extensions"), format!("{extensions}\n")).unwrap();
        // Without extensions it is of version 1.
        let with = if extensions.is_empty() { "" } else { " -extfile extensions" };
        let how = how.trim_end();
        self.run(&format!("x509 -req -days 30 -in {name}.csr -out {name}.crt {how}{with}"));
    }
}

/// `openssl s_server`, which turns each line round. Ends when it is dropped.
pub struct OpensslServer {
    child: Child,
    pub port: u16,
}

impl OpensslServer {
    /// With the certificate and key of this name; `how` is more of its arguments.
    pub fn start(pki: &OpensslPki, name: &str, how: &str) -> Self {
        let arguments = format!("s_server -accept 127.0.0.1:0 -rev -cert {name}.crt -key {name}.key {how}");
        let mut child = Command::new("openssl")
            .args(arguments.trim_end().split(' '))
            .current_dir(pki.folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("openssl");
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let port = lines.find_map(|line| line.strip_prefix("ACCEPT ")?.rsplit(':').next()?.parse().ok());
        // Its output has to be read, or it waits.
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, port: port.unwrap_or_else(|| panic!("openssl {arguments} accepts nothing")) }
    }
}

impl Drop for OpensslServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

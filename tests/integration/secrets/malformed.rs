//! Secrets as they come out of files, templates and clipboards.

use rcgen::{CertificateParams, KeyPair};

/// Recognisable, and nowhere else.
pub const TOKEN: &str = "Kq7hush9Zt4rQw2eLm8sXv5bNc3dFg6j";

/// A way to get it wrong.
pub type MalformedSecret = (&'static str, fn(&str) -> Vec<u8>);

/// Ways to get a text wrong; the first is right.
pub const WAYS: [MalformedSecret; 17] = [
    ("whole", |secret| secret.into()),
    ("on one line", |secret| secret.replace('\n', " ").into()),
    ("escaped breaks", |secret| secret.replace('\n', "\\n").into()),
    ("cut short", |secret| secret[..secret.len() * 2 / 3].into()),
    ("a line break at its end", |secret| format!("{secret}\n").into()),
    ("a line break inside", |secret| halves(secret, "\n")),
    ("a carriage return inside", |secret| halves(secret, "\r")),
    ("no UTF-8", |secret| [secret.as_bytes(), b"\xff\xfe"].concat()),
    ("a control character", |secret| halves(secret, "\u{7f}")),
    ("a tab and blanks", |secret| halves(secret, "\t  ")),
    ("beyond ASCII", |secret| halves(secret, "\u{e9}")),
    ("a byte order mark", |secret| format!("\u{feff}{secret}").into()),
    ("quoted", |secret| format!("\"{secret}\"").into()),
    ("URL-encoded", |secret| secret.replace('\n', "%0A").replace(' ', "%20").into()),
    ("of another kind", |secret| secret.replace("PRIVATE KEY", "CERTIFICATE").into()),
    ("dashes before it", |secret| format!("--{secret}").into()),
    ("very long", |secret| secret.repeat(1000).into()),
];

fn halves(secret: &str, between: &str) -> Vec<u8> {
    let (a, b) = secret.split_at(secret.len() / 2);
    format!("{a}{between}{b}").into()
}

/// A certificate and its key.
pub struct PemPair {
    pub certificate: String,
    pub key: String,
}

impl PemPair {
    pub fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let certificate =
            CertificateParams::new(["localhost".to_owned()]).unwrap().self_signed(&key).unwrap();
        Self { certificate: certificate.pem(), key: key.serialize_pem() }
    }

    /// The number that is the key, as its bytes and as its base64: the rest of PKCS #8 is the same for
    /// all, or public.
    pub fn secrets(&self) -> (Vec<u8>, String) {
        use base64::{Engine, prelude::BASE64_STANDARD};
        let body: String = self.key.lines().filter(|line| !line.starts_with('-')).collect();
        let der = BASE64_STANDARD.decode(&body).unwrap();
        (der[36..68].to_vec(), body[48..88].to_owned())
    }
}

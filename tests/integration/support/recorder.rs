//! An API server, and proxies before it, that write down how somebody came to them.
//!
//! Plain threads and blocking sockets: what is recorded must not depend on our own client or server.

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        mpsc::{Receiver, Sender, channel},
    },
    thread,
    time::Duration,
};

use rustls::{
    DigitallySignedStruct, DistinguishedName, ServerConfig, ServerConnection, SignatureScheme, StreamOwned,
    client::danger::HandshakeSignatureValid,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, UnixTime, pem::PemObject},
    server::danger::{ClientCertVerified, ClientCertVerifier},
};
use serde_json::{Map, Value, json};

const PATIENCE: Duration = Duration::from_secs(20);

/// Certificates of one run, all PEM.
pub struct Pki {
    pub ca: String,
    pub server: (String, String),
    /// By name.
    pub clients: Vec<(&'static str, String, String)>,
}

impl Pki {
    pub fn new() -> Self {
        let authority_key = rcgen::KeyPair::generate().unwrap();
        let mut authority = rcgen::CertificateParams::new(Vec::new()).unwrap();
        authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        authority.distinguished_name.push(rcgen::DnType::CommonName, "conformance");
        let ca = authority.self_signed(&authority_key).unwrap().pem();
        let issuer = rcgen::Issuer::new(authority, authority_key);
        let made = |names: &[&str]| {
            let key = rcgen::KeyPair::generate().unwrap();
            let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
            let mut params = rcgen::CertificateParams::new(names).unwrap();
            params.distinguished_name.push(rcgen::DnType::CommonName, "one of them");
            (params.signed_by(&key, &issuer).unwrap().pem(), key.serialize_pem())
        };
        let client = |name| {
            let (certificate, key) = made(&[name]);
            (name, certificate, key)
        };
        Self {
            ca,
            server: made(&["127.0.0.1", "localhost", "api.example"]),
            clients: vec![client("client"), client("other")],
        }
    }
}

/// What listens, by the name that kubeconfigs have for it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum RecorderDoor {
    Tls,
    Plain,
    HttpProxy,
    HttpsProxy,
    Socks,
}

const DOORS: [(&str, RecorderDoor); 5] = [
    ("@TLS@", RecorderDoor::Tls),
    ("@PLAIN@", RecorderDoor::Plain),
    ("@HTTP_PROXY@", RecorderDoor::HttpProxy),
    ("@HTTPS_PROXY@", RecorderDoor::HttpsProxy),
    ("@SOCKS@", RecorderDoor::Socks),
];

/// The server with its proxies, on loopback. Its threads end with the process.
pub struct Recorder {
    /// Placeholders and what stands for them now.
    pub names: Vec<(&'static str, String)>,
    seen: Receiver<Value>,
}

impl Recorder {
    pub fn start(pki: &Arc<Pki>) -> Self {
        let (sender, seen) = channel();
        let tls = server_config(pki);
        let mut names = Vec::new();
        for (name, door) in DOORS {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            names.push((name, listener.local_addr().unwrap().to_string()));
            let visit = Visit { door, tls: Arc::clone(&tls), pki: Arc::clone(pki), sender: sender.clone() };
            thread::spawn(move || {
                for stream in listener.incoming().flatten() {
                    let visit = visit.clone();
                    thread::spawn(move || visit.receive(stream));
                }
            });
        }
        Self { names, seen }
    }

    /// The next request, if there is one within this time.
    pub fn next(&self, within: Duration) -> Option<Value> {
        self.seen.recv_timeout(within).ok()
    }
}

#[derive(Clone)]
struct Visit {
    door: RecorderDoor,
    tls: Arc<ServerConfig>,
    pki: Arc<Pki>,
    sender: Sender<Value>,
}

trait RecordedStream: Read + Write + Send {}
impl<T: Read + Write + Send> RecordedStream for T {}

impl Visit {
    /// Whoever goes away in the middle has asked for nothing.
    fn receive(&self, stream: TcpStream) {
        let _ = self.record(stream);
    }

    fn record(&self, stream: TcpStream) -> io::Result<()> {
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        let mut record = Map::new();
        let mut stream: Box<dyn RecordedStream> = Box::new(stream);
        match self.door {
            RecorderDoor::Plain | RecorderDoor::Tls => {}
            RecorderDoor::HttpProxy => stream = self.connect(stream, "http", &mut record)?,
            RecorderDoor::HttpsProxy => {
                let inner = self.accept_tls(stream)?;
                stream = self.connect(Box::new(inner), "https", &mut record)?;
            }
            RecorderDoor::Socks => stream = socks(stream, &mut record)?,
        }
        if self.door == RecorderDoor::Plain {
            return self.answer(stream, record);
        }
        let stream = self.accept_tls(stream)?;
        record.insert("tls".into(), true.into());
        record.insert("server_name".into(), stream.conn.server_name().into());
        record.insert("certificate".into(), self.whose(&stream.conn).into());
        self.answer(Box::new(stream), record)
    }

    fn accept_tls(
        &self,
        stream: Box<dyn RecordedStream>,
    ) -> io::Result<StreamOwned<ServerConnection, Box<dyn RecordedStream>>> {
        let connection = ServerConnection::new(Arc::clone(&self.tls)).map_err(io::Error::other)?;
        let mut stream = StreamOwned::new(connection, stream);
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock)?;
        }
        Ok(stream)
    }

    fn whose(&self, connection: &ServerConnection) -> Option<String> {
        let shown = connection.peer_certificates()?.first()?.to_vec();
        let known = self.pki.clients.iter().find(|(_, pem, _)| {
            CertificateDer::from_pem_slice(pem.as_bytes()).is_ok_and(|known| *known == *shown)
        });
        Some(known.map_or("unknown", |(name, ..)| name).to_owned())
    }

    fn connect(
        &self,
        mut stream: Box<dyn RecordedStream>,
        kind: &str,
        record: &mut Map<String, Value>,
    ) -> io::Result<Box<dyn RecordedStream>> {
        let head = head(&mut stream)?;
        let mut words = head.lines().next().unwrap_or_default().split(' ');
        let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        record.insert("proxy".into(), kind.into());
        if method != "CONNECT" {
            return Err(io::Error::other("no CONNECT"));
        }
        record.insert("target".into(), self.named(target).into());
        record.insert("proxy_authorization".into(), header(&head, "proxy-authorization").into());
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n")?;
        stream.flush()?;
        Ok(stream)
    }

    fn named(&self, target: &str) -> String {
        // Which port it is differs from run to run.
        match target.parse::<SocketAddr>() {
            Ok(address) => format!("{}:@PORT@", address.ip()),
            Err(_) => target.to_owned(),
        }
    }

    fn answer(&self, mut stream: Box<dyn RecordedStream>, mut record: Map<String, Value>) -> io::Result<()> {
        let head = head(&mut stream)?;
        let path = head.split(' ').nth(1).unwrap_or_default();
        // Some kubectl asks for the version first.
        let parts = ["/probe", "/apis/", "/version"];
        let prefix = parts.iter().find_map(|part| path.find(part)).map(|at| &path[..at]);
        record.insert("prefix".into(), prefix.into());
        record.insert("authorization".into(), header(&head, "authorization").into());
        let gzip = header(&head, "accept-encoding").is_some_and(|value| value.contains("gzip"));
        record.insert("gzip".into(), gzip.into());
        let mut impersonate: Vec<_> = head
            .lines()
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
            .filter(|(name, _)| name.starts_with("impersonate-"))
            .map(|(name, value)| format!("{name}: {value}"))
            .collect();
        impersonate.sort();
        record.insert("impersonate".into(), json!(impersonate));
        record.retain(|_, value| !value.is_null());
        let _ = self.sender.send(record.into());
        stream.write_all(
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}",
        )?;
        stream.flush()
    }
}

fn socks(
    mut stream: Box<dyn RecordedStream>,
    record: &mut Map<String, Value>,
) -> io::Result<Box<dyn RecordedStream>> {
    record.insert("proxy".into(), "socks5".into());
    let [_, methods] = take::<2>(&mut stream)?;
    let mut offered = vec![0; usize::from(methods)];
    stream.read_exact(&mut offered)?;
    if offered.contains(&2) {
        stream.write_all(&[5, 2])?;
        let [_] = take::<1>(&mut stream)?;
        let (name, password) = (counted(&mut stream)?, counted(&mut stream)?);
        record.insert("proxy_user".into(), format!("{name}:{password}").into());
        stream.write_all(&[1, 0])?;
    } else {
        stream.write_all(&[5, 0])?;
    }
    let [_, _, _, kind] = take::<4>(&mut stream)?;
    let host = match kind {
        1 => std::net::Ipv4Addr::from(take::<4>(&mut stream)?).to_string(),
        4 => std::net::Ipv6Addr::from(take::<16>(&mut stream)?).to_string(),
        _ => counted(&mut stream)?,
    };
    let port = u16::from_be_bytes(take::<2>(&mut stream)?);
    let port = if kind == 3 { port.to_string() } else { "@PORT@".to_owned() };
    record.insert("target".into(), format!("{host}:{port}").into());
    stream.write_all(&[5, 0, 0, 1, 127, 0, 0, 1, 0, 1])?;
    stream.flush()?;
    Ok(stream)
}

fn take<const N: usize>(stream: &mut impl Read) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    stream.read_exact(&mut bytes)?;
    Ok(bytes)
}

fn counted(stream: &mut impl Read) -> io::Result<String> {
    let [length] = take::<1>(stream)?;
    let mut bytes = vec![0; usize::from(length)];
    stream.read_exact(&mut bytes)?;
    String::from_utf8(bytes).map_err(io::Error::other)
}

fn head(stream: &mut impl Read) -> io::Result<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let [byte] = take::<1>(stream)?;
        head.push(byte);
    }
    Ok(String::from_utf8_lossy(&head).into_owned())
}

fn header(head: &str, name: &str) -> Option<String> {
    let mut fields = head.lines().filter_map(|line| line.split_once(':'));
    fields.find(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim().to_owned())
}

fn server_config(pki: &Pki) -> Arc<ServerConfig> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let schemes = provider.signature_verification_algorithms.supported_schemes();
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(Arc::new(Anybody(schemes)))
        .with_single_cert(
            vec![CertificateDer::from_pem_slice(pki.server.0.as_bytes()).unwrap()],
            PrivateKeyDer::from_pem_slice(pki.server.1.as_bytes()).unwrap(),
        )
        .unwrap();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Arc::new(config)
}

/// Wants to see a certificate and takes any, or none.
#[derive(Debug)]
struct Anybody(Vec<SignatureScheme>);

impl ClientCertVerifier for Anybody {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn verify_client_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.clone()
    }
}

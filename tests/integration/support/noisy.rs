//! A relay in front of a server that puts noise between what the server says: HTTP/2 frames of an
//! unknown type, or interim answers on HTTP/1.1. It ends TLS itself, with a certificate of its own, and
//! talks TLS to a server that wants it.

use std::{
    cell::RefCell,
    net::SocketAddr,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    time::Duration,
};

use futures::{AsyncReadExt, AsyncWrite, AsyncWriteExt, FutureExt, StreamExt, channel::mpsc as queue};
use stackherd::net::{
    connect::Connector,
    endpoint::Endpoint,
    io::Io,
    listen::{Listener, accept_tls},
    proxy::Proxy,
    sleep, spawn, start_thread,
    tls::{self, Identity, Trust},
};

use super::frames;

/// What is put in between.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Noise {
    /// Frames of a type that nobody knows.
    Frames,
    /// `100 Continue`, before each answer.
    Interim,
}

/// Bytes of noise that go out together.
const BLOB: usize = 64 << 10;
/// As an amount of noise: without end.
const ENDLESS: usize = usize::MAX;

/// The relay. Its thread ends with the process.
pub struct Noisy {
    address: SocketAddr,
    secure: bool,
    /// What clients trust.
    pub ca_pem: String,
    most: Arc<AtomicUsize>,
    sent: Arc<AtomicUsize>,
    connections: Arc<AtomicUsize>,
}

impl Noisy {
    /// In front of `https://127.0.0.1:<port>`, to be reached over TLS as well; HTTP/2.
    pub fn before_tls(url: &str) -> Self {
        Self::start(true, url, Noise::Frames)
    }

    /// In front of `127.0.0.1:<port>`, which speaks HTTP/2 in plain text; to be reached over TLS.
    pub fn tls_before(address: &str) -> Self {
        Self::start(true, &format!("http://{address}"), Noise::Frames)
    }

    /// In front of an HTTP/1.1 server, plain on both sides.
    pub fn plain(address: SocketAddr) -> Self {
        Self::start(false, &format!("http://{address}"), Noise::Interim)
    }

    fn start(secure: bool, server: &str, noise: Noise) -> Self {
        let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
        let made = rcgen::generate_simple_self_signed(names).expect("a certificate");
        let ca_pem = made.cert.pem();
        let identity = Identity::new(ca_pem.clone(), made.signing_key.serialize_pem());
        let server = Endpoint::from_url(server).expect("a URL");
        let (most, sent, connections) = <(Arc<AtomicUsize>, Arc<AtomicUsize>, Arc<AtomicUsize>)>::default();
        let (bound, address) = mpsc::channel();
        let shared = (Arc::clone(&most), Arc::clone(&sent), Arc::clone(&connections));
        let serve = move || async move {
            let listener = Listener::bind("127.0.0.1:0").expect("a free port");
            bound.send(listener.local_addr()).expect("somebody waits");
            let alpn: &[&[u8]] = &[tls::H2];
            let ours = secure.then(|| tls::server_config(&identity, alpn).expect("a configuration"));
            let connector = Connector {
                tls: Some(tls::client_config(&Trust::Nothing, None, alpn).expect("a configuration")),
                proxy: Proxy::none(),
                connect_timeout: Duration::from_secs(30),
                user_timeout: None,
            };
            while let Ok(io) = listener.accept().await {
                shared.2.fetch_add(1, Ordering::AcqRel);
                let (ours, connector, server) = (ours.clone(), connector.clone(), server.clone());
                let (most, sent) = (Arc::clone(&shared.0), Arc::clone(&shared.1));
                spawn(async move {
                    let io = match ours {
                        Some(config) => match accept_tls(config, io).await {
                            Ok(io) => io,
                            Err(_) => return,
                        },
                        None => io,
                    };
                    let Ok(there) = connector.connect(&server).await else { return };
                    relay(io, there.io, noise, &most, &sent).await;
                })
                .detach();
            }
        };
        drop(start_thread("noisy", serve).expect("a thread"));
        let address = address.recv().expect("it listens");
        Self { address, secure, ca_pem, most, sent, connections }
    }

    /// `127.0.0.1:<port>`
    pub fn address(&self) -> String {
        self.address.to_string()
    }

    pub fn url(&self) -> String {
        format!("{}://{}", if self.secure { "https" } else { "http" }, self.address)
    }

    /// So many bytes of noise behind each DATA frame of the server's from now on, as fast as they are taken.
    pub fn noise(&self, bytes: usize) {
        self.most.store(bytes, Ordering::Release);
    }

    /// Noise without end.
    pub fn endless(&self) {
        self.noise(ENDLESS);
    }

    pub fn quiet(&self) {
        self.noise(0);
    }

    /// Bytes of noise that were taken so far.
    pub fn sent(&self) -> usize {
        self.sent.load(Ordering::Acquire)
    }

    /// Connections so far.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::Acquire)
    }
}

/// Carries bytes both ways until one side ends.
async fn relay(client: Io, server: Io, noise: Noise, most: &AtomicUsize, sent: &AtomicUsize) {
    let (mut from_client, to_client) = client.split();
    let (mut from_server, mut to_server) = server.split();
    let (tell, said) = queue::unbounded::<Vec<u8>>();
    let rest = Rc::new(RefCell::new(Vec::new()));
    let up = async {
        let _ = futures::io::copy(&mut from_client, &mut to_server).await;
    };
    let listen = async {
        let mut buffer = vec![0; BLOB];
        while let Ok(length @ 1..) = from_server.read(&mut buffer).await {
            for whole in pieces(&mut rest.borrow_mut(), &buffer[..length], noise) {
                let _ = tell.unbounded_send(whole);
            }
        }
        // What it said last should arrive.
        sleep(Duration::from_millis(50)).await;
    };
    futures::future::select_all([
        Box::pin(up) as std::pin::Pin<Box<dyn Future<Output = ()> + '_>>,
        Box::pin(listen),
        Box::pin(talk(to_client, said, noise, most, sent)),
    ])
    .await;
}

/// Says what the server says, with noise in between.
async fn talk(
    mut to: impl AsyncWrite + Unpin,
    mut said: queue::UnboundedReceiver<Vec<u8>>,
    noise: Noise,
    most: &AtomicUsize,
    sent: &AtomicUsize,
) {
    let blob = blob(noise);
    let mut left = 0_usize;
    loop {
        let next = match said.next().now_or_never() {
            Some(next) => next,
            None if left > 0 && most.load(Ordering::Acquire) > 0 => {
                if to.write_all(&blob).await.is_err() || to.flush().await.is_err() {
                    return;
                }
                sent.fetch_add(blob.len(), Ordering::AcqRel);
                left = left.saturating_sub(blob.len());
                if most.load(Ordering::Acquire) == ENDLESS {
                    left = ENDLESS;
                }
                continue;
            }
            // To notice when noise is wanted.
            None => {
                match futures::future::select(said.next(), Box::pin(sleep(Duration::from_millis(5)))).await {
                    futures::future::Either::Left((next, _)) => next,
                    futures::future::Either::Right(_) => {
                        if noise == Noise::Frames && most.load(Ordering::Acquire) == ENDLESS {
                            left = ENDLESS;
                        }
                        continue;
                    }
                }
            }
        };
        let Some(bytes) = next else { return };
        // Behind what says something: were it behind every frame, answers to PINGs would add up.
        const DATA: u8 = 0;
        if noise == Noise::Interim || bytes.get(3) == Some(&DATA) {
            left = most.load(Ordering::Acquire);
        }
        if noise == Noise::Interim && bytes.starts_with(b"HTTP/1.1 ") {
            // Before the answer, which never comes where there is no end to them.
            while left > 0 && most.load(Ordering::Acquire) > 0 {
                if to.write_all(&blob).await.is_err() {
                    return;
                }
                sent.fetch_add(blob.len(), Ordering::AcqRel);
                left = if left == ENDLESS { ENDLESS } else { left.saturating_sub(blob.len()) };
            }
        }
        if noise == Noise::Interim {
            left = 0;
        }
        if to.write_all(&bytes).await.is_err() || to.flush().await.is_err() {
            return;
        }
    }
}

/// Whole frames, or what came, where it has none.
fn pieces(rest: &mut Vec<u8>, bytes: &[u8], noise: Noise) -> Vec<Vec<u8>> {
    if noise == Noise::Interim {
        return vec![bytes.to_vec()];
    }
    rest.extend_from_slice(bytes);
    let mut whole = Vec::new();
    while let Some(head) = rest.get(..9) {
        let length = 9 + u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        // Nothing may come between the parts of a header block.
        if rest.len() < length {
            break;
        }
        let tail = rest.split_off(length);
        whole.push(std::mem::replace(rest, tail));
    }
    whole
}

fn blob(noise: Noise) -> Vec<u8> {
    let one = match noise {
        Noise::Frames => {
            let mut bytes = Vec::new();
            frames::TestFrame::new(0xbe, 0, 0, []).write(&mut bytes).expect("memory");
            bytes
        }
        Noise::Interim => b"HTTP/1.1 100 Continue\r\n\r\n".to_vec(),
    };
    one.repeat(BLOB / one.len())
}

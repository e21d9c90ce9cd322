//! Over TLS: HTTP/2 by ALPN, HTTP/1.1 otherwise, client certificates.

use std::sync::Arc;

use rustls::{
    RootCertStore, ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::WebPkiClientVerifier,
};

use super::{
    server::{certificate, tls},
    *,
};
use crate::{
    cluster::{
        credentials::CredentialSource,
        exec::ExecPlugin,
        kubeconfig::{ExecConfig, KubeconfigCluster},
    },
    net::tls::{H2, HTTP1, Identity, Trust},
};

fn secure_client(server: &ScriptedServer, trust: Trust, limits: ClientLimits) -> KubeClient {
    let mut config = ClusterConfig::plain(&server.url).unwrap();
    config.trust = trust;
    KubeClient::new(&config, limits)
}

#[test]
fn http2_carries_all_requests_on_one_connection() {
    run(async {
        let (speech, trust) = tls(&[H2, HTTP1]);
        let server = ScriptedServer::start(speech, |_, _| {
            ServerAct::Late(Duration::from_millis(20), 201, an_object("a"))
        });
        let client = secure_client(&server, trust, limits());
        let answers = futures::future::join_all((0..40).map(|_| put(&client, "a"))).await;
        assert!(answers.iter().all(is_stored));
        assert_eq!(server.log.connections.get(), 1);
        assert!(server.log.most_together.get() > 16, "{}", server.log.most_together.get());
        assert!(!server.seen(0).headers.contains_key("host"));
    });
}

#[test]
fn a_server_without_http2_gets_http1() {
    run(async {
        for alpn in [&[HTTP1][..], &[]] {
            let (speech, trust) = tls(alpn);
            let server = ScriptedServer::start(speech, |_, _| {
                ServerAct::Late(Duration::from_millis(2), 201, an_object("a"))
            });
            let client = secure_client(&server, trust, limits());
            let answers = futures::future::join_all((0..40).map(|_| put(&client, "a"))).await;
            assert!(answers.iter().all(is_stored), "{answers:?}");
            assert!((1..=16).contains(&server.log.connections.get()), "{}", server.log.connections.get());
            assert!(server.seen(0).headers.contains_key("host"));
        }
    });
}

#[test]
fn a_server_with_another_certificate_is_not_talked_to() {
    run(async {
        let (speech, _) = tls(&[H2]);
        let server = ScriptedServer::start(speech, |_, _| stored("a"));
        let client = secure_client(&server, Trust::pem(certificate().0), limits());
        let WriteAnswer::NotApplied { cause, .. } = put(&client, "a").await else { panic!() };
        assert!(cause.contains("certificate"), "{cause}");
        assert_eq!(server.requests(), 0);
    });
}

#[test]
fn one_stream_that_hangs_does_not_cost_the_others_their_connection() {
    run(async {
        let (speech, trust) = tls(&[H2]);
        let server = ScriptedServer::start(speech, |_, seen| match &*seen.body {
            body if body.ends_with(b"\"hang\"}}") => ServerAct::Hang,
            _ => stored("a"),
        });
        let client = secure_client(&server, trust, hasty());
        let others = async {
            for _ in 0..10 {
                assert!(is_stored(&put(&client, "a").await));
                net::sleep(SHORT / 9).await;
            }
        };
        let (hung, ()) = futures::join!(put(&client, "hang"), others);
        assert!(is_unknown(&hung), "{hung:?}");
        assert!(is_stored(&put(&client, "a").await));
        assert_eq!(server.log.connections.get(), 1);
    });
}

#[test]
fn a_connection_that_falls_silent_is_replaced() {
    run(async {
        let (speech, trust) = tls(&[H2]);
        let server =
            ScriptedServer::start(speech, |nth, _| if nth == 1 { ServerAct::Hang } else { stored("a") });
        let client = secure_client(&server, trust, hasty());
        assert!(is_stored(&put(&client, "a").await));
        net::sleep(Duration::from_millis(50)).await;
        assert!(is_unknown(&put(&client, "a").await));
        assert!(is_stored(&put(&client, "a").await));
        assert_eq!(server.log.connections.get(), 2);
    });
}

#[test]
fn a_connection_that_the_server_closed_is_replaced_unnoticed() {
    run(async {
        let (speech, trust) = tls(&[H2]);
        let server = ScriptedServer::start(speech, |_, _| stored("a"));
        let client = secure_client(&server, trust, limits());
        for _ in 0..3 {
            assert!(is_stored(&put(&client, "a").await));
            server.drop_connections();
            net::sleep(Duration::from_millis(100)).await;
        }
        assert_eq!(server.log.connections.get(), 3);
    });
}

#[test]
fn a_connection_that_says_goodbye_ends_its_requests_and_gets_no_more() {
    run(async {
        let (speech, trust) = tls(&[H2]);
        let server = ScriptedServer::start(speech, |_, _| {
            ServerAct::Late(Duration::from_millis(60), 201, an_object("a"))
        });
        let client = secure_client(&server, trust, limits());
        let goodbye = async {
            while server.requests() < 5 {
                net::sleep(Duration::from_millis(1)).await;
            }
            server.say_goodbye();
            net::sleep(Duration::from_millis(10)).await;
            put(&client, "a").await
        };
        let before = futures::future::join_all((0..5).map(|_| put(&client, "a")));
        let (before, after) = futures::join!(before, goodbye);
        assert!(before.iter().all(is_stored), "{before:?}");
        assert!(is_stored(&after), "{after:?}");
        assert_eq!(server.log.connections.get(), 2);
    });
}

#[test]
fn requests_on_a_connection_that_breaks_are_unknown_and_the_next_ones_go_through() {
    run(async {
        let (speech, trust) = tls(&[H2]);
        let server =
            ScriptedServer::start(speech, |nth, _| if nth < 20 { ServerAct::Hang } else { stored("a") });
        let client =
            secure_client(&server, trust, ClientLimits { deadline: Duration::from_secs(3), ..limits() });
        let breaking = async {
            while server.requests() < 20 {
                net::sleep(Duration::from_millis(1)).await;
            }
            server.drop_connections();
        };
        let writes = futures::future::join_all((0..20).map(|_| put(&client, "a")));
        let (answers, ()) = futures::join!(writes, breaking);
        assert!(answers.iter().all(is_unknown), "{answers:?}");
        // One break is one failure, however many requests it hit.
        assert!(is_stored(&put(&client, "a").await));
    });
}

#[test]
fn a_stream_that_is_reset_leaves_the_outcome_unknown() {
    run(async {
        for act in [ServerAct::Cut, ServerAct::CutInBody] {
            let (speech, trust) = tls(&[H2]);
            let server =
                ScriptedServer::start(speech, move |nth, _| if nth == 0 { act.clone() } else { stored("a") });
            let client = secure_client(&server, trust, limits());
            let answer = put(&client, "a").await;
            assert!(is_unknown(&answer), "{answer:?}");
            assert!(is_stored(&put(&client, "a").await));
        }
    });
}

/// A server that wants a certificate, what to trust of it, and the certificate.
fn mutual() -> (ServerProtocol, Trust, Identity) {
    let (certificates, key) = certificate();
    let (speech, trust) = wanting(&[&certificates]);
    (speech, trust, Identity::new(certificates, key))
}

/// A server that wants one of these certificates, and what to trust of it.
fn wanting(accepted: &[&str]) -> (ServerProtocol, Trust) {
    let (own, own_key) = certificate();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut roots = RootCertStore::empty();
    for certificate in accepted {
        roots.add(CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()).unwrap();
    }
    let verifier =
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone()).build().unwrap();
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier)
        .with_single_cert(
            vec![CertificateDer::from_pem_slice(own.as_bytes()).unwrap()],
            PrivateKeyDer::from_pem_slice(own_key.as_bytes()).unwrap(),
        )
        .unwrap();
    config.alpn_protocols = vec![H2.to_vec()];
    (ServerProtocol::Tls(Arc::new(config)), Trust::pem(own))
}

/// A client with a pair of files, and the folder that they lie in.
fn with_files(
    server: &ScriptedServer,
    trust: Trust,
    pair: &(String, String),
) -> (KubeClient, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let mut config = ClusterConfig::plain(&server.url).unwrap();
    config.trust = trust;
    config.identity = Some(Identity::new(pair.0.clone(), pair.1.clone()));
    config.identity_files = crate::cluster::config::IdentityFiles {
        certificate: Some(dir.path().join("tls.crt")),
        key: Some(dir.path().join("tls.key")),
    };
    renew(&dir, pair);
    (KubeClient::new(&config, limits()), dir)
}

fn renew(dir: &tempfile::TempDir, pair: &(String, String)) {
    std::fs::write(dir.path().join("tls.crt"), &pair.0).unwrap();
    std::fs::write(dir.path().join("tls.key"), &pair.1).unwrap();
}

#[test]
fn a_client_certificate_that_was_renewed_is_presented_after_a_refusal_on_a_connection_of_its_own() {
    run(async {
        let (old, new) = (certificate(), certificate());
        let (speech, trust) = wanting(&[&old.0, &new.0]);
        let server = ScriptedServer::start(speech, |nth, _| match nth {
            1 => ServerAct::Reply(401, json!({"kind": "Status", "status": "Failure", "code": 401})),
            _ => stored("a"),
        });
        let (client, dir) = with_files(&server, trust, &old);
        assert!(is_stored(&put(&client, "a").await));
        renew(&dir, &new);
        assert!(!is_stored(&put(&client, "a").await), "the refusal");
        net::sleep(Duration::from_millis(1100)).await;
        assert!(is_stored(&put(&client, "a").await));
        assert_eq!(server.log.connections.get(), 2, "the old certificate's connection is left");
        assert!(is_stored(&put(&client, "a").await));
        assert_eq!(server.log.connections.get(), 2, "and the new one's kept");
    });
}

#[test]
fn a_client_certificate_that_was_renewed_is_presented_where_the_old_one_no_longer_connects() {
    run(async {
        let (old, new) = (certificate(), certificate());
        let (speech, trust) = wanting(&[&new.0]);
        let server = ScriptedServer::start(speech, |_, _| stored("a"));
        let (client, dir) = with_files(&server, trust, &old);
        assert!(!is_stored(&put(&client, "a").await));
        renew(&dir, &new);
        let began = time::now();
        while !is_stored(&put(&client, "a").await) {
            assert!(began.elapsed() < Duration::from_secs(30));
            net::sleep(Duration::from_millis(100)).await;
        }
    });
}

#[test]
fn a_ca_file_that_becomes_a_pipe_or_nonsense_leaves_the_ca_in_use_that_was_read() {
    use rustix::fs::{CWD, Mode, mkfifoat};
    run(async {
        let (speech, trust) = tls(&[H2]);
        let server = ScriptedServer::start(speech, |_, _| stored("a"));
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ca.crt");
        let mut config = ClusterConfig::plain(&server.url).unwrap();
        let Trust::Pem(pem) = &trust else { panic!() };
        std::fs::write(&path, pem).unwrap();
        config.trust = trust;
        config.trust_file = Some(path.clone());
        let client = KubeClient::new(&config, limits());
        for round in 0..4 {
            assert!(is_stored(&put(&client, "a").await), "round {round}");
            server.drop_connections();
            net::sleep(Duration::from_millis(100)).await;
            std::fs::remove_file(&path).unwrap();
            match round {
                0 => std::fs::write(&path, "-----BEGIN CERTIFICATE-----\nAAAA").unwrap(),
                1 => std::fs::write(&path, "").unwrap(),
                _ => mkfifoat(CWD, &path, Mode::from_bits_truncate(0o600)).unwrap(),
            }
        }
    });
}

#[test]
fn a_client_certificate_is_presented() {
    run(async {
        let (speech, trust, identity) = mutual();
        let server = ScriptedServer::start(speech, |_, _| stored("a"));
        let mut config = ClusterConfig::plain(&server.url).unwrap();
        config.trust = trust.clone();
        config.identity = Some(identity);
        let with = KubeClient::new(&config, limits());
        assert!(is_stored(&put(&with, "a").await));
        let without = secure_client(&server, trust, limits());
        assert!(!is_stored(&put(&without, "a").await));
    });
}

#[test]
fn a_plugins_client_certificate_is_presented_and_the_plugin_run_once() {
    run(async {
        let (speech, trust, identity) = mutual();
        let server = ScriptedServer::start(speech, |_, _| stored("a"));
        let dir = tempfile::tempdir().unwrap();
        let runs = dir.path().join("runs");
        let script = dir.path().join("plugin");
        let text = |pem: &[u8]| str::from_utf8(pem).unwrap().to_owned();
        let output = json!({
            "apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential",
            "status": {
                "token": "t",
                "clientCertificateData": text(&identity.certificates),
                "clientKeyData": text(&identity.key),
            },
        });
        let text = format!("echo run >>'{}'\ncat <<'END'\n{output}\nEND\n", runs.display());
        std::fs::write(&script, text).unwrap();
        let exec = ExecConfig {
            command: "/bin/sh".into(),
            args: vec![script.display().to_string()],
            ..ExecConfig::default()
        };
        let mut config = ClusterConfig::plain(&server.url).unwrap();
        config.trust = trust;
        let plugin = ExecPlugin::new(&exec, &KubeconfigCluster::default(), None).unwrap();
        config.credentials = CredentialSource::Exec(Arc::new(plugin));
        let client = KubeClient::new(&config, limits());
        for _ in 0..3 {
            assert!(is_stored(&put(&client, "a").await));
        }
        assert_eq!(server.seen(2).authorization.as_deref(), Some("Bearer t"));
        assert_eq!(std::fs::read_to_string(runs).unwrap().lines().count(), 1);
        assert_eq!(server.log.connections.get(), 1);
    });
}

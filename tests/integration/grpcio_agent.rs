//! The built agent with a gRPC server that is not ours, Python's grpcio, and a real API server.
//! `cargo xtask grpcio` and `cargo xtask envtest` make both.

use std::{collections::BTreeMap, fs, path::Path, sync::Arc, time::Duration};

use stackherd::membership::wire::server::order;

use crate::support::{
    agent::{Invocation, while_it_lives},
    api_server::RealApiServer,
    crds::Crds,
    grpcio::{PythonMembership, python},
    kubeconfig,
    objects::{Expected, find, module_spec, stack_spec},
    orders::{StackExt, deleted, stack},
};

const WITHIN: Duration = Duration::from_secs(30);

/// All that a session has in it, once. Stacks are named so that two sessions can share a server.
fn whole_session(
    server: &Arc<RealApiServer>,
    mut membership: PythonMembership,
    invocation: Invocation,
    prefix: &str,
) {
    let rest = server.rest();
    let mut agent = invocation
        .args(["--additional-base-urls", "https://One.example.com:443,https://two.example.com/"])
        .args(["--production", "--shards", "2", "--debug"])
        .start();

    let metadata = membership.joined();
    assert_is_as_agreed(&metadata);

    membership.order(order::Message::Connected(Default::default()));
    membership.order(order::Message::Ping(Default::default()));
    membership.message("pong");

    let first = format!("{prefix}-first");
    membership.order(stack(&first).versions("v1").modules(&["ledger"]).order());
    while_it_lives(&mut agent, "the first stack", WITHIN, || find(&rest, "ledgers", &first));
    Expected::of(&first).stack(&rest, stack_spec("v1", false));
    Expected::of(&first).child(&rest, "ledgers", &first, module_spec(&first));
    let absent = format!("{prefix}-absent");
    membership.order(deleted(&absent));
    // What the other session's stacks on the same server come to is told here as well.
    while membership.message("stackDeleted")["clusterName"] != *absent {}

    membership.kill_stream();
    assert_eq!(membership.joined(), metadata);
    let second = format!("{prefix}-second");
    membership.order(stack(&second).modules(&["ledger"]).order());
    membership.order(deleted(&first));
    while_it_lives(&mut agent, "the second stack", WITHIN, || find(&rest, "ledgers", &second));
    while_it_lives(&mut agent, "the first one's end", WITHIN, || {
        find(&rest, "stacks", &first).is_none().then_some(())
    });
    membership.order(order::Message::Ping(Default::default()));
    membership.message("pong");

    agent.terminate();
    membership.event("half-closed");
    let outcome = agent.outcome(WITHIN);
    assert_eq!(outcome.code, Some(0), "{outcome:#?}");
}

/// The metadata of section 1 of the contract, as it follows from the command line.
#[track_caller]
fn assert_is_as_agreed(metadata: &BTreeMap<String, Vec<String>>) {
    let version = &metadata["version"][0];
    assert!(version.starts_with('v') && version.split('.').count() == 3, "{version}");
    for (key, values) in [
        ("id", vec!["region-1"]),
        ("baseurl", vec!["https://region.example.com:8443"]),
        ("additionalbaseurls", vec!["https://One.example.com:443", "https://two.example.com/"]),
        ("production", vec!["true"]),
        ("outdated", vec!["false"]),
        ("token", vec!["a-token"]),
        ("capabilities", vec!["EE", "MODULE_LIST"]),
        (
            "module_list",
            vec![
                "auth",
                "gateway",
                "ledger",
                "orchestration",
                "payments",
                "reconciliation",
                "search",
                "stargate",
                "transactionplane",
                "wallets",
                "webhooks",
            ],
        ),
        (
            "ee",
            vec![
                "auth",
                "orchestration",
                "reconciliation",
                "search",
                "transactionplane",
                "wallets",
                "webhooks",
            ],
        ),
    ] {
        assert_eq!(metadata.get(key).map(Vec::as_slice).unwrap_or_default(), values, "{key}");
    }
}

/// An API server, a folder with its kubeconfig, and a Python with grpcio, where they are to be had.
fn fixtures() -> Option<(Arc<RealApiServer>, tempfile::TempDir, std::path::PathBuf)> {
    let python = python()?;
    let server = RealApiServer::shared(Crds::Ours)?;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("kubeconfig");
    kubeconfig::write(&path, &server.url, Some(&server.ca_pem), Some(server.token));
    Some((server, folder, python))
}

#[test]
fn grpcio_is_joined_in_plain_text() {
    let Some((server, folder, python)) = fixtures() else { return };
    let membership = PythonMembership::start(&python, None);
    let address = format!("127.0.0.1:{}", membership.port);
    let invocation = Invocation::agent(&address, &folder.path().join("kubeconfig"));
    whole_session(&server, membership, invocation, "plain");
}

#[test]
fn grpcio_is_joined_over_tls_with_an_authority_of_its_own() {
    let Some((server, folder, python)) = fixtures() else { return };
    let authority = authority(folder.path());
    let (certificate, key) = (folder.path().join("server.pem"), folder.path().join("server.key"));
    let membership = PythonMembership::start(&python, Some((&certificate, &key)));
    let address = format!("localhost:{}", membership.port);
    let invocation = Invocation::agent(&address, &folder.path().join("kubeconfig"))
        .arg("--tls-enabled")
        .args(["--tls-ca-cert", &authority]);
    whole_session(&server, membership, invocation, "tls");
}

#[test]
fn grpcio_is_not_joined_over_tls_that_nobody_vouches_for() {
    let Some((_, folder, python)) = fixtures() else { return };
    authority(folder.path());
    let (certificate, key) = (folder.path().join("server.pem"), folder.path().join("server.key"));
    let mut membership = PythonMembership::start(&python, Some((&certificate, &key)));
    let address = format!("localhost:{}", membership.port);
    let agent = |invocation: Invocation| invocation.arg("--tls-enabled").start();
    let config = folder.path().join("kubeconfig");
    let mut distrusting = agent(Invocation::agent(&address, &config));
    distrusting.says(WITHIN, &["ertificate"]);
    distrusting.lives();
    drop(distrusting);
    let credulous = agent(Invocation::agent(&address, &config).arg("--tls-insecure-skip-verify"));
    membership.joined();
    credulous.says(WITHIN, &["WARN"]);
    membership.order(order::Message::Ping(Default::default()));
    membership.message("pong");
}

/// Makes an authority, whose certificate is returned, and writes what it signed for localhost.
fn authority(folder: &Path) -> String {
    let authority_key = rcgen::KeyPair::generate().unwrap();
    let mut authority = rcgen::CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let pem = authority.self_signed(&authority_key).unwrap().pem();
    let issuer = rcgen::Issuer::new(authority, authority_key);
    let key = rcgen::KeyPair::generate().unwrap();
    let server = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let server = server.signed_by(&key, &issuer).unwrap();
    fs::write(folder.join("server.pem"), server.pem()).unwrap();
    fs::write(folder.join("server.key"), key.serialize_pem()).unwrap();
    pem
}

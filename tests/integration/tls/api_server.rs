//! The binary at a real API server with such certificates.

use std::{fs, time::Duration};

use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::json;

use crate::{
    support::{
        agent::Invocation,
        api_server::{Certificates, RealApiServer},
        crds::Crds,
        membership::TestMembership,
        orders::{StackExt, stack},
    },
    tls::openssl::{OpensslPki, P256, P384, P521, RSA, SERVER},
};

const SOON: Duration = Duration::from_secs(30);

/// A server on P-521 whose CA (P-521, too, with another hash) is given among Latin-1 comments; the agent
/// has certificates as MicroK8s makes them, and as others do.
#[test]
fn orders_are_carried_out_with_keys_and_certificates_of_every_kind() {
    let pki = OpensslPki::new();
    pki.own("ca", P521, "basicConstraints=critical,CA:TRUE", "-sha384");
    pki.signed("server", "ca", P521, SERVER, "-sha256");
    let certificates = Certificates {
        server: pki.path("server.crt"),
        server_key: pki.path("server.key"),
        trusted: pki.path("ca.crt"),
        client_ca: pki.path("ca.crt"),
    };
    let Some(server) = RealApiServer::start_with_certificates(Crds::Ours, &certificates) else { return };
    let comment = b"Bag Attributes\n    friendlyName: M\xfcnchen\n".to_vec();
    let ca = [comment.clone(), pki.read("ca.crt")].concat();
    // The second trusts exactly what the server shows.
    for (nth, (kind, extensions, trusted)) in [
        (RSA, "", ca.clone()),
        (P521, "", pki.read("server.crt")),
        (P384, "extendedKeyUsage=clientAuth", ca.clone()),
        (P256, "", [pki.read("server.key"), b"-----BEGIN X509 CRL-----\nAAAA\n".to_vec(), ca].concat()),
    ]
    .into_iter()
    .enumerate()
    {
        pki.signed_as("client", "/O=system:masters/CN=admin", "ca", kind, extensions);
        let path = pki.path("kubeconfig");
        let data = |bytes: &[u8]| BASE64_STANDARD.encode(bytes);
        let both =
            [comment.clone(), pki.read("client.key"), comment.clone(), pki.read("client.crt")].concat();
        let config = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "c",
            "clusters": [{
                "name": "c", "cluster": {"server": server.url, "certificate-authority-data": data(&trusted)},
            }],
            "users": [{
                "name": "u", "user": {"client-certificate-data": data(&both), "client-key-data": data(&both)},
            }],
            "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        });
        fs::write(&path, config.to_string()).unwrap();
        let membership = TestMembership::start();
        let agent = Invocation::agent(&membership.address(), &path).start();
        let joined = membership.joined(SOON);
        let name = format!("org-{nth}");
        joined.order(stack(&name).order());
        let made = || {
            let there = server.rest().get(&format!("apis/formance.com/v1beta1/stacks/{name}"));
            (there.status == 200).then_some(())
        };
        crate::support::eventually(&format!("{kind}: a Stack; {}", agent.log()), SOON, made);
    }
}

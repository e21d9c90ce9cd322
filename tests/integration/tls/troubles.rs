//! Errors that say whose certificate is wrong.

use std::{io::Write, net::TcpListener};

use stackherd::net::tls::{Identity, Trust};

use crate::tls::{
    client::speak,
    openssl::{OpensslPki, OpensslServer, P256, SERVER},
};

fn pki() -> OpensslPki {
    let pki = OpensslPki::new();
    pki.own("ca", P256, "basicConstraints=critical,CA:TRUE", "");
    pki
}

/// What is said of the certificate of that name.
fn said(pki: &OpensslPki, name: &str) -> String {
    let peer = OpensslServer::start(pki, name, "");
    let error = speak("127.0.0.1", peer.port, &Trust::pem(pki.read("ca.crt")), None).unwrap_err();
    let whose = format!("the certificate of 127.0.0.1:{} ", peer.port);
    assert!(error.contains(&whose), "{error}");
    error
}

#[test]
fn the_servers_certificate_is_named_with_what_is_wrong_with_it() {
    let pki = pki();
    pki.own("stranger", P256, "basicConstraints=critical,CA:TRUE", "");
    pki.signed("unknown", "stranger", P256, SERVER, "");
    let error = said(&pki, "unknown");
    assert!(
        error.contains("is signed by O=tests, CN=stranger") && error.contains("CA certificate"),
        "{error}"
    );
    pki.own("own", P256, SERVER, "");
    assert!(said(&pki, "own").contains("is signed by itself"), "{}", said(&pki, "own"));
    pki.signed("expired", "ca", P256, SERVER, "-days -1");
    assert!(said(&pki, "expired").contains("expired on 20"), "{}", said(&pki, "expired"));
    pki.signed("elsewhere", "ca", P256, "subjectAltName=DNS:api.example.com,IP:10.0.0.1", "");
    let error = said(&pki, "elsewhere");
    assert!(error.contains("is not for 127.0.0.1: it is for api.example.com, 10.0.0.1"), "{error}");
    for (name, extensions) in [("old", ""), ("nameless", "basicConstraints=CA:FALSE")] {
        pki.signed(name, "ca", P256, extensions, "");
        let error = said(&pki, name);
        assert!(error.contains("names no host") && error.contains(&format!("CN={name}")), "{error}");
    }
    pki.signed("client", "ca", P256, &format!("{SERVER}\nextendedKeyUsage=clientAuth"), "");
    assert!(said(&pki, "client").contains("other purposes"), "{}", said(&pki, "client"));
    // One that bears the CA's name, but not its signature.
    std::fs::copy(pki.path("ca.crt"), pki.path("real.crt")).unwrap();
    pki.own("ca", P256, "basicConstraints=critical,CA:TRUE", "");
    pki.signed("forged", "ca", P256, SERVER, "");
    std::fs::copy(pki.path("real.crt"), pki.path("ca.crt")).unwrap();
    let error = said(&pki, "forged");
    assert!(error.contains("signature") || error.contains("is signed by O=tests, CN=ca"), "{error}");
}

#[test]
fn a_server_that_refuses_our_certificate_says_so_of_ours() {
    let pki = pki();
    pki.signed("server", "ca", P256, SERVER, "");
    pki.own("stranger", P256, "", "");
    let identity = Identity::new(pki.read("stranger.crt"), pki.read("stranger.key"));
    let trust = Trust::pem(pki.read("ca.crt"));
    for version in ["-tls1_2", "-tls1_3"] {
        let how = format!("{version} -Verify 1 -verify_return_error -CAfile ca.crt");
        let peer = OpensslServer::start(&pki, "server", &how);
        let whose = format!("127.0.0.1:{} ", peer.port);
        let error = speak("127.0.0.1", peer.port, &trust, Some(&identity)).unwrap_err();
        assert!(error.contains(&format!("{whose}refuses our client certificate")), "{version}: {error}");
        let error = speak("127.0.0.1", peer.port, &trust, None).unwrap_err();
        assert!(error.contains("client certificate") && error.contains(&whose), "{version}: {error}");
    }
}

#[test]
fn a_server_without_tls_or_of_old_versions_is_named() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for mut peer in listener.incoming().flatten().take(1) {
            let _ = peer.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
            std::thread::sleep(std::time::Duration::from_secs(1));
        }
    });
    let error = speak("127.0.0.1", port, &Trust::Nothing, None).unwrap_err();
    assert!(error.contains(&format!("what 127.0.0.1:{port} answers is no TLS")), "{error}");

    let pki = pki();
    pki.signed("server", "ca", P256, SERVER, "");
    let peer = OpensslServer::start(&pki, "server", "-tls1_1 -cipher ALL:@SECLEVEL=0");
    let error = speak("127.0.0.1", peer.port, &Trust::Nothing, None).unwrap_err();
    assert!(error.contains("TLS 1.2 nor 1.3") || error.contains("1.2 and 1.3"), "{error}");
}

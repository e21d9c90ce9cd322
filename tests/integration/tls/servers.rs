//! Servers' certificates.

use stackherd::net::tls::Trust;

use crate::tls::{
    client::speak,
    openssl::{ED25519, OpensslPki, OpensslServer, P256, P384, P521, RSA, RSA_3000, SERVER},
};

const VERSIONS: [&str; 2] = ["-tls1_2", "-tls1_3"];
const CA: &str = "basicConstraints=critical,CA:TRUE\nkeyUsage=keyCertSign";

#[test]
fn every_kind_of_key_and_hash_is_verified() {
    let pki = OpensslPki::new();
    // A pair of names for each: an authority, and a server that it signs with this hash.
    let kinds = [
        (P521, P521, "-sha512"),
        (P521, P256, "-sha384"),
        (P521, P384, "-sha256"),
        (P384, P521, "-sha256"),
        (P384, P384, "-sha512"),
        (P256, P256, "-sha384"),
        (P256, RSA, "-sha512"),
        (RSA, P521, "-sha384"),
        (RSA, RSA_3000, "-sha256 -sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:-1"),
        (RSA_3000, ED25519, "-sha512"),
        (ED25519, ED25519, ""),
    ];
    for (ca, server, hash) in kinds {
        pki.own("ca", ca, CA, "");
        pki.signed("server", "ca", server, SERVER, hash);
        for version in VERSIONS {
            let peer = OpensslServer::start(&pki, "server", version);
            let spoken = speak("127.0.0.1", peer.port, &Trust::pem(pki.read("ca.crt")), None);
            assert_eq!(spoken, Ok(()), "{ca}, {server}, {hash}, {version}");
        }
    }
}

#[test]
fn a_server_may_exchange_keys_on_p521_alone() {
    let pki = OpensslPki::new();
    pki.own("server", P521, SERVER, "");
    for version in VERSIONS {
        let peer = OpensslServer::start(&pki, "server", &format!("{version} -groups P-521"));
        let spoken = speak("127.0.0.1", peer.port, &Trust::pem(pki.read("server.crt")), None);
        assert_eq!(spoken, Ok(()), "{version}");
    }
}

#[test]
fn a_server_that_signs_with_the_hash_of_another_curve_is_verified() {
    let pki = OpensslPki::new();
    for (kind, hash) in [(P384, "SHA256"), (P256, "SHA384"), (P521, "SHA256"), (P521, "SHA384")] {
        pki.own("server", kind, SERVER, "");
        let how = format!("-tls1_2 -sigalgs ECDSA+{hash}");
        let peer = OpensslServer::start(&pki, "server", &how);
        let spoken = speak("127.0.0.1", peer.port, &Trust::pem(pki.read("server.crt")), None);
        assert_eq!(spoken, Ok(()), "{kind}, {hash}");
    }
}

/// The peer's own certificate given as its CA: self-signed and an authority or not, or signed by an
/// authority that nobody here knows.
#[test]
fn a_certificate_that_is_given_as_ca_is_accepted_where_the_peer_shows_exactly_it() {
    let pki = OpensslPki::new();
    let authority = SERVER.replace("CA:FALSE", "critical,CA:TRUE");
    pki.own("authority", P256, &authority, "");
    pki.own("plain", P256, SERVER, "");
    pki.own("bare", P256, "subjectAltName=IP:127.0.0.1,DNS:localhost", "");
    pki.own("ca", P256, CA, "");
    pki.signed("leaf", "ca", P256, SERVER, "");
    for name in ["authority", "plain", "bare", "leaf"] {
        let trust = Trust::pem(pki.read(&format!("{name}.crt")));
        for version in VERSIONS {
            let peer = OpensslServer::start(&pki, name, version);
            for host in ["127.0.0.1", "localhost"] {
                assert_eq!(speak(host, peer.port, &trust, None), Ok(()), "{name}, {version}, {host}");
            }
        }
        let wrong = OpensslServer::start(&pki, name, "");
        let error = speak("127.0.0.2", wrong.port, &trust, None);
        assert!(error.is_err(), "{name} is not for 127.0.0.2");
    }
    // Not another of the same authority.
    pki.signed("sibling", "ca", P256, SERVER, "");
    let peer = OpensslServer::start(&pki, "sibling", "");
    let error = speak("127.0.0.1", peer.port, &Trust::pem(pki.read("leaf.crt")), None).unwrap_err();
    assert!(error.contains("is signed by O=tests, CN=ca"), "{error}");
}

/// Go takes a plain certificate among the roots for itself alone.
#[test]
fn a_server_certificate_that_is_given_as_ca_signs_nobody_else() {
    let pki = OpensslPki::new();
    pki.own("leaf", P256, SERVER, "");
    pki.signed("child", "leaf", P256, SERVER, "");
    let peer = OpensslServer::start(&pki, "child", "");
    let error = speak("127.0.0.1", peer.port, &Trust::pem(pki.read("leaf.crt")), None).unwrap_err();
    assert!(error.contains("is signed by O=tests, CN=leaf"), "{error}");
}

#[test]
fn a_server_certificate_that_is_marked_as_an_authority_or_for_anything_is_accepted() {
    let pki = OpensslPki::new();
    pki.own("ca", P384, CA, "");
    let trust = Trust::pem(pki.read("ca.crt"));
    let authority = SERVER.replace("CA:FALSE", "critical,CA:TRUE");
    for extensions in [authority, format!("{SERVER}\nextendedKeyUsage=anyExtendedKeyUsage")] {
        pki.signed("server", "ca", P256, &extensions, "-sha384");
        let peer = OpensslServer::start(&pki, "server", "");
        assert_eq!(speak("127.0.0.1", peer.port, &trust, None), Ok(()), "{extensions}");
    }
}

#[test]
fn an_authority_of_version_1_is_trusted() {
    let pki = OpensslPki::new();
    pki.own("ca", P256, "", "");
    pki.signed("server", "ca", P256, SERVER, "");
    let peer = OpensslServer::start(&pki, "server", "");
    assert_eq!(speak("127.0.0.1", peer.port, &Trust::pem(pki.read("ca.crt")), None), Ok(()));
}

#[test]
fn the_usable_certificates_of_a_bundle_are_used_whatever_stands_around_them() {
    let pki = OpensslPki::new();
    pki.own("ca", P256, CA, "");
    pki.own("other", P256, CA, "");
    pki.signed("server", "ca", P256, SERVER, "");
    pki.run("x509 -in other.crt -trustout -out trusted.crt");
    pki.run("x509 -in ca.crt -text -out ca.txt");
    let block = |label: &str, body: &str| {
        format!("-----BEGIN {label}-----\n{body}\n-----END {label}-----\n").into_bytes()
    };
    let good = pki.read("ca.crt");
    let dos = String::from_utf8(good.clone()).unwrap().replace('\n', "  \r\n");
    let bundles: [(&str, Vec<u8>); 8] = [
        ("garbage in a block", [block("CERTIFICATE", "AAAA"), good.clone()].concat()),
        ("no base64 in a block", [block("CERTIFICATE", "%%%%"), good.clone()].concat()),
        ("an unfinished block", [b"-----BEGIN CERTIFICATE-----\nMIIB\n".to_vec(), good.clone()].concat()),
        (
            "trusted, key, list",
            [pki.read("trusted.crt"), pki.read("other.key"), block("X509 CRL", "AAAA"), good.clone()]
                .concat(),
        ),
        (
            "Latin-1",
            [b"# Stadtwerke M\xfcnchen\nBag Attributes\n    friendlyName: caf\xe9\n".to_vec(), good.clone()]
                .concat(),
        ),
        ("openssl x509 -text", pki.read("ca.txt")),
        ("CRLF, blanks, byte order mark", [b"\xef\xbb\xbf".to_vec(), dos.into_bytes()].concat()),
        ("no line break at the end", good.trim_ascii_end().to_vec()),
    ];
    let peer = OpensslServer::start(&pki, "server", "");
    for (what, bundle) in bundles {
        assert_eq!(speak("127.0.0.1", peer.port, &Trust::pem(bundle), None), Ok(()), "{what}");
    }
}

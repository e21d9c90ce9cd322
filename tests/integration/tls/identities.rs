//! Our own certificate and key: used, not judged.

use stackherd::net::tls::{Identity, Trust};

use crate::tls::{
    client::speak,
    openssl::{ED25519, OpensslPki, OpensslServer, P256, P384, P521, RSA, RSA_3000, SERVER},
};

const WANTED: &str = "-Verify 1 -verify_return_error -CAfile ca.crt";

/// An authority, a server, and a client of version 1 as MicroK8s makes them.
fn pki() -> OpensslPki {
    let pki = OpensslPki::new();
    pki.own("ca", P256, "basicConstraints=critical,CA:TRUE", "");
    pki.signed("server", "ca", P256, SERVER, "");
    pki.signed("client", "ca", RSA, "", "");
    pki
}

fn present(pki: &OpensslPki, certificates: &[u8], key: &[u8], how: &str) -> Result<(), String> {
    let peer = OpensslServer::start(pki, "server", how);
    let identity = Identity::new(certificates, key);
    speak("127.0.0.1", peer.port, &Trust::pem(pki.read("ca.crt")), Some(&identity))
}

#[test]
fn a_client_certificate_of_version_1_is_sent() {
    let pki = pki();
    pki.run("x509 -in client.crt -noout -text -out client.txt");
    let text = String::from_utf8(pki.read("client.txt")).unwrap();
    assert!(text.contains("Version: 1 "), "this OpenSSL makes another one: {text}");
    for version in ["-tls1_2", "-tls1_3"] {
        let how = format!("{version} {WANTED}");
        assert_eq!(present(&pki, &pki.read("client.crt"), &pki.read("client.key"), &how), Ok(()));
    }
}

#[test]
fn an_expired_client_certificate_is_sent_and_the_servers_refusal_named() {
    let pki = pki();
    pki.signed("client", "ca", P256, "", "-days -1");
    let how = format!("-tls1_3 {WANTED}");
    let error = present(&pki, &pki.read("client.crt"), &pki.read("client.key"), &how).unwrap_err();
    assert!(error.contains("refuses our client certificate"), "{error}");
    assert!(error.contains("it expired: renew it"), "{error}");
    // One who does not care takes it.
    let how = "-tls1_3 -verify 1";
    assert_eq!(present(&pki, &pki.read("client.crt"), &pki.read("client.key"), how), Ok(()));
}

#[test]
fn every_kind_of_key_signs_in_every_form() {
    let pki = pki();
    let forms = [
        (RSA, "rsa -traditional"),
        (RSA_3000, "rsa -traditional"),
        (P256, "ec"),
        (P384, "ec"),
        (P521, "ec"),
        (ED25519, "pkey"),
    ];
    for (kind, form) in forms {
        pki.signed("client", "ca", kind, "", "");
        pki.run(&format!("{form} -in client.key -out other.key"));
        let certificate = pki.read("client.crt");
        let mut keys = vec![pki.read("client.key"), pki.read("other.key")];
        if form == "ec" {
            let curve = kind.rsplit(':').next().unwrap();
            pki.run(&format!(
                "ecparam -name {} -out params",
                curve
                    .replace("P-256", "prime256v1")
                    .replace("P-384", "secp384r1")
                    .replace("P-521", "secp521r1")
            ));
            keys.push([pki.read("params"), pki.read("other.key")].concat());
        }
        for key in keys {
            for version in ["-tls1_2", "-tls1_3"] {
                let how = format!("{version} {WANTED}");
                assert_eq!(present(&pki, &certificate, &key, &how), Ok(()), "{kind}, {version}");
            }
        }
    }
}

#[test]
fn key_and_certificate_in_one_file_are_found_in_any_order_and_whatever_stands_around_them() {
    let pki = pki();
    let (certificate, key) = (pki.read("client.crt"), pki.read("client.key"));
    let attributes = b"Bag Attributes\n    friendlyName: M\xfcller\nKey Attributes: <No Attributes>\n";
    for both in [
        [&key[..], &certificate].concat(),
        [&certificate[..], &key].concat(),
        [attributes, &key[..], attributes, &certificate].concat(),
    ] {
        assert_eq!(present(&pki, &both, &both, WANTED), Ok(()));
    }
}

#[test]
fn what_cannot_be_used_is_said_and_not_shown() {
    let pki = pki();
    pki.signed("other", "ca", RSA, "", "");
    pki.run("rsa -in client.key -aes128 -passout pass:hush-hush -out encrypted.key");
    pki.run("rsa -in client.key -aes128 -passout pass:hush-hush -traditional -out legacy.key");
    pki.run("pkey -in client.key -outform der -out der.key");
    let certificate = pki.read("client.crt");
    let key = String::from_utf8(pki.read("client.key")).unwrap();
    let lines: Vec<&str> = key.lines().collect();
    let cases: [(&str, Vec<u8>, &str); 10] = [
        ("another's", pki.read("other.key"), "the client key belongs to another certificate"),
        ("encrypted", pki.read("encrypted.key"), "it is encrypted"),
        ("encrypted as of old", pki.read("legacy.key"), "it is encrypted"),
        ("certificate", certificate.clone(), "holds a certificate and no key"),
        ("one line", key.replace('\n', " ").into(), "joined to one"),
        ("escaped", key.replace('\n', "\\n").into(), "written out as \\n"),
        ("cut short", key[..key.len() / 2].into(), "cut short"),
        ("DER", pki.read("der.key"), "it is DER"),
        ("damaged", key.replace(lines[3], "%").into(), "no base64"),
        ("a line is missing", key.replace(lines[3], "").into(), "no key that this agent can sign with"),
    ];
    for (what, key, says) in cases {
        let error = present(&pki, &certificate, &key, "").unwrap_err();
        assert!(error.contains(says) && error.contains("client "), "{what}: {error}");
        assert!(error.len() < 300 && !lines[1..lines.len() - 1].iter().any(|line| error.contains(line)));
    }
    let error = present(&pki, &pki.read("client.key"), &pki.read("client.key"), "").unwrap_err();
    assert!(error.contains("the client certificate cannot be used: it holds a key"), "{error}");
    let reversed = [pki.read("ca.crt"), certificate].concat();
    let error = present(&pki, &reversed, &pki.read("client.key"), "").unwrap_err();
    assert!(error.contains("certificate 2 of the chain"), "{error}");
}

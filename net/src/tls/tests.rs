use super::*;

#[test]
fn a_ca_that_is_no_pem_is_an_error() {
    for text in ["", "not a certificate", "/etc/ssl/ca.pem", "MIIB"] {
        let error = client_config(&Trust::pem(text), None, &[]).unwrap_err();
        assert!(matches!(error, TlsError::NoCertificate { .. }), "{text}: {error}");
    }
}

#[test]
fn pem_around_something_that_is_no_certificate_is_an_error() {
    let text = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let error = client_config(&Trust::pem(text), None, &[]).unwrap_err().to_string();
    assert!(error.contains("CA certificate cannot be used"), "{error}");
}

#[test]
fn a_client_key_that_is_missing_is_named() {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let identity = Identity::new(made.cert.pem(), "");
    let error = client_config(&Trust::Nothing, Some(&identity), &[]).unwrap_err().to_string();
    assert!(error.contains("client key"), "{error}");
}

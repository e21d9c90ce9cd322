use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose,
};

use super::*;

fn made(change: impl FnOnce(&mut CertificateParams)) -> Vec<u8> {
    let mut params = CertificateParams::new(["a.example".to_owned(), "10.0.0.1".to_owned()]).unwrap();
    change(&mut params);
    params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec()
}

#[test]
fn names_and_dates_are_read() {
    let der = made(|params| {
        params.not_before = rcgen::date_time_ymd(1975, 1, 2);
        params.not_after = rcgen::date_time_ymd(4096, 1, 1);
        params.distinguished_name.push(DnType::CommonName, "some\none");
    });
    let certificate = Certificate::parse(&der).unwrap();
    assert_eq!(shown_time(certificate.not_before), "1975-01-02T00:00:00Z");
    assert_eq!(shown_time(certificate.not_after), "4096-01-01T00:00:00Z");
    assert_eq!(certificate.shown_names(), "a.example, 10.0.0.1");
    assert!(certificate.shown_issuer().ends_with("CN=some\\none"), "{}", certificate.shown_issuer());
    assert_eq!(certificate.version, 3);
}

#[test]
fn who_may_sign_and_serve_is_read() {
    let parsed = |change: fn(&mut CertificateParams)| {
        let der = made(change);
        let certificate = Certificate::parse(&der).unwrap();
        (certificate.may_sign(), certificate.may_serve())
    };
    assert_eq!(parsed(|_| {}), (false, true));
    assert_eq!(parsed(|params| params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained)), (true, true));
    assert_eq!(parsed(|params| params.is_ca = IsCa::ExplicitNoCa), (false, true));
    let no_signer = |params: &mut CertificateParams| {
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    };
    assert_eq!(parsed(no_signer), (false, false));
    let server = |params: &mut CertificateParams| {
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ClientAuth, ExtendedKeyUsagePurpose::ServerAuth];
    };
    assert_eq!(parsed(server), (false, true));
}

#[test]
fn what_is_no_certificate_is_none() {
    let der = made(|_| {});
    for length in 0..der.len() {
        assert!(Certificate::parse(&der[..length]).is_none(), "{length}");
    }
    assert!(Certificate::parse(&[&der[..], b"x"].concat()).is_none());
}

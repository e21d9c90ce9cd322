use super::*;

/// Base64 of `abc` in a block.
const ABC: &str = "-----BEGIN CERTIFICATE-----\nYWJj\n-----END CERTIFICATE-----\n";

fn found(text: impl AsRef<[u8]>) -> Vec<(Label, Vec<u8>)> {
    read(text.as_ref()).blocks.into_iter().map(|block| (block.label, block.der)).collect()
}

fn one() -> Vec<(Label, Vec<u8>)> {
    vec![(Label::Certificate, b"abc".to_vec())]
}

#[test]
fn what_stands_around_a_block_is_passed_over() {
    assert_eq!(found(ABC), one());
    assert_eq!(found(ABC.replace('\n', "\r\n")), one());
    assert_eq!(found(ABC.replace('\n', "  \t\n")), one());
    assert_eq!(found(ABC.replace("YWJj", "Y W\n\nJj")), one());
    assert_eq!(found(ABC.trim_end()), one());
    assert_eq!(
        found([b"caf\xe9 \xff\x00\nBag Attributes\n    a: b\n", ABC.as_bytes(), b"\xe9"].concat()),
        one()
    );
    assert_eq!(found(format!("\u{feff}{ABC}")), one());
    assert_eq!(found(format!("-----BEGIN\n{ABC}-----END NOTHING-----\n")), one());
}

#[test]
fn a_block_that_cannot_be_read_costs_no_other() {
    for bad in [
        "-----BEGIN CERTIFICATE-----\n",
        "-----BEGIN CERTIFICATE-----\n%\n-----END CERTIFICATE-----\n",
        "-----BEGIN CERTIFICATE-----\nYWJj\n-----END KEY-----\n",
        "-----BEGIN CERTIFICATE----- YWJj -----END CERTIFICATE-----\n",
        "-----BEGIN CERTIFICATE-----\\nYWJj\\n-----END CERTIFICATE-----\\n\n",
        "-----BEGIN CERTIFICATE-----\nYWJ\n-----END CERTIFICATE-----\n",
    ] {
        let text = format!("{bad}{ABC}");
        assert_eq!(found(&text), one(), "{bad:?}");
        assert!(read(text.as_bytes()).flaw().is_some(), "{bad:?}");
    }
}

#[test]
fn labels_say_what_is_in_a_block() {
    let text = |label: &str| ABC.replace("CERTIFICATE", label);
    for (label, kind) in [
        ("PRIVATE KEY", Label::PrivateKey),
        ("RSA PRIVATE KEY", Label::PrivateKey),
        ("EC PRIVATE KEY", Label::PrivateKey),
        ("ENCRYPTED PRIVATE KEY", Label::EncryptedKey),
        ("EC PARAMETERS", Label::Other),
        ("TRUSTED CERTIFICATE", Label::Other),
    ] {
        assert_eq!(found(text(label)), [(kind, b"abc".to_vec())], "{label}");
    }
    let legacy = text("RSA PRIVATE KEY")
        .replace("YWJj", "Proc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00112233\n\nYWJj");
    assert_eq!(found(legacy), [(Label::EncryptedKey, b"abc".to_vec())]);
}

#[test]
fn what_is_wrong_is_told_apart() {
    let flaw = |text: &[u8]| read(text).flaw();
    assert_eq!(flaw(ABC.as_bytes()), None);
    let utf16: Vec<u8> = ABC.encode_utf16().flat_map(u16::to_le_bytes).collect();
    for (text, expected) in [
        (" \n".into(), Flaw::Empty),
        (ABC.replace('\n', "\\n").into_bytes(), Flaw::EscapedBreaks),
        (format!("\"{}\"", ABC.replace('\n', "\\n")).into_bytes(), Flaw::EscapedBreaks),
        (ABC.replace('\n', " ").into_bytes(), Flaw::OneLine),
        (ABC.replace('\n', "").into_bytes(), Flaw::OneLine),
        (ABC[..40].into(), Flaw::Unclosed),
        (ABC.replace('W', "!").into_bytes(), Flaw::NotBase64),
        ("LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0t".into(), Flaw::EncodedTwice),
        (vec![0x30, 0x82, 1, 2], Flaw::Der),
        (utf16, Flaw::Utf16),
        ("/etc/ssl/ca.pem".into(), Flaw::FileName),
        ("ca.crt".into(), Flaw::FileName),
        ("hush".into(), Flaw::NoBlock),
    ] {
        assert_eq!(flaw(&text), Some(expected), "{}", text.escape_ascii());
    }
}

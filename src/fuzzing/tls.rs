//! Certificates and keys, as they are given.

use crate::net::tls::{Identity, Trust, certificate::Certificate, client_config, pem};

/// A text that may be PEM: it is read to its end, what is in it is used or refused in one line, and
/// nothing of it is shown.
pub fn tls(data: &[u8]) {
    let found = pem::read(data);
    // Base64 is longer than what it stands for, and each block has its lines.
    let weight: usize = found.blocks.iter().map(|block| block.der.len()).sum();
    assert!(weight <= data.len(), "{weight} bytes from {}", data.len());
    for block in &found.blocks {
        let _ = Certificate::parse(&block.der);
    }
    let _ = Certificate::parse(data);
    let identity = Identity::new(data, data);
    let roots = client_config(&Trust::pem(data), None, &[]);
    let own = client_config(&Trust::Nothing, Some(&identity), &[]);
    for error in [roots.err(), own.err()].into_iter().flatten() {
        let text = error.to_string();
        assert!(text.len() < 300 && !text.chars().any(char::is_control), "{text:?}");
        let shown = data.windows(16).filter(|part| !part.iter().any(|&byte| byte == b'-' || byte == b' '));
        let mut shown = shown.filter_map(|part| std::str::from_utf8(part).ok());
        assert!(!shown.any(|part| text.contains(part)), "{text:?}");
    }
}

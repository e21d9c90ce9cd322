//! Looks for a secret in what was written, in every spelling that logs and libraries have.

use std::collections::{BTreeMap, HashSet};

use base64::{Engine, prelude::BASE64_STANDARD};

/// So many bytes of it in a row are a leak.
const PART: usize = 8;

/// What to look for: spellings of all parts, by their length.
pub struct Finder {
    spellings: BTreeMap<usize, HashSet<String>>,
}

impl Finder {
    /// Looks for parts of any of these.
    pub fn new(secrets: &[&[u8]]) -> Self {
        let mut finder = Self { spellings: BTreeMap::new() };
        for secret in secrets {
            finder.learn(secret);
        }
        finder
    }

    fn learn(&mut self, secret: &[u8]) {
        for part in secret.windows(PART) {
            let each = |write: fn(&u8) -> String| part.iter().map(write).collect::<Vec<_>>();
            if let Ok(text) = std::str::from_utf8(part) {
                self.add(text.to_owned());
            }
            let decimal = each(u8::to_string);
            self.add(decimal.join(", "));
            self.add(decimal.join(","));
            self.add(decimal.join(" "));
            self.add(each(|byte| format!("{byte:02x}")).concat());
            self.add(each(|byte| format!("{byte:02X}")).concat());
            self.add(each(|byte| format!("0x{byte:02x}")).join(", "));
            self.add(each(|byte| format!("\\x{byte:02x}")).concat());
            self.add(each(|byte| format!("\\u{byte:04x}")).concat());
            self.add(each(|byte| format!("%{byte:02X}")).concat());
        }
        for skipped in 0..3.min(secret.len()) {
            // What the last bytes become depends on what follows them.
            let whole = secret[skipped..].chunks_exact(3).flatten().copied().collect::<Vec<u8>>();
            let encoded = BASE64_STANDARD.encode(whole);
            for part in encoded.as_bytes().windows(12) {
                let text = String::from_utf8(part.to_vec()).unwrap();
                self.add(text.replace('+', "-").replace('/', "_"));
                self.add(text);
            }
        }
    }

    fn add(&mut self, spelling: String) {
        self.spellings.entry(spelling.len()).or_default().insert(spelling);
    }

    /// The line in which any of it stands, if there is one.
    pub fn find<'a>(&self, written: &'a str) -> Option<&'a str> {
        written.lines().find(|line| {
            self.spellings.iter().any(|(&length, spellings)| {
                line.as_bytes()
                    .windows(length)
                    .filter_map(|part| std::str::from_utf8(part).ok())
                    .any(|part| spellings.contains(part))
            })
        })
    }
}

#[test]
fn every_spelling_is_found() {
    let secret = b"Kq7hush9Zt4rQw2e";
    let finder = Finder::new(&[secret]);
    let encoded = |before: &[u8]| BASE64_STANDARD.encode([before, &secret[..], b"!?"].concat());
    for written in [
        "a Kq7hush9Z b".to_owned(),
        format!("{:?}", &secret[3..12]),
        format!("{:02x?}", secret).replace(", ", ""),
        encoded(b""),
        encoded(b"a"),
        encoded(b"ab"),
        secret.iter().map(|byte| format!("\\x{byte:02x}")).collect(),
    ] {
        assert!(finder.find(&written).is_some(), "{written}");
    }
    assert!(finder.find("nothing of Kq7hush or of 75, 113").is_none());
}

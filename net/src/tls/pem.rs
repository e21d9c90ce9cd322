//! PEM as Go reads it: blocks at line starts, whatever stands around them, in whatever encoding.
//!
//! Nothing here can quote what was read. It may be a private key.

use std::fmt;

use base64::{
    Engine, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};

/// As Go decodes base64: it does not look at the bits behind the last byte.
pub const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::RequireCanonical),
);

const BEGIN: &[u8] = b"-----BEGIN ";
const END: &[u8] = b"-----END ";
const DASHES: &[u8] = b"-----";

/// What is in a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Label {
    /// `CERTIFICATE`.
    Certificate,
    /// `PRIVATE KEY` and what ends in it: `RSA PRIVATE KEY`, `EC PRIVATE KEY`.
    PrivateKey,
    /// A private key behind a password.
    EncryptedKey,
    /// Anything else.
    Other,
}

/// One block, decoded.
pub struct Block {
    /// What it says that it holds.
    pub label: Label,
    /// What it holds.
    pub der: Vec<u8>,
}

impl fmt::Debug for Block {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Block").field("label", &self.label).finish_non_exhaustive()
    }
}

/// What a text holds.
#[derive(Debug, Default)]
pub struct Pem {
    /// The blocks that can be decoded, in their order.
    pub blocks: Vec<Block>,
    /// Why the first of the others cannot be.
    broken: Option<Flaw>,
}

/// Why a text holds no block, or not the one that is wanted. Fixed words, never its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flaw {
    /// Nothing but blanks.
    Empty,
    /// Line breaks written as a backslash and an `n`.
    EscapedBreaks,
    /// Something else stands on the line of `BEGIN` or `END`.
    OneLine,
    /// `BEGIN` without its `END`.
    Unclosed,
    /// What is between them is no base64.
    NotBase64,
    /// Base64 of PEM.
    EncodedTwice,
    /// The bytes that PEM would wrap.
    Der,
    /// Two bytes to a letter.
    Utf16,
    /// The name of a file.
    FileName,
    /// None of these.
    NoBlock,
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "it is empty",
            Self::EscapedBreaks => "its line breaks are written out as \\n: PEM needs real ones",
            Self::OneLine => {
                "its lines are joined to one: -----BEGIN ...----- and -----END ...----- need lines of their own"
            }
            Self::Unclosed => "it is cut short: the -----END ...----- that belongs to -----BEGIN is missing",
            Self::NotBase64 => "what stands between -----BEGIN and -----END is no base64",
            Self::EncodedTwice => "it is base64 of PEM: decode it once more",
            Self::Der => "it is DER: convert it with openssl's -inform der -outform pem",
            Self::Utf16 => "it is UTF-16: save it as plain text",
            Self::FileName => "it is a file's name, not what is in it",
            Self::NoBlock => "it has no line -----BEGIN ...-----",
        })
    }
}

/// Reads all blocks. What cannot be read is skipped, as Go does; linear in the text's length.
pub fn read(text: &[u8]) -> Pem {
    let mut pem = Pem::default();
    let mut open: Option<OpenBlock<'_>> = None;
    for line in text.split(|&byte| byte == b'\n') {
        let line = trimmed(line);
        if let Some(rest) = line.strip_prefix(BEGIN) {
            if open.is_some() {
                pem.flawed(Flaw::Unclosed);
            }
            open = rest.strip_suffix(DASHES).filter(|label| !contains(label, DASHES)).map(OpenBlock::new);
            if open.is_none() {
                pem.flawed(joined(rest));
            }
        } else if let Some(rest) = line.strip_prefix(END) {
            match open.take() {
                Some(block) if rest.strip_suffix(DASHES) == Some(block.label) => match block.decoded() {
                    Some(block) => pem.blocks.push(block),
                    None => pem.flawed(Flaw::NotBase64),
                },
                Some(_) if contains(rest, BEGIN) => pem.flawed(Flaw::OneLine),
                Some(_) => pem.flawed(Flaw::Unclosed),
                None => {}
            }
        } else if let Some(open) = &mut open {
            open.line(line);
        }
    }
    if open.is_some() {
        pem.flawed(Flaw::Unclosed);
    } else if pem.blocks.is_empty() && pem.broken.is_none() {
        pem.broken = Some(guess(text));
    }
    pem
}

impl Pem {
    fn flawed(&mut self, flaw: Flaw) {
        self.broken.get_or_insert(flaw);
    }

    /// Why a block that is wanted is not there; `None` where all of the text could be read.
    pub fn flaw(&self) -> Option<Flaw> {
        self.broken
    }

    /// The first block with a label.
    pub fn first(&self, label: Label) -> Option<&Block> {
        self.blocks.iter().find(|block| block.label == label)
    }
}

/// A block whose end has not come yet.
struct OpenBlock<'a> {
    label: &'a [u8],
    base64: Vec<u8>,
    encrypted: bool,
}

impl<'a> OpenBlock<'a> {
    fn new(label: &'a [u8]) -> Self {
        Self { label, base64: Vec::new(), encrypted: false }
    }

    fn line(&mut self, line: &[u8]) {
        // `Proc-Type: 4,ENCRYPTED` and what else OpenSSL puts before the base64.
        if self.base64.is_empty() && line.contains(&b':') {
            self.encrypted |= line.starts_with(b"Proc-Type") && contains(line, b"ENCRYPTED");
            return;
        }
        self.base64.extend(line.iter().filter(|byte| !byte.is_ascii_whitespace()));
    }

    fn decoded(self) -> Option<Block> {
        let label = match self.label {
            b"CERTIFICATE" => Label::Certificate,
            b"ENCRYPTED PRIVATE KEY" => Label::EncryptedKey,
            b"PRIVATE KEY" => Label::PrivateKey,
            label if label.ends_with(b" PRIVATE KEY") => Label::PrivateKey,
            _ => Label::Other,
        };
        let label = if self.encrypted && label == Label::PrivateKey { Label::EncryptedKey } else { label };
        // Behind a password it may be anything.
        let der = BASE64.decode(&self.base64).ok().or((label == Label::EncryptedKey).then(Vec::new))?;
        Some(Block { label, der })
    }
}

/// Without blanks at either end, a carriage return, or a byte order mark.
fn trimmed(line: &[u8]) -> &[u8] {
    line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line).trim_ascii()
}

fn joined(rest: &[u8]) -> Flaw {
    if contains(rest, b"\\n") || contains(rest, b"\\r") { Flaw::EscapedBreaks } else { Flaw::OneLine }
}

/// What a text without any block is.
fn guess(text: &[u8]) -> Flaw {
    let text = trimmed(text);
    match text {
        [] => Flaw::Empty,
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] | [b'-', 0, ..] | [0, b'-', ..] => Flaw::Utf16,
        [0x30, 0x80..=0x84, ..] => Flaw::Der,
        _ if text.starts_with(b"LS0tLS1CRUdJTi") => Flaw::EncodedTwice,
        _ if contains(text, b"-----BEGIN ") => joined(text),
        [b'/' | b'~' | b'.', ..] => Flaw::FileName,
        _ if [&b".pem"[..], b".crt", b".cer", b".key"].iter().any(|end| text.ends_with(end)) => {
            Flaw::FileName
        }
        _ => Flaw::NoBlock,
    }
}

/// Linear but for the needle's few bytes.
fn contains(text: &[u8], needle: &[u8]) -> bool {
    text.windows(needle.len()).any(|window| window == needle)
}

#[cfg(test)]
mod tests;

//! Bytes as they are packed: small numbers in few of them, frequent texts as numbers.

use super::interner::Interner;

/// Writes what [`PackReader`] reads.
#[derive(Debug)]
pub(super) struct PackWriter<'a> {
    pub(super) bytes: Vec<u8>,
    pub(super) names: &'a mut Interner,
}

impl PackWriter<'_> {
    /// Seven bits to a byte, the lowest first.
    pub(super) fn number(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.bytes.push(number as u8 | 0x80);
            number >>= 7;
        }
        self.bytes.push(number as u8);
    }

    /// A text: its number where it is frequent, else its length and itself.
    pub(super) fn text(&mut self, text: &str) {
        if let Some(number) = self.names.number(text) {
            self.number(2 * u64::from(number) + 1);
            return;
        }
        self.number(2 * text.len() as u64);
        self.bytes.extend_from_slice(text.as_bytes());
    }
}

/// Reads what [`PackWriter`] wrote. `None` where that is not so.
#[derive(Debug, Clone, Copy)]
pub(super) struct PackReader<'a> {
    bytes: &'a [u8],
    names: &'a Interner,
}

impl<'a> PackReader<'a> {
    pub(super) fn new(bytes: &'a [u8], names: &'a Interner) -> Self {
        Self { bytes, names }
    }

    pub(super) fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.bytes.split_first()?;
        self.bytes = rest;
        Some(*first)
    }

    pub(super) fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.bytes.split_at_checked(length)?;
        self.bytes = rest;
        Some(taken)
    }

    pub(super) fn number(&mut self) -> Option<u64> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(number);
            }
        }
        None
    }

    pub(super) fn length(&mut self) -> Option<usize> {
        usize::try_from(self.number()?).ok()
    }

    pub(super) fn text(&mut self) -> Option<&'a str> {
        let head = self.number()?;
        if head % 2 == 1 {
            return self.names.text(u32::try_from(head / 2).ok()?);
        }
        std::str::from_utf8(self.take(usize::try_from(head / 2).ok()?)?).ok()
    }
}

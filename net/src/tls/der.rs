//! As much of DER as it takes to see what a certificate says of itself.

/// Values one after the other.
#[derive(Debug, Clone, Copy)]
pub(super) struct Der<'a>(pub(super) &'a [u8]);

/// One value.
#[derive(Debug, Clone, Copy)]
pub(super) struct DerValue<'a> {
    pub(super) tag: u8,
    pub(super) content: &'a [u8],
    /// With tag and length.
    pub(super) whole: &'a [u8],
}

pub(super) const BOOLEAN: u8 = 0x01;
pub(super) const INTEGER: u8 = 0x02;
pub(super) const BIT_STRING: u8 = 0x03;
pub(super) const OCTET_STRING: u8 = 0x04;
pub(super) const OID: u8 = 0x06;
pub(super) const UTC_TIME: u8 = 0x17;
pub(super) const GENERALIZED_TIME: u8 = 0x18;
pub(super) const SEQUENCE: u8 = 0x30;

impl<'a> Der<'a> {
    /// The next value; `None` at the end and where there is none.
    pub(super) fn next(&mut self) -> Option<DerValue<'a>> {
        let (&[tag, first], rest) = self.0.split_first_chunk()?;
        let (length, content) = match first {
            0..=0x7f => (usize::from(first), rest),
            0x81..=0x84 => {
                let (digits, content) = rest.split_at_checked(usize::from(first & 0x7f))?;
                (digits.iter().fold(0, |length, &digit| length << 8 | usize::from(digit)), content)
            }
            _ => return None,
        };
        let (content, after) = content.split_at_checked(length)?;
        let whole = &self.0[..self.0.len() - after.len()];
        self.0 = after;
        Some(DerValue { tag, content, whole })
    }

    /// The next value, which has to be of this kind.
    pub(super) fn expect(&mut self, tag: u8) -> Option<DerValue<'a>> {
        self.next().filter(|value| value.tag == tag)
    }

    /// The next value if it is of this kind.
    pub(super) fn optional(&mut self, tag: u8) -> Option<DerValue<'a>> {
        let mut ahead = *self;
        let value = ahead.expect(tag)?;
        *self = ahead;
        Some(value)
    }
}

impl<'a> DerValue<'a> {
    /// What is inside, value by value.
    pub(super) fn inside(self) -> Der<'a> {
        Der(self.content)
    }

    /// The bytes of a bit string that has no odd bits.
    pub(super) fn bits(self) -> Option<&'a [u8]> {
        match self.content {
            [0, bits @ ..] if self.tag == BIT_STRING => Some(bits),
            _ => None,
        }
    }
}

impl<'a> Iterator for Der<'a> {
    type Item = DerValue<'a>;

    fn next(&mut self) -> Option<DerValue<'a>> {
        Der::next(self)
    }
}

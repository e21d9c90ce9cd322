//! What a certificate says of itself. webpki judges certificates and shows little of them, and
//! reads none of version 1; this reads any and judges none.

use std::net::IpAddr;

use jiff::{Timestamp, civil::DateTime, tz::TimeZone};

use super::der::{
    BIT_STRING, BOOLEAN, Der, DerValue, GENERALIZED_TIME, INTEGER, OCTET_STRING, OID, SEQUENCE, UTC_TIME,
};

/// Longest name that is shown.
const MAX_SHOWN: usize = 120;
/// How many of a certificate's names are shown.
const MAX_NAMES: usize = 8;

/// A certificate's parts, borrowed from its DER.
#[derive(Debug, Clone)]
pub struct Certificate<'a> {
    /// What is signed.
    pub(super) signed: &'a [u8],
    /// Content of the signature's AlgorithmIdentifier.
    pub(super) signature_algorithm: &'a [u8],
    pub(super) signature: &'a [u8],
    /// 1 to 3.
    version: u8,
    pub(super) issuer: &'a [u8],
    pub(super) subject: &'a [u8],
    /// Seconds since the epoch.
    pub(super) not_before: i64,
    pub(super) not_after: i64,
    /// Content of the key's AlgorithmIdentifier.
    pub(super) key_algorithm: &'a [u8],
    pub(super) key: &'a [u8],
    extensions: Extensions<'a>,
}

#[derive(Debug, Clone, Default)]
struct Extensions<'a> {
    /// Of BasicConstraints, where they are there.
    authority: Option<bool>,
    /// Of KeyUsage, where it is there.
    signs: Option<bool>,
    /// Whether it is for TLS servers, where it says what it is for.
    serves: Option<bool>,
    names: Option<Vec<Name<'a>>>,
    name_constraints: bool,
    /// One that has to be understood, and is not.
    unknown_critical: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Name<'a> {
    Dns(&'a [u8]),
    Address(IpAddr),
}

impl<'a> Certificate<'a> {
    /// Takes a certificate apart; `None` where it is none.
    pub fn parse(der: &'a [u8]) -> Option<Self> {
        let mut outer = Der(der);
        let mut parts = outer.expect(SEQUENCE)?.inside();
        if !outer.0.is_empty() {
            return None;
        }
        let signed = parts.expect(SEQUENCE)?;
        let signature_algorithm = parts.expect(SEQUENCE)?.content;
        let signature = parts.expect(BIT_STRING)?.bits()?;
        let mut fields = signed.inside();
        let version = match fields.optional(0xa0) {
            None => 1,
            Some(version) => match version.inside().expect(INTEGER)?.content {
                [number @ 0..=2] => number + 1,
                _ => return None,
            },
        };
        fields.expect(INTEGER)?;
        fields.expect(SEQUENCE)?;
        let issuer = fields.expect(SEQUENCE)?.whole;
        let mut validity = fields.expect(SEQUENCE)?.inside();
        let (not_before, not_after) = (time(validity.next()?)?, time(validity.next()?)?);
        let subject = fields.expect(SEQUENCE)?.whole;
        let mut key = fields.expect(SEQUENCE)?.inside();
        let key_algorithm = key.expect(SEQUENCE)?.content;
        let key = key.expect(BIT_STRING)?.bits()?;
        let extensions = match fields.find(|field| field.tag == 0xa3) {
            Some(list) if version == 3 => Extensions::parse(list.inside().expect(SEQUENCE)?)?,
            _ => Extensions::default(),
        };
        Some(Self {
            signed: signed.whole,
            signature_algorithm,
            signature,
            version,
            issuer,
            subject,
            not_before,
            not_after,
            key_algorithm,
            key,
            extensions,
        })
    }

    /// Whether Go takes it for an authority that may sign others. Version 1 cannot say that it is
    /// none.
    pub(super) fn may_sign(&self) -> bool {
        let authority = self.extensions.authority.unwrap_or(self.version < 3);
        authority && self.extensions.signs.unwrap_or(true)
    }

    /// Whether it may be used for a TLS server: it says so, or not what it is for.
    pub(super) fn may_serve(&self) -> bool {
        self.extensions.serves.unwrap_or(true)
    }

    /// Whether it says something that has to be understood and is not.
    pub(super) fn has_unknown_critical(&self) -> bool {
        self.extensions.unknown_critical
    }

    /// Whether it may sign for some names only.
    pub(super) fn has_name_constraints(&self) -> bool {
        self.extensions.name_constraints
    }

    /// Whether names can be verified at all: those in the subject no longer count.
    pub(super) fn has_names(&self) -> bool {
        self.extensions.names.is_some()
    }

    /// The names it is for, as they may be shown.
    pub(super) fn shown_names(&self) -> String {
        let names = self.extensions.names.as_deref().unwrap_or_default();
        let mut shown: Vec<String> = names.iter().take(MAX_NAMES).map(Name::shown).collect();
        if names.len() > MAX_NAMES {
            shown.push(format!("{} more", names.len() - MAX_NAMES));
        }
        if shown.is_empty() { "no name".into() } else { shown.join(", ") }
    }

    /// Who signed it, as it may be shown.
    pub(super) fn shown_issuer(&self) -> String {
        shown_name(self.issuer)
    }

    /// Whose it is, as it may be shown.
    pub(super) fn shown_subject(&self) -> String {
        shown_name(self.subject)
    }
}

impl<'a> Extensions<'a> {
    fn parse(list: DerValue<'a>) -> Option<Self> {
        let mut found = Self::default();
        for extension in list.inside() {
            let mut parts = extension.inside();
            let oid = parts.expect(OID)?.content;
            let critical = parts.optional(BOOLEAN).is_some_and(|flag| flag.content != [0]);
            found.add(oid, critical, parts.expect(OCTET_STRING)?.inside())?;
        }
        Some(found)
    }

    fn add(&mut self, oid: &[u8], critical: bool, mut value: Der<'a>) -> Option<()> {
        match oid {
            [0x55, 0x1d, 15] => {
                let bits = value.expect(BIT_STRING)?.content;
                self.signs = Some(bits.get(1).is_some_and(|bits| bits & 0x04 != 0));
            }
            [0x55, 0x1d, 17] => {
                self.names = Some(value.expect(SEQUENCE)?.inside().filter_map(Name::parse).collect());
            }
            [0x55, 0x1d, 19] => {
                let mut parts = value.expect(SEQUENCE)?.inside();
                self.authority = Some(parts.optional(BOOLEAN).is_some_and(|flag| flag.content != [0]));
            }
            [0x55, 0x1d, 30] => self.name_constraints = true,
            [0x55, 0x1d, 37] => {
                // TLS servers; anything.
                let serves: [&[u8]; 2] = [&[0x2b, 6, 1, 5, 5, 7, 3, 1], &[0x55, 0x1d, 37, 0]];
                let mut purposes = value.expect(SEQUENCE)?.inside();
                self.serves = Some(purposes.any(|purpose| serves.contains(&purpose.content)));
            }
            // Key identifiers, where revocations are published, policies: nothing depends on them.
            [0x55, 0x1d, 14 | 31 | 32 | 35] => {}
            _ => self.unknown_critical |= critical,
        }
        Some(())
    }
}

impl<'a> Name<'a> {
    fn parse(value: DerValue<'a>) -> Option<Self> {
        match (value.tag, value.content.len()) {
            (0x82, _) => Some(Self::Dns(value.content)),
            (0x87, 4) => Some(Self::Address(<[u8; 4]>::try_from(value.content).ok()?.into())),
            (0x87, 16) => Some(Self::Address(<[u8; 16]>::try_from(value.content).ok()?.into())),
            _ => None,
        }
    }

    fn shown(&self) -> String {
        match self {
            Self::Dns(name) => shown(name),
            Self::Address(address) => address.to_string(),
        }
    }
}

/// UTCTime or GeneralizedTime, to seconds since the epoch.
fn time(value: DerValue<'_>) -> Option<i64> {
    let digits = value.content.strip_suffix(b"Z")?;
    let number = |from: usize, to: usize| -> Option<i16> {
        let digits = digits.get(from..to)?;
        digits.iter().try_fold(0, |number, digit| {
            digit.is_ascii_digit().then(|| number * 10 + i16::from(digit - b'0'))
        })
    };
    let (year, at) = match (value.tag, digits.len()) {
        (UTC_TIME, 12) => (number(0, 2).map(|year| if year < 50 { 2000 + year } else { 1900 + year })?, 2),
        (GENERALIZED_TIME, 14) => (number(0, 4)?, 4),
        _ => return None,
    };
    let two = |nth: usize| i8::try_from(number(at + 2 * nth, at + 2 * nth + 2)?).ok();
    let time = DateTime::new(year, two(0)?, two(1)?, two(2)?, two(3)?, two(4)?, 0).ok()?;
    Some(time.to_zoned(TimeZone::UTC).ok()?.timestamp().as_second())
}

/// A moment as it is shown.
pub(super) fn shown_time(seconds: i64) -> String {
    Timestamp::from_second(seconds).map_or_else(|_| "?".into(), |time| time.to_string())
}

/// A distinguished name: its common name, organisation and unit.
fn shown_name(name: &[u8]) -> String {
    let mut parts = Vec::new();
    let sets = Der(name).next().map_or(Der(&[]), DerValue::inside);
    for attribute in sets.flat_map(DerValue::inside).take(16) {
        let mut pair = attribute.inside();
        let (Some(oid), Some(text)) = (pair.next(), pair.next()) else { continue };
        let key = match oid.content {
            [0x55, 4, 3] => "CN",
            [0x55, 4, 10] => "O",
            [0x55, 4, 11] => "OU",
            _ => continue,
        };
        parts.push(format!("{key}={}", shown(text.content)));
    }
    if parts.is_empty() { "(no name)".into() } else { parts.join(", ") }
}

/// A peer's text, which may not break out of its line of the log.
fn shown(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(&text[..text.len().min(MAX_SHOWN)]);
    text.escape_debug().to_string()
}

#[cfg(test)]
mod tests;

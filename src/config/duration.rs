//! Durations as Go writes them: `300ms`, `1.5h`, `1h2m3.5s`, `0`.
//! Source of the grammar: the documentation of Go's `time.ParseDuration`. (jiff's is another one: it refuses
//! `0`, `.5s`, `5.s`, `1.5h30m` and `1m1h`, and takes `5 minutes`, `1:30:00` and `PT5M`.)

use std::time::Duration;

use super::value::ValueError;

const NANOS: [(&str, u64); 8] = [
    ("ns", 1),
    ("us", 1_000),
    ("\u{b5}s", 1_000),
    ("\u{3bc}s", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
];

const REMEDY: &str = "give a duration such as 300ms, 10s, 5m or 1h30m";

/// Why a text is no duration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DurationError {
    /// Less than nothing.
    #[error("negative: {REMEDY}")]
    Negative,
    /// Nothing, where something is needed.
    #[error("0 is too short: {REMEDY}")]
    Zero,
    /// No number where one is due.
    #[error("not a duration: {REMEDY}")]
    NoNumber,
    /// A number alone.
    #[error("a unit is missing: {REMEDY}")]
    NoUnit,
    /// A unit that Go does not have.
    #[error("unknown unit {0:?}: {REMEDY}")]
    UnknownUnit(String),
    /// More than Go can hold.
    #[error("too long")]
    TooLong,
}

/// A duration that is not negative, at most what Go can hold (about 292 years).
pub(super) fn duration(text: &str) -> Result<Duration, ValueError> {
    Ok(parse(text)?)
}

/// A duration that is longer than nothing.
pub(super) fn positive(text: &str) -> Result<Duration, ValueError> {
    match parse(text)? {
        Duration::ZERO => Err(DurationError::Zero.into()),
        some => Ok(some),
    }
}

fn parse(text: &str) -> Result<Duration, DurationError> {
    let unsigned = text.strip_prefix('+').unwrap_or(text);
    if unsigned == "0" {
        return Ok(Duration::ZERO);
    }
    if text.starts_with('-') {
        return Err(DurationError::Negative);
    }
    if unsigned.is_empty() {
        return Err(DurationError::NoNumber);
    }
    let mut rest = unsigned;
    let mut total: u64 = 0;
    while !rest.is_empty() {
        let (nanos, after) = part(rest)?;
        total =
            total.checked_add(nanos).filter(|&t| i64::try_from(t).is_ok()).ok_or(DurationError::TooLong)?;
        rest = after;
    }
    Ok(Duration::from_nanos(total))
}

/// The first number with its unit, in nanoseconds, and what follows.
fn part(text: &str) -> Result<(u64, &str), DurationError> {
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, rest) = text.split_at(digits);
    let unit = rest.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(rest.len());
    let (unit, rest) = rest.split_at(unit);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() || fraction.contains('.') {
        return Err(DurationError::NoNumber);
    }
    let Some((_, scale)) = NANOS.iter().find(|(name, _)| *name == unit) else {
        return Err(match unit {
            "" => DurationError::NoUnit,
            unit => DurationError::UnknownUnit(unit.to_owned()),
        });
    };
    let whole: u64 = if whole.is_empty() { 0 } else { whole.parse().map_err(|_| DurationError::TooLong)? };
    let whole = whole.checked_mul(*scale).ok_or(DurationError::TooLong)?;
    // More digits than these are below a nanosecond in every unit.
    let digits = &fraction[..fraction.len().min(15)];
    let (numerator, denominator) = digits
        .bytes()
        .fold((0_u128, 1_u128), |(number, tens), digit| (number * 10 + u128::from(digit - b'0'), tens * 10));
    let fraction =
        u64::try_from(numerator * u128::from(*scale) / denominator).map_err(|_| DurationError::TooLong)?;
    Ok((whole.checked_add(fraction).ok_or(DurationError::TooLong)?, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_go_reads() {
        let cases = [
            ("0", Duration::ZERO),
            ("+0", Duration::ZERO),
            ("0s", Duration::ZERO),
            ("300ms", Duration::from_millis(300)),
            ("1h2m3.5s", Duration::from_millis(3_723_500)),
            ("1.5h", Duration::from_secs(5_400)),
            (".5s", Duration::from_millis(500)),
            ("5.s", Duration::from_secs(5)),
            ("1us", Duration::from_micros(1)),
            ("1\u{b5}s2ns", Duration::from_nanos(1_002)),
            ("0.333333333333333333333333h", Duration::from_nanos(1_199_999_999_999)),
            ("2562047h", Duration::from_secs(2_562_047 * 3600)),
        ];
        for (text, expected) in cases {
            assert_eq!(duration(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn refuses_what_go_refuses() {
        for text in
            ["", "5", "1d", "-1s", "s", ".s", "1.2.3s", "1 s", "5m ", "9999999h", "99999999999999999999s"]
        {
            assert!(duration(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_deadline_is_not_zero() {
        assert!(positive("0").is_err());
        assert_eq!(positive("1ns"), Ok(Duration::from_nanos(1)));
    }
}

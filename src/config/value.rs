//! Parsers of single values. Each says what it wants when it is not content.

use std::{fmt::Display, num::NonZeroUsize, str::FromStr};

use super::{duration::DurationError, url::AddressError};
use crate::net::tls::TlsError;

/// Why a value cannot be used, and what would do.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ValueError {
    /// No boolean.
    #[error("neither true nor false: give one of 1, t, true, 0, f, false")]
    NotBoolean,
    /// None of a few words.
    #[error("unknown: give one of {}", .0.join(", "))]
    Unknown(Vec<String>),
    /// No whole number within bounds.
    #[error("give a whole number from {least} to {most}")]
    NotWhole {
        /// The lower one.
        least: String,
        /// The upper one.
        most: String,
    },
    /// No rate.
    #[error("give how many per second as a number, 0 for no limit")]
    NotRate,
    /// HTTP/2 peers may strip what stands around metadata.
    #[error("begins or ends with a blank or a line break: take it away")]
    Padded,
    /// It cannot be metadata.
    #[error("has characters that gRPC metadata cannot carry: give printable ASCII")]
    NotPrintable,
    /// No duration.
    #[error(transparent)]
    Duration(#[from] DurationError),
    /// No URL, or no address.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// No certificates.
    #[error("{0}: give PEM text, not a file's name")]
    Certificates(#[from] TlsError),
}

/// What Go's `strconv.ParseBool` takes.
pub(super) fn boolean(text: &str) -> Result<bool, ValueError> {
    match text {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Ok(true),
        "0" | "f" | "F" | "FALSE" | "false" | "False" => Ok(false),
        _ => Err(ValueError::NotBoolean),
    }
}

/// One of a few words.
pub(super) fn choice<T: Copy>(text: &str, choices: &[(&str, T)]) -> Result<T, ValueError> {
    match choices.iter().find(|(word, _)| *word == text) {
        Some((_, value)) => Ok(*value),
        None => Err(ValueError::Unknown(choices.iter().map(|(word, _)| (*word).to_owned()).collect())),
    }
}

/// A whole number within bounds.
pub(super) fn whole<T>(text: &str, least: T, most: T) -> Result<T, ValueError>
where
    T: FromStr + PartialOrd + Display + Copy,
{
    match text.parse() {
        Ok(number) if number >= least && number <= most => Ok(number),
        _ => Err(ValueError::NotWhole { least: least.to_string(), most: most.to_string() }),
    }
}

/// How many of something, at least one.
pub(super) fn count(text: &str, most: usize) -> Result<NonZeroUsize, ValueError> {
    let most = NonZeroUsize::new(most).unwrap_or(NonZeroUsize::MIN);
    whole(text, NonZeroUsize::MIN, most)
}

/// A rate per second; 0 means no limit.
pub(super) fn rate(text: &str) -> Result<f64, ValueError> {
    match text.parse::<f64>() {
        Ok(rate) if rate.is_finite() && rate >= 0.0 => Ok(rate),
        _ => Err(ValueError::NotRate),
    }
}

/// Text that can travel as gRPC request metadata: printable ASCII without blanks around it,
/// which HTTP/2 peers may strip. A secret read from a file often brings a line break.
pub(super) fn metadata(text: &str) -> Result<String, ValueError> {
    if text.trim() != text {
        return Err(ValueError::Padded);
    }
    if text.chars().any(|c| c != ' ' && !c.is_ascii_graphic()) {
        return Err(ValueError::NotPrintable);
    }
    Ok(text.to_owned())
}

/// The items of a list as Go's flags take it, one line of CSV: commas divide, and an item that begins
/// with a quotation mark goes to the next one, a doubled mark standing for one. A mark that is not closed
/// goes to the end.
pub(super) fn items(line: &str) -> Vec<String> {
    let mut items = Vec::new();
    let (mut item, mut quoted) = (String::new(), false);
    let mut chars = line.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' if quoted && chars.peek() == Some(&'"') => {
                chars.next();
                item.push('"');
            }
            '"' if quoted => quoted = false,
            '"' if item.trim().is_empty() => (item, quoted) = (String::new(), true),
            ',' if !quoted => items.push(std::mem::take(&mut item)),
            c => item.push(c),
        }
    }
    items.push(item);
    items
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn booleans_are_those_of_go() {
        for yes in ["1", "t", "T", "TRUE", "true", "True"] {
            assert_eq!(boolean(yes), Ok(true), "{yes}");
        }
        for no in ["0", "f", "F", "FALSE", "false", "False"] {
            assert_eq!(boolean(no), Ok(false), "{no}");
        }
        for other in ["yes", "on", "tRUE", " true", "2"] {
            assert!(boolean(other).is_err(), "{other}");
        }
    }

    #[test]
    fn items_are_those_of_a_line_of_csv() {
        for (line, expected) in [
            ("a,b", vec!["a", "b"]),
            ("", vec![""]),
            ("\"a,b\",c", vec!["a,b", "c"]),
            ("a, \"b\"\"c\"", vec!["a", "b\"c"]),
            ("k=\"v\"", vec!["k=\"v\""]),
            ("\"open,a", vec!["open,a"]),
        ] {
            assert_eq!(items(line), expected, "{line}");
        }
    }

    #[test]
    fn an_unknown_word_lists_the_known_ones() {
        let fault = choice("jaeger", &[("otlp", 1), ("stdout", 2)]).unwrap_err();
        assert!(fault.to_string().ends_with("otlp, stdout"), "{fault}");
    }

    #[test]
    fn rates_are_finite_and_not_negative() {
        assert_eq!(rate("0"), Ok(0.0));
        assert_eq!(rate("12.5"), Ok(12.5));
        for wrong in ["-1", "NaN", "inf", "many"] {
            assert!(rate(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn metadata_carries_no_line_break() {
        assert_eq!(metadata("a b"), Ok("a b".into()));
        for wrong in ["token\n", " token", "to\tken", "jeton\u{e9}"] {
            assert!(metadata(wrong).is_err(), "{wrong:?}");
        }
    }
}

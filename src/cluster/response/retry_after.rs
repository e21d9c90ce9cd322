//! `Retry-After` (RFC 9110, section 10.2.3): seconds, or a date.

use std::time::Duration;

use http::{HeaderMap, HeaderName, header};
use jiff::{Timestamp, fmt::rfc2822::DateTimeParser};

use crate::cluster::limiter::LONGEST_PAUSE;

/// How long the server wants to be left alone, of which [`LONGEST_PAUSE`] is believed: a header may
/// hold any number, and what is asked for by mistake must not be heeded for years. `None` where it
/// does not say, or says what is neither.
///
/// A date is read beside the answer's own `Date`, as proxies send both and clocks differ; without
/// that it says nothing.
pub(super) fn read(headers: &HeaderMap) -> Option<Duration> {
    let text = text(headers, &header::RETRY_AFTER)?;
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        // More digits than a number has room for are many seconds.
        return Some(text.parse().map_or(LONGEST_PAUSE, Duration::from_secs).min(LONGEST_PAUSE));
    }
    let (then, now) = (date(text)?, date(self::text(headers, &header::DATE)?)?);
    let seconds = then.as_second().saturating_sub(now.as_second());
    Some(Duration::from_secs(u64::try_from(seconds).unwrap_or(0)).min(LONGEST_PAUSE))
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    Some(headers.get(name)?.to_str().ok()?.trim())
}

fn date(text: &str) -> Option<Timestamp> {
    DateTimeParser::new().parse_timestamp(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const DATE: &str = "Wed, 21 Oct 2015 07:28:00 GMT";

    fn of(value: &str, date: Option<&str>) -> Option<Duration> {
        let mut headers = HeaderMap::new();
        headers.insert(header::RETRY_AFTER, value.parse().unwrap());
        headers.extend(date.map(|date| (header::DATE, date.parse().unwrap())));
        read(&headers)
    }

    #[test]
    fn seconds_are_believed_up_to_a_minute() {
        assert_eq!(of("0", None), Some(Duration::ZERO));
        assert_eq!(of(" 7 ", None), Some(Duration::from_secs(7)));
        for huge in [
            "61",
            "99999999",
            "9223372036854775807",
            "18446744073709551615",
            "18446744073709551616",
            "999999999999999999999999999999999999",
        ] {
            assert_eq!(of(huge, None), Some(LONGEST_PAUSE), "{huge}");
        }
    }

    #[test]
    fn a_date_is_believed_up_to_a_minute_after_the_answers_own() {
        let then = |text| of(text, Some(DATE));
        assert_eq!(then("Wed, 21 Oct 2015 07:28:05 GMT"), Some(Duration::from_secs(5)));
        assert_eq!(then("Thu, 31 Dec 9998 23:59:59 GMT"), Some(LONGEST_PAUSE));
        assert_eq!(then("Sun, 06 Nov 1994 08:49:37 GMT"), Some(Duration::ZERO));
        assert_eq!(of(DATE, None), None);
        assert_eq!(of(DATE, Some("yesterday")), None);
    }

    #[test]
    fn what_is_neither_says_nothing() {
        for odd in ["", "-1", "+5", "1.5", "1e9", "0x10", "NaN", "inf", "soon", "7 s", "Wed, 99 Foo 2015"] {
            assert_eq!(of(odd, Some(DATE)), None, "{odd:?}");
        }
        let mut headers = HeaderMap::new();
        headers.insert(header::RETRY_AFTER, http::HeaderValue::from_bytes(b"\xff\xfe").unwrap());
        assert_eq!(read(&headers), None);
        assert_eq!(read(&HeaderMap::new()), None);
    }
}

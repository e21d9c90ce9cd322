//! What answers a join: whether it is gRPC at all. Pure.
//!
//! Between the agent and membership stand proxies and balancers with error pages of their own. What
//! they say is told as what it is, and none of it counts as having joined. Source: the gRPC over
//! HTTP/2 description, and its mapping of HTTP's status codes to gRPC's.

use http::{HeaderMap, StatusCode, header, response::Parts};
use tonic::{Code, Status};

/// Most of a body that is quoted, in characters.
const EXCERPT: usize = 200;

/// Nothing, where what answers speaks gRPC; else the status that this answer stands for, to which the
/// body's beginning may be added.
pub(super) fn look(head: &Parts) -> Result<(), Status> {
    let grpc_status = head.headers.contains_key("grpc-status");
    if grpc_status || (head.status == StatusCode::OK && is_grpc(&head.headers)) {
        return Ok(());
    }
    let what = match head.headers.get(header::CONTENT_TYPE) {
        None => "without a content-type".to_owned(),
        Some(value) => format!("with content-type {:?}", printable(value.as_bytes(), EXCERPT)),
    };
    let status = head.status;
    let text = format!("what answers is no gRPC server: it says HTTP {status} {what}");
    Err(Status::new(code(status), text))
}

/// `application/grpc`, perhaps with a suffix or parameters.
fn is_grpc(headers: &HeaderMap) -> bool {
    let value = headers.get(header::CONTENT_TYPE).map(|value| value.as_bytes().to_ascii_lowercase());
    let rest = value.as_deref().and_then(|value| value.strip_prefix(b"application/grpc"));
    matches!(rest, Some([] | [b'+' | b';' | b' ', ..]))
}

/// The code that stands for an HTTP status where the answer has none of gRPC's.
fn code(status: StatusCode) -> Code {
    match status.as_u16() {
        400 => Code::Internal,
        401 => Code::Unauthenticated,
        403 => Code::PermissionDenied,
        404 => Code::Unimplemented,
        429 | 502 | 503 | 504 => Code::Unavailable,
        _ => Code::Unknown,
    }
}

/// The status with the beginning of the body that came with it, without what the request had to keep
/// to itself: some proxies show their callers what they were sent.
pub(super) fn quoting(status: &Status, body: &[u8], secrets: &[String]) -> Status {
    let mut text = String::from_utf8_lossy(body).into_owned();
    for secret in secrets.iter().filter(|secret| !secret.is_empty()) {
        text = text.replace(secret.as_str(), "[left out]");
    }
    let excerpt = printable(text.trim().as_bytes(), EXCERPT);
    match excerpt.is_empty() {
        true => status.clone(),
        false => Status::new(status.code(), format!("{}: {excerpt:?}", status.message())),
    }
}

/// The beginning of a text in one line.
fn printable(bytes: &[u8], most: usize) -> String {
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(4 * most)]);
    text.chars().take(most).map(|c| if c.is_control() || c == '\u{fffd}' { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(status: u16, headers: &[(&str, &str)]) -> Parts {
        let mut response = http::Response::builder().status(status);
        for (name, value) in headers {
            response = response.header(*name, *value);
        }
        response.body(()).unwrap().into_parts().0
    }

    fn looked(status: u16, content_type: &str) -> Result<(), (Code, String)> {
        look(&head(status, &[("content-type", content_type)]))
            .map_err(|status| (status.code(), status.message().to_owned()))
    }

    #[test]
    fn grpc_is_known_by_its_content_type() {
        for content_type in [
            "application/grpc",
            "application/grpc+proto",
            "application/grpc;charset=utf-8",
            "Application/gRPC",
        ] {
            assert_eq!(looked(200, content_type), Ok(()), "{content_type}");
        }
        for content_type in
            ["text/html", "application/grpcweb", "application/json", "application/grpc-web+proto"]
        {
            assert!(looked(200, content_type).is_err(), "{content_type}");
        }
    }

    #[test]
    fn what_a_proxy_says_is_told_with_its_status_and_content_type() {
        let codes = [
            (401, Code::Unauthenticated),
            (403, Code::PermissionDenied),
            (404, Code::Unimplemented),
            (429, Code::Unavailable),
            (502, Code::Unavailable),
            (503, Code::Unavailable),
            (504, Code::Unavailable),
            (400, Code::Internal),
            (200, Code::Unknown),
            (301, Code::Unknown),
            (500, Code::Unknown),
        ];
        for (http, expected) in codes {
            let (code, text) = looked(http, "text/html; charset=utf-8").unwrap_err();
            assert_eq!(code, expected, "{http}");
            assert!(
                text.contains(&http.to_string()) && text.contains("\"text/html; charset=utf-8\""),
                "{text}"
            );
        }
        // With another status, gRPC's content-type alone does not make it gRPC.
        assert_eq!(looked(503, "application/grpc").unwrap_err().0, Code::Unavailable);
        assert!(look(&head(502, &[])).unwrap_err().message().contains("without a content-type"));
    }

    #[test]
    fn a_refusal_in_the_head_is_grpc_whatever_else_it_says() {
        for status in [200, 401, 503] {
            let head = head(status, &[("grpc-status", "16"), ("content-type", "text/plain")]);
            assert!(look(&head).is_ok(), "{status}");
        }
    }

    #[test]
    fn a_body_is_quoted_in_one_short_line_without_our_secrets() {
        let status = Status::unavailable("it says HTTP 502");
        let body = format!("<html>\r\n<b>502</b>\u{1b}[31m token: s3cret {}", "x".repeat(5000));
        let quoted = quoting(&status, body.as_bytes(), &["s3cret".into(), String::new()]);
        assert_eq!(quoted.code(), Code::Unavailable);
        let text = quoted.message();
        assert!(text.starts_with("it says HTTP 502: \"<html>  <b>502</b> [31m token: [left out]"), "{text}");
        assert!(text.len() < 300 && !text.contains("s3cret"), "{text}");
        assert_eq!(quoting(&status, b" \n", &[]).message(), "it says HTTP 502");
    }
}

//! How the bytes of one input make up several: pieces, lines, an exchange of HTTP.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use crate::cluster::response::ApiResponse;

/// The same bytes in pieces, small ones and large ones. The same seed cuts them in the same way.
pub(super) fn chunks(mut data: &[u8], seed: u64) -> Vec<&[u8]> {
    let mut random = fastrand::Rng::with_seed(seed ^ data.len() as u64);
    let mut chunks = Vec::new();
    while !data.is_empty() {
        let longest = [1, 7, 60, 4096][random.usize(..4)];
        let (chunk, rest) = data.split_at(random.usize(1..=longest).min(data.len()));
        chunks.push(chunk);
        data = rest;
    }
    chunks
}

/// The first line, as far as it is text, and what follows it.
pub(super) fn first_line(data: &[u8]) -> (&str, &[u8]) {
    let end = data.iter().position(|byte| *byte == b'\n').unwrap_or(data.len());
    let line = std::str::from_utf8(&data[..end]).unwrap_or_default();
    (line.trim_end_matches('\r'), data.get(end + 1..).unwrap_or_default())
}

/// A reply as HTTP/1.1 has it: a status, headers, an empty line, a body. What is no header is none.
pub(super) fn reply(data: &[u8]) -> Option<ApiResponse> {
    let (status, mut rest) = first_line(data);
    let status = StatusCode::from_bytes(status.as_bytes()).ok()?;
    let mut headers = HeaderMap::new();
    loop {
        let (line, after) = first_line(rest);
        rest = after;
        if line.is_empty() {
            break;
        }
        if let Some((name, value)) = line.split_once(':')
            && let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), HeaderValue::from_str(value.trim()))
        {
            headers.append(name, value);
        }
    }
    Some(ApiResponse { status, headers, body: Bytes::copy_from_slice(rest) })
}

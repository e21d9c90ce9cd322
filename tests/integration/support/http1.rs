//! As much HTTP/1.1 as a proxy for tests needs.

use std::io::{self, BufRead, ErrorKind, Read, Write};

/// A request as it came.
#[derive(Debug, Clone)]
pub struct Http1Request {
    pub method: String,
    /// With its query.
    pub path: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Http1Request {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// It is of this method, and its path without the query ends so.
    pub fn is(&self, method: &str, path_end: &str) -> bool {
        self.method == method && self.path.split('?').next().is_some_and(|path| path.ends_with(path_end))
    }

    /// It asks for a list of this kind, or a page of it.
    pub fn lists(&self, plural: &str) -> bool {
        self.is("GET", &format!("/{plural}")) && !self.path.contains("watch=")
    }

    /// It opens a watch of this kind.
    pub fn watches(&self, plural: &str) -> bool {
        self.is("GET", &format!("/{plural}")) && self.path.contains("watch=")
    }

    /// It is about an object of this name: its path says so or, where it creates one, its body.
    pub fn is_about(&self, name: &str) -> bool {
        let path = self.path.split('?').next().unwrap_or_default();
        let created = || {
            let body: serde_json::Value = serde_json::from_slice(&self.body).unwrap_or_default();
            body["metadata"]["name"] == *name
        };
        path.rsplit('/').next() == Some(name) || (self.method == "POST" && created())
    }
}

/// The next request of a connection; `None` at its end.
pub fn read_request(from: &mut impl BufRead) -> io::Result<Option<Http1Request>> {
    let line = read_line(from)?;
    if line.is_empty() {
        return Ok(None);
    }
    let mut words = line.split(' ').map(str::to_owned);
    let (Some(method), Some(path)) = (words.next(), words.next()) else { return Err(broken(&line)) };
    let mut headers = Vec::new();
    loop {
        let line = read_line(from)?;
        let Some((name, value)) = line.split_once(':') else { break };
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let mut request = Http1Request { method, path, headers, body: Vec::new() };
    if request.header("transfer-encoding").is_some_and(|coding| coding.contains("chunked")) {
        request.body = read_chunks(from)?;
    } else if let Some(length) = request.header("content-length") {
        let length = length.parse().map_err(|_| broken(length))?;
        request.body = vec![0; length];
        from.read_exact(&mut request.body)?;
    }
    Ok(Some(request))
}

/// The head of an answer whose body follows in chunks.
pub fn write_head(mut to: impl Write, status: u16, headers: &[(String, String)]) -> io::Result<()> {
    let mut head = format!("HTTP/1.1 {status} as-told\r\n");
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("transfer-encoding: chunked\r\n\r\n");
    to.write_all(head.as_bytes())
}

/// A piece of a body; an empty one ends it.
pub fn write_chunk(mut to: impl Write, piece: &[u8]) -> io::Result<()> {
    let mut chunk = format!("{:x}\r\n", piece.len()).into_bytes();
    chunk.extend_from_slice(piece);
    chunk.extend_from_slice(b"\r\n");
    to.write_all(&chunk)
}

fn read_chunks(from: &mut impl BufRead) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let line = read_line(from)?;
        let length = u64::from_str_radix(line.trim(), 16).map_err(|_| broken(&line))?;
        from.by_ref().take(length).read_to_end(&mut body)?;
        read_line(from)?;
        if length == 0 {
            return Ok(body);
        }
    }
}

/// A line without its end; empty at the end of the head, and of the connection.
fn read_line(from: &mut impl BufRead) -> io::Result<String> {
    let mut line = String::new();
    from.read_line(&mut line)?;
    Ok(line.trim_end().to_owned())
}

fn broken(what: &str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, format!("no HTTP/1.1: {what:?}"))
}

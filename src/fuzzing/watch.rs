//! A watch: bytes, lines, events.

use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use serde_json::Value;

use super::{
    kubernetes::{check_object, ledgers},
    script,
};
use crate::{
    cluster::{
        line_buffer::LineBuffer,
        reflector::{Reflector, ReflectorEvent, ReflectorInput, ReflectorStep},
        request::{self, WatchTarget},
        response::ApiResponse,
    },
    stack::object::Object,
    time,
};

/// Longest line that is taken here.
const LONGEST: usize = 1 << 10;

/// The body of a watch: its lines come out the same however it is cut, none is longer than it may be,
/// and each is an event as a whole or none at all.
pub fn watch(data: &[u8]) {
    let expected = model(data);
    for seed in [0, 1, 2] {
        assert_eq!(lines(&script::chunks(data, seed)), expected, "chunks make no difference");
    }
    let now = time::now();
    let mut machine = watching(now);
    for line in expected.0 {
        check_line(&line, now);
        machine.take(ReflectorInput::Line(Bytes::copy_from_slice(&line)), now);
        let step = past_news(&mut machine, now);
        if !matches!(step, ReflectorStep::Read { .. }) {
            machine = watching(now);
        }
    }
}

/// Lines of a stream, and whether it was given up for one that is too long.
type FoundLines = (Vec<Vec<u8>>, bool);

fn model(data: &[u8]) -> FoundLines {
    let mut found = Vec::new();
    for line in data.split(|byte| *byte == b'\n') {
        if line.len() > LONGEST {
            return (found, true);
        }
        let bare = line.strip_suffix(b"\r").unwrap_or(line);
        if !bare.is_empty() {
            found.push(bare.to_vec());
        }
    }
    (found, false)
}

fn lines(chunks: &[&[u8]]) -> FoundLines {
    let mut lines = LineBuffer::new(LONGEST);
    let mut found = Vec::new();
    for chunk in chunks {
        lines.push(chunk);
        loop {
            match lines.next() {
                Ok(Some(line)) => found.push(line.to_vec()),
                Ok(None) => break,
                Err(_) => return (found, true),
            }
        }
    }
    found.extend(lines.rest().map(|line| line.to_vec()));
    (found, false)
}

/// A machine whose watch goes on from version 1.
fn watching(now: Instant) -> Reflector {
    let mut machine = Reflector::new(WatchTarget::kind(&ledgers()), 7);
    assert!(matches!(machine.step(now), ReflectorStep::List { token: None }));
    let body = Bytes::from_static(br#"{"items":[],"metadata":{"resourceVersion":"1"}}"#);
    let reply = ApiResponse { status: StatusCode::OK, headers: HeaderMap::new(), body };
    machine.take(ReflectorInput::Page { reply, asked: now }, now);
    assert!(matches!(past_news(&mut machine, now), ReflectorStep::Open { .. }));
    machine.take(ReflectorInput::Opened, now);
    assert!(matches!(machine.step(now), ReflectorStep::Read { .. }));
    machine
}

fn past_news(machine: &mut Reflector, now: Instant) -> ReflectorStep {
    loop {
        match machine.step(now) {
            ReflectorStep::Tell(_) => {}
            step => return step,
        }
    }
}

/// What a line brings a fresh watch to.
enum LineRead {
    Object(Box<Object>),
    /// Nothing is told, and it goes on from this version.
    Version(String),
    /// It is given up.
    Nothing,
}

fn read(line: &[u8], now: Instant) -> LineRead {
    let mut machine = watching(now);
    machine.take(ReflectorInput::Line(Bytes::copy_from_slice(line)), now);
    let object = match machine.step(now) {
        ReflectorStep::Tell(
            ReflectorEvent::Changed { object, .. } | ReflectorEvent::Removed { object, .. },
        ) => Some(object),
        ReflectorStep::Tell(news) => panic!("a line of a watch told {news:?}"),
        ReflectorStep::Read { .. } => None,
        ReflectorStep::List { .. } | ReflectorStep::Wait { .. } => return LineRead::Nothing,
        step @ (ReflectorStep::More | ReflectorStep::GoOn) => panic!("nothing is listed, so why {step:?}?"),
        step @ ReflectorStep::Open { .. } => panic!("nothing has ended, so why {step:?}?"),
    };
    // It ends after a while, and is resumed.
    let later = now + Duration::from_secs(60);
    machine.take(ReflectorInput::Ended, later);
    let ReflectorStep::Open { version, timeout } = machine.step(later) else { panic!("it is resumed") };
    check_request(&version, timeout);
    match object {
        Some(object) => {
            assert_eq!(object.resource_version, version);
            LineRead::Object(object)
        }
        None => LineRead::Version(version),
    }
}

/// A version is one parameter of the query, whatever it holds.
fn check_request(version: &str, timeout: Duration) {
    let request = request::watch(&WatchTarget::kind(&ledgers()), version, timeout).expect("a request");
    assert_eq!(request.uri().path(), "/apis/formance.com/v1beta1/ledgers");
    let query = form_urlencoded::parse(request.uri().query().unwrap_or_default().as_bytes());
    let query: Vec<(String, String)> = query.into_owned().collect();
    let named: Vec<&String> =
        query.iter().filter(|(name, _)| name == "resourceVersion").map(|(_, v)| v).collect();
    assert_eq!(named, [version], "{query:?}");
    assert_eq!(query.len(), 4, "{query:?}");
}

/// What is told of a line is what it says.
fn check_line(line: &[u8], now: Instant) {
    let (object, version) = match read(line, now) {
        LineRead::Object(object) => (Some(object), None),
        LineRead::Version(version) => (None, Some(version)),
        LineRead::Nothing => return,
    };
    check_cut(line, now);
    assert!(std::str::from_utf8(line).is_ok());
    // Of fields that it skips serde lets pass what it would not read: half a surrogate, 1e999.
    let Ok(json) = serde_json::from_slice::<Value>(line) else { return };
    let told = |path: &str| json.pointer(path).and_then(Value::as_str).map(str::to_owned);
    match object {
        Some(object) => {
            check_object(&object);
            assert!(["ADDED", "MODIFIED", "DELETED"].contains(&&*told("/type").expect("a type")));
            assert_eq!(told("/object/metadata/name").as_deref(), Some(&*object.key.name));
            assert_eq!(told("/object/metadata/uid"), Some(object.uid));
        }
        None => assert_eq!(told("/type").as_deref(), Some("BOOKMARK")),
    }
    if let Some(version) = version {
        assert_eq!(told("/object/metadata/resourceVersion"), Some(version));
    }
}

/// A line that says something says nothing at all where it was cut short.
fn check_cut(line: &[u8], now: Instant) {
    let whole = line.trim_ascii_end();
    let at = fastrand::Rng::with_seed(line.len() as u64).usize(..whole.len());
    assert!(matches!(read(&whole[..at], now), LineRead::Nothing));
}

//! Pages of lists.

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use serde_json::Value;

use super::{
    kubernetes::{check_object, check_write, ledgers},
    script,
};
use crate::{
    cluster::{
        catalog,
        reflector::{Reflector, ReflectorEvent, ReflectorInput, ReflectorStep},
        request::{self, WatchTarget},
        response::ApiResponse,
    },
    order::is_dns1123_subdomain,
    stack::{
        object::{Object, ObjectKey, Role},
        write::Write,
    },
    time::{self, Instant},
};

/// The most that is held of a page: an object, and what came with its end.
const LONGEST: usize = (4 << 20) + (64 << 10);

/// The body of a page of a list. Read one object at a time, it holds what it holds when it is read
/// at once; one that was cut short is never complete; and what it says of kinds can be asked for.
pub fn list(data: &[u8]) {
    let page = read(data);
    for seed in [0, 1] {
        let pieces = read_in(&script::chunks(data, seed));
        assert_eq!(pieces.objects, page.objects, "pieces make no difference");
        assert_eq!(pieces.end, page.end);
    }
    if page.end.is_some() {
        let whole = data.trim_ascii_end();
        let at = fastrand::Rng::with_seed(data.len() as u64).usize(..whole.len());
        assert!(read(&whole[..at]).end.is_none(), "cut short at byte {at}");
    }
    page.objects.iter().for_each(check_object);
    compare(data, &page);
    check_token(page.end.as_ref().and_then(|end| end.token.as_deref()));
    definitions(data);
}

/// What was told of a page.
struct PageRead {
    objects: Vec<Object>,
    end: Option<PageEnd>,
}

/// That it was read to its end.
#[derive(Debug, PartialEq)]
struct PageEnd {
    version: Option<String>,
    token: Option<String>,
}

fn reply(body: &[u8]) -> ApiResponse {
    let body = Bytes::copy_from_slice(body);
    ApiResponse { status: StatusCode::OK, headers: HeaderMap::new(), body }
}

fn read(body: &[u8]) -> PageRead {
    let now = time::now();
    let mut machine = Reflector::new(WatchTarget::kind(&ledgers()), 7);
    assert!(matches!(machine.step(now), ReflectorStep::List { token: None }));
    machine.take(ReflectorInput::Page { reply: reply(body), asked: now }, now);
    outcome(machine, std::iter::empty(), now)
}

/// The same, as it comes in.
fn read_in(pieces: &[&[u8]]) -> PageRead {
    let now = time::now();
    let mut machine = Reflector::new(WatchTarget::kind(&ledgers()), 7);
    assert!(matches!(machine.step(now), ReflectorStep::List { token: None }));
    machine.take(ReflectorInput::Begun { asked: now }, now);
    outcome(machine, pieces.iter().copied(), now)
}

fn outcome<'a>(mut machine: Reflector, mut pieces: impl Iterator<Item = &'a [u8]>, now: Instant) -> PageRead {
    let mut objects = Vec::new();
    let mut version = None;
    loop {
        match machine.step(now) {
            ReflectorStep::Tell(ReflectorEvent::Listed { object, .. }) => objects.push(*object),
            ReflectorStep::Tell(ReflectorEvent::Complete { version: told, .. }) => version = Some(told),
            ReflectorStep::List { token: Some(token) } => {
                return PageRead { objects, end: Some(PageEnd { version: None, token: Some(token) }) };
            }
            ReflectorStep::Open { version: from, .. } => {
                assert_eq!(version, Some(from), "a watch goes on from the list");
                return PageRead { objects, end: Some(PageEnd { version, token: None }) };
            }
            ReflectorStep::More => {
                let piece = pieces.next().map(|piece| ReflectorInput::Piece(Bytes::copy_from_slice(piece)));
                machine.take(piece.unwrap_or(ReflectorInput::Ended), now);
                assert!(machine.unread() <= LONGEST);
            }
            ReflectorStep::GoOn => {}
            ReflectorStep::Wait { .. } => return PageRead { objects, end: None },
            step => panic!("{step:?} after a page"),
        }
    }
}

/// The other reader takes the whole page as a tree.
fn compare(body: &[u8], page: &PageRead) {
    let Ok(json) = serde_json::from_slice::<Value>(body) else { return };
    // A tree has the last of several fields of a name, and names that were escaped.
    let times = |name: &[u8]| body.windows(name.len()).filter(|window| *window == name).count();
    if times(b"\"items\"") > 1 || times(b"\"metadata\"") > json_objects(&json) || times(b"\\u") > 0 {
        return;
    }
    let Some(end) = &page.end else { return };
    // serde takes the fields of a struct in a list, too.
    if json["metadata"].is_array() {
        return;
    }
    let items = json.get("items").expect("a list has items");
    let items = items.as_array().map(Vec::as_slice).unwrap_or_default();
    let readable = items.iter().filter_map(|item| Object::from_json(&ledgers(), item.clone()).ok());
    assert_eq!(page.objects, readable.collect::<Vec<_>>());
    let version = json.pointer("/metadata/resourceVersion").and_then(Value::as_str);
    assert!(end.token.is_some() || end.version.as_deref() == version, "{version:?}");
    let token = json.pointer("/metadata/continue").and_then(Value::as_str).unwrap_or_default();
    assert_eq!(end.token.as_deref().unwrap_or_default(), token);
}

/// How many fields named `metadata` the tree has.
fn json_objects(json: &Value) -> usize {
    match json {
        Value::Array(items) => items.iter().map(json_objects).sum(),
        Value::Object(fields) => {
            usize::from(fields.contains_key("metadata")) + fields.values().map(json_objects).sum::<usize>()
        }
        _ => 0,
    }
}

/// A token is one parameter of the query, whatever it holds.
fn check_token(token: Option<&str>) {
    let request = request::list_all(&WatchTarget::kind(&ledgers()), token).expect("a request");
    let query = form_urlencoded::parse(request.uri().query().unwrap_or_default().as_bytes());
    let query: Vec<(String, String)> = query.into_owned().collect();
    let expected =
        [Some(("limit".to_owned(), "500".to_owned())), token.map(|t| ("continue".into(), t.into()))];
    assert_eq!(query, expected.into_iter().flatten().collect::<Vec<_>>());
}

/// The same page as one of CRDs: each kind that is read of it is a module with a path of its own, and
/// membership can be told its name.
fn definitions(body: &[u8]) {
    let Ok(page) = catalog::page(&reply(body)) else { return };
    for module in page.modules {
        assert_eq!(module.role(), Role::Module, "{module:?}");
        for name in [&module.plural, &module.singular] {
            assert!(is_dns1123_subdomain(name), "{module:?}");
        }
        assert!(!module.kind.is_empty());
        check_write(&Write::Delete {
            key: ObjectKey::new(&module, "a-b"),
            uid: "u".into(),
            resource_version: "1".into(),
        });
    }
}

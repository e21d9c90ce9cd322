//! The same random requests, drawn from a seed, to the real server and the embedded one: every
//! answer has to be the same, but for uids, versions and times.

use std::{collections::HashMap, fmt::Write, thread};

use serde_json::{Map, Value, json};

use super::target::{self, GROUP};
use crate::support::rest::{Rest, RestReply};

const REQUESTS: usize = 250;
const MANAGERS: [&str; 4] = ["stackherd", "Go-http-client", "operator", "human"];
const NAMES: [&str; 2] = ["one", "two"];
/// Plural, kind, and spec members by path, with values that their schema takes.
const KINDS: [(&str, &str, &[&str]); 3] = [
    ("stacks", "Stack", &["disabled?", "dev?", "version", "versionsFromFile", "nonsense"]),
    (
        "gateways",
        "Gateway",
        &["stack", "ingress.host", "ingress.scheme", "ingress.annotations.a/b", "ingress.hosts*"],
    ),
    ("auths", "Auth", &["stack", "signingKey", "delegatedOIDCServer.issuer", "delegatedOIDCServer.clientID"]),
];

#[test]
fn random_writes_are_answered_alike() {
    // One seed alone: STACKHERD_SEED=n.
    let chosen = std::env::var("STACKHERD_SEED").ok().and_then(|seed| seed.parse().ok());
    for seed in chosen.map_or(1..=3, |seed: u64| seed..=seed) {
        target::with_both(|real, embedded| compare(seed, real, embedded));
    }
}

fn compare(seed: u64, real: &Rest, embedded: &Rest) {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut twins = [Twin::new(real), Twin::new(embedded)];
    let start = [real, embedded].map(versions);
    let mut story = String::new();
    let mut taken: HashMap<Verb, usize> = HashMap::new();
    for number in 0..REQUESTS {
        let ask = Ask::draw(&mut random, seed);
        let _ = writeln!(story, "{number}: {ask:?}");
        let [real, embedded] = twins.each_mut().map(|twin| twin.ask(&ask));
        let recent: Vec<&str> = story.lines().rev().take(12).collect();
        assert_eq!(embedded, real, "seed {seed}, request {number} (left embedded, right real)\n{recent:#?}");
        *taken.entry(ask.verb).or_default() += usize::from(real["status"].as_u64() < Some(300));
    }
    let [left, right] = [told(embedded, seed, &start[1]), told(real, seed, &start[0])];
    assert!(right.len() > REQUESTS / 5, "seed {seed}: only {} events", right.len());
    assert_eq!(left.len(), right.len(), "seed {seed}: events (left embedded, right real)");
    for (number, (left, right)) in left.iter().zip(&right).enumerate() {
        assert_eq!(left, right, "seed {seed}, event {number} (left embedded, right real)");
    }
    assert!(
        taken.len() == 5 && taken.values().all(|times| *times >= 3),
        "seed {seed}: too little is stored: {taken:?}"
    );
}

/// Where each kind stands.
fn versions(server: &Rest) -> Vec<String> {
    let list = |(plural, ..): &(&str, _, _)| {
        server.get(&format!("{GROUP}/{plural}?limit=1")).resource_version().into()
    };
    KINDS.iter().map(list).collect()
}

/// What watches tell of this run's objects since then.
fn told(server: &Rest, seed: u64, since: &[String]) -> Vec<Value> {
    let ours = format!("differ-{seed}-");
    let listen = |plural: &str, rv: &str| {
        let (mut events, mut known) = (Vec::new(), Vec::new());
        for mut event in server.watch(plural, &format!("resourceVersion={rv}&timeoutSeconds=1")) {
            let object = event["object"].take();
            if object["metadata"]["name"].as_str().is_some_and(|name| name.starts_with(&ours)) {
                events.push(json!({ "type": event["type"], "object": plain(&object, &known) }));
                known.push(object);
            }
        }
        events
    };
    thread::scope(|scope| {
        let kinds = KINDS.iter().zip(since);
        let listeners: Vec<_> = kinds.map(|((plural, ..), rv)| scope.spawn(|| listen(plural, rv))).collect();
        listeners.into_iter().flat_map(|listener| listener.join().unwrap()).collect()
    })
}

/// A request that does not say which of two servers it is for.
#[derive(Debug)]
struct Ask {
    verb: Verb,
    plural: &'static str,
    kind: &'static str,
    name: String,
    manager: &'static str,
    /// `metadata.resourceVersion` or the precondition on it.
    version: Version,
    /// `labels` and so on.
    metadata: Value,
    spec: Value,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Verb {
    Create,
    Patch,
    Replace,
    Status,
    Delete,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Version {
    None,
    Current,
    Stale,
}

impl Ask {
    fn draw(random: &mut fastrand::Rng, seed: u64) -> Self {
        use Verb::{Create, Delete, Patch, Replace, Status};
        let verbs = [Create, Create, Patch, Patch, Patch, Patch, Replace, Replace, Status, Delete];
        let (plural, kind, members) = KINDS[random.usize(..KINDS.len())];
        let versions = [Version::None, Version::Current, Version::Current, Version::Stale];
        Self {
            verb: verbs[random.usize(..verbs.len())],
            plural,
            kind,
            name: format!("differ-{seed}-{}", NAMES[random.usize(..NAMES.len())]),
            manager: MANAGERS[random.usize(..MANAGERS.len())],
            version: versions[random.usize(..versions.len())],
            metadata: metadata(random),
            spec: spec(random, members),
        }
    }
}

/// Strings, and nulls in their places: in a patch those remove.
fn word(random: &mut fastrand::Rng) -> Value {
    [json!("1"), json!("2"), Value::Null][random.usize(..3)].clone()
}

fn metadata(random: &mut fastrand::Rng) -> Value {
    let mut metadata = Map::new();
    for part in ["labels", "annotations"] {
        if random.bool() {
            let keys = ["formance.com/a", "formance.com/b", "c"];
            let chosen: Vec<_> = keys.into_iter().filter(|_| random.bool()).collect();
            let words = chosen.into_iter().map(|key| (key.to_owned(), word(random)));
            metadata.insert(part.into(), Value::Object(words.collect()));
        }
    }
    if random.u8(..6) == 0 {
        let finalizers = [json!([]), json!(["example.com/a"]), json!(["example.com/a", "example.com/b"])];
        metadata.insert("finalizers".into(), finalizers[random.usize(..3)].clone());
    }
    Value::Object(metadata)
}

fn spec(random: &mut fastrand::Rng, members: &[&str]) -> Value {
    let mut spec = json!({});
    for member in members {
        if random.u8(..3) > 0 {
            continue;
        }
        let value = match word(random) {
            Value::Null => Value::Null,
            _ if member.ends_with('?') => random.bool().into(),
            text if member.ends_with('*') => json!([text]),
            text => text,
        };
        // Indexing makes the objects on the way.
        let path: Vec<&str> = member.trim_end_matches(['?', '*']).split('.').collect();
        *path.into_iter().fold(&mut spec, |object, key| &mut object[key]) = value;
    }
    spec
}

/// One of the two servers, with what it said of its objects.
struct Twin<'a> {
    rest: &'a Rest,
    objects: HashMap<String, Vec<Value>>,
}

impl<'a> Twin<'a> {
    fn new(rest: &'a Rest) -> Self {
        Self { rest, objects: HashMap::new() }
    }

    /// Asks, and returns the answer without what may differ.
    fn ask(&mut self, ask: &Ask) -> Value {
        let known = self.objects.entry(format!("{}/{}", ask.plural, ask.name)).or_default();
        let version = match ask.version {
            Version::None => None,
            Version::Current => known.last(),
            Version::Stale => known.iter().rev().nth(1),
        };
        let version = version.map(|object| object["metadata"]["resourceVersion"].clone());
        let collection = format!("{GROUP}/{}", ask.plural);
        let path = format!("{collection}/{}", ask.name);
        let by = |path: &str| format!("{path}?fieldManager={}", ask.manager);
        let mut body = target::object(ask.kind, &ask.name, ask.metadata.clone(), ask.spec.clone());
        let reply = match ask.verb {
            Verb::Create => self.rest.post(&by(&collection), &without_nulls(&body)),
            Verb::Patch => {
                body["metadata"]["resourceVersion"] = version.unwrap_or_else(|| json!("1"));
                if ask.version == Version::None {
                    body["metadata"].as_object_mut().unwrap().remove("resourceVersion");
                }
                self.rest.patch(&by(&path), &body)
            }
            Verb::Replace => {
                body["metadata"]["resourceVersion"] = version.unwrap_or_else(|| json!("1"));
                self.rest.put(&by(&path), &without_nulls(&body))
            }
            Verb::Status => {
                let status =
                    json!({ "status": { "ready": ask.version == Version::Current, "info": ask.manager } });
                self.rest.patch(&by(&format!("{path}/status")), &status)
            }
            Verb::Delete => {
                let version = version.map_or_else(|| json!({}), |rv| json!({ "resourceVersion": rv }));
                self.rest.delete_if(&path, &version)
            }
        };
        let answer = comparable(&reply, known);
        if reply.json["kind"] == ask.kind {
            known.push(reply.json);
        }
        answer
    }
}

fn without_nulls(value: &Value) -> Value {
    match value {
        Value::Object(members) => {
            let kept = members.iter().filter(|(_, member)| !member.is_null());
            Value::Object(kept.map(|(key, member)| (key.clone(), without_nulls(member))).collect())
        }
        other => other.clone(),
    }
}

/// An answer's status and warnings, and its body as [`plain`] has it.
fn comparable(reply: &RestReply, known: &[Value]) -> Value {
    // On a refusal nobody reads warnings.
    let mut warnings: Vec<_> =
        reply.headers.get_all("warning").iter().filter_map(|value| value.to_str().ok()).collect();
    warnings.retain(|_| reply.status < 300);
    warnings.sort_unstable();
    json!({ "status": reply.status, "warnings": warnings, "body": plain(&reply.json, known) })
}

/// With uids as their ordinal, versions as whether they moved, and no times.
fn plain(json: &Value, known: &[Value]) -> Value {
    let mut text = json.to_string();
    // The newest first: an object has one uid for several versions.
    for object in known.iter().rev() {
        let uid = target::text(&object["metadata"]["uid"]);
        let first = known.iter().position(|other| other["metadata"]["uid"] == uid);
        text = text.replace(uid, &format!("uid-{first:?}"));
    }
    let mut json: Value = serde_json::from_str(&text).unwrap();
    let moved = |rv: &Value| known.last().is_none_or(|last| last["metadata"]["resourceVersion"] != *rv);
    if let Some(metadata) = json["metadata"].as_object_mut() {
        if let Some(rv) = metadata.remove("resourceVersion") {
            metadata.insert("moved".into(), moved(&rv).into());
        }
        if metadata.get("uid").is_some_and(|uid| !uid.as_str().unwrap().starts_with("uid-")) {
            metadata["uid"] = "new".into();
        }
        metadata.remove("creationTimestamp");
        metadata.get_mut("deletionTimestamp").map(Value::take);
        if let Some(entries) = metadata.get_mut("managedFields").and_then(Value::as_array_mut) {
            entries.iter_mut().for_each(|entry| drop(entry["time"].take()));
            entries.sort_by_key(Value::to_string);
        }
    }
    if let Some(causes) = json["details"]["causes"].as_array_mut() {
        // Some checks are made twice over there.
        causes.dedup();
    }
    if let Some(message) = json["message"].as_str() {
        // Versions in a message are numbers in brackets.
        let (words, _) = message.split_once("the ResourceVersion in").unwrap_or((message, ""));
        json["message"] = words.into();
    }
    json
}

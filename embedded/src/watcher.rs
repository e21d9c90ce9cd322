//! One watch: where it stands in the log, and the lines that come next. Pure; the server wakes it.

use std::{rc::Rc, time::Duration};

use bytes::{BufMut, Bytes, BytesMut};
use serde_json::{Value, json};

use super::{
    cluster::EmbeddedCluster, failure::ApiFailure, kind::ServedKind, object::ServedObject, routes::Query,
    selector::Selector, watch_log::ChangeType,
};

/// Lines handed out at once: a watcher that starts far back does not hold up the others.
const BATCH: usize = 256;

/// One watch.
#[derive(Debug)]
pub struct WatchCursor {
    kind: Rc<ServedKind>,
    full_name: String,
    selector: Selector,
    name: Option<String>,
    cursor: Cursor,
    bookmarks: bool,
    timeout: Option<Duration>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cursor {
    /// Begin with everything there is; from resourceVersion 0 a bookmark ends it.
    Start { mark: bool },
    /// Go on after this version.
    After(u64),
}

/// What a watcher has to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WatchStep {
    /// These lines, and there may be more.
    Lines(Bytes),
    /// Nothing until the cluster moves.
    Wait,
    /// This line, and then no more: the log does not go back far enough.
    End(Bytes),
}

impl WatchCursor {
    /// Opens the watch that a query asks for.
    pub fn open(kind: &Rc<ServedKind>, query: &Query) -> Result<Self, ApiFailure> {
        let version = query.get("resourceVersion");
        let cursor = match version {
            None => Cursor::Start { mark: false },
            Some("0") => Cursor::Start { mark: true },
            Some(version) => Cursor::After(version.parse().map_err(|_| {
                let why = format!("strconv.ParseUint: parsing {version:?}: invalid syntax");
                ApiFailure::new(500, "", format!("resourceVersion: Invalid value: {version:?}: {why}"))
            })?),
        };
        let mut plain = query.clone();
        plain.forget("resourceVersion");
        let list = plain.list()?;
        Ok(Self {
            kind: Rc::clone(kind),
            full_name: kind.full_name(),
            selector: list.selector,
            name: list.name,
            cursor,
            bookmarks: query.flag("allowWatchBookmarks"),
            timeout: query.number("timeoutSeconds")?.map(Duration::from_secs),
        })
    }

    /// How long it may last, where it said so.
    pub fn timeout(&self) -> Option<Duration> {
        self.timeout
    }

    /// Whether it wants bookmarks.
    pub fn bookmarks(&self) -> bool {
        self.bookmarks
    }

    /// What comes next.
    pub fn next(&mut self, cluster: &EmbeddedCluster) -> WatchStep {
        match self.cursor {
            Cursor::Start { mark } => self.start(cluster, mark),
            Cursor::After(version) => self.after(cluster, version),
        }
    }

    fn wants(&self, object: &ServedObject) -> bool {
        self.name.as_ref().is_none_or(|name| object.name() == name)
    }

    fn start(&mut self, cluster: &EmbeddedCluster, mark: bool) -> WatchStep {
        let mut lines = BytesMut::new();
        for object in cluster.objects(&self.kind) {
            if self.wants(object) && self.selector.matches(object.value()) {
                line(&mut lines, ChangeType::Added.word(), &object.bytes());
            }
        }
        if mark && self.bookmarks {
            let annotation = json!({"k8s.io/initial-events-end": "true"});
            line(&mut lines, "BOOKMARK", &self.mark(cluster.version(), Some(annotation)));
        }
        self.cursor = Cursor::After(cluster.version());
        if lines.is_empty() { WatchStep::Wait } else { WatchStep::Lines(lines.freeze()) }
    }

    fn after(&mut self, cluster: &EmbeddedCluster, version: u64) -> WatchStep {
        let events = match cluster.log().after(&self.full_name, version) {
            Ok(events) => events,
            Err(error) => {
                let mut lines = BytesMut::new();
                let status = ApiFailure::expired(error.to_string()).status();
                line(&mut lines, "ERROR", &Bytes::from(status.to_string()));
                return WatchStep::End(lines.freeze());
            }
        };
        let (mut lines, mut seen) = (BytesMut::new(), version);
        for event in events.take(BATCH) {
            seen = event.version;
            if let Some((change, object)) = event.through(&self.selector)
                && self.wants(&object)
            {
                line(&mut lines, change.word(), &object.bytes());
            }
        }
        self.cursor = Cursor::After(seen);
        if !lines.is_empty() {
            return WatchStep::Lines(lines.freeze());
        }
        // A batch that the selector left nothing of may not have been the last.
        if seen > version { self.after(cluster, seen) } else { WatchStep::Wait }
    }

    /// A bookmark of now, if it wants one and has seen all there is.
    pub fn bookmark(&mut self, cluster: &EmbeddedCluster) -> Option<Bytes> {
        let Cursor::After(version) = self.cursor else { return None };
        let now = cluster.version();
        // One that waits for a version to come stays there.
        if !self.bookmarks || version > now {
            return None;
        }
        self.cursor = Cursor::After(now);
        let mut lines = BytesMut::new();
        line(&mut lines, "BOOKMARK", &self.mark(now, None));
        Some(lines.freeze())
    }

    fn mark(&self, version: u64, annotations: Option<Value>) -> Bytes {
        let mut object = json!({"apiVersion": self.kind.api_version(), "kind": self.kind.kind,
            "metadata": {"resourceVersion": version.to_string()}});
        if let Some(annotations) = annotations {
            object["metadata"]["annotations"] = annotations;
        }
        Bytes::from(object.to_string())
    }
}

fn line(lines: &mut BytesMut, change: &str, object: &Bytes) {
    lines.put_slice(format!(r#"{{"type":"{change}","object":"#).as_bytes());
    lines.put_slice(object);
    lines.put_slice(b"}\n");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::{
        DeleteOptions, WriteEndpoint,
        tests::{cluster, kind, me, now, object},
    };

    fn create(cluster: &mut EmbeddedCluster, name: &str, tier: &str) {
        let stacks = kind(cluster, "stacks");
        let rest = json!({"metadata": {"labels": {"tier": tier}}});
        cluster.create(&stacks, object("Stack", name, rest), me()).expect("created");
    }

    fn open(cluster: &EmbeddedCluster, query: &str) -> WatchCursor {
        WatchCursor::open(&kind(cluster, "stacks"), &Query::parse(query)).expect("a watch")
    }

    /// Type and name (or version) of each line.
    fn read(next: &WatchStep) -> Vec<(String, String)> {
        let (WatchStep::Lines(lines) | WatchStep::End(lines)) = next else { return Vec::new() };
        let text = String::from_utf8(lines.to_vec()).expect("text");
        text.lines()
            .map(|line| {
                let event: Value = serde_json::from_str(line).expect("JSON");
                let object = &event["object"];
                let name = object["metadata"]["name"].as_str().or(object["reason"].as_str());
                (event["type"].as_str().unwrap_or_default().into(), name.unwrap_or_default().into())
            })
            .collect()
    }

    fn pair(change: &str, name: &str) -> (String, String) {
        (change.into(), name.into())
    }

    #[test]
    fn a_watch_from_a_version_sees_what_came_after() {
        let mut cluster = cluster();
        create(&mut cluster, "a", "x");
        let mut watcher = open(&cluster, &format!("resourceVersion={}", cluster.version()));
        assert_eq!(watcher.next(&cluster), WatchStep::Wait);
        create(&mut cluster, "b", "x");
        let stacks = kind(&cluster, "stacks");
        cluster.delete(&stacks, "a", &DeleteOptions::default(), now()).expect("deleted");
        let next = watcher.next(&cluster);
        assert_eq!(read(&next), [pair("ADDED", "b"), pair("DELETED", "a")]);
        assert_eq!(watcher.next(&cluster), WatchStep::Wait);
    }

    #[test]
    fn a_watch_from_nowhere_begins_with_what_there_is() {
        let mut cluster = cluster();
        create(&mut cluster, "a", "x");
        assert_eq!(read(&open(&cluster, "").next(&cluster)), [pair("ADDED", "a")]);
        let from_zero = open(&cluster, "resourceVersion=0&allowWatchBookmarks=true").next(&cluster);
        assert_eq!(read(&from_zero), [pair("ADDED", "a"), pair("BOOKMARK", "")]);
    }

    #[test]
    fn a_watch_from_too_far_back_ends_with_410() {
        let mut cluster = cluster();
        create(&mut cluster, "a", "x");
        let mut watcher = open(&cluster, "resourceVersion=1");
        cluster.expire();
        let next = watcher.next(&cluster);
        assert!(matches!(next, WatchStep::End(_)));
        assert_eq!(read(&next), [pair("ERROR", "Expired")]);
    }

    #[test]
    fn a_watch_from_the_future_says_nothing() {
        let mut cluster = cluster();
        let mut watcher = open(&cluster, "resourceVersion=9999&allowWatchBookmarks=true");
        create(&mut cluster, "a", "x");
        assert_eq!((watcher.next(&cluster), watcher.bookmark(&cluster)), (WatchStep::Wait, None));
    }

    #[test]
    fn a_selector_turns_a_lost_label_into_a_deletion() {
        let mut cluster = cluster();
        create(&mut cluster, "a", "x");
        create(&mut cluster, "b", "y");
        let version = cluster.version();
        let mut watcher = open(&cluster, &format!("resourceVersion={version}&labelSelector=tier%3Dx"));
        let stacks = kind(&cluster, "stacks");
        let patch = json!({"metadata": {"labels": {"tier": null}}});
        cluster.patch(&stacks, "a", WriteEndpoint::Main, &patch, me()).expect("patched");
        assert_eq!(read(&watcher.next(&cluster)), [pair("DELETED", "a")]);
    }

    #[test]
    fn a_bookmark_carries_the_newest_version() {
        let mut cluster = cluster();
        let version = cluster.version();
        let mut watcher = open(&cluster, &format!("resourceVersion={version}&allowWatchBookmarks=true"));
        let ledgers = kind(&cluster, "ledgers");
        cluster.create(&ledgers, object("Ledger", "l", json!({})), me()).expect("created");
        let mark = watcher.bookmark(&cluster).expect("a bookmark");
        let mark: Value = serde_json::from_slice(&mark).expect("JSON");
        assert_eq!(mark["object"]["metadata"]["resourceVersion"], cluster.version().to_string());
    }
}

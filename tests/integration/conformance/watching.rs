//! Watch.

use serde_json::{Value, json};

use super::target::{STACKS, at, create, refused, text, version};
use crate::support::rest::{Rest, RestWatch};

scenarios! {
    a_watch_tells_every_change_in_order,
    a_watch_starts_after_its_version,
    a_watch_without_a_version_starts_with_what_is_there,
    a_watch_ends_when_its_time_is_over,
    a_bookmark_says_how_far_the_watch_is,
    an_expired_version_is_an_event,
    a_version_that_is_no_number_is_refused,
    a_watch_from_the_future_stays_silent,
    a_selector_shows_a_lost_label_as_a_deletion,
    a_finalizer_shows_as_a_change_before_the_end,
    a_change_of_nothing_is_no_event,
}

/// From the version of a list that was just made, limited to objects with this label.
fn watch(server: &Rest, label: &str) -> RestWatch {
    let rv = server.get(STACKS).expect(200).resource_version().to_owned();
    watch_from(server, &rv, &format!("&labelSelector={label}"))
}

fn watch_from(server: &Rest, rv: &str, more: &str) -> RestWatch {
    let watch = server.watch("stacks", &format!("resourceVersion={rv}&timeoutSeconds=20{more}"));
    assert_eq!(watch.status, 200);
    watch
}

fn labelled(label: &str) -> Value {
    let mut metadata = json!({ "labels": {} });
    metadata["labels"][label] = "1".into();
    metadata
}

/// The next event's type, the name in it, and its object.
#[track_caller]
fn next(watch: &mut RestWatch) -> (String, String, Value) {
    let event = watch.next().expect("another event");
    let name = event["object"]["metadata"]["name"].as_str().unwrap_or_default().to_owned();
    (text(&event["type"]).to_owned(), name, event["object"].clone())
}

fn a_watch_tells_every_change_in_order(server: &Rest) {
    let mut events = watch(server, "told");
    let created = create(server, "told", labelled("told"), json!({}));
    let changed = server.patch(&at("told"), &json!({ "spec": { "dev": true } })).expect(200).json;
    let path = format!("{}/status", at("told"));
    let ready = server.patch(&path, &json!({ "status": { "ready": true } })).expect(200).json;
    server.delete(&at("told")).expect(200);
    let anew = create(server, "told", labelled("told"), json!({}));
    assert_eq!(next(&mut events), ("ADDED".into(), "told".into(), created));
    assert_eq!(next(&mut events), ("MODIFIED".into(), "told".into(), changed));
    assert_eq!(next(&mut events), ("MODIFIED".into(), "told".into(), ready.clone()));
    let (type_, _, gone) = next(&mut events);
    assert_eq!(type_, "DELETED");
    assert_eq!(gone["metadata"]["uid"], ready["metadata"]["uid"]);
    assert_eq!(gone["status"], ready["status"]);
    assert!(version(&gone) > version(&ready), "a deletion has a version of its own");
    assert_eq!(next(&mut events), ("ADDED".into(), "told".into(), anew));
}

fn a_watch_starts_after_its_version(server: &Rest) {
    let first = create(server, "after-1", labelled("after"), json!({}));
    create(server, "after-2", labelled("after"), json!({}));
    let rv = text(&first["metadata"]["resourceVersion"]);
    let mut events = watch_from(server, rv, "&labelSelector=after");
    assert_eq!(next(&mut events).1, "after-2");
}

fn a_watch_without_a_version_starts_with_what_is_there(server: &Rest) {
    let first = create(server, "there-1", labelled("there"), json!({}));
    create(server, "there-2", labelled("there"), json!({}));
    let changed = server.patch(&at("there-2"), &json!({ "spec": { "dev": true } })).expect(200).json;
    let mut events = server.watch("stacks", "timeoutSeconds=20&labelSelector=there");
    let mut there = [next(&mut events), next(&mut events)];
    there.sort_by(|a, b| a.1.cmp(&b.1));
    assert_eq!(there[0], ("ADDED".into(), "there-1".into(), first));
    assert_eq!(there[1], ("ADDED".into(), "there-2".into(), changed));
    create(server, "there-3", labelled("there"), json!({}));
    let (type_, name, _) = next(&mut events);
    assert_eq!((type_.as_str(), name.as_str()), ("ADDED", "there-3"));
}

fn a_watch_ends_when_its_time_is_over(server: &Rest) {
    let start = crate::support::now();
    let rv = server.get(STACKS).expect(200).resource_version().to_owned();
    let events = server.watch("stacks", &format!("resourceVersion={rv}&timeoutSeconds=1&labelSelector=none"));
    assert_eq!(events.count(), 0);
    assert!(start.elapsed().as_secs_f64() >= 0.9);
    assert!(start.elapsed().as_secs_f64() < 10.0);
}

fn a_bookmark_says_how_far_the_watch_is(server: &Rest) {
    let rv = server.get(STACKS).expect(200).resource_version().to_owned();
    let query = format!("resourceVersion={rv}&timeoutSeconds=4&allowWatchBookmarks=true&labelSelector=none");
    let mut events = server.watch("stacks", &query);
    let bookmark = events.find(|event| event["type"] == "BOOKMARK").expect("a bookmark before the end");
    let object = &bookmark["object"];
    assert_eq!(object["kind"], "Stack");
    assert_eq!(object["apiVersion"], "formance.com/v1beta1");
    assert!(version(object) >= rv.parse().expect("a number"));
    assert!(object["metadata"].get("name").is_none_or(|name| name == ""));
}

fn an_expired_version_is_an_event(server: &Rest) {
    let mut events = watch_from(server, "1", "");
    let (type_, _, status) = next(&mut events);
    assert_eq!(type_, "ERROR");
    assert_eq!(status["kind"], "Status");
    assert_eq!(status["code"], 410);
    assert_eq!(status["reason"], "Expired");
    assert!(text(&status["message"]).starts_with("too old resource version: 1 ("), "{status}");
    assert!(events.next().is_none(), "nothing follows");
}

fn a_version_that_is_no_number_is_refused(server: &Rest) {
    let reply = server.get(&format!("{STACKS}?watch=true&resourceVersion=abc&timeoutSeconds=1"));
    let message =
        "resourceVersion: Invalid value: \"abc\": strconv.ParseUint: parsing \"abc\": invalid syntax";
    refused(&reply, 500, "", message);
}

fn a_watch_from_the_future_stays_silent(server: &Rest) {
    let events = server.watch("stacks", "resourceVersion=999999999&timeoutSeconds=2");
    assert_eq!(events.status, 200);
    create(server, "present", json!({}), json!({}));
    assert_eq!(events.count(), 0);
}

fn a_selector_shows_a_lost_label_as_a_deletion(server: &Rest) {
    create(server, "lost", json!({}), json!({}));
    let mut events = watch(server, "lost-label");
    server.patch(&at("lost"), &json!({ "metadata": { "labels": { "lost-label": "1" } } })).expect(200);
    let lost =
        server.patch(&at("lost"), &json!({ "metadata": { "labels": { "lost-label": null } } })).expect(200);
    server.delete(&at("lost")).expect(200);
    create(server, "lost-2", labelled("lost-label"), json!({}));
    assert_eq!(next(&mut events).0, "ADDED");
    let (type_, _, object) = next(&mut events);
    assert_eq!(type_, "DELETED");
    assert_eq!(version(&object), version(&lost.json));
    assert_eq!(object["metadata"]["labels"], json!({ "lost-label": "1" }), "the object as it was before");
    assert_eq!(next(&mut events).1, "lost-2", "the real deletion is of no interest any more");
}

fn a_finalizer_shows_as_a_change_before_the_end(server: &Rest) {
    let mut events = watch(server, "finally");
    let mut metadata = labelled("finally");
    metadata["finalizers"] = json!(["example.com/held"]);
    create(server, "finally", metadata, json!({}));
    let dying = server.delete(&at("finally")).expect(200).json;
    server.patch(&at("finally"), &json!({ "metadata": { "finalizers": null } })).expect(200);
    assert_eq!(next(&mut events).0, "ADDED");
    assert_eq!(next(&mut events), ("MODIFIED".into(), "finally".into(), dying.clone()));
    let (type_, _, gone) = next(&mut events);
    assert_eq!(type_, "DELETED");
    assert!(version(&gone) > version(&dying));
}

fn a_change_of_nothing_is_no_event(server: &Rest) {
    let created = create(server, "nothing", labelled("nothing"), json!({ "dev": true }));
    let rv = text(&created["metadata"]["resourceVersion"]);
    let mut events = watch_from(server, rv, "&labelSelector=nothing");
    server.patch(&at("nothing"), &json!({ "spec": { "dev": true } })).expect(200);
    let changed = server.patch(&at("nothing"), &json!({ "spec": { "dev": false } })).expect(200).json;
    assert_eq!(next(&mut events), ("MODIFIED".into(), "nothing".into(), changed));
}

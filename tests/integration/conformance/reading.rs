//! Get and list.

use serde_json::{Value, json};

use super::target::{GROUP, STACKS, at, create, names, object, refused, text, version};
use crate::support::rest::Rest;

scenarios! {
    an_absent_object_is_not_found_in_json,
    an_absent_kind_is_not_found_in_plain_text,
    what_was_created_can_be_read,
    a_list_selects_by_label,
    a_list_is_in_the_order_of_names,
    a_list_bears_a_version_as_new_as_its_objects,
    a_list_comes_in_pages,
    pages_show_one_moment,
    an_empty_query_is_no_query,
    a_broken_selector_is_refused,
    a_broken_continue_is_refused,
}

fn an_absent_object_is_not_found_in_json(server: &Rest) {
    let reply = server.get(&at("absent"));
    refused(&reply, 404, "NotFound", r#"stacks.formance.com "absent" not found"#);
    let details = json!({ "name": "absent", "group": "formance.com", "kind": "stacks" });
    assert_eq!(reply.json["details"], details);
}

fn an_absent_kind_is_not_found_in_plain_text(server: &Rest) {
    let kinds = [
        ("GET", "nothings"),
        ("GET", "nothings/x"),
        ("POST", "nothings"),
        ("PATCH", "nothings/x"),
        ("DELETE", "nothings/x"),
    ];
    for (method, path) in kinds {
        let body = (method == "POST" || method == "PATCH").then(|| b"{}".to_vec());
        let content = if method == "PATCH" { "application/merge-patch+json" } else { "application/json" };
        let reply = server.send(method, &format!("{GROUP}/{path}"), content, body);
        assert_eq!(reply.status, 404, "{method}: {reply}");
        assert!(reply.header("content-type").is_some_and(|type_| type_.starts_with("text/plain")), "{reply}");
        assert_eq!(reply.text, "404 page not found\n");
    }
}

fn what_was_created_can_be_read(server: &Rest) {
    let created = create(server, "read-back", json!({ "labels": { "a": "b" } }), json!({ "version": "v2" }));
    assert_eq!(server.get(&at("read-back")).expect(200).json, created);
}

fn a_list_selects_by_label(server: &Rest) {
    create(server, "select-1", json!({ "labels": { "select": "x", "more": "1" } }), json!({}));
    create(server, "select-2", json!({ "labels": { "select": "x" } }), json!({}));
    create(server, "select-3", json!({ "labels": { "select": "y" } }), json!({}));
    let chosen =
        |selector: &str| names(&server.get(&format!("{STACKS}?labelSelector={selector}")).expect(200).json);
    assert_eq!(chosen("select%3Dx"), ["select-1", "select-2"]);
    assert_eq!(chosen("select%3D%3Dy"), ["select-3"]);
    assert_eq!(chosen("select%3Dx%2Cmore%3D1"), ["select-1"]);
    assert_eq!(chosen("select"), ["select-1", "select-2", "select-3"]);
    assert_eq!(chosen("select%2C%21more"), ["select-2", "select-3"]);
    assert_eq!(chosen("select%2Cselect%21%3Dx"), ["select-3"]);
    assert_eq!(chosen("select+in+%28x%2Cy%29%2Cmore+notin+%282%29"), ["select-1", "select-2", "select-3"]);
    assert_eq!(chosen("select%3Dnone"), [""; 0]);
}

fn a_list_is_in_the_order_of_names(server: &Rest) {
    for name in ["order.b", "order-c", "order-a"] {
        create(server, name, json!({ "labels": { "ordered": "1" } }), json!({}));
    }
    let list = server.get(&format!("{STACKS}?labelSelector=ordered")).expect(200).json;
    assert_eq!(names(&list), ["order-a", "order-c", "order.b"]);
    assert_eq!(list["kind"], "StackList");
    assert_eq!(list["apiVersion"], "formance.com/v1beta1");
    assert_eq!(list["items"][0]["kind"], "Stack");
    assert_eq!(list["items"][0]["apiVersion"], "formance.com/v1beta1");
}

fn a_list_bears_a_version_as_new_as_its_objects(server: &Rest) {
    let created = create(server, "newest", json!({}), json!({}));
    let list = server.get(STACKS).expect(200);
    assert!(version(&list.json) >= version(&created));
}

/// Five objects of a kind that no other scenario uses, so that all of them can be counted.
fn five(server: &Rest, kind: &str, plural: &str) -> Vec<String> {
    let make = |number: &usize| {
        let name = format!("page-{number}");
        let body = object(kind, &name, json!({ "labels": { "paged": "yes" } }), json!({ "stack": "a" }));
        server.post(&format!("{GROUP}/{plural}"), &body).expect(201);
        name
    };
    [1, 2, 3, 4, 5].iter().map(make).collect()
}

fn page(server: &Rest, path: &str, after: &Value) -> Value {
    server.get(&format!("{GROUP}/{path}&continue={}", text(after))).expect(200).json
}

fn a_list_comes_in_pages(server: &Rest) {
    let all = five(server, "Search", "searches");
    let first = server.get(&format!("{GROUP}/searches?limit=2")).expect(200).json;
    assert_eq!(names(&first), all[..2]);
    assert_eq!(first["metadata"]["remainingItemCount"], 3);
    let second = page(server, "searches?limit=2", &first["metadata"]["continue"]);
    assert_eq!(names(&second), all[2..4]);
    assert_eq!(second["metadata"]["remainingItemCount"], 1);
    let third = page(server, "searches?limit=2", &second["metadata"]["continue"]);
    assert_eq!(names(&third), all[4..]);
    assert!(third["metadata"].get("continue").is_none_or(|token| token == ""), "{third}");
    assert!(third["metadata"].get("remainingItemCount").is_none());
    assert_eq!(version(&first), version(&third));
    // A server does not count what it has not compared.
    let chosen = server.get(&format!("{GROUP}/searches?limit=2&labelSelector=paged%3Dyes")).expect(200).json;
    assert_eq!(names(&chosen), all[..2]);
    assert!(chosen["metadata"].get("remainingItemCount").is_none());
    let rest = page(server, "searches?limit=9&labelSelector=paged%3Dyes", &chosen["metadata"]["continue"]);
    assert_eq!(names(&rest), all[2..]);
}

fn pages_show_one_moment(server: &Rest) {
    let all = five(server, "Webhooks", "webhooks");
    let first = server.get(&format!("{GROUP}/webhooks?limit=2")).expect(200).json;
    server.delete(&format!("{GROUP}/webhooks/page-4")).expect(200);
    let late = object("Webhooks", "page-6", json!({}), json!({ "stack": "a" }));
    server.post(&format!("{GROUP}/webhooks"), &late).expect(201);
    let rest = page(server, "webhooks?limit=9", &first["metadata"]["continue"]);
    assert_eq!(names(&rest), all[2..]);
}

/// Client libraries write queries so.
fn an_empty_query_is_no_query(server: &Rest) {
    let created = create(server, "query", json!({ "labels": { "query": "1" } }), json!({}));
    assert_eq!(server.get(&format!("{}?", at("query"))).expect(200).json, created);
    let list = server.get(&format!("{STACKS}?&labelSelector=query&limit=500")).expect(200).json;
    assert_eq!(names(&list), ["query"]);
}

fn a_broken_selector_is_refused(server: &Rest) {
    let reply = server.get(&format!("{STACKS}?labelSelector=a%3D%3D%3Dx"));
    assert_eq!((reply.status, reply.reason()), (400, "BadRequest"), "{reply}");
    assert!(reply.message().starts_with("unable to parse requirement: "), "{reply}");
}

fn a_broken_continue_is_refused(server: &Rest) {
    let reply = server.get(&format!("{STACKS}?limit=1&continue=bogus"));
    assert_eq!((reply.status, reply.reason()), (400, "BadRequest"), "{reply}");
    assert!(reply.message().starts_with("invalid continue token: continue key is not valid: "), "{reply}");
}

use super::*;
use crate::cluster::tests::{cluster, now};

const STACKS: &str = "/apis/formance.com/v1beta1/stacks";
const MERGE: &str = "application/merge-patch+json";

fn request(method: &str, uri: &str, content_type: &str, body: &str) -> ServedRequest {
    let (path, query) = uri.split_once('?').unwrap_or((uri, ""));
    ServedRequest {
        method: method.parse().expect("a method"),
        route: Route::parse(path),
        query: Query::parse(query),
        content_type: content_type.into(),
        user_agent: "conf/1.0".into(),
        body: Bytes::copy_from_slice(body.as_bytes()),
    }
}

fn send(
    cluster: &mut EmbeddedCluster,
    method: &str,
    uri: &str,
    content_type: &str,
    body: &str,
) -> (u16, Value) {
    match answer(cluster, &request(method, uri, content_type, body), now()) {
        ServedAnswer::Reply(reply) => {
            (reply.code, serde_json::from_slice(&reply.body).unwrap_or(Value::Null))
        }
        ServedAnswer::Watch(_) => panic!("a watch"),
    }
}

fn stack(name: &str) -> String {
    format!(
        r#"{{"apiVersion":"formance.com/v1beta1","kind":"Stack","metadata":{{"name":"{name}"}},"spec":{{}}}}"#
    )
}

#[test]
fn an_object_lives_from_post_to_delete() {
    let mut cluster = cluster();
    let (code, made) = send(&mut cluster, "POST", STACKS, "application/json", &stack("a"));
    assert_eq!((code, &made["metadata"]["managedFields"][0]["manager"]), (201, &json!("conf")));
    let uri = format!("{STACKS}/a");
    let (code, patched) = send(&mut cluster, "PATCH", &uri, MERGE, r#"{"spec":{"dev":true}}"#);
    assert_eq!((code, &patched["spec"]["dev"]), (200, &json!(true)));
    assert_eq!(send(&mut cluster, "GET", &uri, "", "").1, patched);
    let (code, gone) = send(&mut cluster, "DELETE", &uri, "application/json", "{}");
    assert_eq!(
        (code, &gone["status"], &gone["details"]["uid"]),
        (200, &json!("Success"), &made["metadata"]["uid"])
    );
    assert_eq!(send(&mut cluster, "GET", &uri, "", "").0, 404);
}

#[test]
fn missing_kinds_and_missing_objects_differ() {
    let mut cluster = cluster();
    let (code, body) = send(&mut cluster, "GET", "/apis/formance.com/v1beta1/nokinds/x", "", "");
    assert_eq!((code, body), (404, Value::Null));
    let (code, body) = send(&mut cluster, "GET", &format!("{STACKS}/nope"), "", "");
    assert_eq!((code, &body["reason"]), (404, &json!("NotFound")));
    assert_eq!(send(&mut cluster, "GET", &format!("{STACKS}/a/bogus"), "", "").1["reason"], "NotFound");
}

#[test]
fn only_merge_patches_are_taken() {
    let mut cluster = cluster();
    send(&mut cluster, "POST", STACKS, "application/json", &stack("a"));
    let uri = format!("{STACKS}/a");
    assert_eq!(send(&mut cluster, "PATCH", &uri, "application/json", "{}").0, 415);
    assert_eq!(send(&mut cluster, "PATCH", &uri, MERGE, "{bad").0, 400);
    assert_eq!(send(&mut cluster, "PATCH", &uri, MERGE, "[1]").0, 400);
}

#[test]
fn the_body_must_be_of_kind_and_version() {
    let mut cluster = cluster();
    let mut post = |body: &str| send(&mut cluster, "POST", STACKS, "application/json", body);
    let words = |reply: (u16, Value)| (reply.0, reply.1["message"].as_str().unwrap_or_default().to_string());
    let (code, message) = words(post(r#"{"metadata":{"name":"c"},"spec":{}}"#));
    assert_eq!(code, 400);
    assert!(
        message.starts_with("the object provided is unrecognized (must be of type Stack): Object 'Kind'")
    );
    let (code, message) = words(post(r#"{"kind":"Stack","metadata":{"name":"c"}}"#));
    assert_eq!(
        (code, message.as_str()),
        (
            400,
            "the API version in the data () does not match the expected API version (formance.com/v1beta1)"
        )
    );
    assert_eq!(post("{bad").0, 400);
}

#[test]
fn the_manager_is_the_field_manager_or_the_user_agent() {
    let manager = |uri: &str, agent: &str| {
        let mut request = request("POST", uri, "", "");
        request.user_agent = agent.into();
        request.manager()
    };
    assert_eq!(manager(&format!("{STACKS}?fieldManager=stackherd"), "curl/8"), "stackherd");
    assert_eq!(manager(STACKS, "Go-http-client/2.0"), "Go-http-client");
    assert_eq!(manager(STACKS, ""), "unknown");
}

#[test]
fn definitions_are_listed_by_label_without_their_kind() {
    let mut cluster = cluster();
    let uri =
        "/apis/apiextensions.k8s.io/v1/customresourcedefinitions?labelSelector=formance.com/kind=module";
    let (code, list) = send(&mut cluster, "GET", uri, "", "");
    assert_eq!((code, &list["kind"]), (200, &json!("CustomResourceDefinitionList")));
    let items = list["items"].as_array().expect("items");
    assert_eq!(items.len(), 11);
    assert!(items[0].get("kind").is_none() && items[0]["spec"]["names"]["singular"].is_string());
}

#[test]
fn a_policy_that_there_is_not_is_refused() {
    let mut cluster = cluster();
    let (code, body) =
        send(&mut cluster, "DELETE", &format!("{STACKS}/a"), "", r#"{"propagationPolicy":"Bogus"}"#);
    assert_eq!((code, &body["details"]["kind"]), (422, &json!("DeleteOptions")));
}

#[test]
fn methods_that_do_not_fit_the_path_say_so() {
    let mut cluster = cluster();
    assert_eq!(send(&mut cluster, "PUT", STACKS, "", "{}").1["message"], "name must be provided");
    assert_eq!(send(&mut cluster, "POST", &format!("{STACKS}/a/status"), "", "{}").0, 405);
}

#[test]
fn verbs_are_counted_in_the_servers_words() {
    let verb = |method: &str, uri: &str| request(method, uri, "", "").verb();
    assert_eq!(verb("GET", STACKS), "list");
    assert_eq!(verb("GET", &format!("{STACKS}?watch=true")), "watch");
    assert_eq!(verb("DELETE", STACKS), "deletecollection");
    assert_eq!(verb("PATCH", &format!("{STACKS}/a/status")), "patch");
    assert_eq!(verb("GET", "/readyz"), "other");
}

//! What the server does not take, and in which words.

use serde_json::{Value, json};

use super::target::{GROUP, STACKS, at, create, current, object, refused, stack};
use crate::support::rest::Rest;

scenarios! {
    a_name_that_is_no_subdomain_is_invalid,
    a_name_that_is_too_long_is_invalid,
    a_label_value_that_is_no_label_value_is_invalid,
    a_label_value_that_is_too_long_is_invalid,
    a_label_key_that_is_none_is_invalid,
    an_annotation_key_that_is_none_is_invalid,
    annotations_have_a_size_limit,
    a_value_of_another_type_is_invalid,
    a_missing_required_field_is_invalid,
    an_object_without_a_name_is_invalid,
    another_kind_is_invalid,
    an_object_without_a_kind_is_a_bad_request,
    a_label_that_is_no_string_is_a_bad_request,
    a_body_that_is_no_json_is_a_bad_request,
    a_patch_that_is_no_json_is_a_bad_request,
    a_patch_of_another_media_type_is_unsupported,
    a_patch_to_an_invalid_state_changes_nothing,
    an_object_too_large_for_the_store_is_refused,
    a_request_too_large_for_the_server_is_refused,
}

const SUBDOMAIN: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', \
    and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is \
    '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const LABEL_VALUE: &str = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', \
    and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used \
    for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";
const KEY_NAME: &str = "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with \
    an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is \
    '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";

#[track_caller]
fn invalid(server: &Rest, name: &str, metadata: Value, message: &str) {
    let reply = server.post(STACKS, &stack(name, metadata, json!({})));
    refused(&reply, 422, "Invalid", &format!("Stack.formance.com \"{name}\" is invalid: {message}"));
    assert_eq!(reply.json["details"]["kind"], "Stack", "{reply}");
    assert_eq!(reply.json["details"]["group"], "formance.com", "{reply}");
    assert_eq!(reply.json["details"]["name"], name, "{reply}");
}

fn a_name_that_is_no_subdomain_is_invalid(server: &Rest) {
    for name in ["Upper", "under_score", "-dash", "dot.", "sp ace"] {
        let message = format!("metadata.name: Invalid value: \"{name}\": {SUBDOMAIN}");
        invalid(server, name, json!({}), &message);
    }
}

fn a_name_that_is_too_long_is_invalid(server: &Rest) {
    let name = "x".repeat(254);
    let message = format!("metadata.name: Invalid value: \"{name}\": must be no more than 253 characters");
    invalid(server, &name, json!({}), &message);
}

fn a_label_value_that_is_no_label_value_is_invalid(server: &Rest) {
    let message = format!("metadata.labels: Invalid value: \"bad value\": {LABEL_VALUE}");
    invalid(server, "bad-label", json!({ "labels": { "some-key": "bad value" } }), &message);
}

fn a_label_value_that_is_too_long_is_invalid(server: &Rest) {
    let value = "x".repeat(64);
    let message = format!("metadata.labels: Invalid value: \"{value}\": must be no more than 63 bytes");
    invalid(server, "long-label", json!({ "labels": { "some-key": value } }), &message);
}

fn a_label_key_that_is_none_is_invalid(server: &Rest) {
    let message = format!("metadata.labels: Invalid value: \"bad key\": {KEY_NAME}");
    invalid(server, "bad-label-key", json!({ "labels": { "bad key": "x" } }), &message);
}

fn an_annotation_key_that_is_none_is_invalid(server: &Rest) {
    let message = format!("metadata.annotations: Invalid value: \"bad key\": {KEY_NAME}");
    invalid(server, "bad-annotation", json!({ "annotations": { "bad key": "x" } }), &message);
}

fn annotations_have_a_size_limit(server: &Rest) {
    let annotations = json!({ "annotations": { "a": "x".repeat(256 * 1024) } });
    let message = "metadata.annotations: Too long: may not be more than 262144 bytes";
    invalid(server, "long-annotation", annotations, message);
}

fn a_value_of_another_type_is_invalid(server: &Rest) {
    let reply = server.post(STACKS, &stack("typed", json!({}), json!({ "disabled": "yes" })));
    let message = "Stack.formance.com \"typed\" is invalid: spec.disabled: Invalid value: \"string\": \
                   spec.disabled in body must be of type boolean: \"string\"";
    refused(&reply, 422, "Invalid", message);
    server.get(&at("typed")).expect(404);
}

fn a_missing_required_field_is_invalid(server: &Rest) {
    let body = object("AuthClient", "incomplete", json!({}), json!({ "stack": "a" }));
    let reply = server.post(&format!("{GROUP}/authclients"), &body);
    let message = "AuthClient.formance.com \"incomplete\" is invalid: spec.id: Required value";
    refused(&reply, 422, "Invalid", message);
}

fn an_object_without_a_name_is_invalid(server: &Rest) {
    let mut body = stack("", json!({}), json!({}));
    body["metadata"] = json!({});
    let reply = server.post(STACKS, &body);
    let message =
        "Stack.formance.com \"\" is invalid: metadata.name: Required value: name or generateName is required";
    refused(&reply, 422, "Invalid", message);
}

fn another_kind_is_invalid(server: &Rest) {
    let reply = server.post(STACKS, &object("Gateway", "kind", json!({}), json!({})));
    let message = "Gateway.formance.com \"kind\" is invalid: kind: Invalid value: \"Gateway\": must be Stack";
    refused(&reply, 422, "Invalid", message);
}

fn an_object_without_a_kind_is_a_bad_request(server: &Rest) {
    let reply = server.post(STACKS, &json!({ "metadata": { "name": "kindless" } }));
    assert_eq!((reply.status, reply.reason()), (400, "BadRequest"), "{reply}");
    let start = "the object provided is unrecognized (must be of type Stack): Object 'Kind' is missing in ";
    assert!(reply.message().starts_with(start), "{reply}");
}

fn a_label_that_is_no_string_is_a_bad_request(server: &Rest) {
    let reply = server.post(STACKS, &stack("number", json!({ "labels": { "a": 5 } }), json!({})));
    let message = "Stack in version \"v1beta1\" cannot be handled as a Stack: json: cannot unmarshal number into Go \
                   struct field ObjectMeta.labels of type string";
    refused(&reply, 400, "BadRequest", message);
}

fn a_body_that_is_no_json_is_a_bad_request(server: &Rest) {
    let reply = server.send("POST", STACKS, "application/json", Some(b"{bad".to_vec()));
    assert_eq!((reply.status, reply.reason()), (400, "BadRequest"), "{reply}");
    assert!(
        reply.message().starts_with("the object provided is unrecognized (must be of type Stack): "),
        "{reply}"
    );
}

fn a_patch_that_is_no_json_is_a_bad_request(server: &Rest) {
    create(server, "bad-patch", json!({}), json!({}));
    let reply =
        server.send("PATCH", &at("bad-patch"), "application/merge-patch+json", Some(b"{bad".to_vec()));
    assert_eq!((reply.status, reply.reason()), (400, "BadRequest"), "{reply}");
    assert!(reply.message().starts_with("error decoding patch: "), "{reply}");
}

fn a_patch_of_another_media_type_is_unsupported(server: &Rest) {
    create(server, "media", json!({}), json!({}));
    let reply = server.send("PATCH", &at("media"), "application/json", Some(b"{}".to_vec()));
    assert_eq!((reply.status, reply.reason()), (415, "UnsupportedMediaType"), "{reply}");
}

fn a_patch_to_an_invalid_state_changes_nothing(server: &Rest) {
    let before = create(server, "stays-valid", json!({}), json!({}));
    let reply = server.patch(&at("stays-valid"), &json!({ "spec": { "dev": "x", "version": "v2" } }));
    let message = "Stack.formance.com \"stays-valid\" is invalid: spec.dev: Invalid value: \"string\": \
                   spec.dev in body must be of type boolean: \"string\"";
    refused(&reply, 422, "Invalid", message);
    let reply = server.patch(&at("stays-valid"), &json!({ "metadata": { "labels": { "a": "bad value" } } }));
    let message = format!(
        "Stack.formance.com \"stays-valid\" is invalid: metadata.labels: Invalid value: \"bad value\": {LABEL_VALUE}"
    );
    refused(&reply, 422, "Invalid", &message);
    assert_eq!(current(server, "stays-valid"), before);
}

fn an_object_too_large_for_the_store_is_refused(server: &Rest) {
    let reply = server.post(STACKS, &stack("large", json!({}), json!({ "version": "x".repeat(1_700_000) })));
    assert_eq!(reply.status, 500, "{} bytes of answer", reply.text.len());
    assert_eq!(reply.message(), "etcdserver: request is too large");
    server.get(&at("large")).expect(404);
}

fn a_request_too_large_for_the_server_is_refused(server: &Rest) {
    let reply = server.post(STACKS, &stack("larger", json!({}), json!({ "version": "x".repeat(4 << 20) })));
    refused(&reply, 413, "RequestEntityTooLarge", "Request entity too large: limit is 3145728");
}

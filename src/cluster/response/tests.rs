use serde_json::json;

use super::*;
use crate::stack::object::Resource;

fn key() -> ObjectKey {
    ObjectKey::new(&Resource::new("Ledger", "ledger", "ledgers"), "org-one")
}

fn create() -> Write {
    Write::Create { key: key(), body: json!({}) }
}

fn patch() -> Write {
    Write::Patch { key: key(), resource_version: "1".into(), body: json!({}) }
}

fn delete() -> Write {
    Write::Delete { key: key(), uid: "u-1".into(), resource_version: "1".into() }
}

fn every_verb() -> [Write; 3] {
    [create(), patch(), delete()]
}

fn reply(status: u16, body: &str) -> ApiResponse {
    ApiResponse {
        status: StatusCode::from_u16(status).unwrap(),
        headers: HeaderMap::new(),
        body: Bytes::copy_from_slice(body.as_bytes()),
    }
}

fn with(mut reply: ApiResponse, name: &'static str, value: &str) -> ApiResponse {
    reply.headers.append(name, value.parse().unwrap());
    reply
}

fn failure(code: u16, reason: &str, message: &str) -> ApiResponse {
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": message, "reason": reason, "details": {"name": "org-one", "kind": "ledgers"}, "code": code,
    });
    reply(code, &status.to_string())
}

fn an_object(name: &str, metadata: &Value) -> Value {
    let mut object = json!({
        "apiVersion": "formance.com/v1beta1", "kind": "Ledger",
        "metadata": {"name": name, "uid": "u-1", "resourceVersion": "7"},
        "spec": {"stack": name},
    });
    for (key, value) in metadata.as_object().unwrap() {
        object["metadata"][key] = value.clone();
    }
    object
}

fn ok(body: &Value) -> ApiResponse {
    reply(200, &body.to_string())
}

#[test]
fn an_object_in_the_answer_is_stored() {
    for write_ in [create(), patch()] {
        let answer = write(&write_, &ok(&an_object("org-one", &json!({}))));
        let WriteAnswer::Stored(object) = answer else { panic!("{answer:?}") };
        assert_eq!((object.key, object.resource_version.as_str()), (key(), "7"));
    }
}

#[test]
fn success_with_an_unreadable_answer_leaves_the_outcome_unknown() {
    for write_ in every_verb() {
        for body in ["", "<html>", "{}", "{\"kind\":\"Ledger\"}"] {
            let answer = write(&write_, &reply(200, body));
            assert!(matches!(answer, WriteAnswer::InDoubt { .. }), "{} {body:?}: {answer:?}", write_.verb());
        }
    }
}

#[test]
fn an_answer_about_another_object_leaves_the_outcome_unknown() {
    let answer = write(&patch(), &ok(&an_object("org-two", &json!({}))));
    assert!(matches!(answer, WriteAnswer::InDoubt { .. }), "{answer:?}");
}

#[test]
fn an_unknown_field_is_told_though_the_rest_was_taken() {
    let taken =
        with(ok(&an_object("org-one", &json!({}))), "warning", r#"299 - "unknown field \"spec.serverURL\"""#);
    let WriteAnswer::StoredInPart { warning } = write(&create(), &taken) else { panic!() };
    assert!(warning.contains("spec.serverURL"), "{warning}");
}

#[test]
fn a_deprecation_warning_does_not_stand_in_the_way() {
    let taken = with(
        ok(&an_object("org-one", &json!({}))),
        "warning",
        r#"299 - "formance.com/v1beta1 is deprecated""#,
    );
    assert!(matches!(write(&create(), &taken), WriteAnswer::Stored(_)));
}

#[test]
fn a_delete_answered_by_a_status_is_done() {
    let status = json!({
        "kind": "Status", "status": "Success",
        "details": {"name": "org-one", "group": "formance.com", "kind": "ledgers", "uid": "u-1"},
    });
    assert_eq!(write(&delete(), &ok(&status)), WriteAnswer::Gone { uid: "u-1".into() });
    let bare = json!({"kind": "Status", "status": "Success"});
    assert_eq!(write(&delete(), &ok(&bare)), WriteAnswer::Gone { uid: "u-1".into() });
}

#[test]
fn a_delete_that_a_finalizer_holds_answers_with_the_object() {
    let held = an_object("org-one", &json!({"deletionTimestamp": "2026-01-01T00:00:00Z"}));
    let WriteAnswer::Stored(object) = write(&delete(), &ok(&held)) else { panic!() };
    assert!(object.terminating);
}

#[test]
fn a_taken_name_and_a_moved_object_are_told_apart() {
    let exists = failure(409, "AlreadyExists", "ledgers \"org-one\" already exists");
    assert_eq!(write(&create(), &exists), WriteAnswer::AlreadyExists);
    let moved = failure(409, "Conflict", "the object has been modified");
    assert_eq!(write(&patch(), &moved), WriteAnswer::Conflict);
    assert_eq!(write(&delete(), &moved), WriteAnswer::Conflict);
}

#[test]
fn a_missing_object_and_a_missing_kind_are_told_apart() {
    let object = failure(404, "NotFound", "ledgers.formance.com \"org-one\" not found");
    let kind = reply(404, "404 page not found\n");
    for write_ in [patch(), delete()] {
        assert_eq!(write(&write_, &object), WriteAnswer::NotFound);
        let answer = write(&write_, &kind);
        assert!(matches!(&answer, WriteAnswer::Refused(r) if r.code == 404), "{answer:?}");
    }
    assert!(matches!(write(&create(), &kind), WriteAnswer::Refused(_)));
    assert!(matches!(write(&create(), &object), WriteAnswer::Refused(_)));
    assert_eq!(read_one(&key(), &object), Ok(None));
    assert!(matches!(read_one(&key(), &kind), Err(ReadError::Refused { .. })));
    assert!(matches!(read_error("ledgers".into(), &kind), ReadError::Refused { .. }));
}

#[test]
fn a_not_found_of_something_else_does_not_make_an_object_absent() {
    let mut status: Value = serde_json::from_slice(&failure(404, "NotFound", "no").body).unwrap();
    status["details"]["name"] = "another".into();
    let other = reply(404, &status.to_string());
    assert!(matches!(read_one(&key(), &other), Err(ReadError::Refused { .. })));
    assert!(matches!(write(&delete(), &other), WriteAnswer::Refused(_)));
}

#[test]
fn content_that_the_server_will_never_take_is_refused_with_its_words() {
    for code in [400, 403, 405, 413, 415, 422] {
        for write_ in every_verb() {
            let answer = write(&write_, &failure(code, "Invalid", "spec.stack: Required value"));
            let expected =
                Refusal { code, reason: "Invalid".into(), message: "spec.stack: Required value".into() };
            assert_eq!(answer, WriteAnswer::Refused(expected));
        }
    }
}

#[test]
fn an_object_too_large_for_the_store_is_refused_though_it_answers_500() {
    for words in [
        "etcdserver: request is too large",
        "rpc error: code = ResourceExhausted desc = trying to send message larger than max (2097628 vs. 2097152)",
    ] {
        assert!(matches!(write(&create(), &failure(500, "", words)), WriteAnswer::Refused(_)), "{words}");
    }
}

#[test]
fn a_refusal_without_a_status_tells_what_the_body_said() {
    let WriteAnswer::Refused(refusal) = write(&create(), &reply(403, " blocked by the proxy \n")) else {
        panic!()
    };
    assert_eq!(refusal.message, "blocked by the proxy");
}

#[test]
fn a_redirect_is_refused_and_says_where_it_led() {
    let redirect = with(reply(302, ""), "location", "https://login.example/");
    let WriteAnswer::Refused(refusal) = write(&create(), &redirect) else { panic!() };
    assert!(refusal.message.contains("https://login.example/"), "{refusal}");
    assert!(matches!(read_one(&key(), &redirect), Err(ReadError::Refused { .. })));
}

#[test]
fn too_many_requests_and_bad_credentials_are_not_applied() {
    let busy = with(failure(429, "TooManyRequests", "later"), "retry-after", "3");
    for write_ in every_verb() {
        let WriteAnswer::NotApplied { retry_after, cause } = write(&write_, &busy) else { panic!() };
        assert_eq!(retry_after, Some(Duration::from_secs(3)));
        assert!(cause.contains("later"), "{cause}");
        assert!(matches!(
            write(&write_, &failure(401, "Unauthorized", "Unauthorized")),
            WriteAnswer::NotApplied { retry_after: None, .. }
        ));
    }
}

#[test]
fn server_errors_leave_the_outcome_unknown() {
    for code in [408, 500, 502, 503, 504] {
        for write_ in every_verb() {
            let answer = write(&write_, &with(failure(code, "X", "broken"), "retry-after", "1"));
            let WriteAnswer::InDoubt { retry_after, .. } = answer else { panic!("{code}: {answer:?}") };
            assert_eq!(retry_after, Some(Duration::from_secs(1)));
        }
    }
}

#[test]
fn reads_tell_refusals_from_what_passes() {
    for code in [400, 403, 405, 406, 422] {
        let error = read_one(&key(), &failure(code, "Forbidden", "no")).unwrap_err();
        assert!(matches!(error, ReadError::Refused { .. }), "{code}");
    }
    for code in [401, 408, 410, 429, 500, 503, 504] {
        let error = read_one(&key(), &failure(code, "X", "later")).unwrap_err();
        assert!(matches!(error, ReadError::Failed { .. }), "{code}");
    }
}

#[test]
fn a_read_that_is_cut_off_is_no_absence() {
    for body in ["", "{\"kind\":\"LedgerList\",\"items\":[", "[]", "{\"items\":null}", "{\"items\":[{}]}"] {
        let error = read_one(&key(), &reply(200, body)).unwrap_err();
        assert!(matches!(error, ReadError::Failed { .. }), "{body:?}");
    }
}

#[test]
fn retry_after_is_read_in_seconds_or_not_at_all() {
    let after = |value: &str| with(reply(429, ""), "retry-after", value).retry_after();
    assert_eq!(after(" 12 "), Some(Duration::from_secs(12)));
    for value in ["", "-1", "soon", "Wed, 21 Oct 2015 07:28:00 GMT"] {
        assert_eq!(after(value), None, "{value:?}");
    }
}

#[test]
fn a_deletion_is_not_believed_where_its_answer_is_about_another_or_a_failure() {
    for (status, uid) in [("Success", "u-2"), ("Failure", "u-1"), ("Failure", "")] {
        let body = json!({"kind": "Status", "status": status, "details": {"uid": uid}});
        let answer = write(&delete(), &ok(&body));
        assert!(matches!(answer, WriteAnswer::InDoubt { .. }), "{body}: {answer:?}");
    }
    let nameless = json!({"kind": "Status", "status": "Success", "details": {"uid": ""}});
    assert_eq!(write(&delete(), &ok(&nameless)), WriteAnswer::Gone { uid: "u-1".into() });
    let another = write(&delete(), &ok(&an_object("org-one", &json!({"uid": "u-2"}))));
    assert!(matches!(another, WriteAnswer::InDoubt { .. }), "{another:?}");
}

const DATE: &str = "Wed, 21 Oct 2015 07:28:00 GMT";

fn retry_after_of(value: &str, date: Option<&str>) -> Option<Duration> {
    let mut headers = HeaderMap::new();
    headers.insert(header::RETRY_AFTER, value.parse().unwrap());
    headers.extend(date.map(|date| (header::DATE, date.parse().unwrap())));
    retry_after(&headers)
}

#[test]
fn seconds_are_believed_up_to_a_minute() {
    assert_eq!(retry_after_of("0", None), Some(Duration::ZERO));
    assert_eq!(retry_after_of(" 7 ", None), Some(Duration::from_secs(7)));
    for huge in [
        "61",
        "99999999",
        "9223372036854775807",
        "18446744073709551615",
        "18446744073709551616",
        "999999999999999999999999999999999999",
    ] {
        assert_eq!(retry_after_of(huge, None), Some(LONGEST_PAUSE), "{huge}");
    }
}

#[test]
fn a_date_is_believed_up_to_a_minute_after_the_answers_own() {
    let then = |text| retry_after_of(text, Some(DATE));
    assert_eq!(then("Wed, 21 Oct 2015 07:28:05 GMT"), Some(Duration::from_secs(5)));
    assert_eq!(then("Thu, 31 Dec 9998 23:59:59 GMT"), Some(LONGEST_PAUSE));
    assert_eq!(then("Sun, 06 Nov 1994 08:49:37 GMT"), Some(Duration::ZERO));
    assert_eq!(retry_after_of(DATE, None), None);
    assert_eq!(retry_after_of(DATE, Some("yesterday")), None);
}

#[test]
fn what_is_neither_says_nothing() {
    for odd in ["", "-1", "+5", "1.5", "1e9", "0x10", "NaN", "inf", "soon", "7 s", "Wed, 99 Foo 2015"] {
        assert_eq!(retry_after_of(odd, Some(DATE)), None, "{odd:?}");
    }
    let mut headers = HeaderMap::new();
    headers.insert(header::RETRY_AFTER, http::HeaderValue::from_bytes(b"\xff\xfe").unwrap());
    assert_eq!(retry_after(&headers), None);
    assert_eq!(retry_after(&HeaderMap::new()), None);
}

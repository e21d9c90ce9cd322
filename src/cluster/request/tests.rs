use std::sync::Arc;

use http::Method;
use serde_json::json;

use super::*;

fn ledger() -> ObjectKey {
    ObjectKey::new(&Resource::new("Ledger", "ledger", "ledgers"), "org-one")
}

fn body(request: &ApiRequest) -> Value {
    serde_json::from_slice(request.body()).unwrap()
}

#[test]
fn a_create_posts_the_whole_object_under_our_name() {
    let object = json!({"metadata": {"name": "org-one"}, "spec": {"stack": "org-one"}});
    let request = write(&Write::Create { key: ledger(), body: object.clone() }).unwrap();
    assert_eq!(request.method(), Method::POST);
    assert_eq!(request.uri(), "/apis/formance.com/v1beta1/ledgers?fieldManager=stackherd");
    assert_eq!(request.headers()[header::CONTENT_TYPE], "application/json");
    assert_eq!(body(&request), object);
}

#[test]
fn a_patch_is_a_merge_patch_under_our_name() {
    let patch = json!({"metadata": {"resourceVersion": "17"}, "spec": {"disabled": true}});
    let request =
        write(&Write::Patch { key: ledger(), resource_version: "17".into(), body: patch.clone() }).unwrap();
    assert_eq!(request.method(), Method::PATCH);
    assert_eq!(request.uri(), "/apis/formance.com/v1beta1/ledgers/org-one?fieldManager=stackherd");
    assert_eq!(request.headers()[header::CONTENT_TYPE], "application/merge-patch+json");
    assert_eq!(body(&request), patch);
}

#[test]
fn a_patch_that_does_not_name_its_version_is_not_built() {
    for metadata in [json!({}), json!({"resourceVersion": "16"}), json!({"resourceVersion": 17})] {
        let patch = Write::Patch {
            key: ledger(),
            resource_version: "17".into(),
            body: json!({"metadata": metadata}),
        };
        assert!(matches!(write(&patch), Err(RequestError::Unconditional { .. })));
    }
    let empty = Write::Patch {
        key: ledger(),
        resource_version: String::new(),
        body: json!({"metadata": {"resourceVersion": ""}}),
    };
    assert!(matches!(write(&empty), Err(RequestError::Unconditional { .. })));
}

#[test]
fn a_delete_names_uid_and_version_and_leaves_dependents_to_the_background() {
    let delete = Write::Delete { key: ledger(), uid: "u-1".into(), resource_version: "17".into() };
    let request = write(&delete).unwrap();
    assert_eq!(request.method(), Method::DELETE);
    assert_eq!(request.uri(), "/apis/formance.com/v1beta1/ledgers/org-one");
    assert_eq!(
        body(&request),
        json!({
            "propagationPolicy": "Background",
            "preconditions": {"uid": "u-1", "resourceVersion": "17"},
        })
    );
}

#[test]
fn a_get_asks_for_the_newest() {
    let request = get(&ledger()).unwrap();
    assert_eq!(request.method(), Method::GET);
    assert_eq!(request.uri(), "/apis/formance.com/v1beta1/ledgers/org-one");
    assert!(request.body().is_empty());
}

#[test]
fn module_crds_are_selected_by_label() {
    let request = module_crds(None).unwrap();
    assert_eq!(request.uri().path(), "/apis/apiextensions.k8s.io/v1/customresourcedefinitions");
    assert_eq!(request.uri().query(), Some("labelSelector=formance.com%2Fkind%3Dmodule&limit=500"));
}

#[test]
fn all_objects_of_a_kind_are_listed_in_pages_from_the_newest_state() {
    let ledgers = WatchTarget::kind(&ledger().resource);
    let first = list_all(&ledgers, None).unwrap();
    assert_eq!(first.method(), Method::GET);
    assert_eq!(first.uri(), "/apis/formance.com/v1beta1/ledgers?limit=500");
    let second = list_all(&ledgers, Some("a+b=")).unwrap();
    assert_eq!(second.uri(), "/apis/formance.com/v1beta1/ledgers?limit=500&continue=a%2Bb%3D");
    for page in [first, second] {
        assert_eq!(page.headers()[header::ACCEPT_ENCODING], "gzip");
    }
}

#[test]
fn a_watch_goes_on_from_a_version_with_bookmarks_for_a_time() {
    let watch = watch(&WatchTarget::kind(&ledger().resource), "17", Duration::from_secs(301)).unwrap();
    assert_eq!(watch.method(), Method::GET);
    assert_eq!(
        watch.uri(),
        "/apis/formance.com/v1beta1/ledgers\
         ?watch=true&timeoutSeconds=301&allowWatchBookmarks=true&resourceVersion=17"
    );
    assert!(!watch.headers().contains_key(header::ACCEPT_ENCODING));
}

#[test]
fn definitions_are_listed_and_watched_by_the_label_of_modules() {
    let definitions = WatchTarget::definitions();
    let list = list_all(&definitions, None).unwrap();
    let path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    assert_eq!((list.uri().path(), list.uri().query()), (path, module_crds(None).unwrap().uri().query()));
    let watch = watch(&definitions, "17", Duration::from_secs(301)).unwrap();
    assert_eq!(watch.uri().path(), path);
    assert!(watch.uri().query().unwrap().contains("&labelSelector=formance.com%2Fkind%3Dmodule&"));
}

#[test]
fn what_is_not_listed_is_asked_for_without_compression() {
    assert!(!get(&ledger()).unwrap().headers().contains_key(header::ACCEPT_ENCODING));
}

#[test]
fn every_request_says_who_asks_and_wants_json() {
    let create = Write::Create { key: ledger(), body: json!({}) };
    let patch = Write::Patch {
        key: ledger(),
        resource_version: "1".into(),
        body: json!({"metadata": {"resourceVersion": "1"}}),
    };
    let delete = Write::Delete { key: ledger(), uid: "u".into(), resource_version: "1".into() };
    for request in [
        write(&create).unwrap(),
        write(&patch).unwrap(),
        write(&delete).unwrap(),
        get(&ledger()).unwrap(),
        list_all(&WatchTarget::kind(&ledger().resource), None).unwrap(),
        module_crds(None).unwrap(),
        list_all(&WatchTarget::definitions(), None).unwrap(),
    ] {
        assert_eq!(request.headers()[header::ACCEPT], "application/json");
        assert_eq!(request.headers()[header::USER_AGENT], USER_AGENT);
        let uri = request.uri().to_string();
        assert!(!uri.ends_with('?') && !uri.contains("?&"), "{uri}");
        assert!(!uri.contains("resourceVersion="), "{uri}");
    }
}

#[test]
fn names_that_would_change_the_path_are_refused() {
    for name in ["", "../x", "a/b", "Upper", "a?watch=true", "a b", "."] {
        let key = ObjectKey { resource: Arc::clone(&ledger().resource), name: name.into() };
        assert!(matches!(get(&key), Err(RequestError::Name { .. })), "{name:?}");
        let delete = Write::Delete { key, uid: "u".into(), resource_version: "1".into() };
        assert!(matches!(write(&delete), Err(RequestError::Name { .. })), "{name:?}");
    }
}

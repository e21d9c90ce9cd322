//! An answer as it goes over the wire.

use std::rc::Rc;

use bytes::{BufMut, Bytes, BytesMut};
use serde_json::{Value, json};

use super::{
    cluster::{Deleted, ListPage, WriteResult},
    failure::ApiFailure,
    kind::ServedKind,
    object::ServedObject,
};

/// Status, headers that vary, and the whole body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiReply {
    /// HTTP status.
    pub code: u16,
    /// JSON, or plain text.
    pub json: bool,
    /// Texts of `Warning: 299` headers.
    pub warnings: Vec<String>,
    /// Seconds for `Retry-After`.
    pub retry_after: Option<u32>,
    /// The body.
    pub body: Bytes,
}

impl ApiReply {
    /// Bytes of JSON.
    pub fn json(code: u16, body: Bytes) -> Self {
        Self { code, json: true, warnings: Vec::new(), retry_after: None, body }
    }

    /// Plain text.
    pub fn text(code: u16, body: &'static str) -> Self {
        Self { json: false, ..Self::json(code, Bytes::from_static(body.as_bytes())) }
    }

    /// JSON of a value.
    pub fn value(code: u16, value: &Value) -> Self {
        Self::json(code, Bytes::from(value.to_string()))
    }

    /// An object as it is stored.
    pub fn object(object: &ServedObject) -> Self {
        Self::json(200, object.bytes())
    }

    /// A write that was taken.
    pub fn written(code: u16, written: &WriteResult) -> Self {
        Self { warnings: written.warnings.clone(), ..Self::json(code, written.object.bytes()) }
    }

    /// A deletion.
    pub fn deleted(kind: &ServedKind, name: &str, deleted: &Deleted) -> Self {
        match deleted {
            Deleted::Held(object) => Self::object(object),
            Deleted::Gone { uid } => {
                let details = json!({"name": name, "group": kind.group, "kind": kind.plural, "uid": uid});
                let status = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success",
                    "details": details});
                Self::value(200, &status)
            }
        }
    }

    /// A list.
    pub fn list(kind: &ServedKind, page: &ListPage) -> Self {
        let mut body = BytesMut::with_capacity(256 + page.objects.len() * 1024);
        let head = format!(r#"{{"apiVersion":{},"items":["#, json!(kind.api_version()));
        body.put_slice(head.as_bytes());
        for (index, object) in page.objects.iter().enumerate() {
            if index > 0 {
                body.put_u8(b',');
            }
            body.put_slice(&item(kind, object));
        }
        let mut metadata = json!({"continue": page.next, "resourceVersion": page.version.to_string()});
        if let Some(remaining) = page.remaining {
            metadata["remainingItemCount"] = remaining.into();
        }
        let tail = format!(r#"],"kind":{},"metadata":{metadata}}}"#, json!(kind.list_kind));
        body.put_slice(tail.as_bytes());
        Self::json(200, body.freeze())
    }
}

/// Built-in kinds do not repeat their kind in a list's items.
fn item(kind: &ServedKind, object: &Rc<ServedObject>) -> Bytes {
    if !kind.is_definitions() {
        return object.bytes();
    }
    let mut value = object.value().clone();
    if let Value::Object(fields) = &mut value {
        fields.remove("kind");
        fields.remove("apiVersion");
    }
    Bytes::from(value.to_string())
}

impl From<ApiFailure> for ApiReply {
    fn from(failure: ApiFailure) -> Self {
        if failure.plain {
            return Self::text(failure.code, "404 page not found\n");
        }
        Self { retry_after: failure.retry_after, ..Self::value(failure.code, &failure.status()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kind::tests::stack_kind;

    fn page(names: &[&str]) -> ListPage {
        let object = |name: &&str| Rc::new(ServedObject::new(json!({"metadata": {"name": name}})));
        ListPage {
            objects: names.iter().map(object).collect(),
            version: 7,
            next: "t".into(),
            remaining: Some(3),
        }
    }

    #[test]
    fn a_list_is_json_with_its_version_and_token() {
        let reply = ApiReply::list(&stack_kind(), &page(&["a", "b"]));
        let list: Value = serde_json::from_slice(&reply.body).expect("JSON");
        assert_eq!(
            list,
            json!({"apiVersion": "formance.com/v1beta1", "kind": "StackList",
                "items": [{"metadata": {"name": "a"}}, {"metadata": {"name": "b"}}],
                "metadata": {"continue": "t", "resourceVersion": "7", "remainingItemCount": 3}})
        );
    }

    #[test]
    fn a_missing_kind_is_plain_text_and_a_missing_object_a_status() {
        let kind = ApiReply::from(ApiFailure::no_such_path());
        assert_eq!((kind.code, kind.json, &kind.body[..]), (404, false, &b"404 page not found\n"[..]));
        let object = ApiReply::from(ApiFailure::not_found(&stack_kind(), "a"));
        assert_eq!((object.code, object.json), (404, true));
    }
}

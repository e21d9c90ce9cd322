//! A page of a list, taken apart without being read.

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{answer::Reply, watching::not_ok};
use crate::{net, stack::write::ReadError};

/// The objects of a page as text, each to be read when its turn comes: as trees they would take
/// ten times the room.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) items: Vec<Bytes>,
    /// Where the next page begins.
    pub(super) next: Option<String>,
    /// The version of the list, from which on events are to be watched.
    pub(super) version: String,
}

#[derive(Deserialize)]
struct List<'a> {
    #[serde(default)]
    metadata: Metadata,
    #[serde(borrow)]
    items: Vec<&'a RawValue>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    #[serde(default)]
    resource_version: String,
    #[serde(default)]
    r#continue: String,
}

impl Page {
    /// Takes a page apart. Beside the error: whether it is that the list has expired.
    pub(super) async fn read(subject: &str, reply: Reply) -> Result<Self, (ReadError, bool)> {
        if !reply.status.is_success() {
            return Err(not_ok(subject, &reply));
        }
        // A megabyte takes milliseconds, which is too long for the executor.
        let apart = net::blocking(move || take_apart(&reply.body)).await;
        let failed = |cause: String| {
            (ReadError::Failed { subject: subject.to_owned(), cause, retry_after: None }, false)
        };
        apart.map_err(|error| failed(error.to_string()))?.map_err(failed)
    }
}

fn take_apart(body: &Bytes) -> Result<Page, String> {
    let list: List<'_> =
        serde_json::from_slice(body).map_err(|error| format!("the answer is no list: {error}"))?;
    let Metadata { resource_version: version, r#continue: next } = list.metadata;
    if version.is_empty() {
        return Err("the answer is a list of no version".into());
    }
    let items = list.items.iter().map(|item| body.slice_ref(item.get().as_bytes())).collect();
    Ok(Page { items, next: Some(next).filter(|next| !next.is_empty()), version })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn apart(text: &'static str) -> Result<Page, String> {
        take_apart(&Bytes::from_static(text.as_bytes()))
    }

    #[test]
    fn a_page_gives_its_objects_as_text() {
        let page = apart(
            r#"{"kind":"L","metadata":{"resourceVersion":"7","continue":"t","remainingItemCount":9},"items":[{"a": 1}, {}]}"#,
        )
        .unwrap();
        assert_eq!(page.items, [&br#"{"a": 1}"#[..], b"{}"]);
        assert_eq!((page.version.as_str(), page.next.as_deref()), ("7", Some("t")));
    }

    #[test]
    fn the_last_page_has_no_next() {
        for text in [
            r#"{"metadata":{"resourceVersion":"7"},"items":[]}"#,
            r#"{"metadata":{"resourceVersion":"7","continue":""},"items":[]}"#,
        ] {
            assert_eq!(apart(text).unwrap().next, None);
        }
    }

    #[test]
    fn what_is_no_list_is_an_error() {
        for text in
            ["", "{}", r#"{"metadata":{},"items":[]}"#, r#"{"metadata":{"resourceVersion":"1"},"items":[{]}"#]
        {
            assert!(apart(text).is_err(), "{text}");
        }
    }
}

//! A page of a list, read one object at a time.
//!
//! A tree of five hundred objects weighs ten times what their text does, and reading it takes longer
//! than an executor may be held. So this one is pulled: one value in memory, and between two of
//! them the reader may wait for whatever it likes.

use bytes::Bytes;
use serde::{
    Deserialize,
    de::{DeserializeOwned, IgnoredAny},
};
use serde_json::Value;

/// A page that is being read.
#[derive(Debug)]
pub(super) struct Page {
    body: Bytes,
    at: usize,
    place: Place,
    listed: bool,
    metadata: Metadata,
}

/// Where the reader stands: before the list, before one of its fields, before one of its items, or
/// behind it all.
#[derive(Debug, Clone, Copy)]
enum Place {
    Start,
    Field { first: bool },
    Item { first: bool },
    End,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Metadata {
    resource_version: String,
    r#continue: String,
}

impl Page {
    /// A page, nothing of it read yet.
    pub(super) fn new(body: Bytes) -> Self {
        Self { body, at: 0, place: Place::Start, listed: false, metadata: Metadata::default() }
    }

    /// The next of its items; `None` once it was read to its end and is a list indeed.
    pub(super) fn next(&mut self) -> Result<Option<Value>, String> {
        loop {
            match self.place {
                Place::Start => {
                    self.expect(b'{')?;
                    self.place = Place::Field { first: true };
                }
                Place::Field { first } => match self.peek() {
                    Some(b'}') => {
                        self.at += 1;
                        self.end()?;
                    }
                    _ => {
                        if !first {
                            self.expect(b',')?;
                        }
                        self.field()?;
                    }
                },
                Place::Item { first } => {
                    if self.peek() == Some(b']') {
                        self.at += 1;
                        self.place = Place::Field { first: false };
                        continue;
                    }
                    if !first {
                        self.expect(b',')?;
                    }
                    self.place = Place::Item { first: false };
                    return self.value().map(Some);
                }
                Place::End => return Ok(None),
            }
        }
    }

    /// The version that it shows, once it was read; empty where it says none.
    pub(super) fn version(&self) -> &str {
        &self.metadata.resource_version
    }

    /// Where the list goes on, once it was read.
    pub(super) fn token(&self) -> Option<&str> {
        Some(self.metadata.r#continue.as_str()).filter(|token| !token.is_empty())
    }

    fn field(&mut self) -> Result<(), String> {
        let name: String = self.value()?;
        self.expect(b':')?;
        self.place = Place::Field { first: false };
        match name.as_str() {
            "items" if self.peek() == Some(b'[') => {
                self.at += 1;
                self.listed = true;
                self.place = Place::Item { first: true };
            }
            // Go's word for a list of nothing.
            "items" => self.listed = self.value::<Option<IgnoredAny>>()?.is_none(),
            "metadata" => self.metadata = self.value()?,
            _ => drop(self.value::<IgnoredAny>()?),
        }
        Ok(())
    }

    fn end(&mut self) -> Result<(), String> {
        if self.peek().is_some() {
            return Err(self.fault("something follows the list"));
        }
        if !self.listed {
            return Err("the answer is no list: it has no items".into());
        }
        self.place = Place::End;
        Ok(())
    }

    fn value<T: DeserializeOwned>(&mut self) -> Result<T, String> {
        let mut values = serde_json::Deserializer::from_slice(&self.body[self.at..]).into_iter::<T>();
        let value = values.next();
        let read = values.byte_offset();
        let value = value.ok_or_else(|| self.fault("it ends too early"))?;
        let value = value.map_err(|error| self.fault(&error.to_string()))?;
        self.at += read;
        Ok(value)
    }

    fn expect(&mut self, byte: u8) -> Result<(), String> {
        match self.peek() {
            Some(found) if found == byte => {
                self.at += 1;
                Ok(())
            }
            Some(found) => {
                let (found, byte) = (char::from(found), char::from(byte));
                Err(self.fault(&format!("{found:?} in the place of {byte:?}")))
            }
            None => Err(self.fault("it ends too early")),
        }
    }

    /// The next byte that is no white space, not taken yet.
    fn peek(&mut self) -> Option<u8> {
        let rest = &self.body[self.at..];
        let blank = rest.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
        self.at += blank;
        rest.get(blank).copied()
    }

    fn fault(&self, what: &str) -> String {
        format!("the list cannot be read after byte {}: {what}", self.at)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(text: &str) -> Result<(Vec<Value>, Page), String> {
        let mut page = Page::new(Bytes::copy_from_slice(text.as_bytes()));
        let mut items = Vec::new();
        while let Some(item) = page.next()? {
            items.push(item);
        }
        Ok((items, page))
    }

    #[test]
    fn items_come_one_by_one_and_the_metadata_wherever_it_stands() {
        let items = r#""items" : [ {"a":[1,"]"]} ,{"b":{}}, 7 ]"#;
        let metadata = r#""metadata":{"resourceVersion":"17","continue":"t","remainingItemCount":3}"#;
        for text in [
            format!(r#"{{"kind":"L",{metadata},{items}}}"#),
            format!("{{{items},\n\"apiVersion\":\"v1\", {metadata}, \"more\":[null,1.5e3,true]}}\n"),
        ] {
            let (read, page) = read(&text).unwrap();
            assert_eq!(read, [json!({"a": [1, "]"]}), json!({"b": {}}), json!(7)]);
            assert_eq!((page.version(), page.token()), ("17", Some("t")));
        }
    }

    #[test]
    fn a_list_may_be_empty() {
        for items in ["[]", "[ ]", "null"] {
            let text = format!(r#"{{"items":{items},"metadata":{{"resourceVersion":"1","continue":""}}}}"#);
            let (read, page) = read(&text).unwrap();
            assert_eq!((read.len(), page.version(), page.token()), (0, "1", None));
        }
    }

    #[test]
    fn what_is_cut_short_anywhere_is_an_error() {
        let text = r#"{"items":[{"a":1},{"b":2}],"kind":"L","metadata":{"resourceVersion":"1"}}"#;
        assert!(read(text).is_ok());
        for length in 0..text.len() {
            assert!(read(&text[..length]).is_err(), "{}", &text[..length]);
        }
    }

    #[test]
    fn what_is_no_list_is_an_error() {
        for text in [
            "<html></html>",
            "[]",
            "{}",
            r#"{"kind":"Status","metadata":{}}"#,
            r#"{"items":{}}"#,
            r#"{"items":[{} {}]}"#,
            r#"{"items":[,]}"#,
            r#"{"items":[]}{}"#,
            r#"{"items":[],}"#,
        ] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}

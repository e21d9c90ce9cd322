//! A page of a list, read one object at a time, as it comes in.
//!
//! A tree of five hundred objects weighs ten times what their text does, reading it takes longer than
//! an executor may be held, and a server may send a page of any size, or 60 MB for 60 KB of gzip. So
//! this one is pulled: what came and was not read yet is one value at most, and between two of
//! them the reader may wait for whatever it likes. Each byte is looked at twice.

use bytes::{Buf, BytesMut};
use kube::core::ListMeta;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::Value;

use super::{
    body::OBJECT,
    json_scanner::{self, JsonScanner, TooManyValues},
};

/// Blanks between two values that are taken for a way of writing; beyond it they are somebody's joke.
const BLANKS: usize = 64 << 10;
/// Fields of a list: there are four.
const FIELDS: usize = 64;

/// A page that is being read.
#[derive(Debug, Default)]
pub(crate) struct ListReader {
    /// What came and was not read yet; the value that is next begins it.
    buffer: BytesMut,
    scan: JsonScanner,
    /// How much of the buffer the scan has seen.
    scanned: usize,
    blanks: usize,
    fields: usize,
    /// How much was read, for who looks for a fault.
    read: u64,
    /// Nothing more comes.
    whole: bool,
    place: ListPosition,
    listed: bool,
    metadata: ListMeta,
}

/// Where the reader stands.
#[derive(Debug, Clone, Default)]
enum ListPosition {
    /// Before the list.
    #[default]
    Start,
    /// Before the comma ahead of a field, the field's name, the colon behind it, its value.
    Field {
        first: bool,
    },
    Name,
    Colon(String),
    Content(String),
    /// Before the comma ahead of an item, and before the item.
    Item {
        first: bool,
    },
    Element,
    /// Behind the list's last bracket, where nothing may follow.
    Tail,
    End,
}

/// What comes next of a page.
#[derive(Debug, PartialEq)]
pub(crate) enum ListItem {
    /// An item.
    Item(Value),
    /// Nothing until more of it has come.
    More,
    /// It was read to its end and is a list indeed.
    End,
}

/// Why a list cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ListError {
    #[error("the list cannot be read after byte {at}: {fault}")]
    Unreadable { at: u64, fault: ListFault },
    #[error("the answer is no list: it has no items")]
    NoItems,
    #[error("the list ends too early")]
    CutShort,
}

/// What is wrong with the text of a list.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ListFault {
    #[error("it has more than {FIELDS} fields")]
    TooManyFields,
    #[error("{found:?} in the place of {wanted:?}")]
    Misplaced { found: char, wanted: char },
    #[error("something follows the list")]
    Follows,
    #[error("a single value is larger than {} MiB", OBJECT >> 20)]
    TooLarge,
    #[error(transparent)]
    TooManyValues(#[from] TooManyValues),
    #[error("it ends too early")]
    Ends,
    #[error("there is nothing but blanks")]
    Blanks,
    #[error("{0}")]
    Syntax(String),
}

/// Why reading stops.
enum ReadStop {
    More,
    Fault(ListError),
}

type ReadResult<T> = Result<T, ReadStop>;

impl ListReader {
    /// Takes what came next.
    pub(crate) fn push(&mut self, piece: &[u8]) {
        self.buffer.extend_from_slice(piece);
    }

    /// Nothing more comes.
    pub(crate) fn finish(&mut self) {
        self.whole = true;
    }

    /// Bytes that came and are not read yet.
    pub(crate) fn held(&self) -> usize {
        self.buffer.len()
    }

    /// What comes next. After a fault, nothing does.
    pub(crate) fn next(&mut self) -> Result<ListItem, ListError> {
        loop {
            match self.advance() {
                Ok(None) => {}
                Ok(Some(next)) => return Ok(next),
                Err(ReadStop::More) => return Ok(ListItem::More),
                Err(ReadStop::Fault(fault)) => return Err(fault),
            }
        }
    }

    /// The version that it shows, once it was read; empty where it says none.
    pub(crate) fn version(&self) -> &str {
        self.metadata.resource_version.as_deref().unwrap_or_default()
    }

    /// Where the list goes on, once it was read.
    pub(crate) fn token(&self) -> Option<&str> {
        self.metadata.continue_.as_deref().filter(|token| !token.is_empty())
    }

    fn advance(&mut self) -> ReadResult<Option<ListItem>> {
        match std::mem::take(&mut self.place) {
            ListPosition::Start => {
                self.expect(b'{', &ListPosition::Start)?;
                self.place = ListPosition::Field { first: true };
            }
            ListPosition::Field { first } => {
                let again = ListPosition::Field { first };
                if self.need(&again)? == b'}' {
                    self.skip(1);
                    self.place = ListPosition::Tail;
                    return Ok(None);
                }
                if !first {
                    self.expect(b',', &again)?;
                }
                self.fields += 1;
                if self.fields > FIELDS {
                    return Err(self.fault(ListFault::TooManyFields));
                }
                self.place = ListPosition::Name;
            }
            ListPosition::Name => {
                let name = self.value(ListPosition::Name)?;
                self.place = ListPosition::Colon(name);
            }
            ListPosition::Colon(name) => {
                self.expect(b':', &ListPosition::Colon(name.clone()))?;
                self.place = ListPosition::Content(name);
            }
            ListPosition::Content(name) => self.content(&name)?,
            ListPosition::Item { first } => {
                let again = ListPosition::Item { first };
                if self.need(&again)? == b']' {
                    self.skip(1);
                    self.place = ListPosition::Field { first: false };
                    return Ok(None);
                }
                if !first {
                    self.expect(b',', &again)?;
                }
                self.place = ListPosition::Element;
            }
            ListPosition::Element => {
                let item = self.value(ListPosition::Element)?;
                self.place = ListPosition::Item { first: false };
                return Ok(Some(ListItem::Item(item)));
            }
            ListPosition::Tail => self.tail()?,
            ListPosition::End => {
                self.place = ListPosition::End;
                return Ok(Some(ListItem::End));
            }
        }
        Ok(None)
    }

    fn content(&mut self, name: &str) -> ReadResult<()> {
        let again = ListPosition::Content(name.to_owned());
        match name {
            "items" if self.need(&again)? == b'[' => {
                self.skip(1);
                self.listed = true;
                self.place = ListPosition::Item { first: true };
                return Ok(());
            }
            // Go's word for a list of nothing.
            "items" => self.listed = self.value::<Option<IgnoredAny>>(again)?.is_none(),
            "metadata" => self.metadata = self.value(again)?,
            _ => drop(self.value::<IgnoredAny>(again)?),
        }
        self.place = ListPosition::Field { first: false };
        Ok(())
    }

    fn tail(&mut self) -> ReadResult<()> {
        self.place = ListPosition::Tail;
        if self.peek()?.is_some() {
            return Err(self.fault(ListFault::Follows));
        }
        if !self.whole {
            return Err(ReadStop::More);
        }
        if !self.listed {
            return Err(ReadStop::Fault(ListError::NoItems));
        }
        self.place = ListPosition::End;
        Ok(())
    }

    /// The value that is next, once all of it is there; until then, the place is what it was.
    fn value<T: DeserializeOwned>(&mut self, again: ListPosition) -> ReadResult<T> {
        self.need(&again)?;
        let end = match self.scan.push(&self.buffer[self.scanned..]) {
            Some(more) => self.scanned + more,
            // A number may end with the text.
            None if self.whole => self.buffer.len(),
            None => {
                self.scanned = self.buffer.len();
                self.check_size(self.scanned)?;
                self.place = again;
                return Err(ReadStop::More);
            }
        };
        self.check_size(end)?;
        let value = serde_json::from_slice(&self.buffer[..end]);
        let value = value.map_err(|error| self.fault(ListFault::Syntax(error.to_string())))?;
        self.skip(end);
        (self.scan, self.scanned) = (JsonScanner::default(), 0);
        Ok(value)
    }

    fn check_size(&self, length: usize) -> ReadResult<()> {
        if length > OBJECT {
            return Err(self.fault(ListFault::TooLarge));
        }
        if self.scan.values() > json_scanner::VALUES {
            return Err(self.fault(TooManyValues.into()));
        }
        Ok(())
    }

    /// Takes this byte, once it is there.
    fn expect(&mut self, byte: u8, again: &ListPosition) -> ReadResult<()> {
        let found = self.need(again)?;
        if found != byte {
            let (found, wanted) = (char::from(found), char::from(byte));
            return Err(self.fault(ListFault::Misplaced { found, wanted }));
        }
        self.skip(1);
        Ok(())
    }

    /// The next byte that is no white space, not taken yet. Where it has yet to come, the place is
    /// what it was.
    fn need(&mut self, again: &ListPosition) -> ReadResult<u8> {
        match self.peek()? {
            Some(byte) => Ok(byte),
            None if self.whole => Err(self.fault(ListFault::Ends)),
            None => {
                self.place = again.clone();
                Err(ReadStop::More)
            }
        }
    }

    fn peek(&mut self) -> ReadResult<Option<u8>> {
        let blank = self.buffer.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
        if blank > 0 {
            self.blanks += blank;
            self.skip(blank);
            if self.blanks > BLANKS {
                return Err(self.fault(ListFault::Blanks));
            }
        }
        let found = self.buffer.first().copied();
        if found.is_some() {
            self.blanks = 0;
        }
        Ok(found)
    }

    fn skip(&mut self, bytes: usize) {
        self.buffer.advance(bytes);
        self.read += bytes as u64;
        if self.buffer.is_empty() {
            // What one large value needed is not kept for as long as the list lasts.
            self.buffer = BytesMut::new();
        }
    }

    fn fault(&self, fault: ListFault) -> ReadStop {
        ReadStop::Fault(ListError::Unreadable { at: self.read, fault })
    }
}

#[cfg(test)]
mod tests;

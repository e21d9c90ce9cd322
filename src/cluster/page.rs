//! A page of a list, read one object at a time, as it comes in.
//!
//! A tree of five hundred objects weighs ten times what their text does, reading it takes longer than
//! an executor may be held, and a server may send a page of any size, or 60 MB for 60 KB of gzip. So
//! this one is pulled: what came and was not read yet is one value at most, and between two of
//! them the reader may wait for whatever it likes. Each byte is looked at twice.

use bytes::{Buf, BytesMut};
use serde::{
    Deserialize,
    de::{DeserializeOwned, IgnoredAny},
};
use serde_json::Value;

use super::{
    body::OBJECT,
    scan::{self, Scan},
};

/// Blanks between two values that are taken for a way of writing; beyond it they are somebody's joke.
const BLANKS: usize = 64 << 10;
/// Fields of a list: there are four.
const FIELDS: usize = 64;

/// A page that is being read.
#[derive(Debug, Default)]
pub(crate) struct Page {
    /// What came and was not read yet; the value that is next begins it.
    buffer: BytesMut,
    scan: Scan,
    /// How much of the buffer the scan has seen.
    scanned: usize,
    blanks: usize,
    fields: usize,
    /// How much was read, for who looks for a fault.
    read: u64,
    /// Nothing more comes.
    whole: bool,
    place: Place,
    listed: bool,
    metadata: Metadata,
}

/// Where the reader stands.
#[derive(Debug, Clone, Default)]
enum Place {
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

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Metadata {
    resource_version: String,
    r#continue: String,
}

/// What comes next of a page.
#[derive(Debug, PartialEq)]
pub(crate) enum Next {
    /// An item.
    Item(Value),
    /// Nothing until more of it has come.
    More,
    /// It was read to its end and is a list indeed.
    End,
}

/// Why reading stops.
enum Stop {
    More,
    Fault(String),
}

type Read<T> = Result<T, Stop>;

impl Page {
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
    pub(crate) fn next(&mut self) -> Result<Next, String> {
        loop {
            match self.advance() {
                Ok(None) => {}
                Ok(Some(next)) => return Ok(next),
                Err(Stop::More) => return Ok(Next::More),
                Err(Stop::Fault(fault)) => return Err(fault),
            }
        }
    }

    /// The version that it shows, once it was read; empty where it says none.
    pub(crate) fn version(&self) -> &str {
        &self.metadata.resource_version
    }

    /// Where the list goes on, once it was read.
    pub(crate) fn token(&self) -> Option<&str> {
        Some(self.metadata.r#continue.as_str()).filter(|token| !token.is_empty())
    }

    fn advance(&mut self) -> Read<Option<Next>> {
        match std::mem::take(&mut self.place) {
            Place::Start => {
                self.expect(b'{', &Place::Start)?;
                self.place = Place::Field { first: true };
            }
            Place::Field { first } => {
                let again = Place::Field { first };
                if self.need(&again)? == b'}' {
                    self.skip(1);
                    self.place = Place::Tail;
                    return Ok(None);
                }
                if !first {
                    self.expect(b',', &again)?;
                }
                self.fields += 1;
                if self.fields > FIELDS {
                    return Err(self.fault(&format!("it has more than {FIELDS} fields")));
                }
                self.place = Place::Name;
            }
            Place::Name => {
                let name = self.value(Place::Name)?;
                self.place = Place::Colon(name);
            }
            Place::Colon(name) => {
                self.expect(b':', &Place::Colon(name.clone()))?;
                self.place = Place::Content(name);
            }
            Place::Content(name) => self.content(&name)?,
            Place::Item { first } => {
                let again = Place::Item { first };
                if self.need(&again)? == b']' {
                    self.skip(1);
                    self.place = Place::Field { first: false };
                    return Ok(None);
                }
                if !first {
                    self.expect(b',', &again)?;
                }
                self.place = Place::Element;
            }
            Place::Element => {
                let item = self.value(Place::Element)?;
                self.place = Place::Item { first: false };
                return Ok(Some(Next::Item(item)));
            }
            Place::Tail => self.tail()?,
            Place::End => {
                self.place = Place::End;
                return Ok(Some(Next::End));
            }
        }
        Ok(None)
    }

    fn content(&mut self, name: &str) -> Read<()> {
        let again = Place::Content(name.to_owned());
        match name {
            "items" if self.need(&again)? == b'[' => {
                self.skip(1);
                self.listed = true;
                self.place = Place::Item { first: true };
                return Ok(());
            }
            // Go's word for a list of nothing.
            "items" => self.listed = self.value::<Option<IgnoredAny>>(again)?.is_none(),
            "metadata" => self.metadata = self.value(again)?,
            _ => drop(self.value::<IgnoredAny>(again)?),
        }
        self.place = Place::Field { first: false };
        Ok(())
    }

    fn tail(&mut self) -> Read<()> {
        self.place = Place::Tail;
        if self.peek()?.is_some() {
            return Err(self.fault("something follows the list"));
        }
        if !self.whole {
            return Err(Stop::More);
        }
        if !self.listed {
            return Err(Stop::Fault("the answer is no list: it has no items".into()));
        }
        self.place = Place::End;
        Ok(())
    }

    /// The value that is next, once all of it is there; until then, the place is what it was.
    fn value<T: DeserializeOwned>(&mut self, again: Place) -> Read<T> {
        self.need(&again)?;
        let end = match self.scan.push(&self.buffer[self.scanned..]) {
            Some(more) => self.scanned + more,
            // A number may end with the text.
            None if self.whole => self.buffer.len(),
            None => {
                self.scanned = self.buffer.len();
                self.check_size(self.scanned)?;
                self.place = again;
                return Err(Stop::More);
            }
        };
        self.check_size(end)?;
        let value = serde_json::from_slice(&self.buffer[..end]);
        let value = value.map_err(|error| self.fault(&error.to_string()))?;
        self.skip(end);
        (self.scan, self.scanned) = (Scan::default(), 0);
        Ok(value)
    }

    fn check_size(&self, length: usize) -> Read<()> {
        if length > OBJECT {
            return Err(self.fault(&format!("a single value is larger than {} MiB", OBJECT >> 20)));
        }
        if self.scan.values() > scan::VALUES {
            return Err(self.fault(&scan::too_many()));
        }
        Ok(())
    }

    /// Takes this byte, once it is there.
    fn expect(&mut self, byte: u8, again: &Place) -> Read<()> {
        let found = self.need(again)?;
        if found != byte {
            let (found, byte) = (char::from(found), char::from(byte));
            return Err(self.fault(&format!("{found:?} in the place of {byte:?}")));
        }
        self.skip(1);
        Ok(())
    }

    /// The next byte that is no white space, not taken yet. Where it has yet to come, the place is
    /// what it was.
    fn need(&mut self, again: &Place) -> Read<u8> {
        match self.peek()? {
            Some(byte) => Ok(byte),
            None if self.whole => Err(self.fault("it ends too early")),
            None => {
                self.place = again.clone();
                Err(Stop::More)
            }
        }
    }

    fn peek(&mut self) -> Read<Option<u8>> {
        let blank = self.buffer.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
        if blank > 0 {
            self.blanks += blank;
            self.skip(blank);
            if self.blanks > BLANKS {
                return Err(self.fault("there is nothing but blanks"));
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

    fn fault(&self, what: &str) -> Stop {
        Stop::Fault(format!("the list cannot be read after byte {}: {what}", self.read))
    }
}

#[cfg(test)]
mod tests;

//! Where a JSON value ends, found as it comes in, and what it will cost to read.

/// The most values that one object is made of, counted with its fields and nested ones. As a tree
/// each takes some hundred bytes, however few of its text: an object of etcd's 1.5 MiB has fewer,
/// and one that is made of `[0,0,0,...]` must not cost sixteen times its weight.
pub(crate) const VALUES: usize = 1 << 18;

/// Looks at the bytes of one value, each of them once. It only tells text from structure; what is
/// wrong inside is found by who reads the value.
#[derive(Debug, Default)]
pub(crate) struct JsonScanner {
    begun: ValueStart,
    depth: usize,
    quoted: bool,
    escaped: bool,
    values: usize,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum ValueStart {
    #[default]
    Nothing,
    /// A string, a list or an object, which ends with its last byte.
    Closed,
    /// A number or a word, which ends before the first byte that is none of it.
    Open,
}

impl JsonScanner {
    /// How many of these bytes belong to the value; `None` where all do and it may go on. The first
    /// byte of all is the value's first.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Option<usize> {
        let first = *bytes.first()?;
        if self.begun == ValueStart::Nothing {
            self.values = 1;
            self.begun =
                if matches!(first, b'"' | b'{' | b'[') { ValueStart::Closed } else { ValueStart::Open };
        }
        if self.begun == ValueStart::Open {
            let ends = |byte: &u8| byte.is_ascii_whitespace() || b",:]}[{\"".contains(byte);
            return bytes.iter().position(ends);
        }
        let mut at = 0;
        while at < bytes.len() {
            if self.quoted && !self.escaped {
                at += memchr::memchr2(b'"', b'\\', &bytes[at..])?;
            }
            if self.takes(bytes[at]) {
                return Some(at + 1);
            }
            at += 1;
        }
        None
    }

    /// How many values it was made of so far.
    pub(crate) fn values(&self) -> usize {
        self.values
    }

    /// Whether the value ends with this byte.
    fn takes(&mut self, byte: u8) -> bool {
        if self.quoted {
            match byte {
                _ if self.escaped => self.escaped = false,
                b'\\' => self.escaped = true,
                b'"' => {
                    self.quoted = false;
                    return self.depth == 0;
                }
                _ => {}
            }
            return false;
        }
        match byte {
            b'"' => self.quoted = true,
            b'{' | b'[' => {
                self.depth += 1;
                self.values += 1;
            }
            b'}' | b']' => {
                self.depth = self.depth.saturating_sub(1);
                return self.depth == 0;
            }
            b',' | b':' => self.values += 1,
            _ => {}
        }
        false
    }
}

/// A value that is made of more than [`VALUES`] values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("more than {VALUES} fields and values in one object")]
pub(crate) struct TooManyValues;

/// Whether a text can be read as one value.
pub(crate) fn check(text: &[u8]) -> Result<(), TooManyValues> {
    let mut scan = JsonScanner::default();
    let blank = text.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
    scan.push(&text[blank..]);
    if scan.values() > VALUES { Err(TooManyValues) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn end(text: &str) -> Option<usize> {
        JsonScanner::default().push(text.as_bytes())
    }

    #[test]
    fn a_value_ends_where_it_closes_or_where_something_else_begins() {
        for (text, whole) in [
            (r#"{"a":[1,"]}\"",{}]} ,"#, r#"{"a":[1,"]}\"",{}]}"#),
            (r#""a\\" :"#, r#""a\\""#),
            ("12.5e3,", "12.5e3"),
            ("null}", "null"),
            ("[]]", "[]"),
            ("]", ""),
        ] {
            assert_eq!(end(text), Some(whole.len()), "{text}");
        }
        for open in ["{", "[1", "\"a\\\"", "tru", "7", ""] {
            assert_eq!(end(open), None, "{open}");
        }
    }

    #[test]
    fn pieces_make_no_difference() {
        let text = br#"{"a":{"b":["\\\"}",[],{}]},"c":-1.5} and more"#;
        let whole = JsonScanner::default().push(text);
        for at in 1..whole.unwrap() {
            let mut scan = JsonScanner::default();
            assert_eq!(scan.push(&text[..at]), None, "{at}");
            assert_eq!(scan.push(&text[at..]).map(|rest| at + rest), whole);
        }
    }

    #[test]
    fn an_object_of_too_many_values_is_refused_before_it_is_read() {
        let list = |n: usize| format!("[{}]", "0,".repeat(n - 2) + "0");
        assert_eq!(check(list(VALUES).as_bytes()), Ok(()));
        assert!(check(list(VALUES + 3).as_bytes()).unwrap_err().to_string().contains("262144"));
        assert_eq!(check(format!("\"{}\"", ",".repeat(VALUES * 2)).as_bytes()), Ok(()), "text is text");
    }
}

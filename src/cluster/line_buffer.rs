//! Bytes in, lines out: a watch is a stream of JSON values, each on a line of its own.

use bytes::{Buf, Bytes, BytesMut};

/// A buffer that has grown beyond this is given back once it is empty.
const KEPT: usize = 64 << 10;

/// Splits a stream into lines, wherever its chunks begin and end.
#[derive(Debug)]
pub(crate) struct LineBuffer {
    buffer: BytesMut,
    /// How much of the buffer was searched already and holds no line's end.
    searched: usize,
    longest: usize,
}

/// A line that grew beyond what one event may weigh. The stream is of no use after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an event is larger than {} KiB", .0 >> 10)]
pub(crate) struct LineTooLong(usize);

impl LineBuffer {
    /// Lines of at most so many bytes, their ends not counted.
    pub(crate) fn new(longest: usize) -> Self {
        Self { buffer: BytesMut::new(), searched: 0, longest }
    }

    /// Takes what came next.
    pub(crate) fn push(&mut self, chunk: &[u8]) {
        self.buffer.extend_from_slice(chunk);
    }

    /// Bytes that came and are not given out yet.
    pub(crate) fn held(&self) -> usize {
        self.buffer.len()
    }

    /// The next complete line without its end; empty ones are left out.
    pub(crate) fn next(&mut self) -> Result<Option<Bytes>, LineTooLong> {
        loop {
            if self.searched == 0 {
                // All at once: a server may send nothing else.
                self.buffer.advance(empty_lines(&self.buffer));
                if self.buffer.is_empty() && self.buffer.capacity() > KEPT {
                    self.buffer = BytesMut::new();
                }
            }
            let end = memchr::memchr(b'\n', &self.buffer[self.searched..]);
            let Some(end) = end.map(|end| end + self.searched) else {
                self.searched = self.buffer.len();
                return if self.searched > self.longest { Err(LineTooLong(self.longest)) } else { Ok(None) };
            };
            if end > self.longest {
                return Err(LineTooLong(self.longest));
            }
            let line = self.buffer.split_to(end + 1);
            self.searched = 0;
            if let Some(line) = tidy(line.freeze().slice(..end)) {
                return Ok(Some(line));
            }
        }
    }

    /// What came after the last line's end, once nothing more comes: a server need not end its last
    /// line, and one that was cut short shows as a line that cannot be read.
    pub(crate) fn rest(&mut self) -> Option<Bytes> {
        self.searched = 0;
        tidy(self.buffer.split().freeze())
    }
}

/// How many bytes at the beginning are lines of nothing.
fn empty_lines(bytes: &[u8]) -> usize {
    let mut at = 0;
    loop {
        match bytes[at..] {
            [b'\n', ..] => at += 1,
            [b'\r', b'\n', ..] => at += 2,
            _ => return at,
        }
    }
}

fn tidy(line: Bytes) -> Option<Bytes> {
    let line = match line.strip_suffix(b"\r") {
        Some(bare) => line.slice_ref(bare),
        None => line,
    };
    (!line.is_empty()).then_some(line)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn all(lines: &mut LineBuffer) -> Vec<Bytes> {
        std::iter::from_fn(|| lines.next().unwrap()).collect()
    }

    #[test]
    fn a_line_comes_out_once_its_end_is_there() {
        let mut lines = LineBuffer::new(100);
        lines.push(b"{\"a\":");
        assert_eq!(lines.next(), Ok(None));
        lines.push(b"1}\n{\"b\"");
        assert_eq!(all(&mut lines), ["{\"a\":1}"]);
        lines.push(b":2}\r\n\n\r\n{}\n");
        assert_eq!(all(&mut lines), ["{\"b\":2}", "{}"]);
        assert_eq!(lines.rest(), None);
    }

    #[test]
    fn what_follows_the_last_end_is_the_rest() {
        let mut lines = LineBuffer::new(100);
        lines.push(b"one\ntwo");
        assert_eq!(all(&mut lines), ["one"]);
        assert_eq!(lines.rest(), Some(Bytes::from_static(b"two")));
        assert_eq!(lines.rest(), None);
    }

    #[test]
    fn a_line_without_end_is_given_up() {
        let mut lines = LineBuffer::new(8);
        lines.push(b"12345678");
        assert_eq!(lines.next(), Ok(None));
        lines.push(b"\n123456789");
        assert_eq!(lines.next(), Ok(Some(Bytes::from_static(b"12345678"))));
        assert_eq!(lines.next(), Err(LineTooLong(8)));
        lines.push(b"\n");
        assert_eq!(lines.next(), Err(LineTooLong(8)));
    }

    #[test]
    fn what_a_long_line_needed_is_given_back() {
        let mut lines = LineBuffer::new(4 << 20);
        lines.push(&vec![b'x'; 2 << 20]);
        assert_eq!((lines.next(), lines.held()), (Ok(None), 2 << 20));
        lines.push(b"\n\n");
        assert_eq!(lines.next().unwrap().unwrap().len(), 2 << 20);
        assert_eq!(lines.next(), Ok(None));
        assert!(lines.held() == 0 && lines.buffer.capacity() <= KEPT);
    }

    /// Counted in bytes that are looked at: each of a line's once, however it comes.
    #[test]
    fn work_grows_no_faster_than_the_line() {
        let looks = |pieces: usize| {
            let (mut lines, mut looks) = (LineBuffer::new(1 << 20), 0);
            for _ in 0..pieces {
                lines.push(b"0123456789");
                let before = lines.searched;
                assert_eq!(lines.next(), Ok(None));
                looks += lines.searched - before;
            }
            looks
        };
        let (one, two, four) = (looks(1000), looks(2000), looks(4000));
        assert!(two <= one * 5 / 2 && four <= two * 5 / 2, "{one}, {two}, {four}");
    }

    proptest! {
        #[test]
        fn chunks_make_no_difference(
            text in "[ab{}\"\n\r]{0,200}",
            cuts in prop::collection::vec(0usize..200, 0..12),
        ) {
            let mut cuts: Vec<usize> = cuts.into_iter().filter(|cut| *cut <= text.len()).collect();
            cuts.extend([0, text.len()]);
            cuts.sort_unstable();
            let mut lines = LineBuffer::new(1000);
            let mut found = Vec::new();
            for pair in cuts.windows(2) {
                lines.push(&text.as_bytes()[pair[0]..pair[1]]);
                found.extend(all(&mut lines));
            }
            found.extend(lines.rest());
            let expected: Vec<&str> = text
                .split('\n')
                .map(|line| line.strip_suffix('\r').unwrap_or(line))
                .filter(|line| !line.is_empty())
                .collect();
            prop_assert_eq!(found, expected);
        }
    }
}

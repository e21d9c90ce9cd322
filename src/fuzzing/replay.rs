//! A file of orders, one in each line.

use std::io::{BufReader, Cursor};

use super::orders;
use crate::replay::lines;

/// Longest line that is taken here.
const LONGEST: u64 = 256;

/// Lines are counted and cut as any editor does it, whatever the reader's buffer holds; one that is
/// too long is refused as a whole; an order in a line is one that `wire::convert` let through.
pub fn replay(data: &[u8]) {
    let lines = read(data, 8 << 10);
    assert_eq!(lines, read(data, 3), "the size of a buffer makes no difference");
    let mut expected = Vec::new();
    for (number, line) in (1..).zip(data.split(|byte| *byte == b'\n')) {
        if line.len() as u64 > LONGEST {
            expected.push((number, None));
        } else if !line.trim_ascii().is_empty() {
            expected.push((number, Some(line.trim_ascii().to_vec())));
        }
    }
    assert_eq!(lines, expected);
    for (_, line) in lines {
        if let Some(Ok((order, _))) = line.as_deref().map(|line| lines::order(line, &|_| false)) {
            orders::check(&order);
        }
    }
}

/// Numbers and texts of lines; no text of one that is too long.
fn read(data: &[u8], buffer: usize) -> Vec<(u64, Option<Vec<u8>>)> {
    let reader = BufReader::with_capacity(buffer, Cursor::new(data.to_vec()));
    let mut found = Vec::new();
    lines::read_all(Box::new(reader), LONGEST, &mut |line| {
        found.push(match line {
            Ok(line) => (line.number, Some(line.text.trim_ascii().to_vec())),
            Err(lines::InputError::TooLong(number, _)) => (number, None),
            Err(error) => panic!("nothing can fail here: {error}"),
        });
        true
    });
    found
}

//! Lines of a file, and the order in each.

mod nulls;

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read},
    thread,
};

use futures::{SinkExt, channel::mpsc, executor::block_on};

use crate::{
    config::ReplayInput,
    membership::wire::{self, OrderError, server},
    order::{Order, Trace},
    redact,
};

/// Lines that may wait between the reader and the shards.
const AHEAD: usize = 16;

/// One line of the input.
pub(crate) struct InputLine {
    /// Counted from 1.
    pub number: u64,
    /// Its bytes, without the line's end.
    pub text: Vec<u8>,
}

/// Why the input gave no line.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InputError {
    /// The file would not open.
    #[error("{0}: {1}")]
    Open(String, io::Error),
    /// Reading failed in the middle.
    #[error("line {0}: {1}; nothing after it was read")]
    Read(u64, io::Error),
    /// A line beyond the limit. Those after it are read.
    #[error("line {0}: longer than the {1} bytes that --max-message-bytes allows, so it is passed over")]
    TooLong(u64, u64),
    /// There is no thread to read on.
    #[error("no thread to read orders on: {0}")]
    Thread(io::Error),
}

/// Why a line is no order.
#[derive(Debug, thiserror::Error)]
pub enum LineError {
    /// Not JSON, or not the JSON of an Order.
    #[error("no order in proto3 JSON: {0}")]
    Json(String),
    /// JSON of an Order that says nothing.
    #[error("names no order; expected one of existingStack, deletedStack, enabledStack, disabledStack")]
    Empty,
    /// An order that cannot be.
    #[error(transparent)]
    Order(#[from] OrderError),
}

/// Reads `input` on a thread of its own: a terminal or a pipe may take as long as it likes.
/// Empty lines are passed over, and so, with a word, are those of more than `longest` bytes.
pub(crate) fn read(input: ReplayInput, longest: usize) -> mpsc::Receiver<Result<InputLine, InputError>> {
    let (mut lines, receiver) = mpsc::channel(AHEAD);
    let mut fault = lines.clone();
    let started = thread::Builder::new().name("lines".into()).spawn(move || {
        let mut each = |line| block_on(lines.send(line)).is_ok();
        match open(&input) {
            Ok(reader) => read_all(reader, longest as u64, &mut each),
            Err(error) => {
                each(Err(error));
            }
        }
    });
    if let Err(error) = started {
        // There is room: nothing was sent yet.
        let _ = fault.try_send(Err(InputError::Thread(error)));
    }
    receiver
}

fn open(input: &ReplayInput) -> Result<Box<dyn BufRead>, InputError> {
    Ok(match input {
        ReplayInput::Stdin => Box::new(io::stdin().lock()),
        ReplayInput::File(path) => {
            let file = File::open(path).map_err(|e| InputError::Open(path.display().to_string(), e))?;
            Box::new(BufReader::new(file))
        }
    })
}

/// Lines of at most so many bytes, their ends not counted, for as long as `each` wants more.
pub(crate) fn read_all(
    mut reader: Box<dyn BufRead>,
    longest: u64,
    each: &mut dyn FnMut(Result<InputLine, InputError>) -> bool,
) {
    for number in 1.. {
        match next(&mut reader, number, longest) {
            None => return,
            Some(Ok(line)) if line.text.trim_ascii().is_empty() => {}
            Some(line) => {
                let is_last = matches!(line, Err(InputError::Read(..)));
                if !each(line) || is_last {
                    return;
                }
            }
        }
    }
}

fn next(reader: &mut dyn BufRead, number: u64, longest: u64) -> Option<Result<InputLine, InputError>> {
    let mut text = Vec::new();
    // One byte more is the line's end, or says that it has none in time.
    let read = reader.take(longest + 1).read_until(b'\n', &mut text);
    let is_too_long = text.len() as u64 > longest && text.last() != Some(&b'\n');
    // What is left of it must not be taken for a line of its own.
    let read = if is_too_long { reader.skip_until(b'\n') } else { read };
    match read {
        Err(error) => Some(Err(InputError::Read(number, error))),
        Ok(_) if is_too_long => Some(Err(InputError::TooLong(number, longest))),
        Ok(0) => None,
        Ok(_) => Some(Ok(InputLine { number, text })),
    }
}

/// The order in a line, and the trace that it belongs to.
pub fn order(text: &[u8], is_module: &dyn Fn(&str) -> bool) -> Result<(Order, Option<Trace>), LineError> {
    let message: server::Order = nulls::without(text)
        // The line may hold a client's secret.
        .map_err(|error| LineError::Json(redact::serde(&error.to_string())))?;
    let trace = wire::trace(&message);
    let order = wire::order_with(&message, is_module)?.ok_or(LineError::Empty)?;
    Ok((order, trace))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order_of(text: &[u8]) -> Result<(Order, Option<Trace>), LineError> {
        order(text, &|_| false)
    }

    #[test]
    fn a_line_is_an_order_in_proto3_json() {
        let (order, _) = order_of(br#"{"deletedStack":{"clusterName":"a-b"}}"#).unwrap();
        assert_eq!(order.stack.as_str(), "a-b");
    }

    #[test]
    fn a_line_that_is_no_order_says_why() {
        let error = |text: &str| order_of(text.as_bytes()).unwrap_err().to_string();
        assert!(error("nonsense").contains("line 1"), "{}", error("nonsense"));
        assert!(error("{}").contains("names no order"));
        assert!(error(r#"{"ping":{}}"#).contains("names no order"));
        assert!(error(r#"{"deletedStak":{}}"#).contains("deletedStak"));
        assert!(error(r#"{"deletedStack":{"clusterName":"../x"}}"#).contains("../x"));
    }

    #[test]
    fn lines_are_counted_with_the_empty_ones_passed_over() {
        let input: &[u8] = b"a\n\nb";
        let mut numbers = Vec::new();
        read_all(Box::new(input), 100, &mut |line| {
            numbers.push(line.map(|line| line.number).unwrap_or(0));
            true
        });
        assert_eq!(numbers, [1, 3]);
    }

    #[test]
    fn a_line_that_is_too_long_is_passed_over_with_all_its_parts() {
        let input: &[u8] = b"1234567890{}\n12345678\n123456789";
        let mut found = Vec::new();
        read_all(Box::new(input), 8, &mut |line| {
            found.push(line.map(|line| line.number).map_err(|error| error.to_string()));
            true
        });
        let too_long = |number| {
            Err(format!(
                "line {number}: longer than the 8 bytes that --max-message-bytes allows, so it is passed over"
            ))
        };
        assert_eq!(found, [too_long(1), Ok(2), too_long(3)]);
    }
}

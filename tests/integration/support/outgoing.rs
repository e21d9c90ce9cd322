//! The writing half of the tests' membership: orders wait here for the agent's windows.

use std::{
    collections::VecDeque,
    io::{self, Write},
    sync::mpsc::{Receiver, TryRecvError},
};

use super::frames::{self, TestFrame};

/// What is to be sent, or was heard about how much may be.
pub enum OutgoingItem {
    /// A stream was opened: answer its headers. It is the one that all else is about.
    Open(u32),
    /// A gRPC message with its prefix: one DATA frame, or more where it does not fit into one.
    Message(Vec<u8>),
    /// As much of a message, and then the connection ends.
    Last(Vec<u8>),
    /// The client's settings.
    Settings(TestFrame),
    /// The client's WINDOW_UPDATE.
    Window(TestFrame),
    /// As it is.
    Frame(TestFrame),
    /// End the call with status 0.
    Finish,
    /// Break the stream off.
    Reset,
}

/// Writes until there is nobody left to ask for more, or nobody left to read it.
pub fn write(to: impl Write, asked: &Receiver<OutgoingItem>) -> io::Result<()> {
    let mut half = Half {
        to,
        stream: 0,
        initial: frames::DEFAULT_WINDOW,
        of_stream: 0,
        of_connection: frames::DEFAULT_WINDOW,
        waiting: VecDeque::new(),
    };
    TestFrame::new(frames::SETTINGS, 0, 0, []).write(&mut half.to)?;
    loop {
        let next = match asked.try_recv() {
            Ok(next) => next,
            Err(TryRecvError::Empty) => {
                half.to.flush()?;
                let Ok(next) = asked.recv() else { return Ok(()) };
                next
            }
            Err(TryRecvError::Disconnected) => return half.to.flush(),
        };
        half.take(next)?;
        half.send_data()?;
    }
}

struct Half<W> {
    to: W,
    stream: u32,
    initial: i64,
    of_stream: i64,
    of_connection: i64,
    waiting: VecDeque<Vec<u8>>,
}

impl<W: Write> Half<W> {
    fn take(&mut self, next: OutgoingItem) -> io::Result<()> {
        match next {
            OutgoingItem::Open(stream) => {
                (self.stream, self.of_stream) = (stream, self.initial);
                self.waiting.clear();
                let block = frames::response_headers();
                TestFrame::new(frames::HEADERS, frames::END_HEADERS, stream, block).write(&mut self.to)
            }
            OutgoingItem::Message(bytes) => {
                // In pieces from the start: cutting them off one by one moves all the rest each time.
                self.waiting.extend(bytes.chunks(frames::MAX_PAYLOAD).map(<[u8]>::to_vec));
                Ok(())
            }
            OutgoingItem::Last(bytes) => {
                TestFrame::new(frames::DATA, 0, self.stream, bytes).write(&mut self.to)?;
                self.to.flush()?;
                Err(io::Error::new(io::ErrorKind::ConnectionAborted, "as told"))
            }
            OutgoingItem::Settings(frame) => {
                for (setting, value) in frame.settings() {
                    if setting == frames::INITIAL_WINDOW_SIZE {
                        self.of_stream += i64::from(value) - self.initial;
                        self.initial = i64::from(value);
                    }
                }
                TestFrame::new(frames::SETTINGS, frames::ACK, 0, []).write(&mut self.to)
            }
            OutgoingItem::Window(frame) => {
                let more = i64::from(frame.number());
                match frame.stream {
                    0 => self.of_connection += more,
                    stream if stream == self.stream => self.of_stream += more,
                    _ => {}
                }
                Ok(())
            }
            OutgoingItem::Frame(frame) => frame.write(&mut self.to),
            OutgoingItem::Finish => {
                let flags = frames::END_HEADERS | frames::END_STREAM;
                let block = frames::trailers(0, "");
                TestFrame::new(frames::HEADERS, flags, self.stream, block).write(&mut self.to)
            }
            OutgoingItem::Reset => {
                const CANCEL: u32 = 8;
                TestFrame::new(frames::RST_STREAM, 0, self.stream, CANCEL.to_be_bytes()).write(&mut self.to)
            }
        }
    }

    /// As much of what waits as the windows allow.
    fn send_data(&mut self) -> io::Result<()> {
        while let Some(first) = self.waiting.front_mut() {
            let window = usize::try_from(self.of_stream.min(self.of_connection)).unwrap_or(0);
            if window == 0 || self.stream == 0 {
                return Ok(());
            }
            let length = first.len().min(frames::MAX_PAYLOAD).min(window);
            let rest = first.split_off(length);
            let payload = std::mem::replace(first, rest);
            if first.is_empty() {
                self.waiting.pop_front();
            }
            let sent = i64::try_from(length).expect("a frame's length");
            self.of_stream -= sent;
            self.of_connection -= sent;
            TestFrame::new(frames::DATA, 0, self.stream, payload).write(&mut self.to)?;
        }
        Ok(())
    }
}

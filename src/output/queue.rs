//! Lines that wait to be written, bounded in number and in bytes.

use std::sync::{
    Arc,
    atomic::{
        AtomicU64, AtomicUsize,
        Ordering::{AcqRel, Acquire, Relaxed},
    },
    mpsc::{Receiver, SyncSender, sync_channel},
};

/// The most lines that wait.
const LINES: usize = 8192;
/// The most bytes that they have together.
const BYTES: usize = 2 << 20;

/// What is known of all lines, by both ends.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// Bytes that wait.
    bytes: AtomicUsize,
    /// Lines that were taken into the queue.
    said: AtomicU64,
    /// Lines that came out of it and were written or lost.
    handled: AtomicU64,
    /// Lines that were lost and not told of yet.
    lost: AtomicU64,
}

impl Tally {
    /// The line that was taken out is written or lost.
    pub(super) fn handled(&self, bytes: usize) {
        self.bytes.fetch_sub(bytes, AcqRel);
        self.handled.fetch_add(1, AcqRel);
    }

    /// So many lines were lost.
    pub(super) fn lose(&self, lines: u64) {
        self.lost.fetch_add(lines, Relaxed);
    }

    /// The lines lost since the last time, which are told of now.
    pub(super) fn take_lost(&self) -> u64 {
        self.lost.swap(0, Relaxed)
    }
}

/// The end that lines go into; for any thread.
#[derive(Debug)]
pub(super) struct Queue {
    lines: SyncSender<Vec<u8>>,
    tally: Arc<Tally>,
}

/// An empty queue.
pub(super) fn queue() -> (Queue, Receiver<Vec<u8>>) {
    let (lines, receiver) = sync_channel(LINES);
    (Queue { lines, tally: Arc::default() }, receiver)
}

impl Queue {
    /// Takes a line, or counts it as lost. Never waits.
    pub(super) fn push(&self, line: Vec<u8>) {
        let length = line.len();
        let waiting = self.tally.bytes.fetch_add(length, AcqRel);
        // A single line may be longer than all the room: it is then let in alone.
        let fits = waiting == 0 || waiting + length <= BYTES;
        // Counted before it can be handled.
        self.tally.said.fetch_add(1, AcqRel);
        if !fits || self.lines.try_send(line).is_err() {
            self.tally.lose(1);
            self.tally.handled(length);
        }
    }

    /// Lines so far.
    pub(super) fn said(&self) -> u64 {
        self.tally.said.load(Acquire)
    }

    /// Lines that wait no more.
    pub(super) fn handled(&self) -> u64 {
        self.tally.handled.load(Acquire)
    }

    pub(super) fn tally(&self) -> Arc<Tally> {
        Arc::clone(&self.tally)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_beyond_the_number_are_lost_and_counted() {
        let (queue, lines) = queue();
        (0..LINES + 5).for_each(|_| queue.push(b"x\n".to_vec()));
        assert_eq!((lines.try_iter().count(), queue.tally.take_lost()), (LINES, 5));
        assert_eq!((queue.said(), queue.handled()), (LINES as u64 + 5, 5));
    }

    #[test]
    fn lines_beyond_the_bytes_are_lost_and_counted() {
        let (queue, lines) = queue();
        let long = vec![b'x'; BYTES / 4];
        (0..6).for_each(|_| queue.push(long.clone()));
        assert_eq!((lines.try_iter().count(), queue.tally.take_lost()), (4, 2));
        // Handled, they make room again.
        (0..4).for_each(|_| queue.tally.handled(long.len()));
        queue.push(vec![b'x'; 2 * BYTES]);
        queue.push(b"x".to_vec());
        assert_eq!((lines.try_iter().count(), queue.tally.take_lost()), (1, 1));
    }

    #[test]
    fn a_queue_whose_writer_is_gone_loses_and_does_not_fail() {
        let (queue, lines) = queue();
        drop(lines);
        queue.push(b"x".to_vec());
        assert_eq!((queue.tally.take_lost(), queue.handled()), (1, 1));
    }
}

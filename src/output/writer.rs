//! The thread that writes what others say, and says what of it was lost.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
        mpsc::{Receiver, TryRecvError},
    },
};

use super::{
    descriptor::{self, Descriptor},
    queue::Tally,
};
use crate::time::unix_seconds;

/// So many lines are written before those that were lost meanwhile are told of, where ever more
/// come.
const PATIENCE: u32 = 1000;

/// What lines are written to: how much of one it took, and whether that was all.
pub(super) trait Sink {
    fn write(&mut self, line: &[u8]) -> (usize, io::Result<()>);
}

impl Sink for Descriptor {
    fn write(&mut self, line: &[u8]) -> (usize, io::Result<()>) {
        descriptor::write_all(self.fd(), line)
    }
}

/// Takes lines out of the queue and writes them, as long as anybody may say something.
pub(super) struct LogWriter<S> {
    sink: S,
    lines: Receiver<Vec<u8>>,
    tally: Arc<Tally>,
    json: &'static AtomicBool,
    /// The last write failed.
    fails: bool,
    /// It failed in the middle of a line.
    torn: bool,
    /// Lines since it was looked whether some were lost.
    unlooked: u32,
}

impl<S: Sink> LogWriter<S> {
    pub(super) fn new(
        sink: S,
        lines: Receiver<Vec<u8>>,
        tally: Arc<Tally>,
        json: &'static AtomicBool,
    ) -> Self {
        Self { sink, lines, tally, json, fails: false, torn: false, unlooked: 0 }
    }

    pub(super) fn run(mut self) {
        let mut next = self.lines.recv().ok();
        while let Some(line) = next {
            // After a failure, whether it can be written again is tried with what has to be said
            // before the line.
            let may_write = !self.fails || self.tell_lost();
            if !may_write || !self.write(&line) {
                self.tally.lose(1);
            }
            self.unlooked += 1;
            let (following, is_quiet) = match self.lines.try_recv() {
                Ok(line) => (Some(line), false),
                Err(TryRecvError::Empty) => (None, true),
                Err(TryRecvError::Disconnected) => return,
            };
            if !self.fails && (is_quiet || self.unlooked >= PATIENCE) {
                self.tell_lost();
            }
            // Only now: who waits for the line waits for what it tells of losses, too.
            self.tally.handled(line.len());
            next = following.or_else(|| self.lines.recv().ok());
        }
    }

    /// Says how many lines were lost since it was last said, if any. `false` where it could not.
    fn tell_lost(&mut self) -> bool {
        self.unlooked = 0;
        let lost = self.tally.take_lost();
        if lost == 0 {
            return true;
        }
        let lines = if lost == 1 { "line of the log was" } else { "lines of the log were" };
        let message = format!("{lost} {lines} lost: standard error could not be written, or not fast enough");
        let told = self.write(&entry(self.json.load(Relaxed), "WARN", "stackherd::output", &message));
        if !told {
            self.tally.lose(lost);
        }
        told
    }

    fn write(&mut self, line: &[u8]) -> bool {
        if self.torn {
            let (_, ended) = self.sink.write(b"\n");
            self.fails = ended.is_err();
            if self.fails {
                return false;
            }
            self.torn = false;
        }
        let (written, outcome) = self.sink.write(line);
        self.fails = outcome.is_err();
        self.torn = self.fails && written > 0;
        !self.fails
    }
}

/// A line in the form of the log's.
pub(super) fn entry(json: bool, level: &str, target: &str, message: &str) -> Vec<u8> {
    let time = jiff::Timestamp::from_second(unix_seconds()).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    let line = match json {
        true => {
            let fields = serde_json::json!({"timestamp": time.to_string(), "level": level, "message": message, "target": target});
            format!("{fields}\n")
        }
        false => format!("{time} {level:>5} {target}: {message}\n"),
    };
    line.into_bytes()
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{self, Sender};

    use super::{
        super::queue::{Queue, queue},
        *,
    };

    static TEXT: AtomicBool = AtomicBool::new(false);

    /// Takes of each line what it is told, all of it where it is told nothing.
    struct Scripted {
        answers: std::vec::IntoIter<usize>,
        written: Sender<Vec<u8>>,
    }

    impl Sink for Scripted {
        fn write(&mut self, line: &[u8]) -> (usize, io::Result<()>) {
            let room = self.answers.next().unwrap_or(usize::MAX);
            let taken = &line[..room.min(line.len())];
            self.written.send(taken.to_vec()).unwrap();
            let outcome = if taken == line { Ok(()) } else { Err(io::ErrorKind::StorageFull.into()) };
            (taken.len(), outcome)
        }
    }

    /// What is written of what `say` says where the sink takes so much of each write.
    fn written(answers: &[usize], say: impl FnOnce(&Queue)) -> String {
        let (queue, lines) = queue();
        let (written, all) = mpsc::channel();
        let answers = answers.to_vec();
        let sink = Scripted { answers: answers.into_iter(), written };
        let writer = LogWriter::new(sink, lines, queue.tally(), &TEXT);
        say(&queue);
        let said = queue.said();
        let tally = queue.tally();
        // Ends when the queue does.
        let running = std::thread::spawn(move || writer.run());
        while queue.handled() < said {
            std::thread::yield_now();
        }
        drop((queue, tally));
        running.join().unwrap();
        String::from_utf8(all.into_iter().flatten().collect()).unwrap()
    }

    fn say(words: &'static [&'static str]) -> impl FnOnce(&Queue) {
        move |queue| words.iter().for_each(|word| queue.push(format!("{word}\n").into_bytes()))
    }

    #[test]
    fn lines_are_written_as_they_were_said() {
        assert_eq!(written(&[], say(&["one", "two"])), "one\ntwo\n");
    }

    #[test]
    fn what_a_full_disk_cost_is_said_once_there_is_room() {
        // "one" fits; "two" does not, nor does the word of it before "three".
        let text = written(&[usize::MAX, 0, 0], say(&["one", "two", "three", "four"]));
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[1].contains("2 lines of the log were lost"), "{text}");
        assert_eq!((lines[0], lines[2], lines.len()), ("one", "four", 3), "{text}");
    }

    #[test]
    fn a_line_torn_by_a_full_disk_does_not_run_into_the_next() {
        let text = written(&[2], say(&["torn", "whole"]));
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[1].contains("1 line of the log was lost"), "{text}");
        assert_eq!((lines[0], lines[2], lines.len()), ("to", "whole", 3), "{text}");
    }

    #[test]
    fn what_the_queue_had_no_room_for_is_said_at_the_end() {
        let text = written(&[], |queue| (0..9000).for_each(|_| queue.push(b"x\n".to_vec())));
        assert!(text.contains(" 808 lines of the log were lost"), "{}", &text[text.len() - 300..]);
        assert_eq!(text.lines().count(), 8192 + 1);
    }

    #[test]
    fn where_nothing_can_be_written_everything_is_handled_all_the_same() {
        assert_eq!(written(&[0; 100], say(&["one", "two", "three"])), "");
    }

    #[test]
    fn its_own_lines_have_the_form_of_the_log() {
        let text = String::from_utf8(entry(false, "WARN", "here", "so it is")).unwrap();
        assert!(text.ends_with("Z  WARN here: so it is\n"), "{text}");
        let json: serde_json::Value = serde_json::from_slice(&entry(true, "WARN", "here", "\"")).unwrap();
        assert_eq!((&json["level"], &json["message"]), (&"WARN".into(), &"\"".into()));
    }
}

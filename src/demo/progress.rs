//! How far the demo is, where somebody looks on.

use std::{
    io::IsTerminal,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use indicatif::{ProgressBar, ProgressStyle};

use crate::time;

/// How often it is drawn.
const EVERY: Duration = Duration::from_millis(50);
/// How long the demo waits at its end for the bar to be taken away.
const PATIENCE: Duration = Duration::from_millis(250);

/// A bar on a terminal; nothing elsewhere. A thread of its own draws it: a terminal may stand still
/// (Ctrl-S), or go away.
#[derive(Debug)]
pub(super) struct DemoProgress {
    shown: Arc<Shown>,
    drawing: Option<JoinHandle<()>>,
}

/// What is to be seen.
#[derive(Debug, Default)]
struct Shown {
    position: AtomicU64,
    length: AtomicU64,
    is_second_phase: AtomicBool,
    ended: AtomicBool,
}

impl DemoProgress {
    pub(super) fn start() -> Self {
        let shown = Arc::<Shown>::default();
        let drawing = std::io::stderr().is_terminal().then(|| {
            let shown = Arc::clone(&shown);
            thread::Builder::new().name("progress".into()).spawn(move || draw(&shown))
        });
        // Without a thread there is no bar, which is no harm.
        Self { shown, drawing: drawing.and_then(Result::ok) }
    }

    /// So many of so many.
    pub(super) fn set(&self, position: u64, length: u64) {
        self.shown.length.store(length, Relaxed);
        self.shown.position.store(position, Relaxed);
    }

    /// All orders once more.
    pub(super) fn next_phase(&self) {
        self.shown.is_second_phase.store(true, Relaxed);
    }

    /// Takes it away.
    pub(super) fn end(mut self) {
        self.shown.ended.store(true, Relaxed);
        let (began, Some(drawing)) = (time::now(), self.drawing.take()) else { return };
        while !drawing.is_finished() && began.elapsed() < PATIENCE {
            thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for DemoProgress {
    fn drop(&mut self) {
        self.shown.ended.store(true, Relaxed);
    }
}

fn draw(shown: &Shown) {
    let style = ProgressStyle::with_template("{spinner} {bar:40} {pos}/{len} {msg} settled, {elapsed}");
    let bar = ProgressBar::new(0).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    while !shown.ended.load(Relaxed) {
        bar.set_message(if shown.is_second_phase.load(Relaxed) { "orders known" } else { "orders" });
        bar.set_length(shown.length.load(Relaxed));
        bar.set_position(shown.position.load(Relaxed));
        thread::sleep(EVERY);
    }
    bar.finish_and_clear();
}

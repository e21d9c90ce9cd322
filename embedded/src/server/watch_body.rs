//! The body of a watch's answer: a task writes lines into it until the client or the time is gone.

use std::{
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures::{FutureExt, SinkExt, StreamExt, channel::mpsc, select_biased};
use http_body::Frame;

use super::world::ServedWorld;
use net::{self, Task};
use shards::time;

use crate::watcher::{WatchCursor, WatchStep};

/// A real server's watches last between half an hour and an hour where nobody says how long.
const LIFETIME: Duration = Duration::from_secs(45 * 60);

/// Before its end a watch says how far it came, so that the next one can go on from there.
const LAST_MARK: Duration = Duration::from_secs(2);

/// Lines of a watch, as they come. Dropping it ends the watch.
#[derive(Debug)]
pub(super) struct WatchBody {
    lines: mpsc::Receiver<Bytes>,
    _writer: Task<()>,
}

impl WatchBody {
    pub(super) fn start(world: &Rc<ServedWorld>, watcher: WatchCursor) -> Self {
        let (sender, lines) = mpsc::channel(1);
        let world = Rc::clone(world);
        Self { lines, _writer: net::spawn(write(world, watcher, sender)) }
    }
}

impl http_body::Body for WatchBody {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        self.lines.poll_next_unpin(context).map(|lines| lines.map(|lines| Ok(Frame::data(lines))))
    }
}

async fn write(world: Rc<ServedWorld>, mut watcher: WatchCursor, mut lines: mpsc::Sender<Bytes>) {
    let end = time::after(time::now(), watcher.timeout().unwrap_or(LIFETIME));
    let mut mark = next_mark(world.bookmark_every, end);
    loop {
        let seen = world.signal.now();
        let next = world.next_lines(&mut watcher);
        match next {
            WatchStep::Lines(bytes) => {
                if lines.send(bytes).await.is_err() {
                    return;
                }
                continue;
            }
            WatchStep::End(bytes) => {
                let _ = lines.send(bytes).await;
                return;
            }
            WatchStep::Wait => {}
        }
        if !wait(&world, seen, end.min(mark)).await {
            if time::now() >= end {
                return;
            }
            mark = next_mark(world.bookmark_every, end);
            let bookmark = world.bookmark(&mut watcher);
            if let Some(bytes) = bookmark
                && lines.send(bytes).await.is_err()
            {
                return;
            }
        }
    }
}

/// When the next bookmark is due: every so often, and shortly before the end.
fn next_mark(every: Duration, end: Instant) -> Instant {
    let (now, last) = (time::now(), end.checked_sub(LAST_MARK));
    let regular = time::after(now, every);
    last.filter(|last| *last > now).map_or(regular, |last| last.min(regular))
}

/// Waits for the cluster to move; false where the time came first.
async fn wait(world: &ServedWorld, seen: u64, until: Instant) -> bool {
    let left = until.saturating_duration_since(time::now());
    let moved = select_biased! {
        () = world.signal.moved(seen).fuse() => true,
        () = net::sleep(left).fuse() => false,
    };
    if moved && !world.watch_delay().is_zero() {
        net::sleep(world.watch_delay()).await;
    }
    moved
}

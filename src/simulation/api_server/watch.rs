//! What a watch says, and what goes wrong with it.

use std::{pin::pin, rc::Rc, time::Duration};

use bytes::Bytes;
use futures::{channel::mpsc, future::select};

use super::{ApiServer, Manner};
use crate::{
    embedded::watcher::{WatchCursor, WatchStep},
    net, time,
};

type WatchChunks = mpsc::UnboundedSender<Result<Bytes, String>>;

const LIFETIME: Duration = Duration::from_secs(45 * 60);
const BOOKMARK_EVERY: Duration = Duration::from_secs(60);
/// Faults strike within the first minutes: later nobody would see them.
const STRIKES_WITHIN: Duration = Duration::from_secs(60);

/// What will go wrong with one watch, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum WatchFault {
    None,
    Cut(time::Instant),
    Silent(time::Instant),
    Garbled(time::Instant, Option<&'static str>),
}

impl WatchFault {
    fn of(manner: Manner) -> Option<Self> {
        Some(match manner {
            Manner::Late(_) => return None,
            Manner::Cut => Self::Cut(time::now()),
            Manner::Silent => Self::Silent(time::now()),
            Manner::Garbled(line) => Self::Garbled(time::now(), Some(line)),
        })
    }

    fn draw(server: &ApiServer) -> Self {
        let faults = server.faults.borrow().clone();
        let at = time::now() + server.random(STRIKES_WITHIN);
        if server.chance(faults.watch_cut) {
            Self::Cut(at)
        } else if server.chance(faults.watch_silent) {
            Self::Silent(at)
        } else if server.chance(faults.watch_garbled) {
            Self::Garbled(at, None)
        } else {
            Self::None
        }
    }

    fn at(self) -> Option<time::Instant> {
        match self {
            Self::None => None,
            Self::Cut(at) | Self::Silent(at) | Self::Garbled(at, _) => Some(at),
        }
    }

    fn is_due(self) -> bool {
        self.at().is_some_and(|at| at <= time::now())
    }
}

/// Starts to answer a watch.
pub(super) fn start(
    server: &Rc<ApiServer>,
    plural: String,
    watcher: WatchCursor,
) -> mpsc::UnboundedReceiver<Result<Bytes, String>> {
    let (chunks, receiver) = mpsc::unbounded();
    server.group.spawn(speak(Rc::clone(server), plural, watcher, chunks)).detach();
    receiver
}

async fn speak(server: Rc<ApiServer>, plural: String, mut watcher: WatchCursor, chunks: WatchChunks) {
    let end = time::now() + watcher.timeout().unwrap_or(LIFETIME);
    let mut mark = time::now() + BOOKMARK_EVERY;
    let mut trouble = WatchFault::draw(&server);
    loop {
        if chunks.is_closed() {
            return;
        }
        if server.is_down() && server.chance(0.5) {
            let _ = chunks.unbounded_send(Err("the connection was reset".into()));
            return;
        }
        let seen = server.moves();
        let next = watcher.next(&server.cluster.borrow());
        let manner = server.manners.borrow().get(&plural).copied();
        if let Some(manner) = manner
            && let Some(scripted) = WatchFault::of(manner)
        {
            trouble = scripted;
            if let Manner::Garbled(_) = manner {
                server.manners.borrow_mut().remove(&plural);
            }
        }
        if trouble.is_due() {
            if !strike(&server, trouble, &next, &chunks).await {
                return;
            }
            trouble = WatchFault::None;
        }
        match next {
            WatchStep::Lines(lines) => {
                let lag = server.faults.borrow().watch_lag;
                let late = if let Some(Manner::Late(late)) = manner { late } else { Duration::ZERO };
                if !lag.is_zero() || !late.is_zero() {
                    server.strike("watch-lag");
                }
                net::sleep(late + server.random(Duration::from_millis(3) + lag)).await;
                server.trace.say(server.elapsed(), || format!("watched: {}", events(&lines)));
                send(&server, &chunks, &lines);
            }
            WatchStep::End(line) => return send(&server, &chunks, &line),
            WatchStep::Wait if time::now() >= mark => {
                mark = time::now() + BOOKMARK_EVERY;
                if server.faults.borrow().no_bookmarks {
                    server.strike("no-bookmark");
                } else if let Some(line) = watcher.bookmark(&server.cluster.borrow()) {
                    let _ = chunks.unbounded_send(Ok(line));
                }
            }
            WatchStep::Wait => {
                let until = trouble.at().map_or(end.min(mark), |at| at.min(end).min(mark));
                let moved = pin!(server.moved.until(|| (server.moves() != seen).then_some(())));
                let pause = pin!(net::sleep(until.saturating_duration_since(time::now())));
                select(moved, pause).await;
            }
        }
        if time::now() >= end {
            return;
        }
    }
}

/// Now and then a line comes in two pieces.
fn send(server: &ApiServer, chunks: &WatchChunks, lines: &Bytes) {
    let middle = if server.chance(0.2) { lines.len() / 2 } else { lines.len() };
    for chunk in [lines.slice(..middle), lines.slice(middle..)] {
        if !chunk.is_empty() {
            let _ = chunks.unbounded_send(Ok(chunk));
        }
    }
}

/// What some lines say, in short.
fn events(lines: &Bytes) -> String {
    let lines = String::from_utf8_lossy(lines);
    let told = lines.lines().filter_map(|line| {
        let event: serde_json::Value = serde_json::from_str(line).ok()?;
        let (object, metadata) = (&event["object"], &event["object"]["metadata"]);
        let (version, name) = (metadata["resourceVersion"].as_str()?, &metadata["name"]);
        Some(format!("{} {} {name} {version}", event["type"], object["kind"]).replace('"', ""))
    });
    told.collect::<Vec<_>>().join(", ")
}

/// Something goes wrong. False where the watch is over by that.
async fn strike(server: &ApiServer, trouble: WatchFault, next: &WatchStep, chunks: &WatchChunks) -> bool {
    match trouble {
        WatchFault::None => true,
        WatchFault::Cut(_) => {
            server.strike("watch-cut");
            server.trace.say(server.elapsed(), || "a watch is cut".to_owned());
            if let WatchStep::Lines(lines) = next {
                let _ = chunks.unbounded_send(Ok(lines.slice(..lines.len() / 2)));
            }
            let _ = chunks.unbounded_send(Err("the connection was reset".into()));
            false
        }
        WatchFault::Silent(_) => {
            server.strike("watch-silent");
            server.trace.say(server.elapsed(), || "a watch falls silent".to_owned());
            // Until whoever listens gives up.
            while !chunks.is_closed() {
                net::sleep(Duration::from_secs(1)).await;
            }
            false
        }
        WatchFault::Garbled(_, line) => {
            server.strike("watch-garbled");
            let line = line.unwrap_or_else(|| server.pick(&GARBAGE));
            let _ = chunks.unbounded_send(Ok(Bytes::from_static(line.as_bytes())));
            true
        }
    }
}

/// Lines that are no events.
pub(crate) const GARBAGE: [&str; 6] = [
    "{\"type\":\"MODIFIED\",\"object\":{\"kind\":\"St\n",
    "{\"type\":\"MOVED\",\"object\":{\"kind\":\"Stack\",\"metadata\":{\"name\":\"a\"}}}\n",
    "{\"type\":\"ADDED\",\"object\":{}}\n",
    "\n",
    "{\"type\":\"ERROR\",\"object\":{\"kind\":\"Status\",\"code\":500,\"reason\":\"InternalError\"}}\n",
    "{\"type\":\"ERROR\",\"object\":{\"kind\":\"Status\",\"code\":410,\"reason\":\"Expired\"}}\n",
];

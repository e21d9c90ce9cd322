//! Performs what [`Reflector`] decides, for as long as it is let.
//!
//! On a shard there are some of these at a time, one for each kind. What they cost is bounded: of
//! what comes in, an object at most for each, all of them together what the `buffer_budget`
//! allows, and no more than `tell` takes.

use std::{
    pin::pin,
    time::{Duration, Instant},
};

use futures::future::{Either, select};
use shards::CoopBudget;

use super::{Reflector, ReflectorEvent, ReflectorInput, ReflectorStep};
use crate::cluster::{
    body::{BodyError, OBJECT},
    buffer_budget::{BudgetShare, BufferBudget},
    client::{KubeClient, Listed, Pieces},
    line_buffer::LineBuffer,
    request::WatchTarget,
    transport::{Opened, ResponseStream},
};
use crate::{net, time};

/// Keeps a target in view and tells what is there and what becomes of it, for ever. Dropped, it ends
/// at once and leaves nothing behind.
///
/// `tell` may wait for room: meanwhile nothing more is read, and the server is slowed down in turn.
pub async fn run(client: KubeClient, target: WatchTarget, mut tell: impl AsyncFnMut(ReflectorEvent)) {
    let mut machine = Reflector::new(target, fastrand::u64(..)).listing_at_most(client.most_items());
    let (mut pieces, mut events) = (None, None);
    let mut share = client.buffer_budget().share();
    let mut budget = CoopBudget::new();
    loop {
        budget.check().await;
        if let Some(news) = machine.health() {
            tell(news).await;
        }
        let step = machine.step(time::now());
        // What the next step has no use for: a page that was read out, a watch that was given up.
        if !matches!(step, ReflectorStep::Tell(_) | ReflectorStep::GoOn | ReflectorStep::More) {
            drop(pieces.take());
            let _ = share.hold(0);
        }
        if !matches!(step, ReflectorStep::Tell(_) | ReflectorStep::Read { .. }) {
            drop(events.take());
        }
        let input = match step {
            ReflectorStep::Tell(news) => {
                tell(news).await;
                continue;
            }
            ReflectorStep::GoOn => continue,
            ReflectorStep::Wait { until } => {
                let wait = net::sleep(until.saturating_duration_since(time::now()));
                if let Either::Right(_) = select(pin!(wait), pin!(client.recovered())).await {
                    machine.hurry(time::now());
                }
                continue;
            }
            ReflectorStep::List { token } => {
                let (input, page) = list(&client, machine.target(), token.as_deref()).await;
                pieces = page;
                input
            }
            ReflectorStep::More => more(&mut pieces, &mut share, machine.unread()).await,
            ReflectorStep::Open { version, timeout } => {
                let (input, opened) = open(&client, machine.target(), &version, timeout).await;
                events = opened;
                input
            }
            ReflectorStep::Read { until } => match &mut events {
                Some(events) => match events.next(until).await {
                    Some(input) => input,
                    None => continue,
                },
                None => ReflectorInput::Failed("the watch is gone".into()),
            },
        };
        machine.take(input, time::now());
    }
}

async fn list(
    client: &KubeClient,
    target: &WatchTarget,
    token: Option<&str>,
) -> (ReflectorInput, Option<Pieces>) {
    // What came to be known while this waited for a permit is older than what will be listed.
    let permit = client.permit().await;
    let asked = time::now();
    match client.page(permit, target, token).await {
        Ok(Listed::Page(pieces)) => (ReflectorInput::Begun { asked }, Some(pieces)),
        Ok(Listed::Reply(reply)) => (ReflectorInput::Page { reply, asked }, None),
        Err(error) => (ReflectorInput::Failed(error.to_string()), None),
    }
}

/// The next piece of a page, of which so much is held already.
async fn more(pieces: &mut Option<Pieces>, share: &mut BudgetShare, held: usize) -> ReflectorInput {
    let Some(page) = pieces else { return ReflectorInput::Failed("the page is gone".into()) };
    if let Err(full) = share.hold(held) {
        return ReflectorInput::Unusable(full.to_string());
    }
    match page.next().await {
        Ok(Some(piece)) => ReflectorInput::Piece(piece),
        Ok(None) => ReflectorInput::Ended,
        Err(BodyError::Broken(cause)) => ReflectorInput::Failed(cause),
        Err(BodyError::Unusable(cause)) => ReflectorInput::Unusable(cause),
    }
}

async fn open(
    client: &KubeClient,
    target: &WatchTarget,
    version: &str,
    timeout: Duration,
) -> (ReflectorInput, Option<WatchLines>) {
    let permit = client.permit().await;
    match client.open(permit, target, version, timeout).await {
        Ok(Opened::Stream(stream)) => {
            (ReflectorInput::Opened, Some(WatchLines::new(stream, client.buffer_budget())))
        }
        Ok(Opened::Reply(reply)) => (ReflectorInput::Answer(reply), None),
        Err(error) => (ReflectorInput::Failed(error.to_string()), None),
    }
}

/// The lines of a watch as they come in.
#[derive(Debug)]
struct WatchLines {
    stream: Box<ResponseStream>,
    lines: LineBuffer,
    share: BudgetShare,
}

impl WatchLines {
    fn new(stream: Box<ResponseStream>, budget: &BufferBudget) -> Self {
        Self { stream, lines: LineBuffer::new(OBJECT), share: budget.share() }
    }

    /// What comes next; `None` where that is nothing until then, ends of lines apart.
    async fn next(&mut self, until: Instant) -> Option<ReflectorInput> {
        let mut budget = CoopBudget::new();
        loop {
            match self.lines.next() {
                Ok(Some(line)) => return Some(ReflectorInput::Line(line)),
                Ok(None) => {}
                Err(error) => return Some(ReflectorInput::Unusable(error.to_string())),
            }
            if let Err(full) = self.share.hold(self.lines.held()) {
                return Some(ReflectorInput::Unusable(full.to_string()));
            }
            budget.check().await;
            let left = until.saturating_duration_since(time::now());
            match net::timeout(left, self.stream.chunk()).await.ok()? {
                Ok(Some(chunk)) => {
                    self.lines.push(&chunk);
                    // Blanks are no sign of life: a server at a version that is yet to come may send them.
                    if !chunk.iter().all(u8::is_ascii_whitespace) {
                        return Some(ReflectorInput::Heard);
                    }
                }
                Ok(None) => {
                    return Some(self.lines.rest().map_or(ReflectorInput::Ended, ReflectorInput::Line));
                }
                Err(BodyError::Broken(cause)) => return Some(ReflectorInput::Failed(cause)),
                Err(BodyError::Unusable(cause)) => return Some(ReflectorInput::Unusable(cause)),
            }
        }
    }
}

#[cfg(test)]
mod tests;

//! Performs what [`Watch`] decides, for as long as it is let.
//!
//! On a shard there are some of these at a time, one for each kind. What they cost is bounded: of
//! what comes in, an object at most for each, all of them together what `unread`
//! allows, and no more than `tell` takes.

use std::{
    pin::pin,
    time::{Duration, Instant},
};

use futures::future::{Either, select};
use shards::CoopBudget;

use super::{
    body::{BodyError, OBJECT},
    client::{Client, Listed, Pieces},
    lines::Lines,
    target::Target,
    transport::{Opened, Stream},
    unread::{Share, Unread},
    watch::{Input, News, Step, Watch},
};
use crate::{net, time};

/// Keeps a target in view and tells what is there and what becomes of it, for ever. Dropped, it ends
/// at once and leaves nothing behind.
///
/// `tell` may wait for room: meanwhile nothing more is read, and the server is slowed down in turn.
pub async fn watch(client: Client, target: Target, mut tell: impl AsyncFnMut(News)) {
    let mut machine = Watch::new(target, fastrand::u64(..)).listing_at_most(client.most_items());
    let (mut pieces, mut events) = (None, None);
    let mut share = client.unread().share();
    let mut budget = CoopBudget::new();
    loop {
        budget.check().await;
        if let Some(news) = machine.health() {
            tell(news).await;
        }
        let step = machine.step(time::now());
        // What the next step has no use for: a page that was read out, a watch that was given up.
        if !matches!(step, Step::Tell(_) | Step::GoOn | Step::More) {
            drop(pieces.take());
            let _ = share.hold(0);
        }
        if !matches!(step, Step::Tell(_) | Step::Read { .. }) {
            drop(events.take());
        }
        let input = match step {
            Step::Tell(news) => {
                tell(news).await;
                continue;
            }
            Step::GoOn => continue,
            Step::Wait { until } => {
                let wait = net::sleep(until.saturating_duration_since(time::now()));
                if let Either::Right(_) = select(pin!(wait), pin!(client.recovered())).await {
                    machine.hurry(time::now());
                }
                continue;
            }
            Step::List { token } => {
                let (input, page) = list(&client, machine.target(), token.as_deref()).await;
                pieces = page;
                input
            }
            Step::More => more(&mut pieces, &mut share, machine.unread()).await,
            Step::Open { version, timeout } => {
                let (input, opened) = open(&client, machine.target(), &version, timeout).await;
                events = opened;
                input
            }
            Step::Read { until } => match &mut events {
                Some(events) => match events.next(until).await {
                    Some(input) => input,
                    None => continue,
                },
                None => Input::Failed("the watch is gone".into()),
            },
        };
        machine.take(input, time::now());
    }
}

async fn list(client: &Client, target: &Target, token: Option<&str>) -> (Input, Option<Pieces>) {
    // What came to be known while this waited for a permit is older than what will be listed.
    let permit = client.permit().await;
    let asked = time::now();
    match client.page(permit, target, token).await {
        Ok(Listed::Page(pieces)) => (Input::Begun { asked }, Some(pieces)),
        Ok(Listed::Reply(reply)) => (Input::Page { reply, asked }, None),
        Err(cause) => (Input::Failed(cause), None),
    }
}

/// The next piece of a page, of which so much is held already.
async fn more(pieces: &mut Option<Pieces>, share: &mut Share, held: usize) -> Input {
    let Some(page) = pieces else { return Input::Failed("the page is gone".into()) };
    if let Err(full) = share.hold(held) {
        return Input::Unusable(full.to_string());
    }
    match page.next().await {
        Ok(Some(piece)) => Input::Piece(piece),
        Ok(None) => Input::Ended,
        Err(BodyError::Broken(cause)) => Input::Failed(cause),
        Err(BodyError::Unusable(cause)) => Input::Unusable(cause),
    }
}

async fn open(client: &Client, target: &Target, version: &str, timeout: Duration) -> (Input, Option<Events>) {
    let permit = client.permit().await;
    match client.open(permit, target, version, timeout).await {
        Ok(Opened::Stream(stream)) => (Input::Opened, Some(Events::new(stream, client.unread()))),
        Ok(Opened::Reply(reply)) => (Input::Answer(reply), None),
        Err(cause) => (Input::Failed(cause), None),
    }
}

/// The lines of a watch as they come in.
#[derive(Debug)]
struct Events {
    stream: Box<Stream>,
    lines: Lines,
    share: Share,
}

impl Events {
    fn new(stream: Box<Stream>, unread: &Unread) -> Self {
        Self { stream, lines: Lines::new(OBJECT), share: unread.share() }
    }

    /// What comes next; `None` where that is nothing until then, ends of lines apart.
    async fn next(&mut self, until: Instant) -> Option<Input> {
        let mut budget = CoopBudget::new();
        loop {
            match self.lines.next() {
                Ok(Some(line)) => return Some(Input::Line(line)),
                Ok(None) => {}
                Err(error) => return Some(Input::Unusable(error.to_string())),
            }
            if let Err(full) = self.share.hold(self.lines.held()) {
                return Some(Input::Unusable(full.to_string()));
            }
            budget.check().await;
            let left = until.saturating_duration_since(time::now());
            match net::timeout(left, self.stream.chunk()).await.ok()? {
                Ok(Some(chunk)) => {
                    self.lines.push(&chunk);
                    // Blanks are no sign of life: a server at a version that is yet to come may send them.
                    if !chunk.iter().all(u8::is_ascii_whitespace) {
                        return Some(Input::Heard);
                    }
                }
                Ok(None) => return Some(self.lines.rest().map_or(Input::Ended, Input::Line)),
                Err(BodyError::Broken(cause)) => return Some(Input::Failed(cause)),
                Err(BodyError::Unusable(cause)) => return Some(Input::Unusable(cause)),
            }
        }
    }
}

#[cfg(test)]
mod tests;

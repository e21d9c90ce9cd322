//! Performs what [`Watch`] decides, for as long as it is let.
//!
//! On a shard there are some of these at a time, one for each kind. What they cost is bounded: one
//! page of a list for all of them together (and one more where the server is slow), one line of a watch for each, and no more than
//! `tell` takes.

use std::{
    pin::pin,
    time::{Duration, Instant},
};

use futures::future::{Either, select};
use futures::lock::MutexGuard;
use shards::Turn;

use super::{
    body::BodyError,
    client::Client,
    lines::{LONGEST, Lines},
    target::Target,
    transport::{Opened, Stream},
    watch::{Input, News, Step, Watch},
};
use crate::{net, time};

/// A page that takes longer is waited for apart from the others.
const SLOW: Duration = Duration::from_millis(500);

/// Keeps a target in view and tells what is there and what becomes of it, for ever. Dropped, it ends
/// at once and leaves nothing behind.
///
/// `tell` may wait for room: meanwhile nothing more is read, and the server is slowed down in turn.
/// But it must not wait for what another target is going to tell: of all that use this client, one
/// at a time may read a page, and keeps the others waiting until all of it was told.
pub async fn watch(client: Client, target: Target, mut tell: impl AsyncFnMut(News)) {
    let mut machine = Watch::new(target, fastrand::u64(..));
    let (mut page, mut events) = (None, None);
    let mut turn = Turn::new();
    loop {
        turn.check().await;
        if let Some(news) = machine.health() {
            tell(news).await;
        }
        let step = machine.step(time::now());
        // What the next step has no use for: a page that was read out, a watch that was given up.
        if !matches!(step, Step::Tell(_)) {
            drop(page.take());
        }
        if !matches!(step, Step::Tell(_) | Step::Read { .. }) {
            drop(events.take());
        }
        let input = match step {
            Step::Tell(news) => {
                tell(news).await;
                continue;
            }
            Step::Wait { until } => {
                let wait = net::sleep(until.saturating_duration_since(time::now()));
                if let Either::Right(_) = select(pin!(wait), pin!(client.recovered())).await {
                    machine.hurry(time::now());
                }
                continue;
            }
            Step::List { token } => {
                let (input, right) = list_in_turn(&client, machine.target(), token.as_deref()).await;
                page = Some(right);
                input
            }
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

/// Lists a page with the right to have one in memory. A server that is slow to answer for this target
/// does not keep the right from all others: they go on, and this one has its page when they let it.
async fn list_in_turn<'a>(
    client: &'a Client,
    target: &Target,
    token: Option<&str>,
) -> (Input, MutexGuard<'a, ()>) {
    let right = client.page_right().await;
    let mut listing = pin!(list(client, target, token));
    if let Ok(input) = net::timeout(SLOW, listing.as_mut()).await {
        return (input, right);
    }
    drop(right);
    let right = client.slow_page_right().await;
    (listing.await, right)
}

async fn list(client: &Client, target: &Target, token: Option<&str>) -> Input {
    // What came to be known while this waited for a permit is older than what will be listed.
    let permit = client.permit().await;
    let asked = time::now();
    match client.page(permit, target, token).await {
        Ok(reply) => Input::Page { reply, asked },
        Err(cause) => Input::Failed(cause),
    }
}

async fn open(client: &Client, target: &Target, version: &str, timeout: Duration) -> (Input, Option<Events>) {
    let permit = client.permit().await;
    match client.open(permit, target, version, timeout).await {
        Ok(Opened::Stream(stream)) => (Input::Opened, Some(Events::new(stream))),
        Ok(Opened::Reply(reply)) => (Input::Answer(reply), None),
        Err(cause) => (Input::Failed(cause), None),
    }
}

/// The lines of a watch as they come in.
#[derive(Debug)]
struct Events {
    stream: Box<Stream>,
    lines: Lines,
}

impl Events {
    fn new(stream: Box<Stream>) -> Self {
        Self { stream, lines: Lines::new(LONGEST) }
    }

    /// What comes next; `None` where that is nothing until then.
    async fn next(&mut self, until: Instant) -> Option<Input> {
        match self.lines.next() {
            Ok(Some(line)) => return Some(Input::Line(line)),
            Ok(None) => {}
            Err(error) => return Some(Input::Unusable(error.to_string())),
        }
        let left = until.saturating_duration_since(time::now());
        Some(match net::timeout(left, self.stream.chunk()).await.ok()? {
            Ok(Some(chunk)) => {
                self.lines.push(&chunk);
                Input::Heard
            }
            Ok(None) => self.lines.rest().map_or(Input::Ended, Input::Line),
            Err(BodyError::Broken(cause)) => Input::Failed(cause),
            Err(BodyError::Unusable(cause)) => Input::Unusable(cause),
        })
    }
}

#[cfg(test)]
mod tests;

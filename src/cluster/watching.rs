//! Performs a [`Watch`]: lists pages, opens streams, reads lines, and tells what they say.

use std::convert::Infallible;

use http::StatusCode;
use shards::Turn;
use tracing::{error, info, warn};

use super::{
    answer::{self, Reply},
    client::Client,
    lines::{LONGEST, Lines},
    page::Page,
    request::Target,
    transport::{Opened, Stream},
    watch::{News, Step, Trouble, Watch},
};
use crate::{
    net,
    stack::{
        object::Object,
        write::{ReadError, Refusal},
    },
    time::now,
};

/// Lists and watches for ever, and tells all it learns. What `tell` waits for holds the server
/// back. Ends by being dropped.
pub async fn watch(client: Client, target: Target, tell: impl AsyncFnMut(News)) -> Infallible {
    let watch = Watch::new(&target.resource, fastrand::u64(..));
    let mut watching = Watching { client, target, watch, stream: None, lines: Lines::new(LONGEST), tell };
    loop {
        watching.step().await;
        if let Some(trouble) = watching.watch.trouble() {
            watching.log(&trouble);
        }
    }
}

struct Watching<T> {
    client: Client,
    target: Target,
    watch: Watch,
    stream: Option<Stream>,
    lines: Lines,
    tell: T,
}

impl<T: AsyncFnMut(News)> Watching<T> {
    async fn step(&mut self) {
        let step = self.watch.next(now());
        if !matches!(step, Step::Read { .. }) {
            self.stream = None;
        }
        match step {
            Step::List { next } => self.list(next).await,
            Step::Open { from, lasting } => {
                let opened = self.client.open_watch(&self.target, &from, lasting).await;
                let news = self.take_up(opened);
                self.tell(news).await;
            }
            Step::Read { until } => {
                let left = until.saturating_duration_since(now());
                self.read(left).await;
            }
            Step::Wait { until } => net::sleep(until.saturating_duration_since(now())).await,
        }
    }

    /// One page, whose objects are told one after the other: a page is in memory as text only.
    async fn list(&mut self, next: Option<String>) {
        let client = self.client.clone();
        let _turn = client.page_turn().await;
        let news = match client.list_page(&self.target, next.as_deref()).await {
            Ok(reply) => match Page::read(self.target.subject(), reply).await {
                Ok(page) => {
                    self.tell_page(page).await;
                    return;
                }
                Err((error, expired)) => self.watch.page_failed(now(), error, expired),
            },
            Err(error) => self.watch.page_failed(now(), error, false),
        };
        self.tell(news).await;
    }

    async fn tell_page(&mut self, page: Page) {
        let Some(asked) = self.watch.asked() else { return };
        let mut turn = Turn::new();
        for item in &page.items {
            let read = serde_json::from_slice(item).map_err(|error| error.to_string()).and_then(|json| {
                Object::from_json(&self.target.resource, json).map_err(|error| error.to_string())
            });
            match read {
                Ok(object) => self.tell(Some(News::Listed { object: Box::new(object), asked })).await,
                // No store can hold it either, so nothing is taken for gone that is not.
                Err(cause) => error!(kind = self.target.subject(), "an object is left out: {cause}"),
            }
            turn.check().await;
        }
        let news = self.watch.page(page.next, page.version);
        self.tell(news).await;
    }

    fn take_up(&mut self, opened: Result<Opened, ReadError>) -> Option<News> {
        match opened {
            Ok(Opened::Stream(stream)) => {
                self.stream = Some(stream);
                self.lines = Lines::new(LONGEST);
                self.watch.opened(now());
                None
            }
            Ok(Opened::Reply(reply)) => {
                let (error, expired) = not_ok(self.target.subject(), &reply);
                self.watch.not_opened(now(), error, expired)
            }
            Err(error) => self.watch.not_opened(now(), error, false),
        }
    }

    async fn read(&mut self, within: std::time::Duration) {
        let Some(stream) = &mut self.stream else {
            return self.watch.ended(now(), Some("there is no stream".into()));
        };
        match net::timeout(within, stream.chunk()).await {
            Err(_) => self.watch.silent(now()),
            Ok(Ok(Some(chunk))) => {
                self.lines.push(&chunk);
                self.tell_lines().await;
            }
            Ok(Ok(None)) => {
                if let Some(rest) = self.lines.rest() {
                    let news = self.watch.line(now(), &rest);
                    self.tell(news).await;
                }
                self.watch.ended(now(), None);
            }
            Ok(Err(error)) => self.watch.ended(now(), Some(error.to_string())),
        }
    }

    async fn tell_lines(&mut self) {
        let mut turn = Turn::new();
        loop {
            match self.lines.next() {
                Ok(Some(line)) => {
                    let news = self.watch.line(now(), &line);
                    self.tell(news).await;
                }
                Ok(None) => return,
                Err(error) => return self.watch.ended(now(), Some(error.to_string())),
            }
            turn.check().await;
        }
    }

    async fn tell(&mut self, news: Option<News>) {
        let Some(news) = news else { return };
        if let News::Refused { refusal, listed } = &news {
            self.log_refusal(refusal, *listed);
        }
        (self.tell)(news).await;
    }

    fn log(&self, Trouble { cause, pause, afresh }: &Trouble) {
        let (kind, server) = (self.target.subject(), self.client.server());
        if *afresh {
            warn!(%server, kind, "the watch is interrupted, listing afresh in {pause:.1?}: {cause}");
        } else {
            info!(%server, kind, "the watch is interrupted, going on in {pause:.1?}: {cause}");
        }
    }

    fn log_refusal(&self, refusal: &Refusal, listed: bool) {
        let (kind, server) = (self.target.subject(), self.client.server());
        let missing = refusal.code == StatusCode::NOT_FOUND.as_u16();
        match (missing, listed) {
            (true, _) => warn!(%server, kind, "the API server does not serve this kind (now): {refusal}"),
            (_, true) => warn!(
                %server, kind,
                "the API server does not let the agent watch this kind: it is listed now and then instead; \
                 grant watch on it: {refusal}"
            ),
            _ => error!(
                %server, kind,
                "the API server does not let the agent list this kind, which is left alone until it does; \
                 grant get, list and watch on it: {refusal}"
            ),
        }
    }
}

/// What an answer means that is no list and no stream, and whether it is that a version expired.
pub(super) fn not_ok(subject: &str, reply: &Reply) -> (ReadError, bool) {
    (answer::read_error(subject.to_owned(), reply), reply.status == StatusCode::GONE)
}

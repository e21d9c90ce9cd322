//! List and watch, as a pure machine: no clock, no IO, no await.
//!
//! One [`Watch`] keeps one [`Target`] in view. [`Watch::step`] says what is to be done now, whoever
//! performs it feeds back what came of it by [`Watch::take`], and steps on:
//!
//! ```text
//!    ┌────────────────────── expired, silent ──────────────────┐
//!    ▼                                                         │
//! Listing ──page──▶ Reading ──last page──▶ Opening ──2xx──▶ Watching
//!    ▲ ▲               │                    ▲   ▲              │
//!    │ └── next page ──┘                    │   └─ time over ──┤
//!    │                                      │                  │ broken, unreadable,
//!    └─────────────── Waiting ──────────────┘                  │ or refused (from
//!                        ▲─────────────────────────────────────┘ anywhere)
//! ```
//!
//! What it promises its consumer: after a [`Complete`](News::Complete) and all that was told since,
//! the consumer knows what the API server knew a moment ago, or is told again within a bound. No
//! failure is taken for an absence: where a page fails, there is no `Complete`.
//!
//! A list is always asked for without a resourceVersion: version 0 would be answered from a cache of
//! any age. A watch that falls silent is not resumed but followed by a fresh list, since a version
//! that the server has yet to reach (its store was restored from a backup) shows just so.

mod event;
mod news;
mod reading;
mod trouble;
mod verdict;

use std::time::{Duration, Instant};

use bytes::Bytes;

pub use self::news::News;
use self::{
    event::Event,
    reading::{LeftOut, Reading},
    trouble::{Hurry, Run},
    verdict::Verdict,
};
use super::{
    answer::{Reply, not_json},
    limiter::LONGEST_PAUSE,
    target::Target,
};
use crate::{backoff::Backoff, time::after};

/// Between failures, growing.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(10));
/// After a refusal: long, since it takes somebody to change something; drawn from within.
const REFUSED: (Duration, Duration) = (Duration::from_secs(30), Duration::from_secs(60));
/// How long a watch is asked to last, in seconds; drawn, so that all of them do not end together.
const LIFETIME: std::ops::RangeInclusive<u64> = 290..=580;
/// Nothing heard for this long: the other end is dead, or at a version that has yet to come. On an
/// idle kind, bookmarks come after 120 s.
const IDLE: Duration = Duration::from_secs(150);
/// A watch that ended sooner did not get going.
const SHORT: Duration = Duration::from_secs(1);
/// One that lasted so long proves that things go well: the backoff starts over. Not sooner, or a
/// failure that follows each list could have a large kind listed every second.
const STEADY: Duration = Duration::from_secs(10);
/// Items of a list at most, where nothing else is said: more than there are objects of any kind.
pub const MOST_ITEMS: u64 = 2_000_000;
/// So many attempts in a row to go on from where it stood may fail; then it starts afresh.
const STUMBLES: u32 = 3;

const _: () = assert!(IDLE.as_secs() > 120 && IDLE.as_secs() < *LIFETIME.start());
const _: () = assert!(SHORT.as_secs() < STEADY.as_secs() && BACKOFF.1.as_secs() <= REFUSED.0.as_secs());

/// What is to be done now.
#[derive(Debug, PartialEq)]
pub enum Step {
    /// To be handed to the consumer; then on.
    Tell(News),
    /// To ask for a page of the list, the first one or the one that the token names. Answered by
    /// [`Input::Page`], [`Input::Begun`], [`Input::Failed`] or [`Input::Unusable`].
    List {
        /// Where the list goes on.
        token: Option<String>,
    },
    /// To wait for more of the page that has begun. Answered by [`Input::Piece`], [`Input::Ended`],
    /// [`Input::Failed`] or [`Input::Unusable`].
    More,
    /// To let others have their turn, where it is theirs, and step on.
    GoOn,
    /// To open a watch. Answered by [`Input::Opened`], [`Input::Answer`], [`Input::Failed`] or
    /// [`Input::Unusable`].
    Open {
        /// The version that it goes on from.
        version: String,
        /// What the server is asked to end it after.
        timeout: Duration,
    },
    /// To wait for more of the watch, until then at most. Answered by [`Input::Heard`],
    /// [`Input::Line`], [`Input::Ended`], [`Input::Failed`], [`Input::Unusable`], or by nothing:
    /// then the next step has noticed.
    Read {
        /// Nothing is expected to take longer.
        until: Instant,
    },
    /// To do nothing until then.
    Wait {
        /// When to go on.
        until: Instant,
    },
}

/// What came of a step.
#[derive(Debug)]
pub enum Input {
    /// Whatever was answered to a [`Step::List`].
    Page {
        /// The answer.
        reply: Reply,
        /// When the request was sent.
        asked: Instant,
    },
    /// A page has begun to come in; its pieces follow.
    Begun {
        /// When the request was sent.
        asked: Instant,
    },
    /// What came next of a page.
    Piece(Bytes),
    /// A watch has begun; its lines follow.
    Opened,
    /// No watch has begun; this was the answer.
    Answer(Reply),
    /// Something came that is not a whole line yet.
    Heard,
    /// A line of the watch, without its end.
    Line(Bytes),
    /// The page or the watch has ended in order.
    Ended,
    /// There is no answer, or the watch broke.
    Failed(String),
    /// What came cannot be decoded.
    Unusable(String),
}

/// The machine.
#[derive(Debug)]
pub struct Watch {
    target: Target,
    state: State,
    news: Option<News>,
    random: fastrand::Rng,
    backoff: Backoff,
    /// Failures to go on from where it stood, in a row.
    stumbles: u32,
    /// Items of a list at most.
    most_items: u64,
    /// Whether a wait after a failure may be cut short where others succeed.
    hurry: Hurry,
    /// What the run of refusals that lasts was about: a missing kind, or a missing right.
    refused: Option<bool>,
    /// The run of failures that lasts, as it is logged.
    run: Option<Run>,
    /// It was told that it goes badly, and not yet that it goes well again.
    bad: bool,
    /// What is to be told of how it goes.
    health: Option<News>,
}

#[derive(Debug)]
enum State {
    /// A page is asked for.
    Listing(Listing),
    /// A page is read out.
    Reading(Box<Reading>),
    /// A watch is asked for.
    Opening { version: String },
    /// It lasts.
    Watching(Watching),
    /// Until the time comes for another state; `early`: or until things go well elsewhere.
    Waiting { until: Instant, then: Box<State>, early: bool },
}

/// How far a list is; of a fresh one nothing is known.
#[derive(Debug, Default)]
struct Listing {
    asked: Option<Instant>,
    token: Option<String>,
    /// Items that earlier pages had.
    items: u64,
    /// Those among them that could not be read.
    left_out: LeftOut,
    /// Pages so far, and how many of them in a row were empty.
    pages: u64,
    empty: u64,
}

#[derive(Debug)]
struct Watching {
    version: String,
    opened: Instant,
    /// Since when something has been waited for in vain. Unknown while there is something to do:
    /// a consumer without room must not look like a silent server.
    quiet: Option<Instant>,
}

impl Default for State {
    fn default() -> Self {
        Self::Listing(Listing::default())
    }
}

impl Watch {
    /// A machine that begins with a list. The seed decides all that is drawn.
    pub fn new(target: Target, seed: u64) -> Self {
        Self {
            target,
            state: State::default(),
            news: None,
            random: fastrand::Rng::with_seed(seed),
            backoff: Backoff::new(BACKOFF.0, BACKOFF.1),
            stumbles: 0,
            most_items: MOST_ITEMS,
            hurry: Hurry::default(),
            refused: None,
            run: None,
            bad: false,
            health: None,
        }
    }

    /// Items of a list at most. A list that has more, or does not end, is a failure.
    #[must_use]
    pub fn listing_at_most(mut self, items: u64) -> Self {
        self.most_items = items;
        self
    }

    /// What is kept in view.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// What is to be done now.
    pub fn step(&mut self, now: Instant) -> Step {
        loop {
            if let Some(news) = self.news.take() {
                return Step::Tell(news);
            }
            match &mut self.state {
                State::Listing(listing) => return Step::List { token: listing.token.clone() },
                State::Reading(_) => {
                    if let Some(step) = self.read_on(now) {
                        return step;
                    }
                }
                State::Opening { version } => {
                    let timeout = Duration::from_secs(self.random.u64(LIFETIME));
                    return Step::Open { version: version.clone(), timeout };
                }
                State::Watching(watching) => {
                    let until = after(*watching.quiet.get_or_insert(now), IDLE);
                    if now < until {
                        return Step::Read { until };
                    }
                    self.fell_silent(now);
                }
                State::Waiting { until, then, .. } => {
                    if now < *until {
                        return Step::Wait { until: *until };
                    }
                    self.state = std::mem::take(then);
                }
            }
        }
    }

    /// What is to be told of how it goes, since this was last asked: to be handed to the consumer after
    /// each [`take`](Self::take) and each step.
    pub fn health(&mut self) -> Option<News> {
        self.health.take()
    }

    /// Takes what came of the last step: one input, then the next step.
    pub fn take(&mut self, input: Input, now: Instant) {
        debug_assert!(self.news.is_none(), "a step was left out: {:?} would be lost", self.news);
        match std::mem::take(&mut self.state) {
            State::Listing(listing) => self.listing(listing, input, now),
            State::Opening { version } => self.opening(version, input, now),
            State::Watching(watching) => self.watching(watching, input, now),
            State::Reading(reading) => self.reading(reading, input, now),
            // Nothing was asked: it belongs to something that was given up.
            state @ State::Waiting { .. } => self.state = state,
        }
    }

    fn listing(&mut self, listing: Listing, input: Input, now: Instant) {
        match input {
            Input::Page { reply, asked } if reply.status.is_success() => {
                if let Some(other) = not_json(&reply.headers) {
                    return self.unusable(&other, now);
                }
                self.begin_page(listing, asked);
                self.take(Input::Piece(reply.body), now);
                self.take(Input::Ended, now);
            }
            Input::Begun { asked } => self.begin_page(listing, asked),
            Input::Page { reply, .. } | Input::Answer(reply) => {
                self.turned_down("list", &reply, State::Listing(listing), now);
            }
            Input::Failed(cause) => self.stumble(&cause, State::Listing(listing), now),
            Input::Unusable(cause) => self.unusable(&cause, now),
            Input::Opened | Input::Heard | Input::Line(_) | Input::Piece(_) | Input::Ended => {
                self.state = State::Listing(listing);
            }
        }
    }

    fn opening(&mut self, version: String, input: Input, now: Instant) {
        match input {
            Input::Opened => {
                self.refused = None;
                self.hurry = Hurry::May;
                if std::mem::take(&mut self.bad) {
                    self.health = Some(News::Recovered);
                }
                self.state = State::Watching(Watching { version, opened: now, quiet: None });
            }
            Input::Answer(reply) | Input::Page { reply, .. } => {
                self.turned_down("watch", &reply, State::Opening { version }, now);
            }
            Input::Failed(cause) => self.stumble(&cause, State::Opening { version }, now),
            Input::Unusable(cause) => self.unusable(&cause, now),
            Input::Begun { .. } | Input::Piece(_) | Input::Heard | Input::Line(_) | Input::Ended => {
                self.state = State::Opening { version };
            }
        }
    }

    fn watching(&mut self, mut watching: Watching, input: Input, now: Instant) {
        watching.quiet = None;
        match input {
            Input::Line(line) => self.line(watching, &line, now),
            Input::Heard => self.state = State::Watching(watching),
            Input::Ended => {
                let lasted = self.settle(&watching, now);
                let again = State::Opening { version: watching.version };
                if lasted < SHORT {
                    return self.stumble(&format!("the watch ended after {lasted:?}"), again, now);
                }
                self.state = again;
            }
            Input::Failed(cause) => {
                self.settle(&watching, now);
                self.stumble(&cause, State::Opening { version: watching.version }, now);
            }
            Input::Unusable(cause) => {
                self.settle(&watching, now);
                self.unusable(&cause, now);
            }
            Input::Opened | Input::Answer(_) | Input::Page { .. } | Input::Begun { .. } | Input::Piece(_) => {
                self.state = State::Watching(watching)
            }
        }
    }

    fn line(&mut self, mut watching: Watching, line: &[u8], now: Instant) {
        let event = event::read(self.target.resource(), line);
        match event {
            Ok(Event::Changed(object)) => {
                watching.version.clone_from(&object.resource_version);
                self.news = Some(News::Changed { object, at: now });
            }
            Ok(Event::Removed(object)) => {
                watching.version.clone_from(&object.resource_version);
                self.news = Some(News::Removed { object, at: now });
            }
            Ok(Event::Bookmark(version)) => watching.version = version,
            Ok(Event::Expired(cause)) => {
                self.settle(&watching, now);
                return self.expired(&cause, now);
            }
            Ok(Event::Error(cause)) | Err(cause) => {
                self.settle(&watching, now);
                return self.unusable(&cause, now);
            }
        }
        // It got ahead, so going on from there is worth a try, however soon it ends.
        self.stumbles = 0;
        self.run = None;
        self.state = State::Watching(watching);
    }

    /// What a watch that is over says about how things go.
    fn settle(&mut self, watching: &Watching, now: Instant) -> Duration {
        let lasted = now.saturating_duration_since(watching.opened);
        if lasted >= STEADY {
            self.backoff.succeed();
            self.run = None;
        }
        if lasted >= SHORT {
            self.stumbles = 0;
        }
        lasted
    }
}

#[cfg(test)]
mod tests;

//! List and watch, as a pure machine: no clock, no IO, no await.
//!
//! One [`Reflector`] keeps one [`WatchTarget`] in view. [`Reflector::step`] says what is to be done now, whoever
//! performs it feeds back what came of it by [`Reflector::take`], and steps on:
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
//! What it promises its consumer: after a [`Complete`](ReflectorEvent::Complete) and all that was told since,
//! the consumer knows what the API server knew a moment ago, or is told again within a bound. No
//! failure is taken for an absence: where a page fails, there is no `Complete`.
//!
//! A list is always asked for without a resourceVersion: version 0 would be answered from a cache of
//! any age. A watch that falls silent is not resumed but followed by a fresh list, since a version
//! that the server has yet to reach (its store was restored from a backup) shows just so.

mod driver;
mod event;
mod failure;
mod list_page;
mod watch_event;

use std::time::{Duration, Instant};

pub use self::{
    driver::run,
    event::{ReflectorEvent, ReflectorInput, ReflectorStep},
};
use self::{
    failure::{FailureRun, RetryEarly},
    list_page::{PageProgress, UnreadableItems},
    watch_event::WatchEvent,
};
use super::{limiter::LONGEST_PAUSE, request::WatchTarget, response::check_json};
use crate::{backoff::Backoff, time::after};

/// Between failures, growing.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(10));
/// After a refusal: long, since it takes somebody to change something; drawn from within.
const REFUSED: (Duration, Duration) = (Duration::from_secs(30), Duration::from_secs(60));
/// How long a watch is asked to last, in seconds; drawn, so that all of them do not end together.
const LIFETIME: std::ops::RangeInclusive<u64> = 290..=580;
/// Nothing heard for this long: the other end is dead, or at a version that has yet to come. Bookmarks
/// are due every minute or so, but that of an idle kind took 120 s to come (measured on 1.36).
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

/// The machine.
#[derive(Debug)]
pub struct Reflector {
    target: WatchTarget,
    state: ReflectorState,
    news: Option<ReflectorEvent>,
    random: fastrand::Rng,
    backoff: Backoff,
    /// Failures to go on from where it stood, in a row.
    stumbles: u32,
    /// Items of a list at most.
    most_items: u64,
    /// Whether a wait after a failure may be cut short where others succeed.
    hurry: RetryEarly,
    /// What the run of refusals that lasts was about: a missing kind, or a missing right.
    refused: Option<bool>,
    /// The run of failures that lasts, as it is logged.
    run: Option<FailureRun>,
    /// It was told that it goes badly, and not yet that it goes well again.
    bad: bool,
    /// What is to be told of how it goes.
    health: Option<ReflectorEvent>,
}

#[derive(Debug)]
enum ReflectorState {
    /// A page is asked for.
    Listing(Listing),
    /// A page is read out.
    Reading(Box<PageProgress>),
    /// A watch is asked for.
    Opening { version: String },
    /// It lasts.
    Watching(Watching),
    /// Until the time comes for another state; `early`: or until things go well elsewhere.
    Waiting { until: Instant, then: Box<ReflectorState>, early: bool },
}

/// How far a list is; of a fresh one nothing is known.
#[derive(Debug, Default)]
struct Listing {
    asked: Option<Instant>,
    token: Option<String>,
    /// Items that earlier pages had.
    items: u64,
    /// Those among them that could not be read.
    left_out: UnreadableItems,
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

impl Default for ReflectorState {
    fn default() -> Self {
        Self::Listing(Listing::default())
    }
}

impl Reflector {
    /// A machine that begins with a list. The seed decides all that is drawn.
    pub fn new(target: WatchTarget, seed: u64) -> Self {
        Self {
            target,
            state: ReflectorState::default(),
            news: None,
            random: fastrand::Rng::with_seed(seed),
            backoff: Backoff::new(BACKOFF.0, BACKOFF.1),
            stumbles: 0,
            most_items: MOST_ITEMS,
            hurry: RetryEarly::default(),
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
    pub fn target(&self) -> &WatchTarget {
        &self.target
    }

    /// What is to be done now.
    pub fn step(&mut self, now: Instant) -> ReflectorStep {
        loop {
            if let Some(news) = self.news.take() {
                return ReflectorStep::Tell(news);
            }
            match &mut self.state {
                ReflectorState::Listing(listing) => {
                    return ReflectorStep::List { token: listing.token.clone() };
                }
                ReflectorState::Reading(_) => {
                    if let Some(step) = self.read_on(now) {
                        return step;
                    }
                }
                ReflectorState::Opening { version } => {
                    let timeout = Duration::from_secs(self.random.u64(LIFETIME));
                    return ReflectorStep::Open { version: version.clone(), timeout };
                }
                ReflectorState::Watching(watching) => {
                    let until = after(*watching.quiet.get_or_insert(now), IDLE);
                    if now < until {
                        return ReflectorStep::Read { until };
                    }
                    self.fell_silent(now);
                }
                ReflectorState::Waiting { until, then, .. } => {
                    if now < *until {
                        return ReflectorStep::Wait { until: *until };
                    }
                    self.state = std::mem::take(then);
                }
            }
        }
    }

    /// What is to be told of how it goes, since this was last asked: to be handed to the consumer after
    /// each [`take`](Self::take) and each step.
    pub fn health(&mut self) -> Option<ReflectorEvent> {
        self.health.take()
    }

    /// Takes what came of the last step: one input, then the next step.
    pub fn take(&mut self, input: ReflectorInput, now: Instant) {
        debug_assert!(self.news.is_none(), "a step was left out: {:?} would be lost", self.news);
        match std::mem::take(&mut self.state) {
            ReflectorState::Listing(listing) => self.listing(listing, input, now),
            ReflectorState::Opening { version } => self.opening(version, input, now),
            ReflectorState::Watching(watching) => self.watching(watching, input, now),
            ReflectorState::Reading(reading) => self.reading(reading, input, now),
            // Nothing was asked: it belongs to something that was given up.
            state @ ReflectorState::Waiting { .. } => self.state = state,
        }
    }

    fn listing(&mut self, listing: Listing, input: ReflectorInput, now: Instant) {
        match input {
            ReflectorInput::Page { reply, asked } if reply.status.is_success() => {
                if let Err(other) = check_json(&reply.headers) {
                    return self.unusable(&other.to_string(), now);
                }
                self.begin_page(listing, asked);
                self.take(ReflectorInput::Piece(reply.body), now);
                self.take(ReflectorInput::Ended, now);
            }
            ReflectorInput::Begun { asked } => self.begin_page(listing, asked),
            ReflectorInput::Page { reply, .. } | ReflectorInput::Answer(reply) => {
                self.turned_down("list", &reply, ReflectorState::Listing(listing), now);
            }
            ReflectorInput::Failed(cause) => self.stumble(&cause, ReflectorState::Listing(listing), now),
            ReflectorInput::Unusable(cause) => self.unusable(&cause, now),
            ReflectorInput::Opened
            | ReflectorInput::Heard
            | ReflectorInput::Line(_)
            | ReflectorInput::Piece(_)
            | ReflectorInput::Ended => {
                self.state = ReflectorState::Listing(listing);
            }
        }
    }

    fn opening(&mut self, version: String, input: ReflectorInput, now: Instant) {
        match input {
            ReflectorInput::Opened => {
                self.refused = None;
                self.hurry = RetryEarly::May;
                if std::mem::take(&mut self.bad) {
                    self.health = Some(ReflectorEvent::Recovered);
                }
                self.state = ReflectorState::Watching(Watching { version, opened: now, quiet: None });
            }
            ReflectorInput::Answer(reply) | ReflectorInput::Page { reply, .. } => {
                self.turned_down("watch", &reply, ReflectorState::Opening { version }, now);
            }
            ReflectorInput::Failed(cause) => self.stumble(&cause, ReflectorState::Opening { version }, now),
            ReflectorInput::Unusable(cause) => self.unusable(&cause, now),
            ReflectorInput::Begun { .. }
            | ReflectorInput::Piece(_)
            | ReflectorInput::Heard
            | ReflectorInput::Line(_)
            | ReflectorInput::Ended => {
                self.state = ReflectorState::Opening { version };
            }
        }
    }

    fn watching(&mut self, mut watching: Watching, input: ReflectorInput, now: Instant) {
        watching.quiet = None;
        match input {
            ReflectorInput::Line(line) => self.line(watching, &line, now),
            ReflectorInput::Heard => self.state = ReflectorState::Watching(watching),
            ReflectorInput::Ended => {
                let lasted = self.settle(&watching, now);
                let again = ReflectorState::Opening { version: watching.version };
                if lasted < SHORT {
                    return self.stumble(&format!("the watch ended after {lasted:?}"), again, now);
                }
                self.state = again;
            }
            ReflectorInput::Failed(cause) => {
                self.settle(&watching, now);
                self.stumble(&cause, ReflectorState::Opening { version: watching.version }, now);
            }
            ReflectorInput::Unusable(cause) => {
                self.settle(&watching, now);
                self.unusable(&cause, now);
            }
            ReflectorInput::Opened
            | ReflectorInput::Answer(_)
            | ReflectorInput::Page { .. }
            | ReflectorInput::Begun { .. }
            | ReflectorInput::Piece(_) => self.state = ReflectorState::Watching(watching),
        }
    }

    fn line(&mut self, mut watching: Watching, line: &[u8], now: Instant) {
        let event = watch_event::read(self.target.resource(), line);
        match event {
            Ok(WatchEvent::Changed(object)) => {
                watching.version.clone_from(&object.resource_version);
                self.news = Some(ReflectorEvent::Changed { object, at: now });
            }
            Ok(WatchEvent::Removed(object)) => {
                watching.version.clone_from(&object.resource_version);
                self.news = Some(ReflectorEvent::Removed { object, at: now });
            }
            Ok(WatchEvent::Bookmark(version)) => watching.version = version,
            Ok(WatchEvent::Expired(cause)) => {
                self.settle(&watching, now);
                return self.expired(&cause, now);
            }
            Ok(WatchEvent::Error(cause)) => {
                self.settle(&watching, now);
                return self.unusable(&cause, now);
            }
            Err(error) => {
                self.settle(&watching, now);
                return self.unusable(&error.to_string(), now);
            }
        }
        // It got ahead, so going on from there is worth a try, however soon it ends.
        self.stumbles = 0;
        self.run = None;
        self.state = ReflectorState::Watching(watching);
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

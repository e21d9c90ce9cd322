//! List-and-watch of one kind, as a protocol: what to ask next, and what the answers mean. Pure.
//!
//! A paged list, then a stream of events from the list's version on. When the stream ends it is
//! taken up where it was left. The view is listed afresh wherever events may have been missed:
//! an expired version (410) at any point, nothing heard for [`IDLE`] (a server that was restored
//! from a backup answers a watch from the future with silence), or something that is not
//! understood. A fresh list overrides what was known before it was asked for, so what went
//! unseen meanwhile is found by what it does not name.

mod event;
#[cfg(test)]
mod tests;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use self::event::Event;
use crate::{
    backoff::Backoff,
    stack::{
        object::{Object, Resource},
        write::{ReadError, Refusal},
    },
};

/// Bookmarks of an idle kind come every two minutes at most; silence for longer is a dead stream.
pub const IDLE: Duration = Duration::from_secs(150);
/// How long a server is asked to let a stream last, in seconds; drawn, so that they do not all
/// end together. kube's request builder takes no more.
const LASTING: std::ops::Range<u64> = 200..290;
/// A stream that ends sooner did not go well, even where it ended in order.
const SHORT: Duration = Duration::from_secs(1);
const BACKOFF: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(30));
/// What is refused now will be for a while; drawn from the upper half.
const REFUSED: Duration = Duration::from_secs(60);
/// So many failures in a row to take a stream up call for a fresh list.
const RESUMES: u32 = 3;

/// What a watch tells of its kind.
#[derive(Debug, Clone, PartialEq)]
pub enum News {
    /// An object of a fresh list whose first page was asked for at `asked`.
    Listed {
        /// As it stands.
        object: Box<Object>,
        /// When the list was begun.
        asked: Instant,
    },
    /// The list is complete: what it did not name and was known before `asked` is gone.
    Complete {
        /// When the list was begun.
        asked: Instant,
    },
    /// The object was added or modified.
    Changed {
        /// As it stands.
        object: Box<Object>,
        /// When that was learnt.
        at: Instant,
    },
    /// The object is gone.
    Removed {
        /// Its last state.
        object: Box<Object>,
    },
    /// The API server will not list or watch the kind; it is asked again slowly. Said once until
    /// it does.
    Refused {
        /// Its words.
        refusal: Refusal,
        /// Whether the list was taken and only the watch is refused.
        listed: bool,
    },
}

/// What to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Ask for a page of the list; the first where there is no token.
    List {
        /// `continue`
        next: Option<String>,
    },
    /// Open a stream.
    Open {
        /// `resourceVersion`
        from: String,
        /// `timeoutSeconds`
        lasting: Duration,
    },
    /// Read on; the stream is dead where nothing has come by then.
    Read {
        /// When to call [`Watch::silent`].
        until: Instant,
    },
    /// Do nothing before then.
    Wait {
        /// When to go on.
        until: Instant,
    },
}

/// Something to be logged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// What happened.
    pub cause: String,
    /// How long the watch pauses.
    pub pause: Duration,
    /// Whether everything is listed afresh.
    pub afresh: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum State {
    /// A page is to be asked for; `asked` is there from the first page on.
    List { asked: Option<Instant>, next: Option<String> },
    /// A stream is to be opened.
    Open { from: String },
    /// A stream is open.
    Stream { from: String, since: Instant, heard: Instant, fruitful: bool },
}

/// The protocol of one kind. See the [module](self).
#[derive(Debug)]
pub struct Watch {
    resource: Arc<Resource>,
    state: State,
    /// Nothing is done before this.
    pause: Option<Instant>,
    backoff: Backoff,
    /// Failures in a row to take the stream up.
    resumes: u32,
    /// A refusal was told and has not been taken back.
    refused: bool,
    random: fastrand::Rng,
    trouble: Option<Trouble>,
}

impl Watch {
    /// A watch that has seen nothing; pauses are drawn from `seed`.
    pub fn new(resource: &Arc<Resource>, seed: u64) -> Self {
        Self {
            resource: Arc::clone(resource),
            state: State::List { asked: None, next: None },
            pause: None,
            backoff: Backoff::new(BACKOFF.0, BACKOFF.1),
            resumes: 0,
            refused: false,
            random: fastrand::Rng::with_seed(seed),
            trouble: None,
        }
    }

    /// What to do now.
    pub fn next(&mut self, now: Instant) -> Step {
        if let Some(until) = self.pause.filter(|until| *until > now) {
            return Step::Wait { until };
        }
        self.pause = None;
        match &mut self.state {
            State::List { asked, next } => {
                asked.get_or_insert(now);
                Step::List { next: next.clone() }
            }
            State::Open { from } => {
                let lasting = Duration::from_secs(self.random.u64(LASTING));
                Step::Open { from: from.clone(), lasting }
            }
            State::Stream { heard, .. } => Step::Read { until: *heard + IDLE },
        }
    }

    /// When the list that is under way was begun.
    pub fn asked(&self) -> Option<Instant> {
        match self.state {
            State::List { asked, .. } => asked,
            _ => None,
        }
    }

    /// All objects of a page were told; the next page begins at `next`, and a watch from the list
    /// at `version`.
    pub fn page(&mut self, next: Option<String>, version: String) -> Option<News> {
        let State::List { asked: Some(asked), .. } = self.state else { return None };
        if next.is_some() {
            self.state = State::List { asked: Some(asked), next };
            return None;
        }
        self.backoff.succeed();
        self.resumes = 0;
        self.state = State::Open { from: version };
        Some(News::Complete { asked })
    }

    /// A page could not be had.
    pub fn page_failed(&mut self, now: Instant, error: ReadError, expired: bool) -> Option<News> {
        if expired {
            self.afresh(now, "the list expired between two of its pages".into());
            return None;
        }
        // The pages that were had may be too old by the time that the next one comes.
        self.state = State::List { asked: None, next: None };
        self.failed(now, error, false)
    }

    /// The stream is open.
    pub fn opened(&mut self, now: Instant) {
        if let State::Open { from } = &self.state {
            self.refused = false;
            self.state = State::Stream { from: from.clone(), since: now, heard: now, fruitful: false };
        }
    }

    /// The stream was not opened.
    pub fn not_opened(&mut self, now: Instant, error: ReadError, expired: bool) -> Option<News> {
        if expired {
            self.state = State::List { asked: None, next: None };
            return None;
        }
        if matches!(error, ReadError::Refused { .. }) {
            // As long as there is no watching, listing now and then has to do.
            self.state = State::List { asked: None, next: None };
        }
        self.failed(now, error, true)
    }

    /// A line of the stream.
    pub fn line(&mut self, now: Instant, line: &[u8]) -> Option<News> {
        let State::Stream { from, heard, fruitful, .. } = &mut self.state else { return None };
        *heard = now;
        let event = match Event::read(&self.resource, line) {
            Ok(event) => event,
            Err(cause) => {
                self.afresh(now, cause);
                return None;
            }
        };
        let (version, news) = match event {
            Event::Bookmark(version) => (version, None),
            Event::Changed(object) => {
                (object.resource_version.clone(), Some(News::Changed { object, at: now }))
            }
            Event::Removed(object) => (object.resource_version.clone(), Some(News::Removed { object })),
            Event::Expired => {
                // Nothing is wrong: the server remembers so much and no more.
                self.state = State::List { asked: None, next: None };
                return None;
            }
        };
        *from = version;
        *fruitful = true;
        self.backoff.succeed();
        self.resumes = 0;
        news
    }

    /// The stream came to its end: in order, or broken for this cause.
    pub fn ended(&mut self, now: Instant, broken: Option<String>) {
        let State::Stream { from, since, fruitful, .. } = &self.state else { return };
        let short = now.saturating_duration_since(*since) < SHORT;
        let (from, fruitful) = (from.clone(), *fruitful);
        self.state = State::Open { from };
        match broken {
            None if fruitful || !short => {}
            None => self.resume(now, "the stream ended as soon as it had begun".into(), None),
            Some(cause) => self.resume(now, cause, None),
        }
    }

    /// Nothing was heard until the time that [`Step::Read`] named.
    pub fn silent(&mut self, now: Instant) {
        if let State::Stream { heard, .. } = self.state
            && now >= heard + IDLE
        {
            self.afresh(now, format!("nothing was heard for {IDLE:?}"));
        }
    }

    /// What there is to be logged since the last call.
    pub fn trouble(&mut self) -> Option<Trouble> {
        self.trouble.take()
    }

    fn failed(&mut self, now: Instant, error: ReadError, listed: bool) -> Option<News> {
        match error {
            ReadError::Failed { cause, retry_after, .. } => {
                self.resume(now, cause, retry_after);
                None
            }
            ReadError::Refused { refusal, .. } => {
                let pause = REFUSED.mul_f64(0.5 + self.random.f64() / 2.0);
                self.pause = Some(now + pause);
                let told = std::mem::replace(&mut self.refused, true);
                (!told).then_some(News::Refused { refusal, listed })
            }
        }
    }

    /// Tries again after a pause: the stream where it was left, if it is not in vain.
    fn resume(&mut self, now: Instant, cause: String, retry_after: Option<Duration>) {
        if let State::Open { .. } = self.state {
            self.resumes += 1;
            if self.resumes > RESUMES {
                self.resumes = 0;
                self.state = State::List { asked: None, next: None };
            }
        }
        self.back_off(now, cause, retry_after);
    }

    /// Lists everything afresh after a pause.
    fn afresh(&mut self, now: Instant, cause: String) {
        self.state = State::List { asked: None, next: None };
        self.back_off(now, cause, None);
    }

    fn back_off(&mut self, now: Instant, cause: String, retry_after: Option<Duration>) {
        let own = self.backoff.fail(self.random.f64());
        // Not sooner than asked for, and not all at once either.
        let asked = retry_after.map(|asked| asked.mul_f64(1.0 + self.random.f64() / 4.0));
        let pause = own.max(asked.unwrap_or_default());
        self.pause = Some(now + pause);
        let afresh = matches!(self.state, State::List { .. });
        self.trouble = Some(Trouble { cause, pause, afresh });
    }
}

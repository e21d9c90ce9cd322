//! How long something has been failing, and when that is worth saying (again). Pure.

use std::time::Duration;

use crate::time::Instant;

/// What nothing can be done without is missed for so long before it is said.
pub(super) const LONG: Duration = Duration::from_secs(5);
/// A view that is not kept up for so long is worth a line.
pub(super) const STALE: Duration = Duration::from_secs(60);
/// What was said is said again after so long.
const AGAIN: Duration = Duration::from_secs(600);

/// A run of failures, as it is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::agent) struct Trouble {
    /// Since when; absent where nothing failed, and nothing came either.
    pub since: Option<Instant>,
    /// The newest failure.
    pub last: Option<Instant>,
    /// What that was.
    pub cause: String,
}

impl Trouble {
    /// How long it has been failing.
    pub(super) fn lasts(&self) -> Duration {
        match (self.since, self.last) {
            (Some(since), Some(last)) => last.saturating_duration_since(since),
            _ => Duration::ZERO,
        }
    }
}

/// See the [module](self).
#[derive(Debug, Default)]
pub(super) struct Health {
    run: Option<Run>,
    /// When it was last said.
    said: Option<Instant>,
}

#[derive(Debug)]
struct Run {
    since: Instant,
    last: Instant,
    cause: String,
}

impl Health {
    pub(super) fn fail(&mut self, cause: String, now: Instant) {
        let since = self.run.as_ref().map_or(now, |run| run.since);
        self.run = Some(Run { since, last: now, cause });
    }

    /// It goes well. Gives how long it did not, where somebody was told that.
    pub(super) fn recover(&mut self, now: Instant) -> Option<Duration> {
        let lasted = self.lasted(now);
        self.run = None;
        self.said.take().map(|_| lasted)
    }

    pub(super) fn is_bad(&self) -> bool {
        self.run.is_some()
    }

    /// Whether something failed after `since`.
    pub(super) fn failed_since(&self, since: Instant) -> bool {
        self.run.as_ref().is_some_and(|run| run.last > since)
    }

    pub(super) fn lasted(&self, now: Instant) -> Duration {
        self.run.as_ref().map_or(Duration::ZERO, |run| now.saturating_duration_since(run.since))
    }

    pub(super) fn trouble(&self) -> Trouble {
        let run = self.run.as_ref();
        Trouble {
            since: run.map(|run| run.since),
            last: run.map(|run| run.last),
            cause: run.map_or_else(|| "its list does not end".into(), |run| run.cause.clone()),
        }
    }

    /// It was said.
    pub(super) fn said(&mut self, now: Instant) {
        self.said = Some(now);
    }

    /// What is to be said now, where failures last for `patience`.
    pub(super) fn due(&mut self, patience: Duration, now: Instant) -> Option<Trouble> {
        if self.said.is_some() {
            return self.due_again(now);
        }
        (self.run.is_some() && self.lasted(now) >= patience).then(|| {
            self.said(now);
            self.trouble()
        })
    }

    /// What is to be said again.
    pub(super) fn due_again(&mut self, now: Instant) -> Option<Trouble> {
        let due = self.said.is_some_and(|said| now.saturating_duration_since(said) >= AGAIN);
        due.then(|| {
            self.said(now);
            self.trouble()
        })
    }
}

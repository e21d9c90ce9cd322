//! How long something has been failing, and when that is worth a line of the log (again). Pure.

use std::time::Duration;

use crate::time::Instant;

/// What nothing can be done without is missed for so long before that is logged.
pub(super) const LONG: Duration = Duration::from_secs(5);
/// A view that is not kept up for so long is worth a line.
pub(super) const STALE: Duration = Duration::from_secs(60);
/// What was logged is logged again after so long.
const AGAIN: Duration = Duration::from_secs(600);

/// A run of failures, as it is logged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::agent) struct KindOutage {
    /// Since when; absent where nothing failed, and nothing came either.
    pub(super) since: Option<Instant>,
    /// The newest failure.
    last: Option<Instant>,
    /// What that was.
    pub(super) cause: String,
}

impl KindOutage {
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
pub(super) struct KindFailures {
    failures: Option<Failures>,
    /// When it was last logged.
    logged: Option<Instant>,
}

#[derive(Debug)]
struct Failures {
    since: Instant,
    last: Instant,
    cause: String,
}

impl KindFailures {
    pub(super) fn fail(&mut self, cause: String, now: Instant) {
        let since = self.failures.as_ref().map_or(now, |failures| failures.since);
        self.failures = Some(Failures { since, last: now, cause });
    }

    /// It goes well. Gives how long it did not, where that was logged.
    pub(super) fn recover(&mut self, now: Instant) -> Option<Duration> {
        let lasted = self.lasted(now);
        self.failures = None;
        self.logged.take().map(|_| lasted)
    }

    pub(super) fn is_failing(&self) -> bool {
        self.failures.is_some()
    }

    /// Whether something failed after `since`.
    pub(super) fn failed_since(&self, since: Instant) -> bool {
        self.failures.as_ref().is_some_and(|failures| failures.last > since)
    }

    pub(super) fn lasted(&self, now: Instant) -> Duration {
        let failures = self.failures.as_ref();
        failures.map_or(Duration::ZERO, |failures| now.saturating_duration_since(failures.since))
    }

    pub(super) fn outage(&self) -> KindOutage {
        let failures = self.failures.as_ref();
        KindOutage {
            since: failures.map(|failures| failures.since),
            last: failures.map(|failures| failures.last),
            cause: failures.map_or_else(|| "its list does not end".into(), |failures| failures.cause.clone()),
        }
    }

    /// It is logged now.
    pub(super) fn logged(&mut self, now: Instant) {
        self.logged = Some(now);
    }

    /// What is to be logged now, where failures last for `patience`.
    pub(super) fn due(&mut self, patience: Duration, now: Instant) -> Option<KindOutage> {
        if self.logged.is_some() {
            return self.due_again(now);
        }
        (self.is_failing() && self.lasted(now) >= patience).then(|| {
            self.logged(now);
            self.outage()
        })
    }

    /// What is to be logged again.
    pub(super) fn due_again(&mut self, now: Instant) -> Option<KindOutage> {
        let due = self.logged.is_some_and(|logged| now.saturating_duration_since(logged) >= AGAIN);
        due.then(|| {
            self.logged(now);
            self.outage()
        })
    }
}

//! How the machine takes trouble: what it goes on with, when, and what it says about it.

use std::time::{Duration, Instant};

use super::{IDLE, LONGEST_PAUSE, News, REFUSED, STUMBLES, State, Verdict, Watch};
use crate::{
    cluster::{answer::Reply, target::Target},
    stack::write::Refusal,
    time::{after, times},
};

/// A run of failures is told again after so long: whoever looks at the log of the last minutes sees it.
const AGAIN: Duration = Duration::from_secs(600);

/// A run of failures, as it is logged: once, and then now and then with a count.
#[derive(Debug)]
pub(super) struct Run {
    since: Instant,
    told: Instant,
    /// Failures that were not told.
    untold: u32,
}

/// Whether a wait may be cut short. One whose attempt was made early, and failed, may not: what fails
/// although others succeed fails for a reason of its own.
#[derive(Debug, Default, Clone, Copy, PartialEq)]
pub(super) enum Hurry {
    #[default]
    May,
    Hurried,
    MayNot,
}

impl Watch {
    /// Other requests are answered again: a wait after a failure is over, too.
    pub fn hurry(&mut self, now: Instant) {
        let State::Waiting { until, early: true, .. } = &mut self.state else { return };
        if self.hurry == Hurry::May {
            self.hurry = Hurry::Hurried;
            *until = now;
        }
    }

    /// Says of a failure what has to be said, and tells the consumer.
    fn failed(&mut self, what: &str, cause: &str, wait: Duration, now: Instant) {
        self.bad = true;
        self.health = Some(News::Failing { cause: cause.to_owned() });
        let kind = &self.target;
        let run = match &mut self.run {
            Some(run) if now.saturating_duration_since(run.told) < AGAIN => {
                run.untold += 1;
                tracing::debug!(%kind, error = cause, retry_in = ?wait, "list and watch: {what}");
                return;
            }
            run => run.get_or_insert(Run { since: now, told: now, untold: 0 }),
        };
        let (untold, since) = (std::mem::take(&mut run.untold), now.saturating_duration_since(run.since));
        run.told = now;
        if untold == 0 {
            tracing::warn!(%kind, error = cause, retry_in = ?wait, "list and watch: {what}");
        } else {
            tracing::warn!(%kind, error = cause, retry_in = ?wait, failures = untold, failing_for = ?since,
                "list and watch: still {what}");
        }
    }

    /// An answer that is not what was asked for; `again` is where it stood.
    pub(super) fn turned_down(&mut self, verb: &str, reply: &Reply, again: State, now: Instant) {
        match Verdict::of(reply) {
            Verdict::Expired(cause) => self.expired(&cause, now),
            Verdict::Busy(cause, pause) => self.busy(&cause, pause, again, now),
            Verdict::Failed(cause) => self.stumble(&cause, again, now),
            Verdict::Refused { missing, refusal } => self.refuse(verb, missing, refusal, now),
        }
    }

    /// A failure that says nothing against going on from where it stood; unless it is one of many.
    pub(super) fn stumble(&mut self, cause: &str, again: State, now: Instant) {
        let wait = self.backoff.fail(self.random.f64());
        let then = self.once_more(again);
        self.failed("failed", cause, wait, now);
        self.wait(wait, then, now);
        self.hurry = if self.hurry == Hurry::Hurried { Hurry::MayNot } else { Hurry::May };
        if let State::Waiting { early, .. } = &mut self.state {
            *early = true;
        }
    }

    /// The server is asked again when it wants to be, and a little later, each kind on its own.
    fn busy(&mut self, cause: &str, pause: Duration, again: State, now: Instant) {
        let wait = times(pause.min(LONGEST_PAUSE), 1.0 + self.random.f64() / 4.0);
        let then = self.once_more(again);
        self.failed("the API server is busy", cause, wait, now);
        self.wait(wait, then, now);
    }

    /// What it stood at may be what the server cannot go on from, whatever it says.
    fn once_more(&mut self, again: State) -> State {
        self.stumbles += 1;
        if self.stumbles <= STUMBLES {
            return again;
        }
        self.stumbles = 0;
        State::default()
    }

    /// The server no longer knows what happened since. That is in the nature of things, so the first
    /// time it is no failure; one list after the other that expires at once is.
    pub(super) fn expired(&mut self, cause: &str, now: Instant) {
        let first = self.backoff.failures() == 0;
        let wait = self.backoff.fail(self.random.f64());
        let wait = if first { Duration::ZERO } else { wait };
        if first {
            tracing::info!(kind = %self.target, cause, "list and watch: starting afresh");
        } else {
            self.failed("starting afresh", cause, wait, now);
        }
        self.wait(wait, State::default(), now);
    }

    /// What came cannot be relied on, and so cannot what was missed for it: a fresh list.
    pub(super) fn unusable(&mut self, cause: &str, now: Instant) {
        let wait = self.backoff.fail(self.random.f64());
        self.failed("starting afresh", cause, wait, now);
        self.wait(wait, State::default(), now);
    }

    /// Not resumed: a version that the server has yet to reach would be silent again.
    pub(super) fn fell_silent(&mut self, now: Instant) {
        tracing::warn!(kind = %self.target, silent_for = ?IDLE,
            "list and watch: nothing was heard, not even a bookmark; starting afresh");
        if let State::Watching(watching) = std::mem::take(&mut self.state) {
            self.settle(&watching, now);
        }
    }

    fn refuse(&mut self, verb: &str, missing: bool, refusal: Refusal, now: Instant) {
        let (shortest, longest) = REFUSED;
        let wait = match missing {
            // A kind that was defined just now is served a moment later.
            true => self.backoff.fail(self.random.f64()),
            false => shortest.saturating_add(times(longest.saturating_sub(shortest), self.random.f64())),
        };
        if self.refused.replace(missing) != Some(missing) {
            let target = &self.target;
            if missing {
                tracing::warn!(kind = %target, error = %refusal,
                    "the API server does not serve this kind; asking again, ever more slowly: \
                     install its CustomResourceDefinition");
            } else if verb == "watch" && *target == Target::definitions() {
                // Who follows definitions says what becomes of it.
            } else {
                tracing::error!(kind = %target, error = %refusal,
                    "may not {verb} this kind; asking again every 30 to 60 s: \
                     grant get, list and watch on {target}");
            }
            self.bad = true;
            self.news = Some(News::Refused { missing, refusal });
        }
        self.wait(wait, State::default(), now);
    }

    fn wait(&mut self, wait: Duration, then: State, now: Instant) {
        self.state = State::Waiting { until: after(now, wait), then: Box::new(then), early: false };
    }
}

//! Notices a shard that hangs, or that failed and took the others along with it into waiting: its
//! stacks would have no owner, and nobody would say so.
//!
//! A shard that panics or ends is told of by its own thread, and the others end because of it. One
//! that hangs cannot be ended from outside, nor can others that do not end, so the process ends
//! instead, and whoever runs it starts it anew.

use std::{thread, time::Duration};

use shards::{Heartbeats, ShardId, Stopper};
use tracing::{error, warn};

use crate::{
    fatal,
    time::{Instant, after, now, times},
};

/// No sign of life for so long: the shard hangs. Far beyond what throttling to a tenth of a core
/// does (150 ms).
const LIMIT: Duration = Duration::from_secs(60);
/// A shard has failed, and for so long the others have not come to their end.
const REST: Duration = Duration::from_secs(2);
/// How often it is looked at.
const EVERY: Duration = Duration::from_secs(1);

/// Watches the shards from a thread of its own, for as long as the process lives.
pub(super) fn start(heartbeats: Heartbeats, stopper: Stopper) {
    let watching = move || {
        // Whatever comes of saying so, the process ends.
        let _end = End;
        match watch(&heartbeats, &stopper, Watchdog::new(LIMIT, REST, EVERY, now())) {
            Alarm::Hanging(shards) => {
                let shards: Vec<_> = shards.iter().map(ToString::to_string).collect();
                error!(
                    shards = shards.join(","),
                    "shards have not shown a sign of life for {LIMIT:?}: their stacks have no owner. The process ends; please report this with the log before it"
                );
            }
            Alarm::Failed(shard) => error!(
                shard = %shard,
                "a shard has failed and the others did not end within {REST:?}. The process ends; please report this with the log before it"
            ),
        }
    };
    if let Err(failure) = thread::Builder::new().name("watchdog".into()).spawn(watching) {
        warn!("a shard that hangs will not be noticed, there is no thread for the watchdog: {failure}");
    }
}

/// Ends the process.
struct End;

impl Drop for End {
    fn drop(&mut self) {
        fatal::end(fatal::EXIT_CODE);
    }
}

/// What the watchdog barks at.
#[derive(Debug, PartialEq, Eq)]
enum Alarm {
    /// These show no sign of life.
    Hanging(Vec<ShardId>),
    /// This one has failed, and the process still lives.
    Failed(ShardId),
}

/// Looks every so often, until something is wrong.
fn watch(heartbeats: &Heartbeats, stopper: &Stopper, mut watchdog: Watchdog) -> Alarm {
    loop {
        thread::sleep(watchdog.every);
        if let Some(alarm) = watchdog.look(now(), heartbeats.silent_for(watchdog.limit), stopper.failed()) {
            return alarm;
        }
    }
}

/// Tells shards that hang from a process that was stopped as a whole. Pure.
#[derive(Debug)]
struct Watchdog {
    limit: Duration,
    rest: Duration,
    every: Duration,
    looked: Instant,
    /// The process was stopped: shards have until then to show that they live.
    patient_until: Option<Instant>,
    /// Since when a shard is known to have failed.
    failed: Option<Instant>,
}

impl Watchdog {
    fn new(limit: Duration, rest: Duration, every: Duration, now: Instant) -> Self {
        Self { limit, rest, every, looked: now, patient_until: None, failed: None }
    }

    fn look(&mut self, now: Instant, silent: Vec<ShardId>, failed: Option<ShardId>) -> Option<Alarm> {
        let since = now.saturating_duration_since(self.looked);
        self.looked = now;
        // Many times what a busy machine costs.
        if since > times(self.every, 10.0) {
            self.patient_until = Some(after(now, self.limit));
        }
        if let Some(shard) = failed {
            let since = *self.failed.get_or_insert(now);
            if now.saturating_duration_since(since) >= self.rest {
                return Some(Alarm::Failed(shard));
            }
        }
        let patient = self.patient_until.is_some_and(|until| now < until);
        (!silent.is_empty() && !patient).then_some(Alarm::Hanging(silent))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use shards::PoolConfig;

    use super::*;

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn row_16_a_shard_that_hangs_is_noticed() {
        let pool =
            shards::start(PoolConfig::new("hangs", 2), |context: shards::ShardContext<()>| async move {
                if context.id.index() == 1 {
                    thread::sleep(seconds(2));
                }
                context.stop.wait().await;
            });
        let pool = pool.unwrap();
        let (heartbeats, stopper, (told, alarm)) = (pool.heartbeats(), pool.stopper(), mpsc::channel());
        let watchdog =
            Watchdog::new(Duration::from_millis(700), seconds(60), Duration::from_millis(50), now());
        thread::spawn(move || told.send(watch(&heartbeats, &stopper, watchdog)).unwrap());
        let alarm = alarm.recv_timeout(seconds(10)).unwrap();
        assert_eq!(alarm, Alarm::Hanging(vec![ShardId::new(1)]));
        pool.stopper().stop();
        assert!(pool.join().into_iter().all(|shard| shard.is_ok()));
    }

    #[test]
    fn a_shard_that_failed_is_noticed_where_the_others_do_not_end() {
        let pool =
            shards::start(PoolConfig::new("fails", 2), |context: shards::ShardContext<()>| async move {
                if context.id.index() == 1 {
                    panic!("on purpose");
                }
                context.stop.wait().await;
                // As if it waited for the other one.
                shards::engine::sleep(seconds(2)).await;
            });
        let pool = pool.unwrap();
        let every = Duration::from_millis(20);
        let watchdog = Watchdog::new(seconds(60), Duration::from_millis(300), every, now());
        let alarm = watch(&pool.heartbeats(), &pool.stopper(), watchdog);
        assert_eq!(alarm, Alarm::Failed(ShardId::new(1)));
        pool.join();
    }

    #[test]
    fn a_process_that_was_stopped_gets_time_to_show_that_it_lives() {
        let begun = now();
        let at = |after| begun + seconds(after);
        let hanging = || vec![ShardId::new(0)];
        let new = || Watchdog::new(seconds(60), seconds(2), seconds(1), begun);
        let mut watchdog = new();
        assert_eq!(watchdog.look(at(1), Vec::new(), None), None);
        // Stopped for an hour: nobody has shown anything since.
        assert_eq!(watchdog.look(at(3601), hanging(), None), None);
        for after in 3602..3661 {
            assert_eq!(watchdog.look(at(after), hanging(), None), None, "{after}");
        }
        assert_eq!(watchdog.look(at(3661), hanging(), None), Some(Alarm::Hanging(hanging())));
        let mut awake = new();
        assert_eq!(awake.look(at(1), hanging(), None), Some(Alarm::Hanging(hanging())));
    }

    #[test]
    fn a_shard_that_failed_has_a_moment_to_take_the_others_along() {
        let begun = now();
        let at = |after| begun + seconds(after);
        let failed = Some(ShardId::new(3));
        let mut watchdog = Watchdog::new(seconds(60), seconds(2), seconds(1), begun);
        assert_eq!(watchdog.look(at(1), Vec::new(), failed), None);
        assert_eq!(watchdog.look(at(2), Vec::new(), failed), None);
        assert_eq!(watchdog.look(at(3), Vec::new(), failed), Some(Alarm::Failed(ShardId::new(3))));
    }
}

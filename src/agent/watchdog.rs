//! Notices a shard that hangs: its stacks would have no owner, and nobody would say so.
//!
//! A shard that panics or ends is told of by its own thread. One that hangs cannot be ended from
//! outside, so the process ends instead, and whoever runs it starts it anew.

use std::{process, thread, time::Duration};

use shards::{Health, ShardId};
use tracing::{error, warn};

use crate::time::{Instant, after, now};

/// No sign of life for so long: the shard hangs. Far beyond what throttling to a tenth of a core
/// does (150 ms).
const LIMIT: Duration = Duration::from_secs(60);
/// How often it is looked at.
const EVERY: Duration = Duration::from_secs(5);
/// What the process ends with: an internal error, in the words of sysexits.h.
const EXIT_CODE: i32 = 70;

/// Watches the shards from a thread of its own, for as long as the process lives.
pub(super) fn start(health: Health) {
    let bark = |hanging: Vec<ShardId>| {
        let shards: Vec<_> = hanging.iter().map(ToString::to_string).collect();
        error!(
            shards = shards.join(","),
            "shards have not shown a sign of life for {LIMIT:?}: their stacks have no owner. The process ends; please report this with the log before it"
        );
        process::exit(EXIT_CODE);
    };
    let watching = move || watch(&health, LIMIT, EVERY, bark);
    if let Err(failure) = thread::Builder::new().name("watchdog".into()).spawn(watching) {
        warn!("a shard that hangs will not be noticed, there is no thread for the watchdog: {failure}");
    }
}

/// Looks every so often, until shards hang.
fn watch(health: &Health, limit: Duration, every: Duration, bark: impl FnOnce(Vec<ShardId>)) {
    let mut watchdog = Watchdog::new(limit, every, now());
    loop {
        thread::sleep(every);
        let hanging = health.silent_for(limit);
        if watchdog.barks(now(), !hanging.is_empty()) {
            return bark(hanging);
        }
    }
}

/// Tells shards that hang from a process that was stopped as a whole. Pure.
#[derive(Debug)]
struct Watchdog {
    limit: Duration,
    every: Duration,
    looked: Instant,
    /// The process was stopped: shards have until then to show that they live.
    patient_until: Option<Instant>,
}

impl Watchdog {
    fn new(limit: Duration, every: Duration, now: Instant) -> Self {
        Self { limit, every, looked: now, patient_until: None }
    }

    fn barks(&mut self, now: Instant, silent: bool) -> bool {
        let since = now.saturating_duration_since(self.looked);
        self.looked = now;
        if since > self.every * 2 {
            self.patient_until = Some(after(now, self.limit));
        }
        let patient = self.patient_until.is_some_and(|until| now < until);
        silent && !patient
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use shards::PoolConfig;

    use super::*;

    #[test]
    fn row_16_a_shard_that_hangs_is_noticed() {
        let pool = shards::start(PoolConfig::new("hangs", 2), |context: shards::Context<()>| async move {
            if context.id.index() == 1 {
                thread::sleep(Duration::from_secs(2));
            }
            context.stop.wait().await;
        });
        let pool = pool.unwrap();
        let (health, (told, hanging)) = (pool.health(), mpsc::channel());
        let (limit, every) = (Duration::from_millis(700), Duration::from_millis(50));
        thread::spawn(move || watch(&health, limit, every, |shards| told.send(shards).unwrap()));
        assert_eq!(hanging.recv_timeout(Duration::from_secs(10)).unwrap(), [ShardId::new(1)]);
        pool.stopper().stop();
        assert!(pool.join().into_iter().all(|shard| shard.is_ok()));
    }

    #[test]
    fn a_process_that_was_stopped_gets_time_to_show_that_it_lives() {
        let (limit, every) = (Duration::from_secs(60), Duration::from_secs(5));
        let begun = now();
        let at = |seconds| begun + Duration::from_secs(seconds);
        let mut watchdog = Watchdog::new(limit, every, begun);
        assert!(!watchdog.barks(at(5), false));
        // Stopped for an hour: nobody has shown anything since.
        assert!(!watchdog.barks(at(3605), true));
        for seconds in (3610..3665).step_by(5) {
            assert!(!watchdog.barks(at(seconds), true), "{seconds}");
        }
        assert!(watchdog.barks(at(3665), true));
        let mut awake = Watchdog::new(limit, every, begun);
        assert!(awake.barks(at(5), true));
    }
}

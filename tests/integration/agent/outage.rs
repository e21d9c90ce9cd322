//! An outage of the API server, and how long it is felt after its end.
//!
//! `STACKHERD_OUTAGE_SECONDS=300` makes it the size that it was planned for: 5,000 stacks, 5 minutes.

#![allow(clippy::disallowed_types, reason = "a test looks at what another thread sees")]

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

use stackherd::{
    embedded::faults::{InjectedFault, RequestInfo},
    time::seconds,
};

use crate::support::{
    agent::while_it_lives,
    cluster::TestCluster,
    membership::{Joined, TestMembership},
    now,
    orders::{StackExt, stack},
};

const BURST: usize = 100;
/// Requests may be seen closer together than they were sent, as many as connections carry at a time:
/// 16 on each of two shards.
const SLACK: usize = 2 * 16 + 8;
const WITHIN: Duration = Duration::from_secs(180);

/// What the API server sees.
#[derive(Default)]
struct SeenWrites {
    down: bool,
    requests: Vec<Instant>,
    /// Of an outage.
    turned_down: usize,
    /// Stacks that were written since it ended, and when the last one was.
    written: HashSet<String>,
    last: Option<Instant>,
}

impl SeenWrites {
    fn decide(&mut self, call: &RequestInfo<'_>) -> InjectedFault {
        let at = now();
        self.requests.push(at);
        if self.down {
            self.turned_down += 1;
            return InjectedFault::Refuse { code: 503, retry_after: None };
        }
        if call.writes() && self.written.insert(call.name.to_owned()) {
            self.last = Some(at);
        }
        InjectedFault::None
    }
}

fn order_all(joined: &Joined, stacks: usize, versions: &str) {
    for n in 0..stacks {
        joined.order(stack(&format!("outage-{n}")).versions(versions).order());
    }
}

/// The most by which requests ran ahead of a rate.
fn ahead(requests: &[Instant], rate: f64) -> f64 {
    let mut level: f64 = 0.0;
    let mut most: f64 = 0.0;
    for (n, at) in requests.iter().enumerate() {
        let since = n.checked_sub(1).map_or(Duration::ZERO, |before| *at - requests[before]);
        level = (level - rate * since.as_secs_f64()).max(0.0) + 1.0;
        most = most.max(level);
    }
    most
}

#[test]
fn after_an_outage_all_stacks_are_right_as_soon_as_the_limiter_lets_them() {
    let full = std::env::var("STACKHERD_OUTAGE_SECONDS").ok().and_then(|text| text.parse().ok());
    let (stacks, qps, lasts) = match full {
        Some(long) => (5000, 500, Duration::from_secs(long)),
        None => (1500, 200, Duration::from_secs(20)),
    };
    let seen = Arc::new(Mutex::new(SeenWrites::default()));
    let look =
        |what: &dyn Fn(&mut SeenWrites)| what(&mut seen.lock().unwrap_or_else(PoisonError::into_inner));
    let cluster = TestCluster::start();
    let deciding = Arc::clone(&seen);
    let script =
        move |call: &RequestInfo<'_>| deciding.lock().unwrap_or_else(PoisonError::into_inner).decide(call);
    cluster.server().handle().set_script(Some(Box::new(script)));
    let membership = TestMembership::start();
    let flags = ["--kube-qps", &qps.to_string(), "--kube-burst", &BURST.to_string(), "--shards", "2"];
    let mut agent = cluster.agent(&membership).args(flags).start();
    let joined = membership.joined(WITHIN);
    let all_written = || seen.lock().unwrap_or_else(PoisonError::into_inner).written.len() == stacks;
    order_all(&joined, stacks, "v1");
    while_it_lives(&mut agent, "all are made", WITHIN, || all_written().then_some(()));

    look(&|seen| (seen.down, seen.written) = (true, HashSet::new()));
    let began = now();
    order_all(&joined, stacks, "v2");
    thread::sleep(lasts);
    look(&|seen| seen.down = false);
    let ended = now();
    while_it_lives(&mut agent, "all are right", WITHIN, || all_written().then_some(()));

    let seen = std::mem::take(&mut *seen.lock().unwrap_or_else(PoisonError::into_inner));
    let recovered = seen.last.expect("somebody was written") - ended;
    let bound = Duration::from_secs(2) + seconds(stacks as f64 / f64::from(qps));
    let ahead = ahead(&seen.requests, f64::from(qps));
    println!(
        "{stacks} stacks at {qps} requests a second: {} requests turned down within {:?}; right {recovered:?} \
         after its end ({bound:?} allowed); at most {ahead:.0} requests ahead of the rate ({BURST} allowed)",
        seen.turned_down,
        ended - began,
    );
    let right = |object: &serde_json::Value| object["spec"]["versionsFromFile"] == "v2";
    assert!(cluster.objects().values().all(right));
    assert!(recovered <= bound, "{recovered:?}, more than {bound:?}");
    assert!(ahead <= (BURST + SLACK) as f64, "{ahead} requests ahead of {qps} a second");
    // Each stack's first try, and from then on a few a second.
    let most = stacks + 20 * lasts.as_secs() as usize + 200;
    assert!(seen.turned_down <= most, "{} requests in the outage, more than {most}", seen.turned_down);
}

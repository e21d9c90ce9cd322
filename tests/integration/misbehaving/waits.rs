//! `Retry-After` of any value, on any answer.

use std::time::Duration;

use crate::{
    misbehaving::scene::{JSON, MisbehavingScene, WITHIN, head},
    support::{
        holdback::{Http1Request, RequestFate},
        now,
        orders::{StackExt, stack},
    },
};

const ODD: [&str; 9] = [
    "18446744073709551615",
    "9223372036854775807",
    "99999999999999999999999999",
    "99999999",
    "-1",
    "1e308",
    "NaN",
    "Thu, 31 Dec 9998 23:59:59 GMT",
    "soon",
];

fn busy(status: u16, retry_after: &'static str) -> RequestFate {
    RequestFate::says(move |_, to| {
        let headers = [JSON, ("retry-after", retry_after), ("date", "Wed, 21 Oct 2015 07:28:00 GMT")];
        head(to, status, &headers)?;
        to.write_all(br#"{"kind":"Status","status":"Failure","reason":"TooManyRequests"}"#)
    })
}

/// Each value once on a list and once on a watch; none of them ends the process, and what is not
/// asked to wait does not.
#[test]
fn no_value_on_a_list_or_a_watch_ends_the_process() {
    for status in [429, 503, 500] {
        let mut scene = MisbehavingScene::set(&[], |network| {
            for (value, kind) in ODD.into_iter().zip([
                "stacks", "ledgers", "auths", "gateways", "payments", "wallets", "webhooks", "searches",
                "versions",
            ]) {
                let lists = move |request: &Http1Request| request.lists(kind);
                network.rule(1, lists, busy(status, value));
                network.rule(1, move |request: &Http1Request| request.watches(kind), busy(status, value));
            }
        });
        scene.keeps_answering(Duration::from_secs(3));
    }
}

#[test]
fn a_shard_whose_writes_were_put_off_for_years_goes_on_after_a_minute() {
    let mut scene = MisbehavingScene::set(&[], |_| {});
    scene.serves("a-first");
    let begun = now();
    for value in ["99999999", "18446744073709551615"] {
        scene.network.rule(1, |request: &Http1Request| request.method == "POST", busy(429, value));
    }
    for nth in 0..8 {
        scene.joined.order(stack(&format!("s-{nth}")).modules(&["ledger"]).order());
    }
    scene.serves("s-0");
    scene.serves("s-7");
    let took = begun.elapsed();
    println!("went on after {took:?}");
    assert!(took > Duration::from_secs(50), "the server was not heeded: {took:?}");
    assert!(took < WITHIN);
}

/// The longest that Go's durations can say, and rates that are hardly numbers.
#[test]
fn flags_of_any_size_end_nothing() {
    let longest = "2562047h47m16s";
    for qps in ["1e308", "5e-324"] {
        let flags = [
            ["--resync-period", longest],
            ["--grace-period", longest],
            ["--kube-request-timeout", longest],
            ["--report-qps", qps],
            ["--kube-qps", "1e308"],
            ["--kube-burst", "1000000"],
        ];
        let mut scene = MisbehavingScene::set(flags.as_flattened(), |_| {});
        scene.serves("a-b");
        scene.keeps_answering(Duration::from_secs(1));
        scene.agent.terminate();
        let outcome = scene.agent.outcome(WITHIN);
        assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    }
}

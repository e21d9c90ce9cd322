//! `stackherd demo` as it is run by hand, small.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

#[path = "support/e2e.rs"]
mod e2e;
#[path = "support/support.rs"]
mod support;

use std::time::Duration;

use e2e::agent::Invocation;
use serde_json::Value;

const WITHIN: Duration = Duration::from_secs(120);

fn demo(stacks: u64, seed: u64, shards: u64) {
    let number = |number: u64| number.to_string();
    let outcome = Invocation::new()
        .args(["demo", "--format", "json", "--stacks", &number(stacks)])
        .args(["--seed", &number(seed), "--shards", &number(shards)])
        .run(WITHIN);
    assert_eq!(outcome.code, Some(0), "{outcome:#?}");
    let told: Value = serde_json::from_str(&outcome.stdout).expect("one JSON object on standard output");
    let field = |name: &str| told[name].as_u64().unwrap_or_else(|| panic!("{name} of {told}"));
    assert_eq!(field("stacks"), stacks);
    assert_eq!(field("converged"), stacks);
    assert_eq!(field("stale"), 0);
    assert_eq!(field("shards"), shards);
    assert!(field("orders") > stacks, "{told}");
    assert!(field("api_writes") > 0 && field("api_requests") > field("api_writes"), "{told}");
    // Back to back as they are sent, some must have been.
    assert!(field("superseded") > 0, "{told}");
    assert!(field("elapsed_ms") > 0, "{told}");
}

#[test]
fn a_fleet_on_one_shard_converges() {
    demo(60, 1, 1);
}

#[test]
fn a_fleet_on_two_shards_converges() {
    demo(60, 2, 2);
}

#[test]
fn a_fleet_on_more_shards_than_cores_converges() {
    demo(60, 3, 8);
}

#[test]
fn it_says_the_same_in_words() {
    let outcome = Invocation::new().args(["demo", "--stacks", "10", "--seed", "7"]).run(WITHIN);
    assert_eq!(outcome.code, Some(0), "{outcome:#?}");
    assert!(outcome.stdout.contains("stale"), "{outcome:#?}");
}

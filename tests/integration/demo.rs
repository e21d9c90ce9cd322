//! `stackherd demo` as it is run by hand, small.

use std::time::Duration;

use serde_json::Value;

use crate::support::agent::Invocation;

const WITHIN: Duration = Duration::from_secs(120);

/// What a small demo told, whatever its exit code.
fn told(stacks: u64, seed: u64, shards: u64) -> (Value, Option<i32>) {
    let number = |number: u64| number.to_string();
    let outcome = Invocation::new()
        .args(["demo", "--format", "json", "--stacks", &number(stacks)])
        .args(["--seed", &number(seed), "--shards", &number(shards)])
        .run(WITHIN);
    let told = serde_json::from_str(&outcome.stdout);
    (told.unwrap_or_else(|fault| panic!("no JSON object ({fault}): {outcome:#?}")), outcome.code)
}

fn field(told: &Value, name: &str) -> u64 {
    told[name].as_u64().unwrap_or_else(|| panic!("{name} of {told}"))
}

/// Every stack is at its last order.
fn converges(stacks: u64, seed: u64, shards: u64) {
    let (told, _) = told(stacks, seed, shards);
    let field = |name| field(&told, name);
    assert_eq!((field("stacks"), field("shards")), (stacks, shards));
    assert_eq!((field("converged"), field("stale")), (stacks, 0), "{told}");
    assert!(field("orders") > stacks, "{told}");
    assert!(field("api_writes") > 0 && field("api_requests") > field("api_writes"), "{told}");
    // Back to back as they are sent, some must have been.
    assert!(field("superseded") > 0, "{told}");
    assert!(field("elapsed_ms") > 0, "{told}");
}

/// Membership knows every status, and the last orders once more cost nothing.
fn is_known(stacks: u64, seed: u64, shards: u64) {
    let (told, code) = told(stacks, seed, shards);
    let field = |name| field(&told, name);
    assert_eq!((field("stale"), field("membership_stale")), (0, 0), "{told}");
    assert_eq!(field("requests_for_unchanged"), 0, "{told}");
    // In progress and ready, of every Stack at least.
    assert!(field("reports") > stacks, "{told}");
    assert_eq!(code, Some(0), "{told}");
}

#[test]
fn a_fleet_on_one_shard_converges() {
    converges(60, 1, 1);
}

#[test]
fn a_fleet_on_two_shards_converges() {
    converges(60, 2, 2);
}

#[test]
fn a_fleet_on_more_shards_than_cores_converges() {
    converges(60, 3, 8);
}

#[test]
fn a_fleet_on_one_shard_is_known() {
    is_known(60, 1, 1);
}

#[test]
fn a_fleet_on_two_shards_is_known() {
    is_known(60, 2, 2);
}

#[test]
fn a_fleet_on_more_shards_than_cores_is_known() {
    is_known(60, 3, 8);
}

#[test]
fn what_membership_does_not_know_fails_the_demo() {
    let (told, code) = told(10, 7, 1);
    let right = ["stale", "membership_stale", "requests_for_unchanged"].iter().all(|name| told[name] == 0);
    assert_eq!(code, Some(i32::from(!right)), "{told}");
}

#[test]
fn it_says_the_same_in_words() {
    let outcome = Invocation::new().args(["demo", "--stacks", "10", "--seed", "7"]).run(WITHIN);
    for words in ["stale", "reports to membership", "for orders that change nothing"] {
        assert!(outcome.stdout.contains(words), "{words:?} in {outcome:#?}");
    }
}

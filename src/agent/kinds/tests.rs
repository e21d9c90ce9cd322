//! Kinds come into play, stay out of it, and hold up nothing.

use super::*;
use crate::time::now;

fn module(kind: &str) -> Arc<Resource> {
    Resource::new(kind, &kind.to_lowercase(), &format!("{}s", kind.to_lowercase()))
}

fn fixed() -> [Arc<Resource>; 3] {
    let Catalog { stack, auth_client, versions, .. } = Catalog::new(Vec::new());
    [stack, auth_client, versions]
}

/// The plurals of the modules that an act publishes.
fn published(acts: &[Act]) -> Option<Vec<&str>> {
    acts.iter().find_map(|act| match act {
        Act::Publish(catalog) => Some(catalog.modules.iter().map(|m| m.plural.as_str()).collect()),
        _ => None,
    })
}

/// The plurals of the kinds that an act publishes as out of play.
fn withheld(acts: &[Act]) -> Option<Vec<&str>> {
    acts.iter().find_map(|act| match act {
        Act::Publish(catalog) => Some(catalog.withheld.iter().map(|m| m.plural.as_str()).collect()),
        _ => None,
    })
}

/// What is said.
fn says(acts: &[Act]) -> String {
    let said = acts.iter().filter_map(|act| match act {
        Act::Say(saying) => Some(format!("{saying:?}\n")),
        _ => None,
    });
    said.collect()
}

/// Kinds of which the fixed ones were listed.
fn kinds() -> Kinds {
    let (mut kinds, _) = Kinds::new(2, now());
    for kind in fixed() {
        assert_eq!(kinds.looked(&kind, Look::Listed, now()), []);
    }
    kinds
}

#[test]
fn the_kth_kind_is_watched_on_shard_k_mod_n() {
    let (mut kinds, mut acts) = Kinds::new(2, now());
    acts.extend(kinds.define(vec![module("Ledger"), module("Auth")], now()));
    let shards: Vec<_> = acts
        .iter()
        .map(|act| match act {
            Act::Watch { kind, shard } => (kind.plural.as_str(), *shard),
            other => panic!("{other:?}"),
        })
        .collect();
    let expected = [("stacks", 0), ("authclients", 1), ("versions", 0), ("ledgers", 1), ("auths", 0)];
    assert_eq!(shards, expected);
}

#[test]
fn kinds_come_into_play_together_when_the_last_was_listed() {
    let mut kinds = kinds();
    let (ledger, auth) = (module("Ledger"), module("Auth"));
    assert_eq!(published(&kinds.define(vec![ledger.clone(), auth.clone()], now())), None);
    assert_eq!(published(&kinds.looked(&ledger, Look::Listed, now())), None);
    assert_eq!(published(&kinds.looked(&auth, Look::Listed, now())), Some(vec!["auths", "ledgers"]));
    assert_eq!(kinds.looked(&auth, Look::Listed, now()), [], "nothing new");
}

#[test]
fn stacks_cannot_be_done_without_and_clients_and_versions_can() {
    let (mut kinds, _) = Kinds::new(1, now());
    let [stacks, clients, _] = fixed();
    assert_eq!(published(&kinds.define(Vec::new(), now())), None);
    assert_eq!(published(&kinds.looked(&clients, Look::Refused("no".into()), now())), None);
    let acts = kinds.looked(&stacks, Look::Listed, now());
    assert_eq!(withheld(&acts), Some(vec!["authclients"]));
    let acts = kinds.looked(&clients, Look::Listed, now());
    assert_eq!((published(&acts), withheld(&acts)), (Some(vec![]), Some(vec![])));
}

#[test]
fn a_module_that_is_refused_holds_up_nothing_and_joins_later() {
    let mut kinds = kinds();
    let (ledger, auth) = (module("Ledger"), module("Auth"));
    kinds.define(vec![ledger.clone(), auth.clone()], now());
    assert!(says(&kinds.looked(&ledger, Look::Refused("no".into()), now())).contains("Out"));
    let acts = kinds.looked(&auth, Look::Listed, now());
    assert_eq!((published(&acts), withheld(&acts)), (Some(vec!["auths"]), Some(vec!["ledgers"])));
    assert_eq!(kinds.modules().len(), 2, "membership is told of both");
    let acts = kinds.looked(&ledger, Look::Listed, now());
    assert_eq!((published(&acts), withheld(&acts)), (Some(vec!["auths", "ledgers"]), Some(vec![])));
    assert!(says(&acts).contains("Back"));
    let acts = kinds.looked(&ledger, Look::Refused("no".into()), now());
    assert_eq!(acts, [], "what was listed once stays in play");
}

/// Two modules of which the first fails from second 0 on, and all other kinds are listed then.
fn one_fails() -> (Kinds, Arc<Resource>, Instant) {
    let mut kinds = kinds();
    let (ledger, auth) = (module("Ledger"), module("Auth"));
    kinds.define(vec![ledger.clone(), auth.clone()], now());
    kinds.looked(&auth, Look::Listed, now());
    (kinds, ledger, now())
}

fn fails(kinds: &mut Kinds, kind: &Arc<Resource>, at: Instant) {
    assert_eq!(kinds.looked(kind, Look::Failing("the webhook is down".into()), at), []);
}

#[test]
fn a_module_whose_list_keeps_failing_is_done_without_after_two_seconds() {
    let (mut kinds, ledger, begun) = one_fails();
    let after = |millis| begun + Duration::from_millis(millis);
    fails(&mut kinds, &ledger, after(100));
    assert_eq!(kinds.tick(after(1900)), []);
    let acts = kinds.tick(after(2100));
    assert_eq!((published(&acts), withheld(&acts)), (Some(vec!["auths"]), Some(vec!["ledgers"])));
    assert!(says(&acts).contains("the webhook is down"), "{acts:?}");
    let out = kinds.out();
    assert_eq!((out.len(), out[0].1.since), (1, Some(after(100))), "since when, and why");
    assert!(kinds.is_restless());
    let acts = kinds.looked(&ledger, Look::Listed, after(9000));
    assert_eq!(published(&acts), Some(vec!["auths", "ledgers"]));
    assert!(kinds.out().is_empty() && !kinds.is_restless());
}

#[test]
fn what_is_out_of_play_is_said_once_and_again_every_ten_minutes() {
    let (mut kinds, ledger, begun) = one_fails();
    let mut said = Vec::new();
    for second in 0..1300 {
        let at = begun + Duration::from_secs(second);
        fails(&mut kinds, &ledger, at + Duration::from_millis(1));
        said.extend((!says(&kinds.tick(at)).is_empty()).then_some(second));
    }
    assert_eq!(said.len(), 3, "{said:?}");
}

#[test]
fn a_list_whose_pages_keep_coming_is_waited_for() {
    let (mut kinds, ledger, begun) = one_fails();
    for second in 0..50 {
        let at = begun + Duration::from_secs(second);
        kinds.looked(&ledger, Look::Progress, at);
        // One page of many is asked for twice.
        fails(&mut kinds, &ledger, at + Duration::from_millis(300));
        assert_eq!(kinds.tick(at + Duration::from_millis(900)), [], "after {second} s");
    }
    assert_eq!(published(&kinds.looked(&ledger, Look::Listed, begun)), Some(vec!["auths", "ledgers"]));
}

#[test]
fn a_list_that_never_ends_is_done_without_in_the_end_and_so_is_one_that_is_never_answered() {
    for pages in [true, false] {
        let (mut kinds, ledger, begun) = one_fails();
        let out = (0..200).find(|second| {
            let at = begun + Duration::from_secs(*second);
            if pages {
                kinds.looked(&ledger, Look::Progress, at);
            }
            published(&kinds.tick(at)) == Some(vec!["auths"])
        });
        assert_eq!(out, Some(60), "pages: {pages}");
    }
}

#[test]
fn a_kind_that_is_put_off_for_a_minute_is_done_without_and_after_an_outage_a_little_later() {
    for outage in [false, true] {
        let (mut kinds, _) = Kinds::new(1, now());
        let ([stacks, clients, _], ledger, begun) = (fixed(), module("Ledger"), now());
        let after = |seconds| begun + Duration::from_secs(seconds);
        kinds.define(vec![ledger.clone()], begun);
        fails(&mut kinds, &ledger, begun);
        if outage {
            fails(&mut kinds, &stacks, begun);
        }
        kinds.looked(&stacks, Look::Listed, after(1));
        kinds.looked(&clients, Look::Listed, after(1));
        let out = (1..100).find(|second| !kinds.tick(after(*second)).is_empty());
        assert_eq!(out, Some(if outage { 36 } else { 3 }), "outage: {outage}");
    }
}

#[test]
fn while_stacks_cannot_be_listed_either_no_kind_is_given_up() {
    let (mut kinds, _) = Kinds::new(1, now());
    let ([stacks, clients, _], ledger, begun) = (fixed(), module("Ledger"), now());
    kinds.define(vec![ledger.clone()], begun);
    let after = |seconds| begun + Duration::from_secs(seconds);
    for second in 1..100 {
        for kind in [&stacks, &clients, &ledger] {
            fails(&mut kinds, kind, after(second));
        }
        let acts = kinds.tick(after(second));
        assert!(kinds.out().is_empty(), "the API server is away");
        let said = if second == 6 { "Needed" } else { "" };
        assert!(says(&acts).starts_with(said) && (second == 6 || acts.is_empty()), "{second}: {acts:?}");
    }
    // It is back, and the others have yet to notice.
    kinds.looked(&stacks, Look::Listed, after(100));
    assert_eq!(kinds.tick(after(105)), []);
    kinds.looked(&clients, Look::Listed, after(110));
    assert_eq!(published(&kinds.looked(&ledger, Look::Listed, after(115))), Some(vec!["ledgers"]));
}

#[test]
fn kinds_in_play_that_are_not_kept_in_view_stay_in_play_and_are_told_of_in_one_line() {
    let (mut kinds, ledger, begun) = one_fails();
    kinds.looked(&ledger, Look::Listed, begun);
    let [stacks, ..] = fixed();
    let after = |seconds| begun + Duration::from_secs(seconds);
    for second in 1..=60 {
        fails(&mut kinds, &ledger, after(second));
        fails(&mut kinds, &stacks, after(second));
        assert_eq!(kinds.tick(after(second)), []);
    }
    let said = says(&kinds.tick(after(61)));
    assert!(said.starts_with("Stale") && said.contains("stacks") && said.contains("ledgers"), "{said}");
    assert_eq!(kinds.tick(after(70)), []);
    assert_eq!(kinds.looked(&stacks, Look::Recovered, after(80)), []);
    assert!(says(&kinds.looked(&ledger, Look::Recovered, after(81))).starts_with("Fresh"));
    assert!(!kinds.is_restless());
}

#[test]
fn definitions_that_cannot_be_listed_are_said_and_said_again() {
    let (mut kinds, _) = Kinds::new(1, now());
    let begun = now();
    let mut said = Vec::new();
    for second in 0..700 {
        let at = begun + Duration::from_secs(second);
        kinds.undefined("forbidden".into(), at);
        let acts = kinds.tick(at);
        said.extend((!acts.is_empty()).then(|| (second, says(&acts))));
    }
    assert_eq!(said.iter().map(|(at, _)| *at).collect::<Vec<_>>(), [5, 605]);
    assert!(said[0].1.starts_with("Undefined") && said[0].1.contains("forbidden"));
    assert!(says(&kinds.define(Vec::new(), begun)).starts_with("Defined"));
}

#[test]
fn modules_come_and_go_while_running() {
    let mut kinds = kinds();
    let (ledger, auth) = (module("Ledger"), module("Auth"));
    kinds.define(vec![ledger.clone()], now());
    assert_eq!(published(&kinds.looked(&ledger, Look::Listed, now())), Some(vec!["ledgers"]));
    let acts = kinds.define(vec![auth.clone()], now());
    assert_eq!(acts[0], Act::Unwatch { kind: ledger.clone(), shard: 1 });
    assert_eq!(acts[1], Act::Watch { kind: auth.clone(), shard: 0 });
    assert_eq!(published(&acts), None, "not before the new one is listed");
    assert_eq!(kinds.looked(&ledger, Look::Listed, now()), [], "of one that is gone");
    assert_eq!(published(&kinds.looked(&auth, Look::Listed, now())), Some(vec!["auths"]));
}

#[test]
fn a_module_whose_definition_changed_is_watched_anew() {
    let mut kinds = kinds();
    let before = module("Ledger");
    kinds.define(vec![before.clone()], now());
    kinds.looked(&before, Look::Listed, now());
    let after = Arc::new(Resource { enterprise: true, ..Resource::clone(&before) });
    let acts = kinds.define(vec![after.clone()], now());
    assert!(matches!(&acts[..], [Act::Unwatch { .. }, Act::Watch { .. }]), "{acts:?}");
    assert_eq!(published(&kinds.looked(&after, Look::Listed, now())), Some(vec!["ledgers"]));
}

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
fn published(acts: &[KindAction]) -> Option<Vec<&str>> {
    acts.iter().find_map(|act| match act {
        KindAction::Activate(catalog) => Some(catalog.modules.iter().map(|m| m.plural.as_str()).collect()),
        _ => None,
    })
}

/// The plurals of the kinds that an act publishes as out of play.
fn withheld(acts: &[KindAction]) -> Option<Vec<&str>> {
    acts.iter().find_map(|act| match act {
        KindAction::Activate(catalog) => Some(catalog.withheld.iter().map(|m| m.plural.as_str()).collect()),
        _ => None,
    })
}

/// What is logged.
fn says(acts: &[KindAction]) -> String {
    let said = acts.iter().filter_map(|act| match act {
        KindAction::Log(log) => Some(format!(
            "{log:?}
"
        )),
        _ => None,
    });
    said.collect()
}

impl KindRegistry {
    fn define_at(&mut self, modules: Vec<Arc<Resource>>, now: Instant) -> Vec<KindAction> {
        let mut actions = self.handle(KindEvent::Defined(modules), now);
        actions.retain(|action| !matches!(action, KindAction::Announce(_)));
        actions
    }

    fn looked(&mut self, kind: &Arc<Resource>, status: KindStatus, now: Instant) -> Vec<KindAction> {
        self.handle(KindEvent::Status(Arc::clone(kind), status), now)
    }

    /// As where a tick is due now.
    fn tick_now(&mut self, now: Instant) -> Vec<KindAction> {
        self.tick_at = Some(now);
        self.tick(0, now)
    }
}

/// Kinds of which the fixed ones were listed.
fn kinds() -> KindRegistry {
    let (mut kinds, _) = KindRegistry::new(2, now());
    for kind in fixed() {
        assert_eq!(kinds.looked(&kind, KindStatus::Listed, now()), []);
    }
    kinds
}

#[test]
fn the_kth_kind_is_watched_on_shard_k_mod_n() {
    let (mut kinds, mut acts) = KindRegistry::new(2, now());
    acts.extend(kinds.define_at(vec![module("Ledger"), module("Auth")], now()));
    let shards: Vec<_> = acts
        .iter()
        .map(|act| match act {
            KindAction::Watch { kind, shard } => (kind.plural.as_str(), *shard),
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
    assert_eq!(published(&kinds.define_at(vec![ledger.clone(), auth.clone()], now())), None);
    assert_eq!(published(&kinds.looked(&ledger, KindStatus::Listed, now())), None);
    assert_eq!(published(&kinds.looked(&auth, KindStatus::Listed, now())), Some(vec!["auths", "ledgers"]));
    assert_eq!(kinds.looked(&auth, KindStatus::Listed, now()), [], "nothing new");
}

#[test]
fn stacks_cannot_be_done_without_and_clients_and_versions_can() {
    let (mut kinds, _) = KindRegistry::new(1, now());
    let [stacks, clients, _] = fixed();
    assert_eq!(published(&kinds.define_at(Vec::new(), now())), None);
    assert_eq!(published(&kinds.looked(&clients, KindStatus::Refused("no".into()), now())), None);
    let acts = kinds.looked(&stacks, KindStatus::Listed, now());
    assert_eq!(withheld(&acts), Some(vec!["authclients"]));
    let acts = kinds.looked(&clients, KindStatus::Listed, now());
    assert_eq!((published(&acts), withheld(&acts)), (Some(vec![]), Some(vec![])));
}

#[test]
fn a_module_that_is_refused_holds_up_nothing_and_joins_later() {
    let mut kinds = kinds();
    let (ledger, auth) = (module("Ledger"), module("Auth"));
    kinds.define_at(vec![ledger.clone(), auth.clone()], now());
    assert!(says(&kinds.looked(&ledger, KindStatus::Refused("no".into()), now())).contains("Out"));
    let acts = kinds.looked(&auth, KindStatus::Listed, now());
    assert_eq!((published(&acts), withheld(&acts)), (Some(vec!["auths"]), Some(vec!["ledgers"])));
    assert_eq!(kinds.modules().len(), 2, "membership is told of both");
    let acts = kinds.looked(&ledger, KindStatus::Listed, now());
    assert_eq!((published(&acts), withheld(&acts)), (Some(vec!["auths", "ledgers"]), Some(vec![])));
    assert!(says(&acts).contains("Back"));
    let acts = kinds.looked(&ledger, KindStatus::Refused("no".into()), now());
    assert_eq!(acts, [], "what was listed once stays in play");
}

/// Two modules of which the first fails from second 0 on, and all other kinds are listed then.
fn one_fails() -> (KindRegistry, Arc<Resource>, Instant) {
    let mut kinds = kinds();
    let (ledger, auth) = (module("Ledger"), module("Auth"));
    kinds.define_at(vec![ledger.clone(), auth.clone()], now());
    kinds.looked(&auth, KindStatus::Listed, now());
    (kinds, ledger, now())
}

fn fails(kinds: &mut KindRegistry, kind: &Arc<Resource>, at: Instant) {
    assert_eq!(kinds.looked(kind, KindStatus::Failing("the webhook is down".into()), at), []);
}

#[test]
fn a_module_whose_list_keeps_failing_is_done_without_after_two_seconds() {
    let (mut kinds, ledger, begun) = one_fails();
    let after = |millis| begun + Duration::from_millis(millis);
    fails(&mut kinds, &ledger, after(100));
    assert_eq!(kinds.tick_now(after(1900)), []);
    let acts = kinds.tick_now(after(2100));
    assert_eq!((published(&acts), withheld(&acts)), (Some(vec!["auths"]), Some(vec!["ledgers"])));
    assert!(says(&acts).contains("the webhook is down"), "{acts:?}");
    let since: Vec<_> = kinds.out().map(|watched| watched.failures.outage().since).collect();
    assert_eq!(since, [Some(after(100))], "since when");
    assert!(kinds.wake_at().is_some());
    let acts = kinds.looked(&ledger, KindStatus::Listed, after(9000));
    assert_eq!(published(&acts), Some(vec!["auths", "ledgers"]));
    assert!(kinds.out().next().is_none() && kinds.wake_at().is_none());
}

#[test]
fn what_is_out_of_play_is_said_once_and_again_every_ten_minutes() {
    let (mut kinds, ledger, begun) = one_fails();
    let mut said = Vec::new();
    for second in 0..1300 {
        let at = begun + Duration::from_secs(second);
        fails(&mut kinds, &ledger, at + Duration::from_millis(1));
        said.extend((!says(&kinds.tick_now(at)).is_empty()).then_some(second));
    }
    assert_eq!(said.len(), 3, "{said:?}");
}

#[test]
fn a_list_whose_pages_keep_coming_is_waited_for() {
    let (mut kinds, ledger, begun) = one_fails();
    for second in 0..50 {
        let at = begun + Duration::from_secs(second);
        kinds.looked(&ledger, KindStatus::Listing, at);
        // One page of many is asked for twice.
        fails(&mut kinds, &ledger, at + Duration::from_millis(300));
        assert_eq!(kinds.tick_now(at + Duration::from_millis(900)), [], "after {second} s");
    }
    assert_eq!(published(&kinds.looked(&ledger, KindStatus::Listed, begun)), Some(vec!["auths", "ledgers"]));
}

#[test]
fn a_list_that_never_ends_is_done_without_in_the_end_and_so_is_one_that_is_never_answered() {
    for pages in [true, false] {
        let (mut kinds, ledger, begun) = one_fails();
        let out = (0..200).find(|second| {
            let at = begun + Duration::from_secs(*second);
            if pages {
                kinds.looked(&ledger, KindStatus::Listing, at);
            }
            published(&kinds.tick_now(at)) == Some(vec!["auths"])
        });
        assert_eq!(out, Some(60), "pages: {pages}");
    }
}

#[test]
fn a_kind_that_is_put_off_for_a_minute_is_done_without_and_after_an_outage_a_little_later() {
    for outage in [false, true] {
        let (mut kinds, _) = KindRegistry::new(1, now());
        let ([stacks, clients, _], ledger, begun) = (fixed(), module("Ledger"), now());
        let after = |seconds| begun + Duration::from_secs(seconds);
        kinds.define_at(vec![ledger.clone()], begun);
        fails(&mut kinds, &ledger, begun);
        if outage {
            fails(&mut kinds, &stacks, begun);
        }
        kinds.looked(&stacks, KindStatus::Listed, after(1));
        kinds.looked(&clients, KindStatus::Listed, after(1));
        let out = (1..100).find(|second| !kinds.tick_now(after(*second)).is_empty());
        assert_eq!(out, Some(if outage { 36 } else { 3 }), "outage: {outage}");
    }
}

#[test]
fn while_stacks_cannot_be_listed_either_no_kind_is_given_up() {
    let (mut kinds, _) = KindRegistry::new(1, now());
    let ([stacks, clients, _], ledger, begun) = (fixed(), module("Ledger"), now());
    kinds.define_at(vec![ledger.clone()], begun);
    let after = |seconds| begun + Duration::from_secs(seconds);
    for second in 1..100 {
        for kind in [&stacks, &clients, &ledger] {
            fails(&mut kinds, kind, after(second));
        }
        let acts = kinds.tick_now(after(second));
        assert!(kinds.out().next().is_none(), "the API server is away");
        let said = if second == 6 { "Needed" } else { "" };
        assert!(says(&acts).starts_with(said) && (second == 6 || acts.is_empty()), "{second}: {acts:?}");
    }
    // It is back, and the others have yet to notice.
    kinds.looked(&stacks, KindStatus::Listed, after(100));
    assert_eq!(kinds.tick_now(after(105)), []);
    kinds.looked(&clients, KindStatus::Listed, after(110));
    assert_eq!(published(&kinds.looked(&ledger, KindStatus::Listed, after(115))), Some(vec!["ledgers"]));
}

#[test]
fn kinds_in_play_that_are_not_kept_in_view_stay_in_play_and_are_told_of_in_one_line() {
    let (mut kinds, ledger, begun) = one_fails();
    kinds.looked(&ledger, KindStatus::Listed, begun);
    let [stacks, ..] = fixed();
    let after = |seconds| begun + Duration::from_secs(seconds);
    for second in 1..=60 {
        fails(&mut kinds, &ledger, after(second));
        fails(&mut kinds, &stacks, after(second));
        assert_eq!(kinds.tick_now(after(second)), []);
    }
    let said = says(&kinds.tick_now(after(61)));
    assert!(said.starts_with("Stale") && said.contains("stacks") && said.contains("ledgers"), "{said}");
    assert_eq!(kinds.tick_now(after(70)), []);
    assert_eq!(kinds.looked(&stacks, KindStatus::Recovered, after(80)), []);
    assert!(says(&kinds.looked(&ledger, KindStatus::Recovered, after(81))).starts_with("Fresh"));
    assert!(kinds.wake_at().is_none());
}

#[test]
fn definitions_that_cannot_be_listed_are_said_and_said_again() {
    let (mut kinds, _) = KindRegistry::new(1, now());
    let begun = now();
    let mut said = Vec::new();
    for second in 0..700 {
        let at = begun + Duration::from_secs(second);
        kinds.handle(KindEvent::Undefined("forbidden".into()), at);
        let acts = kinds.tick_now(at);
        said.extend((!acts.is_empty()).then(|| (second, says(&acts))));
    }
    assert_eq!(said.iter().map(|(at, _)| *at).collect::<Vec<_>>(), [5, 605]);
    assert!(said[0].1.starts_with("Undefined") && said[0].1.contains("forbidden"));
    assert!(says(&kinds.define_at(Vec::new(), begun)).starts_with("Defined"));
}

#[test]
fn modules_come_and_go_while_running() {
    let mut kinds = kinds();
    let (ledger, auth) = (module("Ledger"), module("Auth"));
    kinds.define_at(vec![ledger.clone()], now());
    assert_eq!(published(&kinds.looked(&ledger, KindStatus::Listed, now())), Some(vec!["ledgers"]));
    let acts = kinds.define_at(vec![auth.clone()], now());
    assert_eq!(acts[0], KindAction::Unwatch { kind: ledger.clone(), shard: 1 });
    assert_eq!(acts[1], KindAction::Watch { kind: auth.clone(), shard: 0 });
    assert_eq!(published(&acts), None, "not before the new one is listed");
    assert_eq!(kinds.looked(&ledger, KindStatus::Listed, now()), [], "of one that is gone");
    assert_eq!(published(&kinds.looked(&auth, KindStatus::Listed, now())), Some(vec!["auths"]));
}

#[test]
fn a_module_whose_definition_changed_is_watched_anew() {
    let mut kinds = kinds();
    let before = module("Ledger");
    kinds.define_at(vec![before.clone()], now());
    kinds.looked(&before, KindStatus::Listed, now());
    let after = Arc::new(Resource { enterprise: true, ..Resource::clone(&before) });
    let acts = kinds.define_at(vec![after.clone()], now());
    assert!(matches!(&acts[..], [KindAction::Unwatch { .. }, KindAction::Watch { .. }]), "{acts:?}");
    assert_eq!(published(&kinds.looked(&after, KindStatus::Listed, now())), Some(vec!["ledgers"]));
}

/// What membership is told of, where it is told of something by then.
fn announced(kinds: &mut KindRegistry, at: Instant) -> Option<Vec<String>> {
    kinds.tick(0, at).into_iter().find_map(|action| match action {
        KindAction::Announce(modules) => Some(modules.iter().map(|module| module.singular.clone()).collect()),
        _ => None,
    })
}

/// All shards activate what is in play.
fn activate(kinds: &mut KindRegistry, now: Instant) -> Vec<KindAction> {
    let catalog = kinds.published.clone().unwrap();
    (0..2).flat_map(|_| kinds.handle(KindEvent::Activated(Arc::clone(&catalog)), now)).collect()
}

#[test]
fn membership_is_told_of_modules_anew_once_every_shard_has_activated_them_and_nothing_more_comes() {
    let (mut kinds, begun) = (kinds(), now());
    let after = |millis| begun + Duration::from_millis(millis);
    let first = kinds.handle(KindEvent::Defined(Vec::new()), begun);
    assert!(first.contains(&KindAction::Announce(Vec::new())), "what the session begins with: {first:?}");
    assert!(says(&activate(&mut kinds, begun)).contains("Ready"));
    assert_eq!(announced(&mut kinds, after(9_000)), None, "that is what was announced");
    let ledger = module("Ledger");
    kinds.define_at(vec![ledger.clone()], after(9_000));
    kinds.looked(&ledger, KindStatus::Listed, after(9_000));
    assert_eq!(announced(&mut kinds, after(20_000)), None, "no shard has activated it");
    assert_eq!(says(&activate(&mut kinds, after(20_000))), "", "orders run already");
    assert_eq!(announced(&mut kinds, after(20_400)), None);
    assert_eq!(announced(&mut kinds, after(20_600)), Some(vec!["ledger".to_owned()]));
    assert_eq!(announced(&mut kinds, after(60_000)), None);
}

#[test]
fn kinds_that_were_in_play_before_and_are_again_have_to_be_activated_again() {
    let (mut kinds, begun) = (kinds(), now());
    kinds.handle(KindEvent::Defined(Vec::new()), begun);
    let before = kinds.published.clone().unwrap();
    let ledger = module("Ledger");
    kinds.define_at(vec![ledger.clone()], begun);
    kinds.looked(&ledger, KindStatus::Listed, begun);
    kinds.define_at(Vec::new(), begun);
    assert_eq!(kinds.published.as_deref(), Some(&*before));
    (0..2).for_each(|_| drop(kinds.handle(KindEvent::Activated(Arc::clone(&before)), begun)));
    assert_eq!((kinds.activated, kinds.ready), (0, false), "it is late");
    activate(&mut kinds, begun);
    assert_eq!((kinds.activated, kinds.ready), (2, true));
}

#[test]
fn orders_that_lack_kinds_are_counted_in_the_log_every_half_minute_at_most() {
    let (mut kinds, ledger, begun) = one_fails();
    let mut logged = Vec::new();
    for second in 0..70 {
        let at = begun + Duration::from_secs(second);
        fails(&mut kinds, &ledger, at);
        kinds.tick_at = Some(at);
        let said = says(&kinds.tick(second, at));
        logged.extend(said.contains("Incomplete").then_some(second));
    }
    assert_eq!(logged, [1, 31, 61]);
}

mod converge;

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::*;
use crate::time::Duration;

const START: Duration = Duration::from_secs(100);

fn kinds() -> crate::stack::object::Catalog {
    let ledger = Resource::new("Ledger", "ledger", "ledgers");
    crate::stack::object::Catalog::new(vec![ledger])
}

fn resource(plural: &str) -> Arc<Resource> {
    let catalog = kinds();
    let all = [catalog.stack, catalog.auth_client, catalog.versions].into_iter().chain(catalog.modules);
    all.into_iter().find(|kind| kind.plural == plural).expect("a kind")
}

/// `plural/name`, uid and version.
fn object(key: &str, uid: &str, version: u64) -> Object {
    let (plural, name) = key.split_once('/').expect("plural/name");
    let json = json!({
        "metadata": {"name": name, "uid": uid, "resourceVersion": version.to_string()},
        "spec": {"stack": name.split('-').next()},
    });
    Object::from_json(&resource(plural), json).expect("an object")
}

fn with_status(key: &str, uid: &str, version: u64, status: Value) -> Object {
    Object { status, ..object(key, uid, version) }
}

struct StoreRig {
    store: Store,
    start: Instant,
}

impl StoreRig {
    fn new() -> Self {
        let start = crate::time::now();
        Self { store: Store::new(start), start }
    }

    fn at(&self, seconds: u64) -> Instant {
        self.start + START + Duration::from_secs(seconds)
    }

    fn changed(&mut self, object: &Object) -> StoreChange {
        self.store.changed(object, self.at(0))
    }

    fn sweep(&mut self, plural: &str, asked: Instant, budget: usize) -> Vec<String> {
        self.sweep_of(plural, asked, "100", budget)
    }

    fn sweep_of(&mut self, plural: &str, asked: Instant, version: &str, budget: usize) -> Vec<String> {
        let mut sweep = self.store.complete(&resource(plural), asked, version.into());
        let mut gone = Vec::new();
        loop {
            let (removed, done) = self.store.sweep(&mut sweep, budget);
            gone.extend(removed.iter().map(ToString::to_string));
            if done {
                return gone;
            }
        }
    }

    fn version(&self, stack: &str) -> Option<String> {
        self.store.objects(stack).first().map(|object| object.resource_version.clone())
    }
}

#[test]
fn the_newer_version_wins_whatever_comes_first() {
    let mut rig = StoreRig::new();
    assert_eq!(rig.changed(&object("stacks/a", "u", 10)), StoreChange::Appeared);
    assert_eq!(rig.changed(&object("stacks/a", "u", 9)), StoreChange::Nothing);
    assert_eq!(rig.version("a").as_deref(), Some("10"));
    rig.changed(&object("stacks/a", "u", 11));
    assert_eq!(rig.version("a").as_deref(), Some("11"));
}

#[test]
fn a_fresh_list_wins_over_what_was_known_before_it_was_asked_for() {
    let mut rig = StoreRig::new();
    rig.changed(&object("stacks/a", "u", 10));
    rig.store.listed(&object("stacks/a", "u", 7), rig.at(5));
    assert_eq!(rig.version("a").as_deref(), Some("7"), "restored from a backup");
    rig.store.changed(&object("stacks/a", "u", 9), rig.at(20));
    rig.store.listed(&object("stacks/a", "u", 8), rig.at(10));
    assert_eq!(rig.version("a").as_deref(), Some("9"), "learnt after it was asked for");
}

#[test]
fn what_was_learnt_in_the_nanosecond_of_the_asking_was_learnt_before() {
    let mut rig = StoreRig::new();
    rig.store.changed(&object("stacks/a", "a", 1), rig.at(5));
    assert_eq!(rig.sweep_of("stacks", rig.at(5), "2", 10), ["stacks/a"]);
}

#[test]
fn what_a_complete_list_does_not_name_is_gone_unless_it_was_learnt_later() {
    for budget in [1, 2, 100] {
        let mut rig = StoreRig::new();
        for name in ["a", "b", "c", "d"] {
            rig.changed(&object(&format!("stacks/{name}"), name, 1));
            rig.changed(&object(&format!("ledgers/{name}"), name, 2));
        }
        assert!(!rig.store.is_complete(&resource("stacks")));
        rig.store.listed(&object("stacks/b", "b", 1), rig.at(5));
        rig.store.changed(&object("stacks/d", "d", 101), rig.at(6));
        let gone: BTreeSet<String> = rig.sweep("stacks", rig.at(5), budget).into_iter().collect();
        assert_eq!(gone, ["stacks/a", "stacks/c"].map(String::from).into());
        assert!(rig.store.is_complete(&resource("stacks")) && !rig.store.is_complete(&resource("ledgers")));
        assert_eq!(rig.store.len(), (4, 6), "other kinds stay");
        assert_eq!(rig.sweep("ledgers", rig.at(7), budget).len(), 4);
        assert_eq!(rig.store.len(), (2, 2));
    }
}

#[test]
fn a_list_tells_of_what_was_learnt_after_it_was_asked_for_by_the_versions_it_includes() {
    let mut rig = StoreRig::new();
    let asked = rig.at(5);
    // Made after the list was asked for, and gone before it was taken.
    rig.store.changed(&object("stacks/gone", "u", 50), rig.at(6));
    // Made likewise, and there.
    rig.store.changed(&object("stacks/there", "u", 51), rig.at(6));
    rig.store.listed(&object("stacks/there", "u", 51), asked);
    // Made after it was taken.
    rig.store.changed(&object("stacks/new", "u", 61), rig.at(7));
    assert_eq!(rig.sweep_of("stacks", asked, "60", 10), ["stacks/gone"]);
    assert_eq!(rig.store.len(), (2, 2));
}

#[test]
fn an_answer_that_shows_what_a_list_named_does_not_unname_it() {
    let mut rig = StoreRig::new();
    let asked = rig.at(5);
    rig.store.listed(&object("stacks/a", "u", 50), asked);
    rig.store.changed(&object("stacks/a", "u", 50), rig.at(6));
    assert!(rig.sweep_of("stacks", asked, "60", 10).is_empty());
}

#[test]
fn an_answer_older_than_a_complete_list_brings_nothing_back() {
    let mut rig = StoreRig::new();
    rig.sweep_of("stacks", rig.at(5), "60", 10);
    assert_eq!(rig.store.changed(&object("stacks/a", "u", 50), rig.at(6)), StoreChange::Nothing);
    assert_eq!(rig.store.changed(&object("stacks/a", "u", 61), rig.at(6)), StoreChange::Appeared);
}

#[test]
fn stacks_that_come_and_go_in_the_middle_of_a_sweep_are_not_missed() {
    let mut rig = StoreRig::new();
    for name in 0..20 {
        rig.changed(&object(&format!("stacks/{name}"), "u", 1));
    }
    let mut sweep = rig.store.complete(&resource("stacks"), rig.at(5), "60".into());
    let mut gone = 0;
    for round in 0.. {
        let (removed, done) = rig.store.sweep(&mut sweep, 3);
        gone += removed.len();
        if done {
            break;
        }
        // One from the part that is still to come goes by an event, and one comes.
        let other = object(&format!("stacks/{round}"), "u", 50 + round);
        gone += usize::from(rig.store.removed(&other, rig.at(2)) == StoreChange::Removed);
        rig.store.changed(&object(&format!("stacks/new-{round}"), "u", 99), rig.at(6));
    }
    assert_eq!(gone, 20);
    assert!(rig.store.stacks.keys().all(|name| name.starts_with("new-")));
}

#[test]
fn an_uid_that_is_gone_is_not_brought_back_by_a_slow_watch() {
    let mut rig = StoreRig::new();
    let key = object("stacks/a", "u", 10).key;
    rig.changed(&object("stacks/a", "u", 10));
    assert_eq!(rig.store.gone("a", &key, "u", rig.at(1)), StoreChange::Removed);
    assert_eq!(rig.store.changed(&object("stacks/a", "u", 12), rig.at(2)), StoreChange::Nothing);
    assert_eq!(
        rig.store.listed(&object("stacks/a", "u", 12), rig.at(0)),
        StoreChange::Nothing,
        "an older list"
    );
    assert_eq!(rig.store.len(), (0, 0));
    assert_eq!(rig.store.changed(&object("stacks/a", "v", 14), rig.at(2)), StoreChange::Appeared);
    assert_eq!(
        rig.store.removed(&object("stacks/a", "u", 13), rig.at(2)),
        StoreChange::Nothing,
        "told already"
    );
    assert_eq!(rig.version("a").as_deref(), Some("14"));
}

#[test]
fn an_uid_that_is_gone_is_forgotten_by_a_later_list_and_takes_no_other_along() {
    let mut rig = StoreRig::new();
    let key = object("stacks/a", "u", 10).key;
    assert_eq!(rig.store.uid("a", &key), None);
    rig.changed(&object("stacks/a", "u", 10));
    assert_eq!(rig.store.uid("a", &key).as_deref(), Some("u"));
    rig.changed(&object("stacks/a", "v", 11));
    assert_eq!(rig.store.gone("a", &key, "u", rig.at(1)), StoreChange::Nothing, "another one stands");
    assert_eq!(rig.store.gone("a", &key, "v", rig.at(1)), StoreChange::Removed);
    assert_eq!(rig.store.changed(&object("stacks/a", "v", 12), rig.at(2)), StoreChange::Nothing);
    rig.sweep("stacks", rig.at(3), 10);
    assert_eq!(rig.changed(&object("stacks/a", "v", 112)), StoreChange::Appeared);
}

#[test]
fn a_removal_counts_for_its_uid_and_for_older_ones() {
    let mut rig = StoreRig::new();
    rig.changed(&object("stacks/a", "new", 20));
    assert_eq!(rig.store.removed(&object("stacks/a", "old", 19), rig.at(2)), StoreChange::Nothing);
    assert_eq!(rig.store.removed(&object("stacks/a", "new", 21), rig.at(2)), StoreChange::Removed);
    assert_eq!(rig.changed(&object("stacks/a", "new", 20)), StoreChange::Nothing, "an answer that came late");
    rig.changed(&object("stacks/a", "first", 30));
    assert_eq!(rig.store.removed(&object("stacks/a", "unseen", 40), rig.at(2)), StoreChange::Removed);
    assert_eq!(rig.store.removed(&object("stacks/a", "unseen", 40), rig.at(2)), StoreChange::Nothing);
}

#[test]
fn an_object_that_was_replaced_unseen_is_told_as_such() {
    let mut rig = StoreRig::new();
    rig.changed(&object("stacks/a", "u", 10));
    assert_eq!(rig.changed(&object("stacks/a", "v", 20)), StoreChange::Replaced);
    assert_eq!(rig.store.listed(&object("stacks/a", "w", 5), rig.at(9)), StoreChange::Replaced);
}

#[test]
fn statuses_are_told_at_first_sight_and_when_they_change() {
    let (ready, not) = (json!({"ready": true}), json!({"ready": false}));
    let mut rig = StoreRig::new();
    assert_eq!(rig.changed(&with_status("ledgers/a", "u", 1, Value::Null)), StoreChange::Appeared);
    assert_eq!(rig.changed(&with_status("ledgers/a", "u", 2, not.clone())), StoreChange::Status);
    assert_eq!(rig.changed(&with_status("ledgers/a", "u", 3, not)), StoreChange::Nothing);
    assert_eq!(rig.changed(&with_status("ledgers/a", "u", 4, ready.clone())), StoreChange::Status);
    assert_eq!(rig.changed(&with_status("ledgers/a", "u", 5, Value::Null)), StoreChange::Nothing);
    assert_eq!(rig.changed(&with_status("stacks/a", "s", 6, ready.clone())), StoreChange::Status);
    let mut off = with_status("stacks/a", "s", 7, ready.clone());
    off.spec["disabled"] = true.into();
    assert_eq!(rig.changed(&off), StoreChange::Status, "enabled or disabled");
    let key = |key: &str| object(key, "u", 1).key;
    assert_eq!(rig.store.status(&key("stacks/a")), ready);
    assert_eq!(rig.store.status(&key("ledgers/a")), Value::Null);
    assert_eq!(rig.store.status(&key("ledgers/b")), Value::Null);
}

#[test]
fn clients_are_kept_by_their_stack_and_never_told_of() {
    let mut rig = StoreRig::new();
    assert_eq!(
        rig.changed(&with_status("authclients/a-web", "u", 1, json!({"ready": true}))),
        StoreChange::Appeared
    );
    assert_eq!(rig.store.objects("a")[0].key.to_string(), "authclients/a-web");
    assert!(rig.store.reportable("a").is_empty());
    assert_eq!(rig.store.removed(&object("authclients/a-web", "u", 2), rig.at(2)), StoreChange::Nothing);
    assert_eq!(rig.store.len(), (0, 0));
    rig.changed(&object("authclients/a-web", "v", 3));
    rig.store.moved("a", &object("authclients/a-web", "v", 3).key);
    assert_eq!(rig.store.len(), (0, 0));
    rig.changed(&object("authclients/a-web", "v", 3));
    assert!(rig.sweep("authclients", rig.at(5), 10).is_empty());
    assert_eq!(rig.store.len(), (0, 0));
}

#[test]
fn versions_are_added_updated_and_deleted() {
    let mut rig = StoreRig::new();
    let versions = |version: u64, ledger: &str, deprecated: bool| {
        let mut object = object("versions/v2", "u", version);
        object.spec = json!({"ledger": ledger});
        if deprecated {
            object.annotations.insert("formance.com/deprecated".into(), "true".into());
        }
        object
    };
    assert_eq!(rig.changed(&versions(1, "x", false)), StoreChange::Added);
    assert_eq!(rig.changed(&versions(2, "x", false)), StoreChange::Nothing);
    assert_eq!(rig.changed(&versions(3, "y", false)), StoreChange::Updated);
    assert_eq!(rig.changed(&versions(4, "y", true)), StoreChange::Updated);
    assert_eq!(rig.store.versions("v2").map(|v| v.deprecated), Some(true));
    let mut cursor = rig.store.begin();
    assert_eq!(rig.store.next(&mut cursor, 10).len(), 1);
    assert_eq!(rig.store.next(&mut cursor, 10).len(), 0);
    assert_eq!(rig.sweep("versions", rig.at(5), 10), ["versions/v2"]);
    rig.changed(&versions(5, "x", false));
    assert_eq!(rig.store.removed(&versions(6, "x", false), rig.at(2)), StoreChange::Removed);
}

#[test]
fn what_has_converged_stays_so_until_a_decision_could_come_out_otherwise() {
    let mut rig = StoreRig::new();
    rig.store.mark_converged("a", 7);
    assert!(!rig.store.is_converged("a", 7), "nothing is there");
    rig.changed(&object("ledgers/a", "u", 1));
    let settled = |rig: &mut StoreRig, object: &Object| {
        rig.store.mark_converged("a", 7);
        assert!(rig.store.is_converged("a", 7) && !rig.store.is_converged("a", 8));
        let before = rig.store.revision("a");
        rig.changed(object);
        assert_ne!(rig.store.revision("a"), before);
        rig.store.is_converged("a", 7)
    };
    assert!(settled(&mut rig, &with_status("ledgers/a", "u", 2, json!({"ready": true}))));
    let mut labelled = object("ledgers/a", "u", 3);
    labelled.labels.insert("formance.com/x".into(), "y".into());
    assert!(!settled(&mut rig, &labelled));
    let terminating = Object { terminating: true, resource_version: "4".into(), ..labelled };
    assert!(!settled(&mut rig, &terminating));
    assert!(!settled(&mut rig, &object("authclients/a-web", "u", 5)));
    rig.store.mark_converged("a", 7);
    rig.store.removed(&object("authclients/a-web", "u", 6), rig.at(2));
    assert!(!rig.store.is_converged("a", 7));
    rig.store.mark_converged("a", 7);
    rig.store.forget_converged();
    assert!(!rig.store.is_converged("a", 7));
}

#[test]
fn a_stack_is_ready_when_all_that_says_something_does() {
    let mut rig = StoreRig::new();
    let ready = json!({"ready": true});
    assert!(!rig.store.is_ready("a"));
    rig.changed(&with_status("stacks/a", "s", 1, ready.clone()));
    rig.changed(&object("authclients/a-web", "c", 1));
    assert!(rig.store.is_ready("a"));
    rig.changed(&object("ledgers/a", "l", 1));
    assert!(!rig.store.is_ready("a"));
    rig.changed(&with_status("ledgers/a", "l", 2, ready));
    assert!(rig.store.is_ready("a"));
}

#[test]
fn a_kind_that_is_out_of_play_is_forgotten() {
    let mut rig = StoreRig::new();
    rig.changed(&object("stacks/a", "s", 1));
    rig.store.listed(&object("ledgers/a", "l", 1), rig.at(0));
    rig.store.listed(&object("ledgers/b", "l", 1), rig.at(0));
    rig.sweep("ledgers", rig.at(0), 10);
    let gone = rig.store.forget(&resource("ledgers"));
    assert_eq!((gone.len(), rig.store.len()), (2, (1, 1)));
    assert!(!rig.store.is_complete(&resource("ledgers")));
}

#[test]
fn the_way_over_everything_misses_nothing_that_is_there_all_the_time() {
    let mut rig = StoreRig::new();
    for n in 0..50 {
        rig.changed(&with_status(&format!("stacks/{n}"), "u", 1, json!({"ready": true})));
    }
    let (mut cursor, mut seen) = (rig.store.begin(), BTreeSet::new());
    for round in 0.. {
        let keys = rig.store.next(&mut cursor, 7);
        if keys.is_empty() {
            break;
        }
        seen.extend(keys.iter().map(|key| key.name.to_string()));
        rig.store.removed(&object(&format!("stacks/{round}"), "u", 9), rig.at(2));
        rig.changed(&with_status(&format!("stacks/new-{round}"), "u", 1, json!({"ready": true})));
    }
    for n in 10..50 {
        assert!(seen.contains(&n.to_string()), "{n}");
    }
}

#[test]
fn what_is_left_over_of_a_stack_is_with_its_objects_and_told_of_by_another() {
    let mut rig = StoreRig::new();
    let mut ledger = with_status("ledgers/b", "u", 10, json!({"ready": false}));
    ledger.labels = [("formance.com/created-by-agent", "true"), ("formance.com/stack", "a")]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into();
    rig.changed(&with_status("stacks/a", "s", 1, json!({"ready": true})));
    rig.store.leftover_listed(&ledger, rig.at(1));
    let kept = rig.store.objects("a");
    assert!(kept.iter().any(|kept| kept.key == ledger.key && kept.labels == ledger.labels));
    assert_eq!(rig.store.objects("b"), []);
    assert_eq!(rig.store.reportable("a").len(), 1, "the Stack alone");
    assert!(rig.store.is_ready("a"));
    assert!(!rig.store.stands(&ledger.key));
    assert_eq!(rig.changed(&ledger), StoreChange::Status, "at home it is told of");

    // A complete list that does not name it takes it from both, and one of them tells.
    assert_eq!(rig.sweep("ledgers", rig.at(20), 1), ["ledgers/b"]);
    assert!(rig.store.objects("a").iter().all(|kept| kept.key != ledger.key));
    (ledger.resource_version, ledger.uid) = ("200".into(), "w".into());
    rig.store.leftover_changed(&ledger, rig.at(30));
    let gone = rig.store.gone("a", &ledger.key, "w", rig.at(31));
    assert_eq!(gone, StoreChange::Nothing, "nor is its own deletion");
    assert_eq!(rig.store.objects("a").len(), 1);
}

//! What is made of a store that lags and of answers that are ahead of it.

use serde_json::json;

use super::*;
use crate::stack::testing::{catalog, key};

const STACK: &str = "org-stack";

fn ledger() -> ObjectKey {
    key(&catalog(), "ledgers/org-stack")
}

fn object(key: &ObjectKey, uid: &str, version: &str) -> Object {
    let json = json!({
        "metadata": {"name": &*key.name, "uid": uid, "resourceVersion": version},
        "spec": {"stack": STACK},
    });
    Object::from_json(&key.resource, json).expect("an object")
}

/// `uid@version`, or what is known instead.
fn known(observed: &Observed, key: &ObjectKey) -> String {
    match observed.get(key) {
        Observation::Present(object) => format!("{}@{}", object.uid, object.resource_version),
        Observation::Absent => "absent".into(),
        Observation::Unknown => "unknown".into(),
    }
}

/// A store that shows the Ledger as this, or not at all.
fn show(observed: &mut Observed, ledger_as: Option<(&str, &str)>) -> String {
    let shown = ledger_as.map(|(uid, version)| object(&ledger(), uid, version));
    observed.refresh(STACK, shown.into_iter().collect());
    known(observed, &ledger())
}

fn read(observed: &mut Observed, ledger_as: Option<(&str, &str)>) -> String {
    observed.read(&ledger(), ledger_as.map(|(uid, version)| object(&ledger(), uid, version)));
    known(observed, &ledger())
}

#[test]
fn nothing_is_known_before_the_first_look() {
    let mut observed = Observed::default();
    assert_eq!(known(&observed, &ledger()), "unknown");
    assert_eq!(show(&mut observed, None), "absent");
    assert_eq!(show(&mut observed, Some(("u", "7"))), "u@7");
    assert_eq!(show(&mut observed, None), "absent");
    assert!(observed.is_in_store());
}

#[test]
fn an_answer_is_not_taken_back_by_a_store_that_lags() {
    let mut observed = Observed::default();
    show(&mut observed, Some(("u", "9")));
    observed.stored(object(&ledger(), "u", "10"));
    assert_eq!(show(&mut observed, Some(("u", "9"))), "u@10");
    assert_eq!(show(&mut observed, Some(("u", "11"))), "u@11");
    observed.stored(object(&ledger(), "u", "10"));
    assert_eq!(known(&observed, &ledger()), "u@11", "an answer that comes late is old");
}

#[test]
fn what_is_stale_is_unknown_until_the_store_shows_more() {
    let mut observed = Observed::default();
    show(&mut observed, Some(("u", "9")));
    observed.mark_stale(&ledger());
    assert_eq!(show(&mut observed, Some(("u", "9"))), "unknown");
    assert_eq!(show(&mut observed, Some(("u", "8"))), "unknown");
    assert_eq!(show(&mut observed, Some(("u", "10"))), "u@10");
    observed.mark_stale(&ledger());
    assert_eq!(show(&mut observed, None), "absent", "it was there and has left");
    observed.mark_stale(&ledger());
    assert_eq!(show(&mut observed, None), "unknown", "still absent");
    assert_eq!(show(&mut observed, Some(("u", "10"))), "u@10", "the store says what is gone for good");
}

#[test]
fn what_was_read_by_name_may_not_be_in_the_store_yet() {
    let mut observed = Observed::default();
    show(&mut observed, None);
    observed.mark_stale(&ledger());
    assert_eq!(read(&mut observed, Some(("u", "9"))), "u@9");
    assert!(!observed.is_in_store());
    assert_eq!(show(&mut observed, None), "u@9");
    assert_eq!(show(&mut observed, Some(("u", "9"))), "u@9");
    assert!(observed.is_in_store());
    assert_eq!(show(&mut observed, None), "absent");
}

#[test]
fn a_read_that_comes_back_late_does_not_undo_what_the_store_showed_meanwhile() {
    let mut observed = Observed::default();
    show(&mut observed, None);
    observed.mark_stale(&ledger());
    assert_eq!(show(&mut observed, Some(("u", "9"))), "u@9");
    assert_eq!(read(&mut observed, None), "u@9");
    assert_eq!(read(&mut observed, Some(("u", "8"))), "u@9");
    assert_eq!(read(&mut observed, Some(("u", "10"))), "u@10");
}

#[test]
fn what_is_gone_does_not_come_back_with_a_late_answer() {
    let mut observed = Observed::default();
    show(&mut observed, Some(("u", "9")));
    observed.removed(&ledger(), "u");
    assert_eq!(known(&observed, &ledger()), "absent");
    observed.stored(object(&ledger(), "u", "10"));
    assert_eq!(show(&mut observed, None), "absent", "a late answer, which the store did not take");
    assert_eq!(show(&mut observed, Some(("v", "12"))), "v@12");
    observed.removed(&ledger(), "u");
    assert_eq!(known(&observed, &ledger()), "v@12", "that answer was about another one");
}

#[test]
fn what_is_gone_is_remembered_by_the_store_alone() {
    let mut observed = Observed::default();
    show(&mut observed, None);
    observed.mark_stale(&ledger());
    read(&mut observed, Some(("u", "9")));
    observed.mark_stale(&ledger());
    assert_eq!(read(&mut observed, None), "absent");
    assert!(observed.is_in_store());
    assert_eq!(observed.beyond_store(STACK, |_| false), Observed::default());
}

#[test]
fn what_left_the_store_and_returned_to_it_is_there() {
    let mut observed = Observed::default();
    show(&mut observed, Some(("u", "9")));
    assert_eq!(show(&mut observed, None), "absent", "a list that shows the past");
    assert_eq!(show(&mut observed, Some(("u", "9"))), "u@9", "and the events since then");
    observed.removed(&ledger(), "u");
    assert_eq!(show(&mut observed, None), "absent");
    assert_eq!(
        show(&mut observed, Some(("u", "9"))),
        "u@9",
        "the store does not lag behind what it was told"
    );
    assert!(observed.is_in_store());
}

#[test]
fn the_remainder_is_what_the_store_does_not_say() {
    let mut observed = Observed::default();
    let auth = key(&catalog(), "auths/org-stack");
    observed.refresh(STACK, vec![object(&auth, "a", "5"), object(&ledger(), "u", "6")]);
    observed.mark_stale(&ledger());
    read(&mut observed, Some(("u", "7")));
    let mut observed = observed.beyond_store(STACK, |_| false);
    assert_eq!(observed.entries.len(), 1);
    observed.refresh(STACK, vec![object(&auth, "a", "5"), object(&ledger(), "u", "6")]);
    assert_eq!((known(&observed, &auth).as_str(), known(&observed, &ledger()).as_str()), ("a@5", "unknown"));
    assert_eq!(show(&mut observed, Some(("u", "7"))), "unknown", "as it was known, and maybe gone by now");
    assert_eq!(read(&mut observed, Some(("u", "7"))), "u@7");
    assert!(observed.is_in_store());
}

#[test]
fn another_stacks_object_is_not_absent_because_it_is_shown_elsewhere() {
    let client = key(&catalog(), "authclients/org-stack-web");
    let mut theirs = object(&client, "u", "9");
    theirs.spec = json!({"stack": "org"});
    let mut observed = Observed::default();
    observed.refresh(STACK, vec![object(&client, "u", "8")]);
    observed.mark_stale(&client);
    observed.read(&client, Some(theirs));
    observed.refresh(STACK, Vec::new());
    assert_eq!(known(&observed, &client), "u@9");
    assert!(observed.clone().beyond_store(STACK, |_| false).entries.is_empty(), "it can be read again");
    assert_eq!(observed.beyond_store(STACK, |_| true).entries.len(), 1, "but for a lost write");
}

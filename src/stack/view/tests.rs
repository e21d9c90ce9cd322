//! What the view makes of a store that lags and of answers that are ahead of it.

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
fn known(view: &View, key: &ObjectKey) -> String {
    match view.get(key) {
        Known::Present(object) => format!("{}@{}", object.uid, object.resource_version),
        Known::Absent => "absent".into(),
        Known::Unknown => "unknown".into(),
    }
}

/// A store that shows the Ledger as this, or not at all.
fn show(view: &mut View, ledger_as: Option<(&str, &str)>) -> String {
    let shown = ledger_as.map(|(uid, version)| object(&ledger(), uid, version));
    view.refresh(STACK, shown.into_iter().collect());
    known(view, &ledger())
}

fn read(view: &mut View, ledger_as: Option<(&str, &str)>) -> String {
    view.read(&ledger(), ledger_as.map(|(uid, version)| object(&ledger(), uid, version)));
    known(view, &ledger())
}

#[test]
fn nothing_is_known_before_the_first_look() {
    let mut view = View::default();
    assert_eq!(known(&view, &ledger()), "unknown");
    assert_eq!(show(&mut view, None), "absent");
    assert_eq!(show(&mut view, Some(("u", "7"))), "u@7");
    assert_eq!(show(&mut view, None), "absent");
    assert!(view.is_plain());
}

#[test]
fn an_answer_is_not_taken_back_by_a_store_that_lags() {
    let mut view = View::default();
    show(&mut view, Some(("u", "9")));
    view.stored(object(&ledger(), "u", "10"));
    assert_eq!(show(&mut view, Some(("u", "9"))), "u@10");
    assert_eq!(show(&mut view, Some(("u", "11"))), "u@11");
    view.stored(object(&ledger(), "u", "10"));
    assert_eq!(known(&view, &ledger()), "u@11", "an answer that comes late is old");
}

#[test]
fn what_was_forgotten_is_unknown_until_the_store_shows_more() {
    let mut view = View::default();
    show(&mut view, Some(("u", "9")));
    view.forget(&ledger());
    assert_eq!(show(&mut view, Some(("u", "9"))), "unknown");
    assert_eq!(show(&mut view, Some(("u", "8"))), "unknown");
    assert_eq!(show(&mut view, Some(("u", "10"))), "u@10");
    view.forget(&ledger());
    assert_eq!(show(&mut view, None), "absent", "it was there and has left");
    view.forget(&ledger());
    assert_eq!(show(&mut view, None), "unknown", "still absent");
    assert_eq!(show(&mut view, Some(("u", "10"))), "unknown", "that one is gone");
    assert_eq!(show(&mut view, Some(("v", "12"))), "v@12");
}

#[test]
fn what_was_read_by_name_may_not_be_in_the_store_yet() {
    let mut view = View::default();
    show(&mut view, None);
    view.forget(&ledger());
    assert_eq!(read(&mut view, Some(("u", "9"))), "u@9");
    assert!(!view.is_plain());
    assert_eq!(show(&mut view, None), "u@9");
    assert_eq!(show(&mut view, Some(("u", "9"))), "u@9");
    assert!(view.is_plain());
    assert_eq!(show(&mut view, None), "absent");
}

#[test]
fn a_read_that_comes_back_late_does_not_undo_what_the_store_showed_meanwhile() {
    let mut view = View::default();
    show(&mut view, None);
    view.forget(&ledger());
    assert_eq!(show(&mut view, Some(("u", "9"))), "u@9");
    assert_eq!(read(&mut view, None), "u@9");
    assert_eq!(read(&mut view, Some(("u", "8"))), "u@9");
    assert_eq!(read(&mut view, Some(("u", "10"))), "u@10");
}

#[test]
fn what_is_gone_does_not_come_back() {
    let mut view = View::default();
    show(&mut view, Some(("u", "9")));
    view.removed(&ledger(), "u");
    assert_eq!(known(&view, &ledger()), "absent");
    view.stored(object(&ledger(), "u", "10"));
    assert_eq!(known(&view, &ledger()), "absent");
    assert_eq!(show(&mut view, Some(("v", "12"))), "v@12");
    view.removed(&ledger(), "u");
    assert_eq!(known(&view, &ledger()), "v@12", "that answer was about another one");
}

#[test]
fn what_is_gone_and_was_never_in_the_store_is_remembered() {
    let mut view = View::default();
    show(&mut view, None);
    view.forget(&ledger());
    read(&mut view, Some(("u", "9")));
    view.forget(&ledger());
    assert_eq!(read(&mut view, None), "absent");
    let mut view = view.remainder(STACK, |_| false);
    assert_eq!(show(&mut view, Some(("u", "9"))), "absent");
    assert!(!view.is_plain());
    assert_eq!(show(&mut view, None), "absent");
    assert!(view.is_plain());
    assert_eq!(view.remainder(STACK, |_| false), View::default());
}

#[test]
fn what_left_the_store_and_returned_to_it_is_there() {
    let mut view = View::default();
    show(&mut view, Some(("u", "9")));
    assert_eq!(show(&mut view, None), "absent", "a list that shows the past");
    assert_eq!(show(&mut view, Some(("u", "9"))), "u@9", "and the events since then");
    view.removed(&ledger(), "u");
    assert_eq!(show(&mut view, None), "absent");
    assert_eq!(show(&mut view, Some(("u", "9"))), "u@9", "the store does not lag behind what it was told");
    assert!(view.is_plain());
    view.forget(&ledger());
    assert_eq!(read(&mut view, None), "absent");
    assert_eq!(show(&mut view, Some(("u", "9"))), "absent", "a store that lags");
}

#[test]
fn the_remainder_is_what_the_store_does_not_say() {
    let mut view = View::default();
    let auth = key(&catalog(), "auths/org-stack");
    view.refresh(STACK, vec![object(&auth, "a", "5"), object(&ledger(), "u", "6")]);
    view.forget(&ledger());
    read(&mut view, Some(("u", "7")));
    let mut view = view.remainder(STACK, |_| false);
    assert_eq!(view.seen.len(), 1);
    view.refresh(STACK, vec![object(&auth, "a", "5"), object(&ledger(), "u", "6")]);
    assert_eq!((known(&view, &auth).as_str(), known(&view, &ledger()).as_str()), ("a@5", "unknown"));
    assert_eq!(show(&mut view, Some(("u", "7"))), "unknown", "as it was known, and maybe gone by now");
    assert_eq!(read(&mut view, Some(("u", "7"))), "u@7");
    assert!(view.is_plain());
}

#[test]
fn another_stacks_object_is_not_absent_because_it_is_shown_elsewhere() {
    let client = key(&catalog(), "authclients/org-stack-web");
    let mut theirs = object(&client, "u", "9");
    theirs.spec = json!({"stack": "org"});
    let mut view = View::default();
    view.refresh(STACK, vec![object(&client, "u", "8")]);
    view.forget(&client);
    view.read(&client, Some(theirs));
    view.refresh(STACK, Vec::new());
    assert_eq!(known(&view, &client), "u@9");
    assert!(view.clone().remainder(STACK, |_| false).seen.is_empty(), "it can be read again");
    assert_eq!(view.remainder(STACK, |_| true).seen.len(), 1, "but for a lost write");
}

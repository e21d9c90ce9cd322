//! Reads of scopes, and discovery.

use super::*;

fn catalog() -> Catalog {
    Catalog::new(vec![Resource::new("Ledger", "ledger", "ledgers"), Resource::new("Auth", "auth", "auths")])
}

fn stack() -> StackName {
    StackName::new("org-one").unwrap()
}

fn whole() -> Scope {
    Scope::Whole(stack())
}

fn not_found(name: &str) -> Act {
    Act::Reply(404, json!({"kind": "Status", "reason": "NotFound", "code": 404, "details": {"name": name}}))
}

fn list(names: &[&str], next: &str) -> Act {
    let items: Vec<_> = names.iter().map(|name| an_object(name)).collect();
    Act::Reply(200, json!({"metadata": {"continue": next}, "items": items}))
}

fn names(objects: &[Object]) -> Vec<String> {
    let mut names: Vec<_> = objects.iter().map(|object| object.key.to_string()).collect();
    names.sort();
    names
}

#[test]
fn a_whole_stack_is_the_stack_and_a_list_of_each_kind_page_by_page() {
    run(async {
        let server = Server::start(Speech::Plain, |_, seen| {
            let kind = seen.head.strip_prefix("GET /apis/formance.com/v1beta1/").unwrap();
            match (kind, seen.query.contains("continue=more")) {
                ("stacks/org-one", _) => Act::Reply(200, an_object("org-one")),
                ("ledgers", false) => list(&["org-one"], "more"),
                ("ledgers", true) => list(&["org-two"], ""),
                ("auths", _) => list(&[], ""),
                ("authclients", _) => list(&["org-one-c"], ""),
                _ => panic!("{seen:?}"),
            }
        });
        let client = client(&server, limits());
        let objects = client.read(&whole(), &catalog()).await.unwrap();
        assert_eq!(
            names(&objects),
            ["authclients/org-one-c", "ledgers/org-one", "ledgers/org-two", "stacks/org-one"]
        );
        assert_eq!(client.counts(), Counts { requests: 5, writes: 0 });
    });
}

#[test]
fn an_absent_object_is_left_out() {
    run(async {
        let server = Server::start(Speech::Plain, |_, seen| match &*seen.head {
            "GET /apis/formance.com/v1beta1/ledgers/a" => Act::Reply(200, an_object("a")),
            "GET /apis/formance.com/v1beta1/ledgers/b" => not_found("b"),
            _ => not_found("org-one"),
        });
        let client = client(&server, limits());
        let scope = Scope::Objects(vec![key("a"), key("b")]);
        assert_eq!(names(&client.read(&scope, &catalog()).await.unwrap()), ["ledgers/a"]);
        assert!(client.read(&Scope::Stack(stack()), &catalog()).await.unwrap().is_empty());
    });
}

#[test]
fn a_read_that_fails_in_one_part_fails() {
    run(async {
        for (part, act) in [
            ("ledgers", Act::Reply(500, json!("broken"))),
            ("ledgers", Act::Cut),
            ("ledgers", Act::CutInBody),
            ("ledgers", Act::Reply(200, json!("{\"items\":["))),
            ("ledgers", Act::Hang),
            ("stacks/org-one", Act::Reply(503, json!("starting"))),
            ("stacks/org-one", Act::Reply(401, json!("who?"))),
        ] {
            let failing = act.clone();
            let server = Server::start(Speech::Plain, move |_, seen| {
                if seen.head.ends_with(part) { failing.clone() } else { list(&[], "") }
            });
            let client = client(&server, hasty());
            let read = client.read(&whole(), &catalog()).await;
            assert!(matches!(read, Err(ReadError::Failed { .. })), "{part}: {read:?}");
        }
    });
}

#[test]
fn a_kind_that_is_not_served_is_refused_and_not_absent() {
    run(async {
        let server = Server::start(Speech::Plain, |_, seen| match &*seen.head {
            "GET /apis/formance.com/v1beta1/ledgers" => Act::Reply(404, json!("404 page not found")),
            "GET /apis/formance.com/v1beta1/stacks/org-one" => not_found("org-one"),
            _ => list(&[], ""),
        });
        let read = client(&server, limits()).read(&whole(), &catalog()).await;
        assert!(
            matches!(&read, Err(ReadError::Refused { subject, refusal }) if subject == "ledgers" && refusal.code == 404),
            "{read:?}"
        );
    });
}

#[test]
fn a_later_page_that_has_expired_fails_the_read() {
    run(async {
        let server = Server::start(Speech::Plain, |_, seen| match seen.query.contains("continue=") {
            true => Act::Reply(410, json!({"kind": "Status", "reason": "Expired", "code": 410})),
            false => list(&["a"], "more"),
        });
        let read = client(&server, limits()).read(&whole(), &catalog()).await;
        assert!(matches!(read, Err(ReadError::Failed { .. })), "{read:?}");
    });
}

#[test]
fn each_part_of_a_read_has_a_permit_of_its_own() {
    run(async {
        let server = Server::start(Speech::Plain, |_, _| list(&[], ""));
        let client = client(&server, Limits { max_in_flight: 1, ..limits() });
        let scope = Scope::Objects((0..4).map(|n| key(&format!("a{n}"))).collect());
        let _ = client.read(&scope, &catalog()).await;
        assert_eq!(server.requests(), 4);
        assert_eq!(server.log.most_together.get(), 1);
    });
}

#[test]
fn modules_are_discovered_page_by_page() {
    run(async {
        let crd = |kind: &str, next: &str| {
            let crd = json!({"spec": {
                "group": "formance.com", "names": {"kind": kind, "plural": format!("{}s", kind.to_lowercase())},
                "versions": [{"name": "v1beta1", "served": true}],
            }});
            Act::Reply(200, json!({"metadata": {"continue": next}, "items": [crd]}))
        };
        let server = Server::start(Speech::Plain, move |nth, _| match nth {
            0 => crd("Wallets", "more"),
            _ => crd("Auth", ""),
        });
        let catalog = client(&server, limits()).catalog().await.unwrap();
        let modules: Vec<_> = catalog.modules.iter().map(|module| &*module.singular).collect();
        assert_eq!(modules, ["auth", "wallets"]);
        assert_eq!(server.seen(0).head, "GET /apis/apiextensions.k8s.io/v1/customresourcedefinitions");
    });
}

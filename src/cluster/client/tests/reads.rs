//! Reads by name, and discovery.

use super::*;

fn not_found(name: &str) -> ServerAct {
    ServerAct::Reply(
        404,
        json!({"kind": "Status", "reason": "NotFound", "code": 404, "details": {"name": name}}),
    )
}

fn names(objects: &[Object]) -> Vec<String> {
    let mut names: Vec<_> = objects.iter().map(|object| object.key.to_string()).collect();
    names.sort();
    names
}

#[test]
fn an_absent_object_is_left_out() {
    run(async {
        let server = ScriptedServer::start(ServerProtocol::Plain, |_, seen| match &*seen.head {
            "GET /apis/formance.com/v1beta1/ledgers/a" => ServerAct::Reply(200, an_object("a")),
            "GET /apis/formance.com/v1beta1/ledgers/b" => not_found("b"),
            _ => panic!("{seen:?}"),
        });
        let client = client(&server, limits());
        assert_eq!(names(&client.read(&[key("a"), key("b")]).await.unwrap()), ["ledgers/a"]);
    });
}

#[test]
fn a_read_that_fails_in_one_part_fails() {
    run(async {
        for act in [
            ServerAct::Reply(500, json!("broken")),
            ServerAct::Cut,
            ServerAct::CutInBody,
            ServerAct::Reply(200, json!("{\"metadata\":{")),
            ServerAct::Hang,
            ServerAct::Reply(503, json!("starting")),
            ServerAct::Reply(401, json!("who?")),
        ] {
            let failing = act.clone();
            let server = ScriptedServer::start(ServerProtocol::Plain, move |_, seen| {
                if seen.head.ends_with("/b") {
                    failing.clone()
                } else {
                    ServerAct::Reply(200, an_object("a"))
                }
            });
            let client = client(&server, hasty());
            let read = client.read(&[key("a"), key("b")]).await;
            assert!(matches!(read, Err(ReadError::Failed { .. })), "{act:?}: {read:?}");
        }
    });
}

#[test]
fn a_kind_that_is_not_served_is_refused_and_not_absent() {
    run(async {
        let server = ScriptedServer::start(ServerProtocol::Plain, |_, _| {
            ServerAct::Reply(404, json!("404 page not found"))
        });
        let read = client(&server, limits()).read(&[key("a")]).await;
        assert!(
            matches!(&read, Err(ReadError::Refused { subject, refusal }) if subject == "ledgers/a" && refusal.code == 404),
            "{read:?}"
        );
    });
}

#[test]
fn each_part_of_a_read_has_a_permit_of_its_own() {
    run(async {
        let server =
            ScriptedServer::start(ServerProtocol::Plain, |_, _| ServerAct::Reply(200, an_object("a")));
        let client = client(&server, ClientLimits { max_in_flight: 1, ..limits() });
        let keys: Vec<_> = (0..4).map(|n| key(&format!("a{n}"))).collect();
        let _ = client.read(&keys).await;
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
            ServerAct::Reply(200, json!({"metadata": {"continue": next}, "items": [crd]}))
        };
        let server = ScriptedServer::start(ServerProtocol::Plain, move |nth, _| match nth {
            0 => crd("Wallets", "more"),
            _ => crd("Auth", ""),
        });
        let catalog = client(&server, limits()).catalog().await.unwrap();
        let modules: Vec<_> = catalog.modules.iter().map(|module| &*module.singular).collect();
        assert_eq!(modules, ["auth", "wallets"]);
        assert_eq!(server.seen(0).head, "GET /apis/apiextensions.k8s.io/v1/customresourcedefinitions");
    });
}

fn member(text: &[u8]) -> Bytes {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut encoder, text).unwrap();
    encoder.finish().unwrap().into()
}

#[test]
fn of_an_error_the_beginning_is_read_and_the_rest_not_waited_for() {
    run(async {
        let (feeding, fed) = super::server::feed();
        feeding.unbounded_send(Ok(Bytes::from(vec![b'x'; 200_000]))).unwrap();
        // It does not end.
        let server = ScriptedServer::start(ServerProtocol::Plain, move |nth, _| match nth {
            0 => ServerAct::StreamOf(500, Rc::clone(&fed)),
            _ => ServerAct::Reply(200, an_object("a")),
        });
        let client = client(&server, limits());
        let ReadError::Failed { cause, .. } = client.read(&[key("a")]).await.unwrap_err() else { panic!() };
        assert!(cause.starts_with("500") && cause.len() < 400, "{cause}");
        assert_eq!(client.read(&[key("a")]).await.unwrap().len(), 1);
        drop(feeding);
    });
}

#[test]
fn an_answer_that_is_larger_than_an_object_is_none() {
    run(async {
        let object = an_object("a").to_string();
        let padded = |bytes: usize| format!("{object}{}", " ".repeat(bytes - object.len()));
        for (encoding, body) in
            [("identity", Bytes::from(padded((4 << 20) + 1))), ("gzip", member(padded(64 << 20).as_bytes()))]
        {
            let answer = body.clone();
            let server = ScriptedServer::start(ServerProtocol::Plain, move |_, _| {
                ServerAct::Encoded(encoding, answer.clone())
            });
            let client = client(&server, limits());
            let ReadError::Failed { cause, .. } = client.read(&[key("a")]).await.unwrap_err() else {
                panic!()
            };
            assert!(cause.contains("larger than 4 MiB"), "{cause}");
            // It said 2xx, so something may have been stored; what, nobody knows.
            let WriteAnswer::InDoubt { cause, .. } = put(&client, "a").await else { panic!() };
            assert!(cause.contains("200") && cause.contains("larger than 4 MiB"), "{cause}");
        }
        let just_right = Bytes::from(padded(4 << 20));
        let server = ScriptedServer::start(ServerProtocol::Plain, move |_, _| {
            ServerAct::Encoded("identity", just_right.clone())
        });
        assert_eq!(client(&server, limits()).read(&[key("a")]).await.unwrap().len(), 1);
    });
}

#[test]
fn large_answers_on_all_requests_at_once_come_two_at_a_time() {
    run(async {
        let object = an_object("a").to_string();
        let body = Bytes::from(format!("{object}{}", " ".repeat(1 << 20)));
        let server = ScriptedServer::start(ServerProtocol::Plain, move |_, _| {
            ServerAct::Encoded("identity", body.clone())
        });
        let client = client(&server, limits());
        let keys = [key("a")];
        let read = futures::future::join_all((0..16).map(|_| client.read(&keys))).await;
        assert!(read.iter().all(Result::is_ok));
    });
}

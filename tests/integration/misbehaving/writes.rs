//! Answers to writes.

use std::time::Duration;

use crate::{
    misbehaving::scene::{GZIP, JSON, MisbehavingScene, WITHIN, bomb, head},
    support::{
        agent::while_it_lives,
        holdback::{Http1Request, RequestFate},
        orders::{StackExt, stack},
    },
};

fn creates(request: &Http1Request) -> bool {
    request.method == "POST"
}

/// Orders for so many stacks at once.
fn order_many(scene: &MisbehavingScene, stacks: usize) {
    for nth in 0..stacks {
        scene.joined.order(stack(&format!("s-{nth}")).modules(&["ledger"]).order());
    }
}

fn all_made(scene: &mut MisbehavingScene, stacks: usize) {
    let cluster = &scene.cluster;
    while_it_lives(&mut scene.agent, "all stacks are made", WITHIN, || {
        let made = cluster.objects().keys().filter(|key| key.starts_with("ledgers/")).count();
        (made == stacks).then_some(())
    });
}

#[test]
fn errors_of_60_megabytes_on_all_requests_at_once_cost_little() {
    let mut scene = MisbehavingScene::set(&["--kube-qps", "0"], |network| {
        network.rule(
            64,
            creates,
            RequestFate::says(|_, to| {
                head(to, 500, &[JSON])?;
                to.write_all(br#"{"kind":"Status","status":"Failure","reason":"InternalError","message":""#)?;
                let megabyte = vec![b'x'; 1 << 20];
                for _ in 0..60 {
                    to.write_all(&megabyte)?;
                }
                to.write_all(br#""}"#)
            }),
        );
    });
    scene.agent.says(WITHIN, &["orders are taken up"]);
    let before = scene.agent.peak_memory();
    order_many(&scene, 64);
    let longest = scene.keeps_answering(Duration::from_secs(3));
    all_made(&mut scene, 64);
    scene.costs_little(before, longest);
}

#[test]
fn writes_answered_by_62_megabytes_of_gzip_cost_little_and_are_looked_after() {
    let body = bomb(r#"{"metadata":{"name":""#, b'x', 62, r#""}}"#);
    let mut scene = MisbehavingScene::set(&["--kube-qps", "0"], |network| {
        network.rule(
            64,
            creates,
            RequestFate::says(move |_, to| {
                head(to, 201, &[JSON, GZIP])?;
                to.write_all(&body)
            }),
        );
    });
    scene.agent.says(WITHIN, &["orders are taken up"]);
    let before = scene.agent.peak_memory();
    order_many(&scene, 64);
    let longest = scene.keeps_answering(Duration::from_secs(3));
    // None of those was carried out; that they were stored is not believed of them.
    all_made(&mut scene, 64);
    scene.costs_little(before, longest);
}

#[test]
fn eighty_warnings_on_each_answer_are_a_few_lines() {
    let mut scene = MisbehavingScene::set(&["--kube-qps", "0"], |network| {
        network.rule(
            200,
            creates,
            RequestFate::says(|request, to| {
                let mut object: serde_json::Value = serde_json::from_slice(&request.body)?;
                object["metadata"]["uid"] = "u".into();
                object["metadata"]["resourceVersion"] = "1".into();
                write!(
                    to,
                    "HTTP/1.1 201 Created\r\nconnection: close\r\ncontent-type: application/json\r\n"
                )?;
                for nth in 0..80 {
                    write!(to, "Warning: 299 - \"number {nth} of what nobody wants to know\"\r\n")?;
                }
                write!(to, "\r\n{object}")
            }),
        );
    });
    scene.agent.says(WITHIN, &["orders are taken up"]);
    order_many(&scene, 50);
    scene.agent.says(WITHIN, &["the API server warns"]);
    scene.keeps_answering(Duration::from_secs(3));
    let lines = scene.agent.lines(&["the API server warns"]).len();
    println!("{lines} lines for {} answers", scene.network.writes());
    // Twenty a minute for each of two shards.
    assert!(lines <= 80, "{lines} lines");
}

#[test]
fn a_write_that_a_page_of_html_answers_is_not_taken_for_stored() {
    let mut scene = MisbehavingScene::set(&[], |network| {
        network.rule(
            2,
            creates,
            RequestFate::says(|_, to| {
                head(to, 200, &[("content-type", "text/html")])?;
                to.write_all(b"<html><body>Sign in</body></html>")
            }),
        );
    });
    scene.joined.order(stack("a-b").modules(&["ledger"]).order());
    scene.agent.says(WITHIN, &["text/html"]);
    all_made(&mut scene, 1);
}

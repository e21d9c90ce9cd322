//! Watches.

use std::{thread, time::Duration};

use crate::{
    misbehaving::scene::{JSON, MisbehavingScene, WITHIN, head},
    support::{
        agent::while_it_lives,
        holdback::{Http1Request, RequestFate},
    },
};

fn watches(request: &Http1Request) -> bool {
    request.method == "GET" && request.path.contains("watch=")
}

/// Every watch of every kind, again and again.
fn all_watches_say(begin: &'static [u8], more: Vec<u8>, pause: Duration) -> MisbehavingScene {
    MisbehavingScene::set(&["--kube-qps", "0"], move |network| {
        network.rule(
            usize::MAX,
            watches,
            RequestFate::says(move |_, to| {
                head(to, 200, &[JSON])?;
                to.write_all(begin)?;
                loop {
                    to.write_all(&more)?;
                    thread::sleep(pause);
                }
            }),
        );
    })
}

#[test]
fn lines_that_never_end_on_every_kind_cost_little() {
    let begin = br#"{"type":"ADDED","object":{"metadata":{"name":""#;
    let mut scene = all_watches_say(begin, vec![b'x'; 64 << 10], Duration::from_millis(1));
    scene.agent.says(WITHIN, &["orders are taken up"]);
    let longest = scene.keeps_answering(Duration::from_secs(10));
    scene.agent.says(WITHIN, &["larger than"]);
    scene.costs_little(20 << 20, longest);
}

#[test]
fn events_that_are_none_are_a_few_lines() {
    let mut scene = all_watches_say(b"", b"{}\n".repeat(1000), Duration::ZERO);
    scene.agent.says(WITHIN, &["orders are taken up"]);
    let longest = scene.keeps_answering(Duration::from_secs(10));
    let lines = scene.agent.log().lines().count();
    println!("{lines} lines of log");
    // Fourteen kinds, each with a backoff of its own.
    assert!(lines < 300, "{lines} lines");
    scene.costs_little(20 << 20, longest);
}

#[test]
fn a_storm_of_bookmarks_and_of_blanks_holds_up_nothing() {
    for (name, more) in [
        ("bookmarks", br#"{"type":"BOOKMARK","object":{"metadata":{"resourceVersion":"7"}}}"#.as_slice()),
        ("ends of lines", b"\n\r\n"),
    ] {
        let more = [more, b"\n"].concat().repeat(2000);
        let mut scene = all_watches_say(b"", more, Duration::ZERO);
        scene.agent.says(WITHIN, &["orders are taken up"]);
        let longest = scene.keeps_answering(Duration::from_secs(8));
        println!("{name}");
        scene.costs_little(20 << 20, longest);
        scene.serves("a-b");
    }
}

#[test]
fn a_watch_that_a_page_of_html_answers_is_named() {
    let mut scene = MisbehavingScene::set(&[], |network| {
        network.rule(
            usize::MAX,
            |request| request.watches("wallets"),
            RequestFate::says(|_, to| {
                head(to, 200, &[("content-type", "text/html")])?;
                to.write_all(b"<html></html>")
            }),
        );
    });
    while_it_lives(&mut scene.agent, "orders are taken up", WITHIN, || Some(()));
    scene.agent.says(WITHIN, &["wallets", "text/html"]);
    scene.serves("a-b");
}

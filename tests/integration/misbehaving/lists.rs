//! Lists.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use crate::{
    misbehaving::scene::{GZIP, JSON, MisbehavingScene, WITHIN, bomb, head},
    support::holdback::{Http1Request, RequestFate},
};

/// Lists of one kind, from the second one on: the agent comes to rest first.
fn wallets(request: &Http1Request) -> bool {
    request.lists("wallets")
}

#[test]
fn a_page_of_gzip_that_inflates_to_62_megabytes_costs_little_whatever_it_holds() {
    for (name, before, byte) in [
        ("zeros", "", 0),
        ("blanks", r#"{"items":["#, b' '),
        ("an item of one text", r#"{"items":[{"a":""#, b'x'),
        ("a list of lists", r#"{"items":["#, b'['),
        ("a field that nobody reads", r#"{"more":""#, b'y'),
        ("a number", r#"{"items":["#, b'7'),
    ] {
        let body = bomb(before, byte, 62, "");
        let mut scene = MisbehavingScene::set(&[], |network| {
            network.rule(
                usize::MAX,
                wallets,
                RequestFate::says(move |_, to| {
                    head(to, 200, &[JSON, GZIP])?;
                    to.write_all(&body)
                }),
            );
        });
        scene.agent.says(WITHIN, &["wallets", "list"]);
        let longest = scene.keeps_answering(Duration::from_secs(2));
        println!("{name}");
        scene.costs_little(20 << 20, longest);
    }
}

#[test]
fn millions_of_empty_items_are_one_line_with_a_count() {
    let mut scene = MisbehavingScene::set(&[], |network| {
        network.rule(
            1,
            wallets,
            RequestFate::says(|_, to| {
                head(to, 200, &[JSON])?;
                to.write_all(br#"{"kind":"WalletsList","metadata":{"resourceVersion":"1"},"items":[{}"#)?;
                let many = b",{}".repeat(1000);
                for _ in 0..1000 {
                    to.write_all(&many)?;
                }
                to.write_all(b"]}")
            }),
        );
    });
    let line = scene.agent.says(WITHIN, &["could not be read", "wallets", "1000001"]);
    println!("{line}");
    let longest = scene.keeps_answering(Duration::from_secs(1));
    scene.costs_little(20 << 20, longest);
    assert!(scene.agent.lines(&["could not be read"]).len() <= 2);
    scene.serves("a-b");
}

#[test]
fn twenty_one_million_empty_items_end_at_the_bound_and_everything_else_goes_on() {
    let mut scene = MisbehavingScene::set(&[], |network| {
        network.rule(
            usize::MAX,
            wallets,
            RequestFate::says(|_, to| {
                head(to, 200, &[JSON])?;
                to.write_all(br#"{"kind":"WalletsList","metadata":{"resourceVersion":"1"},"items":[{}"#)?;
                let many = b",{}".repeat(10_000);
                for _ in 0..2100 {
                    to.write_all(&many)?;
                }
                to.write_all(b"]}")
            }),
        );
    });
    scene.agent.says(WITHIN, &["more than 2000000 items", "--kube-max-list-items"]);
    let longest = scene.keeps_answering(Duration::from_secs(3));
    scene.costs_little(20 << 20, longest);
}

/// A list of pages as they are made, for ever.
fn endless(page: impl Fn(u64) -> String + Send + Sync + 'static) -> (RequestFate, Arc<AtomicU64>) {
    let pages = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&pages);
    let fate = RequestFate::says(move |_, to| {
        let body = page(count.fetch_add(1, Ordering::AcqRel));
        head(to, 200, &[JSON, ("content-length", &body.len().to_string())])?;
        to.write_all(body.as_bytes())
    });
    (fate, pages)
}

fn page(items: &str, token: &str) -> String {
    format!(
        r#"{{"kind":"WalletsList","metadata":{{"resourceVersion":"1","continue":"{token}"}},"items":[{items}]}}"#
    )
}

#[test]
fn a_list_of_empty_pages_that_never_ends_is_a_failure_of_its_kind() {
    let (fate, pages) = endless(|nth| page("", &format!("t{nth}")));
    let scene =
        MisbehavingScene::set(&["--kube-qps", "0"], |network| drop(network.rule(usize::MAX, wallets, fate)));
    scene.agent.says(WITHIN, &["wallets", "100 empty pages in a row"]);
    assert!(pages.load(Ordering::Acquire) <= 250, "{pages:?} pages were asked for");
}

#[test]
fn a_list_that_goes_on_where_it_was_is_a_failure_of_its_kind() {
    let (fate, _) = endless(|_| page("", "again"));
    let scene = MisbehavingScene::set(&[], |network| drop(network.rule(usize::MAX, wallets, fate)));
    scene.agent.says(WITHIN, &["wallets", "the page that it has just been at"]);
}

#[test]
fn a_list_of_ever_new_items_ends_at_the_bound() {
    let (fate, pages) = endless(|nth| {
        let item = |n: u64| {
            let name = nth * 500 + n;
            format!(r#"{{"metadata":{{"name":"w-{name}","uid":"u-{name}","resourceVersion":"1"}}}}"#)
        };
        page(&(0..500).map(item).collect::<Vec<_>>().join(","), &format!("t{nth}"))
    });
    let flags = ["--kube-qps", "0", "--kube-max-list-items", "20000"];
    let mut scene = MisbehavingScene::set(&flags, |network| drop(network.rule(usize::MAX, wallets, fate)));
    scene.agent.says(WITHIN, &["wallets", "more than 20000 items"]);
    assert!(pages.load(Ordering::Acquire) <= 41 * 3, "{pages:?} pages were asked for");
    let longest = scene.keeps_answering(Duration::from_secs(1));
    scene.costs_little(20 << 20, longest);
}

#[test]
fn a_page_of_html_is_named_and_no_list() {
    let mut scene = MisbehavingScene::set(&[], |network| {
        network.rule(
            usize::MAX,
            wallets,
            RequestFate::says(|_, to| {
                head(to, 200, &[("content-type", "text/html; charset=utf-8")])?;
                to.write_all(b"<html><body>Sign in</body></html>")
            }),
        );
    });
    scene.agent.says(WITHIN, &["wallets", "text/html"]);
    scene.keeps_answering(Duration::from_secs(1));
}

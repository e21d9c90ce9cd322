//! Where lists are given up.

use super::*;

impl ReflectorRig {
    fn at_most(items: u64) -> Self {
        Self {
            watch: Reflector::new(WatchTarget::kind(&ledgers()), 7).listing_at_most(items),
            now: time::now(),
        }
    }

    /// Answers with pages until there is no next one to ask for; says how many it took.
    #[track_caller]
    fn lists_until_given_up(&mut self, page: impl Fn(u64) -> ApiResponse) -> u64 {
        for nth in 0..100_000 {
            loop {
                match self.step() {
                    ReflectorStep::Tell(ReflectorEvent::Listed { .. }) | ReflectorStep::GoOn => {}
                    ReflectorStep::Tell(news) => panic!("after {nth} pages: {news:?}"),
                    ReflectorStep::List { .. } => break,
                    ReflectorStep::Wait { .. } => return nth,
                    step => panic!("{step:?}"),
                }
            }
            self.reply(page(nth));
        }
        panic!("no end of it");
    }
}

fn items(range: std::ops::Range<u64>) -> Vec<Value> {
    range.map(|n| json_of(&format!("l-{n}"), 1)).collect()
}

#[test]
fn a_list_may_have_as_many_items_as_the_bound_and_no_more() {
    let mut rig = ReflectorRig::at_most(3);
    rig.lists_afresh();
    rig.reply(page(&items(0..2), "9", "more"));
    rig.told();
    rig.told();
    assert_eq!(rig.step(), ReflectorStep::List { token: Some("more".into()) });
    rig.reply(page(&items(2..3), "9", ""));
    rig.told();
    assert!(matches!(rig.told(), ReflectorEvent::Complete { .. }));

    let mut rig = ReflectorRig::at_most(3);
    assert_eq!(rig.lists_until_given_up(|_| page(&items(0..4), "9", "")), 1);
    rig.waits();
    rig.lists_afresh();
}

#[test]
fn a_list_of_empty_pages_ends() {
    let mut rig = ReflectorRig::new();
    assert_eq!(rig.lists_until_given_up(|nth| page(&[], "9", &format!("t{nth}"))), 100);
}

#[test]
fn a_list_that_goes_on_where_it_was_ends() {
    let mut rig = ReflectorRig::new();
    assert_eq!(rig.lists_until_given_up(|nth| page(&items(nth..nth + 1), "9", "again")), 2);
}

#[test]
fn a_list_of_tiny_pages_ends_and_one_of_full_pages_goes_on() {
    let mut rig = ReflectorRig::new();
    let pages = rig.lists_until_given_up(|nth| page(&items(nth..nth + 1), "9", &format!("t{nth}")));
    assert!((100..120).contains(&pages), "{pages}");

    let mut rig = ReflectorRig::at_most(10_000);
    let pages =
        rig.lists_until_given_up(|nth| page(&items(nth * 20..nth * 20 + 20), "9", &format!("t{nth}")));
    assert_eq!(pages, 501, "the items were what was too much");
}

#[test]
fn a_failed_page_does_not_count_twice() {
    let mut rig = ReflectorRig::at_most(4);
    rig.lists_afresh();
    rig.reply(page(&items(0..2), "9", "more"));
    rig.told();
    rig.told();
    for _ in 0..2 {
        assert_eq!(rig.step(), ReflectorStep::List { token: Some("more".into()) });
        let asked = rig.now;
        rig.take(ReflectorInput::Begun { asked });
        assert_eq!(rig.step(), ReflectorStep::More);
        let begin = format!("{{\"items\":[{},", json_of("l-2", 1));
        rig.take(ReflectorInput::Piece(begin.into()));
        rig.told();
        assert_eq!(rig.step(), ReflectorStep::More);
        rig.take(ReflectorInput::Failed("reset".into()));
        rig.waits();
    }
    assert_eq!(rig.step(), ReflectorStep::List { token: Some("more".into()) });
    rig.reply(page(&items(2..4), "9", ""));
    rig.told();
    rig.told();
    assert!(matches!(rig.told(), ReflectorEvent::Complete { .. }));
}

#[test]
fn items_that_are_none_are_read_with_a_stop_now_and_then() {
    let mut rig = ReflectorRig::new();
    rig.lists_afresh();
    rig.reply(page(&vec![json!({}); 1000], "9", ""));
    let stops = std::iter::repeat_with(|| rig.step()).take_while(|step| *step == ReflectorStep::GoOn).count();
    assert_eq!(stops, 15);
    // The step after the last of them was taken by the count.
    assert!(matches!(rig.step(), ReflectorStep::Open { .. }));
}

#[test]
fn a_page_of_something_else_is_no_list() {
    let mut rig = ReflectorRig::new();
    rig.lists_afresh();
    let mut html = page(&[], "9", "");
    html.headers.insert(header::CONTENT_TYPE, "text/html".parse().unwrap());
    rig.reply(html);
    rig.waits();
    rig.lists_afresh();
}

use serde_json::{Value, json};

use super::*;

fn ledgers() -> Arc<Resource> {
    Resource::new("Ledger", "ledger", "ledgers")
}

fn ledger(name: &str, version: &str) -> Value {
    json!({"metadata": {"name": name, "uid": format!("u-{name}"), "resourceVersion": version}})
}

fn event(kind: &str, object: &Value) -> Vec<u8> {
    json!({"type": kind, "object": object}).to_string().into_bytes()
}

fn failed(cause: &str, retry_after: Option<u64>) -> ReadError {
    let retry_after = retry_after.map(Duration::from_secs);
    ReadError::Failed { subject: "ledgers".into(), cause: cause.into(), retry_after }
}

fn refused(code: u16) -> ReadError {
    let refusal = Refusal { code, reason: "Forbidden".into(), message: "no".into() };
    ReadError::Refused { subject: "ledgers".into(), refusal }
}

/// A watch and its time.
struct Rig {
    watch: Watch,
    now: Instant,
}

impl Rig {
    fn new() -> Self {
        Self { watch: Watch::new(&ledgers(), 7), now: crate::time::now() }
    }

    /// With a complete list of version 10 and an open stream.
    fn streaming() -> Self {
        let mut rig = Self::new();
        rig.next();
        rig.watch.page(None, "10".into());
        rig.open();
        rig
    }

    fn next(&mut self) -> Step {
        self.watch.next(self.now)
    }

    /// The next step after all pauses.
    fn after_pauses(&mut self) -> Step {
        loop {
            match self.next() {
                Step::Wait { until } => {
                    assert!(until > self.now);
                    self.now = until;
                }
                step => return step,
            }
        }
    }

    fn open(&mut self) {
        assert!(matches!(self.after_pauses(), Step::Open { .. }));
        self.watch.opened(self.now);
    }

    #[track_caller]
    fn pause(&mut self) -> Duration {
        let Step::Wait { until } = self.next() else { panic!("no pause") };
        until - self.now
    }

    #[track_caller]
    fn opens_from(&mut self, version: &str) {
        let Step::Open { from, lasting } = self.after_pauses() else { panic!("{:?}", self.watch) };
        assert_eq!(from, version);
        assert!(LASTING.contains(&lasting.as_secs()));
    }

    #[track_caller]
    fn lists_afresh(&mut self) {
        assert_eq!(self.after_pauses(), Step::List { next: None });
    }

    fn line(&mut self, kind: &str, object: &Value) -> Option<News> {
        self.watch.line(self.now, &event(kind, object))
    }

    fn trouble(&mut self) -> Option<String> {
        self.watch.trouble().map(|trouble| trouble.cause)
    }
}

#[test]
fn pages_are_asked_for_one_after_the_other_and_then_the_stream() {
    let mut rig = Rig::new();
    assert_eq!(rig.next(), Step::List { next: None });
    let asked = rig.now;
    rig.now += Duration::from_secs(1);
    assert_eq!(rig.watch.page(Some("t".into()), "10".into()), None);
    assert_eq!(rig.next(), Step::List { next: Some("t".into()) });
    assert_eq!(rig.watch.asked(), Some(asked), "the list is as old as its first page");
    assert_eq!(rig.watch.page(None, "10".into()), Some(News::Complete { asked }));
    rig.opens_from("10");
    rig.watch.opened(rig.now);
    assert_eq!(rig.next(), Step::Read { until: rig.now + IDLE });
}

#[test]
fn events_are_told_and_the_stream_is_taken_up_after_the_last() {
    let mut rig = Rig::streaming();
    rig.now += Duration::from_secs(5);
    let at = rig.now;
    let Some(News::Changed { object, at: when }) = rig.line("ADDED", &ledger("a", "11")) else { panic!() };
    assert_eq!((&*object.key.name, object.resource_version.as_str(), when), ("a", "11", at));
    assert!(matches!(rig.line("MODIFIED", &ledger("a", "12")), Some(News::Changed { .. })));
    assert!(matches!(rig.line("DELETED", &ledger("a", "13")), Some(News::Removed { .. })));
    assert_eq!(rig.next(), Step::Read { until: at + IDLE });
    rig.watch.ended(rig.now, None);
    assert!(matches!(rig.next(), Step::Open { .. }), "at once");
    rig.opens_from("13");
}

#[test]
fn a_bookmark_moves_on_without_a_word() {
    let mut rig = Rig::streaming();
    assert_eq!(rig.line("BOOKMARK", &json!({"metadata": {"resourceVersion": "99"}})), None);
    rig.watch.ended(rig.now, None);
    rig.opens_from("99");
    assert_eq!(rig.trouble(), None);
}

#[test]
fn an_expired_version_is_listed_afresh_wherever_it_shows() {
    // In the stream.
    for gone in [json!({"code": 410}), json!({"reason": "Expired"}), json!({"reason": "Gone", "code": 1})] {
        let mut rig = Rig::streaming();
        assert_eq!(rig.line("ERROR", &gone), None);
        rig.lists_afresh();
    }
    // When it is opened.
    let mut rig = Rig::streaming();
    rig.watch.ended(rig.now, None);
    rig.after_pauses();
    rig.watch.not_opened(rig.now, failed("410", None), true);
    rig.lists_afresh();
    // Between two pages.
    let mut rig = Rig::new();
    rig.next();
    let before = rig.now;
    rig.watch.page(Some("t".into()), "10".into());
    rig.now += Duration::from_secs(9);
    rig.watch.page_failed(rig.now, failed("410", None), true);
    rig.lists_afresh();
    assert!(rig.watch.asked().unwrap() > before, "a list of its own");
}

#[test]
fn a_list_that_fails_half_way_is_never_complete() {
    let mut rig = Rig::new();
    rig.next();
    rig.watch.page(Some("t".into()), "10".into());
    rig.next();
    assert_eq!(rig.watch.page_failed(rig.now, failed("reset", None), false), None);
    rig.lists_afresh();
}

#[test]
fn silence_is_a_dead_stream_and_is_not_taken_up() {
    let mut rig = Rig::streaming();
    rig.now += IDLE - Duration::from_secs(1);
    rig.watch.silent(rig.now);
    assert!(matches!(rig.next(), Step::Read { .. }), "not yet");
    rig.now += Duration::from_secs(1);
    rig.watch.silent(rig.now);
    assert!(rig.trouble().unwrap().contains("nothing was heard"));
    rig.lists_afresh();
}

#[test]
fn what_is_not_understood_is_listed_afresh_after_a_pause() {
    let odd: [Vec<u8>; 6] = [
        b"{\"type\":\"ADDED\",\"obj".to_vec(),
        b"[]".to_vec(),
        event("RENAMED", &ledger("a", "11")),
        event("ADDED", &json!({"metadata": {"name": "a"}})),
        event("BOOKMARK", &json!({})),
        event("ERROR", &json!({"code": 500, "message": "etcd is away"})),
    ];
    for line in odd {
        let mut rig = Rig::streaming();
        assert_eq!(rig.watch.line(rig.now, &line), None);
        assert!(rig.pause() > Duration::ZERO);
        assert!(rig.trouble().is_some(), "{}", String::from_utf8_lossy(&line));
        rig.lists_afresh();
    }
}

#[test]
fn a_broken_stream_is_taken_up_after_a_pause() {
    let mut rig = Rig::streaming();
    rig.line("ADDED", &ledger("a", "11"));
    rig.watch.ended(rig.now, Some("reset".into()));
    assert!(rig.pause() <= BACKOFF.0);
    rig.opens_from("11");
}

#[test]
fn a_stream_that_cannot_be_taken_up_is_given_up_in_the_end() {
    let mut rig = Rig::streaming();
    rig.watch.ended(rig.now, Some("reset".into()));
    for _ in 0..RESUMES - 1 {
        rig.opens_from("10");
        rig.watch.not_opened(rig.now, failed("503", None), false);
    }
    rig.opens_from("10");
    rig.watch.not_opened(rig.now, failed("503", None), false);
    rig.lists_afresh();
}

#[test]
fn streams_that_end_as_soon_as_they_begin_do_not_spin() {
    let mut rig = Rig::streaming();
    rig.watch.ended(rig.now, None);
    assert!(rig.pause() > Duration::ZERO);
    rig.open();
    rig.now += SHORT;
    rig.watch.ended(rig.now, None);
    assert!(matches!(rig.next(), Step::Open { .. }), "that one lasted");
}

#[test]
fn pauses_grow_to_half_a_minute_and_start_over_after_a_success() {
    let mut rig = Rig::new();
    let mut longest = Duration::ZERO;
    for _ in 0..12 {
        assert!(matches!(rig.after_pauses(), Step::List { .. }));
        rig.watch.page_failed(rig.now, failed("reset", None), false);
        longest = longest.max(rig.pause());
    }
    assert!(longest > BACKOFF.1 / 2 && longest <= BACKOFF.1, "{longest:?}");
    rig.after_pauses();
    rig.watch.page(None, "10".into());
    rig.open();
    rig.watch.ended(rig.now, Some("reset".into()));
    assert!(rig.pause() <= BACKOFF.0);
}

#[test]
fn a_busy_server_is_left_alone_for_as_long_as_it_asks_and_a_little_longer() {
    let mut rig = Rig::new();
    rig.next();
    rig.watch.page_failed(rig.now, failed("429", Some(20)), false);
    let pause = rig.pause();
    assert!(pause >= Duration::from_secs(20) && pause < Duration::from_secs(26), "{pause:?}");
}

#[test]
fn a_refusal_is_told_once_and_tried_again_slowly() {
    let mut rig = Rig::new();
    rig.next();
    let told = rig.watch.page_failed(rig.now, refused(403), false);
    assert!(matches!(told, Some(News::Refused { listed: false, .. })), "{told:?}");
    assert!(rig.pause() >= REFUSED / 2 && rig.pause() <= REFUSED);
    rig.lists_afresh();
    assert_eq!(rig.watch.page_failed(rig.now, refused(403), false), None);
    rig.lists_afresh();
    rig.watch.page(None, "10".into());
    rig.open();
    rig.watch.ended(rig.now, Some("reset".into()));
    rig.after_pauses();
    let told = rig.watch.not_opened(rig.now, refused(403), false);
    assert!(matches!(told, Some(News::Refused { listed: true, .. })), "it was granted in between");
}

#[test]
fn a_kind_that_can_be_listed_and_not_watched_is_listed_now_and_then() {
    let mut rig = Rig::new();
    for round in 0..3 {
        rig.lists_afresh();
        assert!(matches!(rig.watch.page(None, "10".into()), Some(News::Complete { .. })));
        rig.opens_from("10");
        let told = rig.watch.not_opened(rig.now, refused(403), false);
        assert_eq!(told.is_some(), round == 0);
        assert!(rig.pause() >= REFUSED / 2);
    }
}

#[test]
fn answers_that_come_out_of_turn_change_nothing() {
    let mut rig = Rig::new();
    rig.next();
    assert_eq!(rig.line("ADDED", &ledger("a", "11")), None);
    rig.watch.opened(rig.now);
    rig.watch.ended(rig.now, None);
    rig.watch.silent(rig.now + 2 * IDLE);
    assert_eq!(rig.next(), Step::List { next: None });
    let mut rig = Rig::streaming();
    assert_eq!(rig.watch.page(None, "77".into()), None);
    assert!(matches!(rig.next(), Step::Read { .. }));
}

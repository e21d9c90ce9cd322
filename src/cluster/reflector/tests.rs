mod bounds;
mod trouble;

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, StatusCode, header};
use serde_json::{Value, json};

use super::*;
use crate::{
    cluster::response::ApiResponse,
    stack::object::{Object, Resource},
    time,
};

/// A machine and a clock that only a test moves.
struct ReflectorRig {
    watch: Reflector,
    now: Instant,
}

fn ledgers() -> Arc<Resource> {
    Resource::new("Ledger", "ledger", "ledgers")
}

fn json_of(name: &str, version: u32) -> Value {
    json!({"metadata": {"name": name, "uid": format!("u-{name}"), "resourceVersion": version.to_string()}})
}

fn object(name: &str, version: u32) -> Box<Object> {
    Box::new(Object::from_json(&ledgers(), json_of(name, version)).unwrap())
}

fn reply(code: u16, body: &str) -> ApiResponse {
    let status = StatusCode::from_u16(code).unwrap();
    ApiResponse { status, headers: HeaderMap::new(), body: body.to_owned().into() }
}

fn busy(code: u16, seconds: u64) -> ApiResponse {
    let mut reply = reply(code, "later");
    reply.headers.insert(header::RETRY_AFTER, seconds.into());
    reply
}

fn page(items: &[Value], version: &str, token: &str) -> ApiResponse {
    let metadata = json!({"resourceVersion": version, "continue": token});
    reply(200, &json!({"kind": "LedgerList", "items": items, "metadata": metadata}).to_string())
}

impl ReflectorRig {
    fn new() -> Self {
        Self { watch: Reflector::new(WatchTarget::kind(&ledgers()), 7), now: time::now() }
    }

    /// One that has listed nothing at version 5 and watches.
    fn watching() -> Self {
        let mut rig = Self::new();
        rig.relist();
        rig.open("5");
        rig
    }

    fn step(&mut self) -> ReflectorStep {
        self.watch.step(self.now)
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
    }

    fn take(&mut self, input: ReflectorInput) {
        self.watch.take(input, self.now);
    }

    fn reply(&mut self, reply: ApiResponse) {
        let asked = self.now;
        self.take(ReflectorInput::Page { reply, asked });
    }

    fn line(&mut self, r#type: &str, object: &Value) {
        self.take(ReflectorInput::Line(json!({"type": r#type, "object": object}).to_string().into()));
    }

    #[track_caller]
    fn told(&mut self) -> ReflectorEvent {
        match self.step() {
            ReflectorStep::Tell(news) => news,
            other => panic!("nothing is told: {other:?}"),
        }
    }

    /// Wants a list from its first page on, at once.
    #[track_caller]
    fn lists_afresh(&mut self) {
        assert_eq!(self.step(), ReflectorStep::List { token: None });
    }

    /// Wants to watch from this version, at once.
    #[track_caller]
    fn opens(&mut self, from: &str) {
        let step = self.step();
        assert!(matches!(&step, ReflectorStep::Open { version, .. } if version == from), "{step:?}");
    }

    #[track_caller]
    fn reads(&mut self) {
        let step = self.step();
        assert!(matches!(step, ReflectorStep::Read { .. }), "{step:?}");
    }

    /// Waits, and the test with it; says how long.
    #[track_caller]
    fn waits(&mut self) -> Duration {
        let ReflectorStep::Wait { until } = self.step() else { panic!("it does not wait: {:?}", self.watch) };
        let wait = until - self.now;
        self.pass(wait.checked_sub(Duration::from_millis(1)).expect("no wait to speak of"));
        assert_eq!(self.step(), ReflectorStep::Wait { until });
        self.pass(Duration::from_millis(1));
        wait
    }

    #[track_caller]
    fn relist(&mut self) {
        self.lists_afresh();
        self.reply(page(&[], "5", ""));
        let asked = self.now;
        assert_eq!(self.told(), ReflectorEvent::Complete { asked, version: "5".into() });
    }

    #[track_caller]
    fn open(&mut self, from: &str) {
        self.opens(from);
        self.take(ReflectorInput::Opened);
        self.reads();
    }
}

fn millis(range: std::ops::RangeInclusive<u64>) -> std::ops::RangeInclusive<Duration> {
    Duration::from_millis(*range.start())..=Duration::from_millis(*range.end())
}

#[test]
fn a_list_is_told_page_by_page_and_then_complete() {
    let mut rig = ReflectorRig::new();
    rig.lists_afresh();
    let asked = rig.now;
    rig.pass(Duration::from_millis(3));
    rig.take(ReflectorInput::Page { reply: page(&[json_of("a", 1), json_of("b", 2)], "9", "more"), asked });
    assert_eq!(rig.told(), ReflectorEvent::Listed { object: object("a", 1), asked });
    assert_eq!(rig.told(), ReflectorEvent::Listed { object: object("b", 2), asked });
    assert_eq!(rig.step(), ReflectorStep::List { token: Some("more".into()) });
    rig.pass(Duration::from_secs(1));
    rig.reply(page(&[json_of("c", 3)], "9", ""));
    assert_eq!(rig.told(), ReflectorEvent::Listed { object: object("c", 3), asked });
    assert_eq!(rig.told(), ReflectorEvent::Complete { asked, version: "9".into() });
    rig.opens("9");
}

#[test]
fn changes_are_told_with_the_time_they_were_heard() {
    let mut rig = ReflectorRig::watching();
    rig.pass(Duration::from_secs(2));
    rig.line("ADDED", &json_of("a", 6));
    assert_eq!(rig.told(), ReflectorEvent::Changed { object: object("a", 6), at: rig.now });
    rig.reads();
    rig.line("MODIFIED", &json_of("a", 7));
    assert_eq!(rig.told(), ReflectorEvent::Changed { object: object("a", 7), at: rig.now });
    rig.line("DELETED", &json_of("a", 8));
    assert_eq!(rig.told(), ReflectorEvent::Removed { object: object("a", 8), at: rig.now });
    rig.reads();
}

#[test]
fn a_watch_whose_time_is_over_goes_on_at_once_from_the_last_version() {
    for (r#type, version) in [("MODIFIED", 6), ("DELETED", 7), ("BOOKMARK", 8)] {
        let mut rig = ReflectorRig::watching();
        rig.line(r#type, &json_of("a", version));
        if r#type != "BOOKMARK" {
            rig.told();
        }
        rig.reads();
        rig.pass(Duration::from_secs(300));
        rig.take(ReflectorInput::Ended);
        rig.opens(&version.to_string());
    }
}

#[test]
fn a_watch_without_bookmarks_goes_on_from_the_list() {
    let mut rig = ReflectorRig::watching();
    for _ in 0..50 {
        rig.pass(Duration::from_secs(100));
        rig.take(ReflectorInput::Ended);
        rig.open("5");
    }
}

#[test]
fn a_watch_that_ends_too_soon_goes_on_after_a_wait() {
    let mut rig = ReflectorRig::watching();
    rig.pass(Duration::from_millis(999));
    rig.take(ReflectorInput::Ended);
    assert!(millis(250..=500).contains(&rig.waits()));
    rig.opens("5");
}

#[test]
fn lifetimes_are_drawn_and_the_seed_decides() {
    let draw = |seed| {
        let mut watch = Reflector::new(WatchTarget::kind(&ledgers()), seed);
        let now = time::now();
        watch.state = ReflectorState::Opening { version: "1".into() };
        (0..100)
            .map(|_| match watch.step(now) {
                ReflectorStep::Open { timeout, .. } => timeout.as_secs(),
                other => panic!("{other:?}"),
            })
            .collect::<Vec<_>>()
    };
    let drawn = draw(1);
    assert!(drawn.iter().all(|seconds| (290..=580).contains(seconds)));
    assert!(drawn.iter().max().unwrap() - drawn.iter().min().unwrap() > 200);
    assert_eq!(draw(1), drawn);
    assert_ne!(draw(2), drawn);
}

#[test]
fn silence_has_it_start_afresh_and_not_go_on() {
    let mut rig = ReflectorRig::watching();
    rig.line("ADDED", &json_of("a", 6));
    rig.told();
    rig.reads();
    rig.pass(IDLE.checked_sub(Duration::from_millis(1)).unwrap());
    rig.reads();
    rig.pass(Duration::from_millis(1));
    rig.lists_afresh();
}

#[test]
fn whatever_is_heard_is_no_silence() {
    let mut rig = ReflectorRig::watching();
    let inputs = [
        || ReflectorInput::Heard,
        || ReflectorInput::Line(json!({"type": "BOOKMARK", "object": json_of("", 6)}).to_string().into()),
    ];
    for input in inputs {
        rig.pass(Duration::from_secs(149));
        rig.take(input());
        rig.reads();
    }
    rig.pass(Duration::from_secs(149));
    rig.reads();
}

#[test]
fn a_consumer_without_room_is_no_silence() {
    let mut rig = ReflectorRig::watching();
    rig.line("ADDED", &json_of("a", 6));
    rig.told();
    rig.pass(Duration::from_secs(1000));
    let until = rig.now + IDLE;
    assert_eq!(rig.step(), ReflectorStep::Read { until });
}

#[test]
fn an_item_without_identity_is_left_out_and_the_list_still_complete() {
    let mut rig = ReflectorRig::new();
    rig.lists_afresh();
    let odd = json!({"metadata": {"name": "odd", "resourceVersion": "3"}});
    rig.reply(page(&[json_of("a", 1), odd, json!(null), json_of("b", 2)], "9", ""));
    let asked = rig.now;
    assert_eq!(rig.told(), ReflectorEvent::Listed { object: object("a", 1), asked });
    assert_eq!(rig.told(), ReflectorEvent::Listed { object: object("b", 2), asked });
    assert_eq!(rig.told(), ReflectorEvent::Complete { asked, version: "9".into() });
}

#[test]
fn what_comes_of_something_given_up_is_ignored() {
    let mut rig = ReflectorRig::watching();
    rig.line("NONSENSE", &json!({}));
    rig.line("ADDED", &json_of("a", 6));
    rig.take(ReflectorInput::Ended);
    rig.waits();
    rig.lists_afresh();
    rig.take(ReflectorInput::Heard);
    rig.lists_afresh();
}

//! Refusals, failures, and what cannot be read.

use super::*;

fn status(code: u16, reason: &str) -> Value {
    json!({"kind": "Status", "code": code, "reason": reason, "message": "as told"})
}

fn gone() -> ApiResponse {
    reply(410, &status(410, "Expired").to_string())
}

/// Things that put an end to a watch.
fn line(r#type: &str, object: &Value) -> ReflectorInput {
    ReflectorInput::Line(json!({"type": r#type, "object": object}).to_string().into())
}

#[test]
fn an_expired_version_has_it_list_afresh_at_once() {
    let mut rig = ReflectorRig::watching();
    rig.take(line("ERROR", &status(410, "Expired")));
    rig.relist();
    rig.opens("5");

    let mut rig = ReflectorRig::watching();
    rig.take(line("ERROR", &status(0, "Gone")));
    rig.lists_afresh();

    let mut rig = ReflectorRig::new();
    rig.relist();
    rig.opens("5");
    rig.take(ReflectorInput::Answer(gone()));
    rig.lists_afresh();
}

#[test]
fn a_list_that_expires_between_pages_begins_anew_and_was_never_complete() {
    let mut rig = ReflectorRig::new();
    rig.lists_afresh();
    rig.reply(page(&[json_of("a", 1)], "9", "more"));
    assert!(matches!(rig.told(), ReflectorEvent::Listed { .. }));
    assert_eq!(rig.step(), ReflectorStep::List { token: Some("more".into()) });
    rig.pass(Duration::from_secs(1));
    rig.reply(gone());
    // And its time is that of the new first page.
    rig.relist();
}

#[test]
fn one_expiry_after_the_other_is_slowed_down() {
    let mut rig = ReflectorRig::watching();
    rig.take(line("ERROR", &status(410, "Expired")));
    let mut waited = Duration::ZERO;
    for _ in 0..8 {
        rig.relist();
        rig.opens("5");
        rig.take(ReflectorInput::Answer(gone()));
        waited = rig.waits();
    }
    assert!(millis(5_000..=10_000).contains(&waited), "{waited:?}");
}

#[test]
fn what_cannot_be_relied_on_has_it_list_afresh_after_a_wait() {
    for input in [
        line("SYNC", &json_of("a", 6)),
        line("ADDED", &json!({"metadata": {"name": "a", "resourceVersion": "6"}})),
        line("BOOKMARK", &json!({"metadata": {}})),
        line("ERROR", &status(500, "InternalError")),
        ReflectorInput::Line(Bytes::from_static(br#"{"type":"ADDED","object":{"metad"#)),
        ReflectorInput::Unusable("an event is larger than 16384 KiB".into()),
    ] {
        let mut rig = ReflectorRig::watching();
        rig.take(input);
        assert!(millis(250..=500).contains(&rig.waits()));
        rig.lists_afresh();
    }
}

#[test]
fn a_watch_that_breaks_goes_on_from_the_last_version() {
    let mut rig = ReflectorRig::watching();
    rig.take(line("ADDED", &json_of("a", 6)));
    rig.told();
    rig.take(ReflectorInput::Failed("reset".into()));
    assert!(millis(250..=500).contains(&rig.waits()));
    rig.opens("6");
    for answer in [reply(500, ""), reply(504, ""), reply(503, ""), reply(401, "")] {
        let mut rig = ReflectorRig::new();
        rig.relist();
        rig.opens("5");
        rig.take(ReflectorInput::Answer(answer));
        assert!(millis(250..=500).contains(&rig.waits()));
        rig.opens("5");
    }
}

#[test]
fn attempts_to_go_on_that_all_fail_end_in_a_fresh_list() {
    let mut rig = ReflectorRig::watching();
    rig.pass(Duration::from_secs(60));
    rig.take(ReflectorInput::Failed("reset".into()));
    for _ in 0..STUMBLES {
        rig.waits();
        rig.opens("5");
        rig.take(ReflectorInput::Failed("refused".into()));
    }
    rig.waits();
    rig.relist();
    // From where the count begins anew.
    rig.opens("5");
    rig.take(ReflectorInput::Failed("refused".into()));
    rig.waits();
    rig.opens("5");
}

#[test]
fn a_watch_that_gets_ahead_may_break_as_often_as_it_likes() {
    let mut rig = ReflectorRig::watching();
    for version in 6..20 {
        rig.take(line("ADDED", &json_of("a", version)));
        rig.told();
        rig.take(ReflectorInput::Failed("reset".into()));
        rig.waits();
        rig.open(&version.to_string());
    }
}

#[test]
fn a_page_that_fails_is_asked_for_again_and_after_some_failures_the_whole_list() {
    let mut rig = ReflectorRig::new();
    rig.lists_afresh();
    rig.reply(page(&[], "9", "more"));
    for _ in 0..STUMBLES {
        assert_eq!(rig.step(), ReflectorStep::List { token: Some("more".into()) });
        rig.take(ReflectorInput::Failed("reset".into()));
        rig.waits();
    }
    assert_eq!(rig.step(), ReflectorStep::List { token: Some("more".into()) });
    rig.reply(reply(500, ""));
    rig.waits();
    rig.relist();
}

#[test]
fn a_page_that_cannot_be_read_is_never_a_complete_list() {
    let whole = page(&[json_of("a", 1)], "9", "");
    let body = String::from_utf8(whole.body.to_vec()).unwrap();
    for body in [&body[..body.len() - 2], "<html>", "{}", &body.replace("\"9\"", "\"\"")] {
        let mut rig = ReflectorRig::new();
        rig.lists_afresh();
        rig.reply(reply(200, body));
        let mut step = rig.step();
        while let ReflectorStep::Tell(news) = step {
            assert!(matches!(news, ReflectorEvent::Listed { .. }), "{news:?}");
            step = rig.step();
        }
        assert!(millis(250..=500).contains(&rig.waits()));
        rig.lists_afresh();
    }
}

#[test]
fn waits_grow_and_a_steady_watch_starts_them_over() {
    let mut rig = ReflectorRig::watching();
    let mut waits = Vec::new();
    for _ in 0..8 {
        rig.take(line("SYNC", &json!({})));
        waits.push(rig.waits());
        rig.relist();
        rig.open("5");
    }
    assert!(millis(250..=500).contains(&waits[0]) && millis(5_000..=10_000).contains(&waits[7]), "{waits:?}");
    assert!(waits.iter().all(|wait| *wait <= Duration::from_secs(10)));
    rig.pass(STEADY);
    rig.take(line("SYNC", &json!({})));
    assert!(millis(250..=500).contains(&rig.waits()));
}

#[test]
fn a_busy_server_is_left_alone_for_as_long_as_it_says_and_a_little_longer() {
    let mut rig = ReflectorRig::new();
    for code in [429, 503] {
        rig.lists_afresh();
        rig.reply(busy(code, 7));
        assert!(millis(7_000..=8_750).contains(&rig.waits()));
    }
    rig.relist();
    rig.opens("5");
    rig.take(ReflectorInput::Answer(busy(429, 1)));
    assert!(millis(1_000..=1_250).contains(&rig.waits()));
    rig.opens("5");
    rig.take(ReflectorInput::Answer(busy(429, 86_400)));
    assert!(millis(60_000..=75_000).contains(&rig.waits()));
}

#[test]
fn a_refusal_is_told_once_and_asked_about_slowly() {
    let forbidden = || reply(403, &status(403, "Forbidden").to_string());
    let mut rig = ReflectorRig::new();
    rig.lists_afresh();
    rig.reply(forbidden());
    let ReflectorEvent::Refused { missing, refusal } = rig.told() else { panic!() };
    assert_eq!((missing, refusal.code, refusal.reason.as_str()), (false, 403, "Forbidden"));
    for _ in 0..3 {
        assert!(millis(30_000..=60_000).contains(&rig.waits()));
        rig.lists_afresh();
        rig.reply(forbidden());
    }
    rig.waits();
    // Granted, and taken again after a watch was open.
    rig.relist();
    rig.open("5");
    rig.pass(Duration::from_secs(300));
    rig.take(ReflectorInput::Ended);
    rig.opens("5");
    rig.take(ReflectorInput::Answer(forbidden()));
    assert!(matches!(rig.told(), ReflectorEvent::Refused { .. }));
}

#[test]
fn where_only_watching_is_refused_lists_go_on_slowly() {
    let mut rig = ReflectorRig::new();
    for round in 0..3 {
        rig.relist();
        rig.opens("5");
        rig.take(ReflectorInput::Answer(reply(403, "")));
        if round == 0 {
            assert!(matches!(rig.told(), ReflectorEvent::Refused { missing: false, .. }));
        }
        assert!(millis(30_000..=60_000).contains(&rig.waits()));
    }
}

#[test]
fn a_missing_kind_is_told_from_a_missing_right() {
    let mut rig = ReflectorRig::new();
    rig.lists_afresh();
    rig.reply(reply(403, ""));
    assert!(matches!(rig.told(), ReflectorEvent::Refused { missing: false, .. }));
    rig.waits();
    rig.lists_afresh();
    rig.reply(reply(404, "404 page not found\n"));
    assert!(matches!(rig.told(), ReflectorEvent::Refused { missing: true, .. }));
    rig.waits();
    rig.relist();
}

#[test]
fn a_wait_after_a_failure_is_cut_short_once_where_others_succeed() {
    let mut rig = ReflectorRig::new();
    rig.relist();
    rig.opens("5");
    for _ in 0..6 {
        rig.take(ReflectorInput::Failed("refused".into()));
        rig.waits();
        rig.step();
    }
    rig.take(ReflectorInput::Failed("refused".into()));
    let ReflectorStep::Wait { until } = rig.step() else { panic!("a wait") };
    assert!(until > rig.now + Duration::from_secs(4));
    rig.watch.hurry(rig.now);
    assert!(!matches!(rig.step(), ReflectorStep::Wait { .. }), "tried at once");
    // That was in vain: it fails for a reason of its own.
    rig.take(ReflectorInput::Failed("refused".into()));
    rig.watch.hurry(rig.now);
    assert!(matches!(rig.step(), ReflectorStep::Wait { .. }));
    rig.waits();
    rig.step();
    rig.take(ReflectorInput::Failed("refused".into()));
    rig.watch.hurry(rig.now);
    assert!(!matches!(rig.step(), ReflectorStep::Wait { .. }), "the next one is cut short again");
}

#[test]
fn a_wait_that_was_asked_for_is_not_cut_short() {
    let mut rig = ReflectorRig::new();
    rig.step();
    rig.reply(busy(429, 20));
    rig.watch.hurry(rig.now);
    assert!(matches!(rig.step(), ReflectorStep::Wait { .. }));
    let mut rig = ReflectorRig::new();
    rig.step();
    rig.reply(reply(403, ""));
    rig.told();
    rig.watch.hurry(rig.now);
    assert!(matches!(rig.step(), ReflectorStep::Wait { .. }));
}

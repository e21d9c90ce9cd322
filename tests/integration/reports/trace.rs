//! Trace context: whose trace a report belongs to.

use serde_json::{Value, json};
use stackherd::membership::wire::server::Message;

use crate::{
    reports::ReportScene,
    support::{
        deeds::set_status,
        orders::{StackExt, deleted, stack},
    },
};

const KEY: &str = "_otelCtx";
const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

fn context(message: &Message) -> Value {
    let text = message.metadata.get(KEY).unwrap_or_else(|| panic!("no context: {message:?}"));
    serde_json::from_str(text).unwrap_or_else(|fault| panic!("{fault}: {text}"))
}

/// The context of an order as it is sent.
fn sent() -> String {
    json!({ "traceparent": PARENT }).to_string()
}

/// It is of the order's trace.
#[track_caller]
fn assert_of_the_trace(message: &Message) {
    let context = context(message);
    let parent = context["traceparent"].as_str().unwrap_or_else(|| panic!("no traceparent: {message:?}"));
    assert_eq!(parent.split('-').nth(1), Some(TRACE), "{message:?}");
}

#[test]
fn reports_that_an_order_led_to_carry_its_context() {
    let mut scene = ReportScene::set();
    let order = || stack("traced").modules(&["ledger"]);
    scene.given(order(), &["stacks", "ledgers"]);
    for plural in ["stacks", "ledgers"] {
        set_status(&scene.rest, plural, "traced", &json!({"ready": true}));
    }
    assert_eq!(context(&scene.next("statusChanged", "traced")), json!({}), "nobody's");
    scene.settle();
    scene.joined.order_with(order().order(), &[(KEY, &sent())]);
    assert_of_the_trace(&scene.exactly(1, "statusChanged", "traced")[0]);
    assert_of_the_trace(&scene.exactly(1, "moduleStatusChanged", "traced")[0]);
    // What the operator does later is not the order's.
    scene.forget();
    set_status(&scene.rest, "stacks", "traced", &json!({"ready": false}));
    assert_eq!(context(&scene.next("statusChanged", "traced")), json!({}));
}

#[test]
fn the_answer_for_a_stack_that_is_not_there_carries_the_orders_context() {
    let mut scene = ReportScene::set();
    scene.joined.order_with(deleted("nowhere"), &[(KEY, &sent())]);
    assert_of_the_trace(&scene.next("stackDeleted", "nowhere"));
}

#[test]
fn orders_with_a_broken_context_or_none_lead_to_empty_ones() {
    let mut scene = ReportScene::set();
    for broken in ["", "{", "null", "[1]", "{\"traceparent\":7}", "{\"traceparent\":\"nonsense\"}"] {
        scene.joined.order_with(deleted("nowhere"), &[(KEY, broken)]);
        assert_eq!(context(&scene.next("stackDeleted", "nowhere")), json!({}), "{broken:?}");
    }
    scene.order(deleted("nowhere"));
    assert_eq!(context(&scene.next("stackDeleted", "nowhere")), json!({}));
}

//! Class 17 of the faults: orders that are wrong in part or in whole. Each gets an error that names
//! stack and field, the rest of it and all other stacks are unaffected, and the next good order
//! makes it right.

use std::time::Duration;

use stackherd::membership::wire::server::{Module, Stack, order};

use crate::support::{
    agent::{AgentProcess, while_it_lives},
    cluster::TestCluster,
    membership::{Joined, TestMembership},
    objects::{
        Expected, all, assert_has_exactly, auth_spec, client_spec, find, get, module_spec, stack_spec,
        stargate_spec,
    },
    orders::{StackExt, deleted, disabled, enabled, stack},
    rest::Rest,
};

const WITHIN: Duration = Duration::from_secs(30);
/// More than the API server takes, and less than the limit of a message.
const LARGE: usize = 7 << 19;

struct BadOrderScene {
    rest: Rest,
    agent: AgentProcess,
    joined: Joined,
    membership: TestMembership,
    _cluster: TestCluster,
}

impl BadOrderScene {
    fn set() -> Self {
        let (cluster, membership) = (TestCluster::start(), TestMembership::start());
        let agent = cluster.agent(&membership).arg("--shards=2").start();
        let joined = membership.joined(WITHIN);
        let scene = Self { rest: cluster.rest(), agent, joined, membership, _cluster: cluster };
        scene.order(neighbour("neighbour-before"));
        scene
    }

    fn order(&self, order: order::Message) {
        self.joined.order(order);
    }

    /// The agent says a line with all of these words.
    #[track_caller]
    fn is_told(&self, words: &[&str]) {
        self.agent.says(WITHIN, words);
    }

    #[track_caller]
    fn until_there(&mut self, plural: &str, name: &str) {
        let rest = &self.rest;
        while_it_lives(&mut self.agent, &format!("{plural}/{name}"), WITHIN, || find(rest, plural, name));
    }

    /// A good order for this stack is applied to the last object; so are those of other stacks, over
    /// the same stream.
    #[track_caller]
    fn recovers(&mut self, name: &str) {
        let good = stack(name).versions("good").modules(&["ledger", "auth"]).auth().stargate(false);
        self.order(good.client("web", true).label("good", "yes").order());
        self.order(neighbour("neighbour-after"));
        let rest = self.rest.clone();
        let good = |plural: &str, name: &str| {
            let object = find(&rest, plural, name)?;
            (object["metadata"]["labels"]["formance.com/good"] == "yes").then_some(())
        };
        let client = format!("{name}-web");
        for (plural, of) in [
            ("stacks", name),
            ("ledgers", name),
            ("auths", name),
            ("stargates", name),
            ("authclients", &client),
        ] {
            while_it_lives(&mut self.agent, &format!("good {plural}"), WITHIN, || good(plural, of));
        }
        let expected = Expected { labels: &[("formance.com/good", "yes")], ..Expected::of(name) };
        expected.stack(&rest, stack_spec("good", false));
        expected.child(&rest, "auths", name, auth_spec(name, true));
        expected.child(&rest, "authclients", &client, client_spec(name, "web", true));
        self.unharmed();
    }

    /// Other stacks went on, over the first stream.
    #[track_caller]
    fn unharmed(&mut self) {
        self.order(neighbour("neighbour-after"));
        for name in ["neighbour-before", "neighbour-after"] {
            self.until_there("ledgers", name);
            Expected::of(name).stack(&self.rest, stack_spec("default", false));
        }
        assert_eq!(self.membership.joins(), 1, "the stream broke");
        self.agent.lives();
    }
}

fn neighbour(name: &str) -> order::Message {
    stack(name).modules(&["ledger"]).order()
}

#[test]
fn a_missing_auth_config_costs_the_stargate_alone() {
    let mut scene = BadOrderScene::set();
    let order = stack("no-auth").modules(&["ledger", "auth", "payments"]).stargate(false).client("web", true);
    scene.order(order.order());
    scene.is_told(&["no-auth", "authConfig"]);
    for (plural, name) in [
        ("ledgers", "no-auth"),
        ("auths", "no-auth"),
        ("payments", "no-auth"),
        ("authclients", "no-auth-web"),
    ] {
        scene.until_there(plural, name);
    }
    Expected::of("no-auth").child(&scene.rest, "auths", "no-auth", auth_spec("no-auth", false));
    assert_eq!(find(&scene.rest, "stargates", "no-auth"), None);
    scene.recovers("no-auth");
    let spec = stargate_spec("no-auth", "no", "auth", false);
    Expected { labels: &[("formance.com/good", "yes")], ..Expected::of("no-auth") }.child(
        &scene.rest,
        "stargates",
        "no-auth",
        spec,
    );
}

#[test]
fn a_stargate_on_a_stack_without_a_dash_costs_the_stargate_alone() {
    let mut scene = BadOrderScene::set();
    scene.order(
        stack("nodash").modules(&["ledger", "auth"]).auth().stargate(false).client("web", false).order(),
    );
    scene.is_told(&["nodash", "stargateConfig"]);
    for (plural, name) in [("ledgers", "nodash"), ("auths", "nodash"), ("authclients", "nodash-web")] {
        scene.until_there(plural, name);
    }
    assert_has_exactly(
        &scene.rest,
        "nodash",
        &["stacks/nodash", "ledgers/nodash", "auths/nodash", "authclients/nodash-web"],
    );
    scene.order(stack("nodash").versions("good").order());
    while_it_lives(&mut scene.agent, "the next order", WITHIN, || {
        (get(&scene.rest, "stacks", "nodash")["spec"]["versionsFromFile"] == "good").then_some(())
    });
    scene.unharmed();
}

#[test]
fn orders_for_names_that_no_stack_can_have_are_told_and_nothing_is_made() {
    let mut scene = BadOrderScene::set();
    let long = "a".repeat(300);
    for name in ["../x", "Upper-Case", &long, "under_score", "-edge", "a/b", "line\nbreak", "\u{1b}[31mred"] {
        scene.order(stack(name).modules(&["ledger"]).client("web", true).order());
        scene.order(deleted(name));
        scene.order(disabled(name));
        scene.order(enabled(name));
    }
    scene.is_told(&["clusterName", "../x"]);
    scene.is_told(&["clusterName", "Upper-Case"]);
    scene.is_told(&["clusterName", "aaaaaaaa", "300"]);
    scene.is_told(&["clusterName", "under_score"]);
    scene.unharmed();
    assert!(
        scene.agent.lines(&["break"]).iter().all(|line| line.contains("clusterName")),
        "a line of its own"
    );
    assert!(!scene.agent.log().contains("\u{1b}[31mred"), "the log's reader is not to be coloured by orders");
    assert!(all(&scene.rest).keys().all(|key| key.contains("neighbour-")), "{:?}", all(&scene.rest).keys());
}

#[test]
fn orders_without_a_name_are_told_and_nothing_is_made() {
    let mut scene = BadOrderScene::set();
    for order in [stack("").modules(&["ledger"]).order(), deleted(""), disabled(""), enabled("")] {
        scene.order(order);
    }
    scene.is_told(&["clusterName is empty"]);
    scene.unharmed();
    assert_eq!(scene.agent.lines(&["clusterName is empty"]).len(), 4, "one line each");
    assert!(all(&scene.rest).keys().all(|key| key.contains("neighbour-")));
}

#[test]
fn a_label_that_the_server_would_refuse_is_left_out_alone() {
    let mut scene = BadOrderScene::set();
    let order = stack("bad-label")
        .modules(&["ledger"])
        .label("spaced", "two words")
        .label("long", &"x".repeat(64))
        .label("no key", "1")
        .label("fine", "1");
    scene.order(order.order());
    for key in ["spaced", "long", "no key"] {
        scene.is_told(&["bad-label", "additionalLabels", key]);
    }
    scene.until_there("ledgers", "bad-label");
    let expected = Expected { labels: &[("formance.com/fine", "1")], ..Expected::of("bad-label") };
    expected.stack(&scene.rest, stack_spec("default", false));
    expected.child(&scene.rest, "ledgers", "bad-label", module_spec("bad-label"));
    scene.recovers("bad-label");
}

#[test]
fn an_annotation_that_the_server_would_refuse_is_left_out_alone() {
    let mut scene = BadOrderScene::set();
    let order = stack("bad-note")
        .modules(&["ledger"])
        .annotation("huge", &"x".repeat(300_000))
        .annotation("no key", "1")
        .annotation("fine", "any words");
    scene.order(order.order());
    for key in ["huge", "no key"] {
        scene.is_told(&["bad-note", "additionalAnnotations", key]);
    }
    scene.until_there("ledgers", "bad-note");
    let expected =
        Expected { annotations: &[("formance.com/fine", "any words")], ..Expected::of("bad-note") };
    expected.child(&scene.rest, "ledgers", "bad-note", module_spec("bad-note"));
    scene.recovers("bad-note");
}

#[test]
fn modules_that_the_cluster_does_not_know_are_left_out_alone() {
    let mut scene = BadOrderScene::set();
    let mut order = stack("bad-module").modules(&["ledger", "Teleporter", "../stacks"]);
    order.modules.push(Module { name: String::new() });
    scene.order(order.order());
    scene.is_told(&["bad-module", "modules", "teleporter"]);
    scene.is_told(&["bad-module", "modules", "../stacks"]);
    scene.until_there("ledgers", "bad-module");
    assert_has_exactly(&scene.rest, "bad-module", &["stacks/bad-module", "ledgers/bad-module"]);
    scene.recovers("bad-module");
}

#[test]
fn clients_that_make_no_object_name_are_left_out_alone() {
    let mut scene = BadOrderScene::set();
    let order = stack("bad-client").modules(&["ledger"]).client("Not A Name", true).client("", true);
    scene.order(order.client("fine", true).order());
    scene.is_told(&["bad-client", "staticClients", "Not A Name"]);
    scene.until_there("authclients", "bad-client-fine");
    scene.until_there("ledgers", "bad-client");
    assert_has_exactly(
        &scene.rest,
        "bad-client",
        &["stacks/bad-client", "ledgers/bad-client", "authclients/bad-client-fine"],
    );
    scene.recovers("bad-client");
}

#[test]
fn bytes_that_are_no_order_are_told_and_the_stream_goes_on() {
    let mut scene = BadOrderScene::set();
    // A length-delimited field that ends too late; a group that does not end; text that is no UTF-8.
    let broken: [&[u8]; 4] = [&[0x12, 0x7f, 1], &[0xff; 40], &[0x1b], &[0x12, 4, 0x0a, 2, 0xff, 0xfe]];
    for bytes in broken {
        scene.joined.bytes(bytes);
    }
    scene.is_told(&["no order"]);
    // No message at all, and one of a kind to come: normal, both.
    scene.joined.bytes(&[]);
    scene.joined.bytes(&[0x9a, 0x06, 2, 0x0a, 0]);
    scene.unharmed();
    assert!(scene.agent.lines(&["no order"]).len() >= broken.len(), "one line each:\n{}", scene.agent.log());
}

#[test]
fn megabytes_of_an_order_that_are_of_no_use_do_no_harm() {
    let mut scene = BadOrderScene::set();
    let order = Stack { seed: "x".repeat(LARGE), ..stack("big-seed") };
    scene.order(order.modules(&["ledger"]).order());
    scene.until_there("ledgers", "big-seed");
    scene.recovers("big-seed");
}

#[test]
fn megabytes_that_the_server_refuses_are_told_and_parked() {
    let mut scene = BadOrderScene::set();
    scene.order(stack("big-spec").versions(&"x".repeat(LARGE)).modules(&["ledger"]).order());
    scene.is_told(&["big-spec", "413"]);
    assert_eq!(find(&scene.rest, "stacks", "big-spec"), None);
    let longest = scene.agent.log().lines().map(str::len).max().unwrap_or_default();
    assert!(longest < 10_000, "a log line of {longest} bytes");
    scene.recovers("big-spec");
}

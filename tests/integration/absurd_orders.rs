//! Orders of absurd size or number. Each is told in a line that says how much of it was left out,
//! costs little time and memory, takes nothing away, and those behind it are carried out.

use std::{thread, time::Duration};

use stackherd::membership::wire::server::{AuthClient, Module, Stack, order};

use crate::support::{
    agent::{AgentProcess, while_it_lives},
    assets::{not_run, this_test},
    cgroups::Cgroup,
    cluster::TestCluster,
    membership::{Joined, TestMembership},
    orders::{StackExt, deleted, disabled, enabled, stack},
};

const WITHIN: Duration = Duration::from_secs(60);
/// What a Pong may take behind any order, on a machine that has other things to do as well: it was 40 s.
const PROMPT: Duration = Duration::from_secs(5);
/// What the agent may work for one of them, whatever else the machine does.
const WORK: Duration = Duration::from_millis(250);
/// What deployments give the agent.
const MEMORY: u64 = 128 << 20;

struct AbsurdOrderScene {
    cluster: TestCluster,
    agent: AgentProcess,
    joined: Joined,
    membership: TestMembership,
    neighbours: usize,
}

impl AbsurdOrderScene {
    fn with(flags: &[&str], shell: &str) -> Self {
        let (cluster, membership) = (TestCluster::start(), TestMembership::start());
        let agent = cluster.agent(&membership).args(["--shards=2"]).args(flags).after(shell).start();
        let joined = membership.joined(WITHIN);
        let mut scene = Self { cluster, agent, joined, membership, neighbours: 0 };
        scene.goes_on();
        scene
    }

    fn set() -> Self {
        Self::with(&[], "true")
    }

    fn order(&self, order: order::Message) {
        self.joined.order(order);
    }

    #[track_caller]
    fn until(&mut self, what: &str, reached: impl Fn(&TestCluster) -> bool) {
        let cluster = &self.cluster;
        while_it_lives(&mut self.agent, what, WITHIN, || reached(cluster).then_some(()));
    }

    /// An order behind all others is carried out, over the first stream.
    #[track_caller]
    fn goes_on(&mut self) {
        self.neighbours += 1;
        let name = format!("neighbour-{}", self.neighbours);
        self.order(stack(&name).modules(&["ledger"]).order());
        self.until(&name, |cluster| cluster.objects().contains_key(&format!("ledgers/{name}")));
        assert_eq!(self.membership.joins(), 1, "the stream broke");
        self.agent.lives();
    }

    /// Sends an order a few times, and gives the shortest time after which a Ping behind it was
    /// answered: on a busy machine others make it longer, and never shorter. The agent works for each of
    /// them no longer than `work`.
    #[track_caller]
    fn pong_behind(&mut self, order: &order::Message, work: Duration) -> Duration {
        let before = self.agent.cpu_time();
        let times = (0..4).map(|_| {
            self.order(order.clone());
            let time = self.joined.ping(WITHIN);
            thread::sleep(Duration::from_millis(100));
            time
        });
        let shortest = times.min().unwrap();
        let each = self.agent.cpu_time().saturating_sub(before) / 4;
        println!("{each:?} of CPU time for each");
        assert!(each < work, "{each:?} of CPU time for each");
        shortest
    }

    fn kib(&self) -> u64 {
        self.agent.peak_memory() >> 10
    }
}

fn modules(n: usize, name: impl Fn(usize) -> String) -> Vec<Module> {
    (0..n).map(|n| Module { name: name(n) }).collect()
}

/// The rows of the trials: what is absurd about each, and the words of its line.
fn absurd(name: &str) -> Vec<(&'static str, Stack, Vec<&'static str>)> {
    let base = || stack(name).modules(&["ledger"]).label("fine", "yes");
    let with_modules = |more: Vec<Module>| {
        let mut order = base();
        order.modules.extend(more);
        order
    };
    let mut illegal = base();
    illegal.additional_labels.extend((0..100_000).map(|n| (format!("label-{n}"), "no good".to_owned())));
    let mut clients = base();
    clients.static_clients = vec![AuthClient::default(); 500_000];
    let mut twice = base();
    twice.static_clients = vec![AuthClient { id: "web".into(), public: true }; 100_000];
    vec![
        ("600 kB of empty modules", with_modules(vec![Module::default(); 300_000]), vec!["299995 more"]),
        ("1 MB of empty modules", with_modules(vec![Module::default(); 500_000]), vec!["499995 more"]),
        ("4 MB of empty modules", with_modules(vec![Module::default(); 2_000_000]), vec!["1999995 more"]),
        ("1 MB of empty clients", clients, vec!["staticClients[0].id", "499995 more"]),
        ("100,000 illegal labels", illegal, vec!["additionalLabels[\"label-0\"]", "99995 more"]),
        (
            "200,000 unknown modules",
            with_modules(modules(200_000, |n| format!("unknown-{n}"))),
            vec!["modules", "199000 beyond"],
        ),
        ("a client 100,000 times", twice, vec!["stands twice", "99994 more"]),
    ]
}

#[test]
fn an_absurd_order_is_one_line_and_a_moment_and_the_rest_of_it_is_carried_out() {
    for (what, order, words) in absurd("absurd") {
        let mut scene = AbsurdOrderScene::set();
        let name = "absurd";
        let before = scene.kib();
        let pong = scene.pong_behind(&order.order(), WORK);
        println!("{what}: Pong after {pong:?}, peak memory {before} to {} KiB", scene.kib());
        assert!(pong < PROMPT, "{what}: a Ping was answered after {pong:?} only");
        let line = scene.agent.says(WITHIN, &[&[name], &words[..]].concat());
        assert!(line.len() < 3_000, "{what}: {} bytes: {line}", line.len());
        assert!(scene.agent.lines(&[name]).len() <= 4, "{what}: a line for each time it came at most");
        scene.until(what, |cluster| {
            let objects = cluster.objects();
            let label =
                |object: &serde_json::Value| object["metadata"]["labels"]["formance.com/fine"] == "yes";
            objects.get(&format!("ledgers/{name}")).is_some_and(label)
        });
        scene.goes_on();
        assert!(scene.agent.peak_memory() < MEMORY / 2, "{} KiB", scene.kib());
    }
}

#[test]
fn sixty_megabytes_in_one_field_are_refused_by_a_limit_that_is_named_and_never_kept() {
    let mut scene = AbsurdOrderScene::set();
    let before = scene.kib();
    scene.order(stack("huge").versions(&"x".repeat(60 << 20)).modules(&["ledger"]).order());
    scene.goes_on();
    scene.agent.says(WITHIN, &["--max-message-bytes", "4194304", &(60 << 20).to_string()[..3]]);
    println!("peak memory {before} to {} KiB", scene.kib());
    assert!(!scene.cluster.objects().contains_key("stacks/huge"));
    assert!(scene.agent.peak_memory() < 64 << 20, "{} KiB", scene.kib());
}

#[test]
fn eight_megabytes_of_empty_modules_are_read_where_the_limit_allows_it() {
    let mut scene = AbsurdOrderScene::with(&["--max-message-bytes=16777216"], "true");
    let mut order = stack("large").modules(&["ledger"]);
    order.modules.extend(vec![Module::default(); 4 << 20]);
    let pong = scene.pong_behind(&order.order(), Duration::from_millis(500));
    println!("Pong after {pong:?}, peak memory {} KiB", scene.kib());
    assert!(pong < PROMPT, "{pong:?}");
    scene.until("the rest of it", |cluster| cluster.objects().contains_key("ledgers/large"));
    scene.goes_on();
    assert!(scene.agent.peak_memory() < MEMORY, "{} KiB", scene.kib());
}

#[test]
fn what_a_message_may_have_is_what_the_flag_says() {
    let mut scene = AbsurdOrderScene::with(&["--max-message-bytes=2000"], "true");
    scene.order(Stack { seed: "x".repeat(1_900), ..stack("just-fits") }.order());
    scene.order(Stack { seed: "x".repeat(2_000), ..stack("too-long") }.order());
    scene.goes_on();
    scene.agent.says(WITHIN, &["--max-message-bytes", "2000"]);
    scene.until("what fits", |cluster| cluster.objects().contains_key("stacks/just-fits"));
    assert!(!scene.cluster.objects().contains_key("stacks/too-long"));
}

#[test]
fn a_stream_of_messages_of_the_wrong_shape_is_a_few_lines_with_a_count() {
    const TIMES: usize = 20_000;
    let mut scene = AbsurdOrderScene::with(&["--max-message-bytes=2000"], "true");
    let long = vec![b'x'; 2_001];
    for n in 0..TIMES {
        scene.joined.bytes(&[0x12, 0x7f, 1]);
        scene.joined.bytes(&[0x9a, 0x06, 2, 0x0a, 0]);
        scene.order(stack(&format!("No Name {n}")).order());
        scene.order(deleted(&"x".repeat(100)));
        scene.order(enabled(""));
        scene.order(disabled(&format!("_{n}")));
        if n % 10 == 0 {
            scene.joined.bytes(&long);
        }
    }
    scene.joined.pings(3, WITHIN);
    scene.goes_on();
    let log = scene.agent.log();
    let lines = log.lines().count();
    println!("{lines} lines for {} messages", 6 * TIMES + TIMES / 10);
    assert!(lines < 7 * 10 + 60, "{lines} lines:\n{log}");
    for words in ["no order", "does not know", "No Name", "100 bytes", "empty", "_1", "--max-message-bytes"] {
        assert!(!scene.agent.lines(&[words]).is_empty(), "{words} is not said:\n{log}");
    }
    // How many there were is said though nothing of the kind follows.
    scene.agent.says(WITHIN, &["more were left out", "no order"]);
}

#[test]
fn orders_that_are_wrong_in_part_are_a_few_lines_for_the_fleet() {
    let mut scene = AbsurdOrderScene::with(&["--kube-qps=0"], "true");
    for n in 0..1_000 {
        let order = stack(&format!("partly-{n}")).modules(&["ledger", "teleporter"]);
        scene.order(order.label("bad", "no good").client("No Client", true).order());
    }
    scene.until("all of them", |cluster| cluster.objects().len() >= 2_000);
    scene.goes_on();
    let lines = scene.agent.lines(&["partly-"]).len();
    println!("{lines} lines for 1,000 orders");
    assert!((1..60).contains(&lines), "{lines} lines:\n{}", scene.agent.log());
    let line = &scene.agent.lines(&["partly-"])[0];
    for words in ["additionalLabels[\"bad\"]", "modules[teleporter]", "staticClients[0].id"] {
        assert!(line.contains(words), "one line has it all: {line}");
    }
    scene.agent.says(WITHIN, &["more", "orders that are wrong in part"]);
}

#[test]
fn what_an_order_left_out_is_not_deleted_and_goes_with_the_next_good_one() {
    let mut scene = AbsurdOrderScene::set();
    let full = || stack("spared").modules(&["ledger", "auth"]).auth().client("web", true).label("kept", "1");
    scene.order(full().order());
    let there = |cluster: &TestCluster| {
        let objects = cluster.objects();
        ["ledgers/spared", "auths/spared", "authclients/spared-web"]
            .iter()
            .all(|key| objects.contains_key(*key))
    };
    scene.until("all of it", there);
    let mut absurd = stack("spared").versions("absurd");
    absurd.modules = vec![Module::default(); 1_000];
    absurd.static_clients = vec![AuthClient::default(); 1_000];
    absurd.additional_labels = (0..1_500).map(|n| (format!("label-{n}"), "v".to_owned())).collect();
    scene.order(absurd.order());
    scene.until("the absurd order", |cluster| {
        cluster.objects()["stacks/spared"]["spec"]["versionsFromFile"] == "absurd"
    });
    scene.goes_on();
    let stack_now = scene.cluster.objects()["stacks/spared"].clone();
    assert!(there(&scene.cluster), "{:?}", scene.cluster.objects().keys());
    assert_eq!(
        stack_now["metadata"]["labels"]["formance.com/kept"], "1",
        "a label may be among those left out"
    );
    scene.order(stack("spared").versions("good").order());
    scene.until("what is not wanted is gone", |cluster| {
        let objects = cluster.objects();
        objects.keys().filter(|key| key.contains("spared")).count() == 1
            && objects["stacks/spared"]["metadata"]["labels"].get("formance.com/kept").is_none()
    });
}

#[test]
fn stacks_beyond_the_most_are_refused_and_the_flag_is_named() {
    const MOST: usize = 50;
    let mut scene = AbsurdOrderScene::with(&["--max-stacks=50", "--kube-qps=0"], "true");
    for n in 0..40 * MOST {
        scene.order(stack(&format!("many-{n}")).order());
    }
    let stacks =
        |cluster: &TestCluster| cluster.objects().keys().filter(|key| key.starts_with("stacks/")).count();
    scene.until("as many as may be", |cluster| stacks(cluster) >= MOST);
    let line = scene.agent.says(WITHIN, &["--max-stacks", "50 stacks are known"]);
    assert!(line.contains("many-"), "{line}");
    scene.joined.pings(3, WITHIN);
    assert_eq!(stacks(&scene.cluster), MOST);
    let lines = scene.agent.lines(&["--max-stacks"]).len();
    assert!(lines <= 2 * 10 + 4, "{lines} lines");

    // Those that are known go on, and one that goes makes room.
    scene.order(stack("neighbour-1").versions("again").order());
    scene.until("a known one", |cluster| {
        cluster.objects()["stacks/neighbour-1"]["spec"]["versionsFromFile"] == "again"
    });
    let names: Vec<String> = scene
        .cluster
        .objects()
        .keys()
        .filter_map(|key| key.strip_prefix("stacks/many-").map(|n| format!("many-{n}")))
        .take(5)
        .collect();
    for name in &names {
        scene.order(deleted(name));
    }
    scene.until("room", |cluster| stacks(cluster) < MOST);
    thread::sleep(Duration::from_secs(3));
    scene.goes_on();
}

#[test]
fn orders_for_stacks_without_end_take_a_bounded_memory_and_a_few_lines() {
    const ORDERS: usize = 200_000;
    const MOST: usize = 50_000;
    let mut scene = AbsurdOrderScene::with(&["--max-stacks=50000", "--kube-qps=100"], "true");
    let before = scene.agent.peak_memory();
    for n in 0..ORDERS {
        scene.order(stack(&format!("endless-{n}")).versions("v1").modules(&["ledger"]).order());
    }
    scene.joined.pings(3, WITHIN);
    scene.agent.says(WITHIN, &["--max-stacks", "50000 stacks are known"]);
    let each = (scene.agent.peak_memory() - before) / MOST as u64;
    println!("{each} bytes for a stack that waits, peak memory {} KiB", scene.kib());
    assert!(each < 2_000, "{each} bytes for a stack of which nothing but an order is known");
    let lines = scene.agent.log().lines().count();
    println!("{lines} lines for {ORDERS} orders");
    assert!(lines < 100, "{lines} lines");
    // One that is known still gets its orders, behind those that wait.
    scene.joined.ping(WITHIN);
    assert_eq!(scene.membership.joins(), 1, "the stream broke");
    scene.agent.lives();
}

#[test]
fn in_128_mib_one_order_of_60_mb_and_one_of_empty_modules_do_no_harm() {
    let cgroup = match Cgroup::new("stackherd-absurd", 1.0, MEMORY) {
        Ok(cgroup) => cgroup,
        Err(why) => {
            let remedy = "running the tests as root";
            return not_run(&this_test(), &format!("no cgroup can be made: {why}"), remedy);
        }
    };
    let mut scene = AbsurdOrderScene::with(&[], &cgroup.enter());
    scene.order(stack("huge").versions(&"x".repeat(60 << 20)).order());
    scene.goes_on();
    let order = Stack { modules: vec![Module::default(); 300_000], ..stack("empty") };
    let pong = scene.pong_behind(&order.order(), WORK);
    println!("Pong after {pong:?}, peak memory {} KiB", scene.kib());
    assert!(pong < PROMPT, "{pong:?}");
    scene.goes_on();
    assert!(scene.agent.peak_memory() < MEMORY / 2, "{} KiB", scene.kib());
}

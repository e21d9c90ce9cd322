//! Work on what membership sends grows as its size does, and no faster: twice as much input, about
//! twice as many allocations, bytes and CPU time. Nothing here is measured in seconds.
//!
//! Comparing each entry with each takes no memory, so CPU time of the thread is counted as well: eight
//! times the input may take 2.5³ times as long, where a quadratic step would take 64 times.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
    collections::HashMap,
    hint::black_box,
    rc::Rc,
};

use prost::Message as _;
use rustix::time::{ClockId, clock_gettime};
use serde_json::json;
use stackherd::{
    membership::wire::{self, server},
    order::{Change, Order, Snapshot, StackName, Trace},
    replay::lines,
    stack::{
        desired::{Desired, StackBaseUrl, desired, fingerprint},
        machine::{Carryover, Machine, MachineContext, MachineOptions, MachineStep, OrderArrival},
        object::{Catalog, Object, Resource},
        plan::{self, Action},
        version,
        write::Write,
    },
    time::now,
};

/// The most that twice the input may take.
const DOUBLED: f64 = 2.5;
/// What a run takes whatever its input: not to be counted as growth.
const ALLOCATIONS: u64 = 200;
const BYTES: u64 = 64 << 10;
const NANOSECONDS: u64 = 200_000;

/// Counts what its thread allocates.
struct AllocationCounter;

thread_local! {
    static ALLOCATED: Cell<(u64, u64)> = const { Cell::new((0, 0)) };
}

#[allow(unsafe_code, reason = "there is no other way to count what is allocated")]
unsafe impl GlobalAlloc for AllocationCounter {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let _ = ALLOCATED.try_with(|counted| {
            let (times, bytes) = counted.get();
            counted.set((times + 1, bytes + layout.size() as u64));
        });
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static COUNTING: AllocationCounter = AllocationCounter;

/// What one run took.
#[derive(Debug, Clone, Copy)]
struct Cost {
    allocations: u64,
    bytes: u64,
    nanoseconds: u64,
}

fn cpu() -> u64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    u64::try_from(time.tv_sec).unwrap() * 1_000_000_000 + u64::try_from(time.tv_nsec).unwrap()
}

/// The least that some runs took: others on the machine make it more, never less.
fn cost<T, R>(make: &dyn Fn(usize) -> T, run: &dyn Fn(T) -> R, n: usize) -> Cost {
    let once = |input: T| {
        let (before, began) = (ALLOCATED.get(), cpu());
        let result = black_box(run(black_box(input)));
        let (after, ended) = (ALLOCATED.get(), cpu());
        drop(result);
        Cost { allocations: after.0 - before.0, bytes: after.1 - before.1, nanoseconds: ended - began }
    };
    let costs: Vec<Cost> = (0..4).map(|_| once(make(n))).collect();
    Cost { nanoseconds: costs.iter().map(|cost| cost.nanoseconds).min().unwrap(), ..*costs.last().unwrap() }
}

/// Runs with `n`, `2n`, `4n` and `8n`.
#[track_caller]
fn is_linear<T, R>(what: &str, n: usize, make: impl Fn(usize) -> T, run: impl Fn(T) -> R) {
    let costs = [1, 2, 4, 8].map(|times| cost(&make, &run, times * n));
    println!("{what}, {n} to {}: {costs:?}", 8 * n);
    for pair in costs.windows(2) {
        let grew = |before: u64, after: u64, free: u64| after as f64 <= DOUBLED * before as f64 + free as f64;
        assert!(grew(pair[0].allocations, pair[1].allocations, ALLOCATIONS), "{what}: {costs:#?}");
        assert!(grew(pair[0].bytes, pair[1].bytes, BYTES), "{what}: {costs:#?}");
    }
    let [first, .., last] = costs;
    let most = DOUBLED.powi(3) * first.nanoseconds as f64 + NANOSECONDS as f64;
    assert!(last.nanoseconds as f64 <= most, "{what}: {costs:#?}");
}

fn encoded(stack: server::Stack) -> Vec<u8> {
    let stack = server::Stack { cluster_name: "org-linear".into(), ..stack };
    let message = Some(server::order::Message::ExistingStack(stack));
    server::Order { message, metadata: HashMap::new() }.encode_to_vec()
}

fn modules(n: usize, name: impl Fn(usize) -> String) -> server::Stack {
    let modules = (0..n).map(|n| server::Module { name: name(n) }).collect();
    server::Stack { modules, ..server::Stack::default() }
}

fn clients(n: usize, id: impl Fn(usize) -> String) -> server::Stack {
    let static_clients = (0..n).map(|n| server::AuthClient { id: id(n), public: false }).collect();
    server::Stack { static_clients, ..server::Stack::default() }
}

fn pairs(n: usize, value: &str) -> HashMap<String, String> {
    (0..n).map(|n| (format!("key-{n:07}"), value.to_owned())).collect()
}

fn labels(n: usize, value: &str) -> server::Stack {
    server::Stack { additional_labels: pairs(n, value), ..server::Stack::default() }
}

fn annotations(n: usize, value: &str) -> server::Stack {
    server::Stack { additional_annotations: pairs(n, value), ..server::Stack::default() }
}

/// What it is, how many of it at first, and an order with so many.
type LinearCase = (&'static str, usize, fn(usize) -> server::Stack);

/// The orders that took 40 s, and their siblings. Sizes are such that the largest is near the limit of
/// a message.
fn orders() -> Vec<LinearCase> {
    vec![
        ("empty modules", 200_000, |n| modules(n, |_| String::new())),
        ("unknown modules", 25_000, |n| modules(n, |n| format!("unknown-{n}"))),
        ("unknown modules, backwards", 25_000, |n| modules(n, |at| format!("unknown-{:07}", n - at))),
        ("one module", 25_000, |n| modules(n, |_| "ledger".into())),
        ("modules in capitals", 25_000, |n| modules(n, |n| format!("MODULE-{n}"))),
        ("modules with long names", 1_000, |n| modules(n, |n| format!("{n:0300}"))),
        ("empty clients", 200_000, |n| clients(n, |_| String::new())),
        ("clients", 20_000, |n| clients(n, |n| format!("client-{n}"))),
        ("clients, backwards", 20_000, |n| clients(n, |at| format!("client-{:07}", n - at))),
        ("one client", 20_000, |n| clients(n, |_| "web".into())),
        ("illegal clients", 20_000, |n| clients(n, |n| format!("No Client {n}"))),
        ("labels", 12_000, |n| labels(n, "fine")),
        ("illegal labels", 12_000, |n| labels(n, "no good")),
        ("annotations", 12_000, |n| annotations(n, "any text")),
        ("large annotations", 50, |n| annotations(n, &"x".repeat(10_000))),
        ("text", 400_000, |n| server::Stack { versions: "x".repeat(n), ..server::Stack::default() }),
    ]
}

fn read(bytes: &[u8]) -> Order {
    wire::decode(bytes, &|name| MODULES.contains(&name)).unwrap().unwrap().0.unwrap()
}

#[test]
fn reading_an_order_takes_as_much_as_the_order_is_long() {
    for (what, n, stack) in orders() {
        is_linear(what, n, |n| encoded(stack(n)), |bytes| read(&bytes));
    }
}

#[test]
fn an_order_takes_no_more_memory_than_a_few_times_its_length() {
    for (what, n, stack) in orders() {
        let bytes = encoded(stack(8 * n));
        let cost = cost(&|_| bytes.clone(), &|bytes: Vec<u8>| read(&bytes), 0);
        println!("{what}: {} bytes on the wire, {cost:?}", bytes.len());
        // All that was ever allocated, and not only at one time.
        assert!(cost.bytes < 4 * bytes.len() as u64 + (4 << 20), "{what}: {cost:?}");
    }
}

#[test]
fn finding_out_what_a_message_is_about_is_linear() {
    let metadata = |n| {
        let message = Some(server::order::Message::Ping(server::Ping {}));
        server::Order { message, metadata: pairs(n, "value") }.encode_to_vec()
    };
    is_linear("kind", 12_000, metadata, |bytes| wire::message_kind(&bytes));
    is_linear("metadata", 12_000, metadata, |bytes| wire::decode(&bytes, &|_| false));
}

#[test]
fn an_order_in_json_takes_as_much_as_its_line_is_long() {
    for (what, n, stack) in orders() {
        let line = |n| {
            let stack = server::Stack { cluster_name: "org-linear".into(), ..stack(n) };
            let message = Some(server::order::Message::ExistingStack(stack));
            serde_json::to_vec(&server::Order { message, metadata: HashMap::new() }).unwrap()
        };
        is_linear(what, n / 8, line, |line| lines::order(&line, &|_| false));
        let with_null = |n| {
            let mut line = line(n);
            line.truncate(line.len() - 1);
            line.extend_from_slice(b",\"deletedStack\":null}");
            line
        };
        is_linear(what, n / 8, with_null, |line| lines::order(&line, &|_| false).unwrap());
    }
}

#[test]
fn a_trace_context_takes_as_much_as_it_is_long() {
    let carrier = |n: usize| {
        let entries: serde_json::Map<_, _> = (0..n).map(|n| (format!("k{n}"), json!("v"))).collect();
        serde_json::to_string(&entries).unwrap()
    };
    is_linear("small carriers", 100, carrier, |text| Trace::read(&text));
    is_linear("carriers", 10_000, carrier, |text| Trace::read(&text));
}

#[test]
fn resource_versions_of_any_length_compare_in_linear_time() {
    is_linear("versions", 100_000, |n| ["9".repeat(n), "9".repeat(n)], |[a, b]| version::compare(&a, &b));
}

const MODULES: [&str; 3] = ["auth", "gateway", "ledger"];

fn context() -> Rc<MachineContext> {
    let resource =
        |singular: &str| Resource::new(&singular.to_uppercase(), singular, &format!("{singular}s"));
    let catalog = Catalog::new(MODULES.into_iter().map(resource).collect());
    Rc::new(MachineContext::new(catalog, base_url(), MachineOptions::default(), 1))
}

fn base_url() -> StackBaseUrl {
    StackBaseUrl { scheme: "https".into(), host: "example.com".into() }
}

/// What snapshots may hold at most, and a part of it.
fn snapshots() -> Vec<LinearCase> {
    vec![
        ("clients", 125, |n| clients(n, |n| format!("client-{n}"))),
        ("unknown modules", 125, |n| modules(n, |n| format!("unknown-{n}"))),
        ("labels", 125, |n| labels(n, "fine")),
        ("illegal labels", 125, |n| labels(n, "no good")),
        ("annotations", 1_500, |n| annotations(n, "")),
    ]
}

fn snapshot(stack: server::Stack) -> Box<Snapshot> {
    match read(&encoded(stack)).change {
        Change::Existing(snapshot) => snapshot,
        change => panic!("{change:?}"),
    }
}

fn name() -> StackName {
    StackName::new("org-linear").unwrap()
}

#[test]
fn deciding_what_shall_be_is_linear() {
    let context = context();
    for (what, n, stack) in snapshots() {
        is_linear(what, n, |n| snapshot(stack(n)), |snapshot| fingerprint(&snapshot));
        let wanted = |snapshot: Box<Snapshot>| desired(&name(), &snapshot, &context.catalog, &base_url());
        is_linear(what, n, |n| snapshot(stack(n)), wanted);
    }
}

fn machine(snapshot: Box<Snapshot>, context: &Rc<MachineContext>) -> Machine {
    let order = Order { stack: name(), change: Change::Existing(snapshot) };
    Machine::new(order, Carryover::default(), Rc::clone(context), OrderArrival::New)
}

#[test]
fn the_first_step_of_an_order_is_linear() {
    let context = context();
    for (what, n, stack) in snapshots() {
        let run = |snapshot| {
            let mut machine = machine(snapshot, &context);
            machine.refresh(Vec::new());
            let step = machine.next(now());
            assert_eq!(step, MachineStep::Write);
            (machine.write(now()), machine.notices(), machine.into_parts(now()))
        };
        is_linear(what, n, |n| snapshot(stack(n)), run);
    }
}

/// All that is wanted, as it stands in a cluster.
fn standing(desired: &Desired) -> Vec<Object> {
    let stack = plan::stack("org-linear", desired, None);
    let children = desired.children.iter();
    let children = children.map(|child| plan::child("org-linear", desired, child, None, "uid"));
    let object = |(at, action)| {
        let Action::Write(Write::Create { key, mut body }) = action else { panic!("{action:?}") };
        body["metadata"]["uid"] = if at == 0 { "uid".into() } else { format!("uid-{at}").into() };
        body["metadata"]["resourceVersion"] = "5".into();
        Object::from_json(&key.resource, body).unwrap()
    };
    [stack].into_iter().chain(children).enumerate().map(object).collect()
}

#[test]
fn looking_at_a_stack_that_is_right_or_has_too_much_is_linear() {
    let context = context();
    for (what, n, stack) in snapshots() {
        let make = |n| {
            let snapshot = snapshot(stack(n));
            let objects = standing(&desired(&name(), &snapshot, &context.catalog, &base_url()));
            (snapshot, objects)
        };
        let look = |mut snapshot: Box<Snapshot>, objects: Vec<Object>, wanted: bool| {
            if !wanted {
                snapshot.clients.clear();
            }
            let mut machine = machine(snapshot, &context);
            machine.refresh(objects);
            (machine.next(now()), machine.notices(), machine)
        };
        is_linear(what, n, make, |(snapshot, objects)| look(snapshot, objects, true));
        is_linear(what, n, make, |(snapshot, objects)| look(snapshot, objects, false));
    }
}

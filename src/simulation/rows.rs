//! Each class of faults by itself, with the number of its row in the name.
//!
//! A family goes through all the points at which its fault can strike and says how many there were.
//! `cargo xtask safeguards` runs each without the safeguard that it is there for, and it has to fail then.

mod bad_shard;
mod crash;
mod hot;
mod late;
mod leftovers;
mod limits;
mod lost;
mod order_stream;
mod others;
mod outage;
mod overload;
mod stale;
mod supersede;
mod terminating;
mod unlistable;
mod unseen;
mod watch_protocol;

use std::{
    cell::RefCell,
    collections::BTreeMap,
    panic::{AssertUnwindSafe, catch_unwind},
    rc::Rc,
    time::Duration,
};

use serde_json::{Value, json};
use shards::simulation::Simulation;

use super::{
    api_server::{Call, Fate, Manner},
    membership::order,
    world::{Options, World},
};
use crate::{
    membership::wire::server::{
        AuthClient, AuthConfig, DeletedStack, DisabledStack, EnabledStack, Module, Order, Stack,
        StargateConfig, order::Message,
    },
    net,
};

/// The stack that most families are about.
const STACK: &str = "org-alpha";
/// How long a stack may take to become right where nothing stands in the way for long.
const SOON: Duration = Duration::from_secs(120);

/// What a family went through.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Covered {
    points: usize,
    /// Faults that struck.
    struck: usize,
}

impl Covered {
    fn add(&mut self, struck: usize) {
        self.points += 1;
        self.struck += struck;
    }
}

/// Runs a scene in a world of its own, and looks at what must hold in any.
fn play<T: 'static>(
    options: Options,
    scene: impl AsyncFnOnce(Rc<World>) -> Result<T, String> + 'static,
) -> Result<T, String> {
    let simulation = Simulation::new(options.seed);
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        simulation.run(async move {
            let world = World::new(options);
            let outcome = scene(Rc::clone(&world)).await?;
            world.server.guards.violation().map_or(Ok(outcome), Err)
        })
    }));
    crate::cluster::simulated::install(None);
    crate::membership::simulated::install(None);
    outcome.unwrap_or_else(|panic| {
        simulation.abandon();
        Err(format!("a panic: {:?}", panic.downcast_ref::<String>()))
    })
}

/// Runs a family and says what it covered.
fn family(row: &str, run: impl Fn() -> Result<Covered, String>) {
    let covered = run().unwrap_or_else(|wrong| panic!("{row}: {wrong}"));
    assert!(covered.struck > 0, "{row}: no fault ever struck");
    println!("{row}: {} points, {} faults struck", covered.points, covered.struck);
}

/// An order for the stack as a full snapshot; `version` marks what follows from it.
fn existing(version: &str, modules: &[&str], clients: &[&str], stargate: bool) -> Order {
    existing_of(STACK, version, modules, clients, stargate)
}

fn existing_of(name: &str, version: &str, modules: &[&str], clients: &[&str], stargate: bool) -> Order {
    order(Message::ExistingStack(Stack {
        cluster_name: name.into(),
        versions: version.into(),
        modules: modules.iter().map(|name| Module { name: (*name).into() }).collect(),
        static_clients: clients.iter().map(|id| AuthClient { id: (*id).into(), public: true }).collect(),
        stargate_config: Some(StargateConfig {
            enabled: stargate,
            url: "stargate.example".into(),
            disable_tls: false,
        }),
        auth_config: Some(AuthConfig {
            issuer: "https://issuer.example".into(),
            client_id: "client".into(),
            client_secret: format!("secret-{version}"),
        }),
        additional_labels: match version {
            "first" => {
                [("plan".to_owned(), version.to_owned()), ("team".to_owned(), "red".to_owned())].into()
            }
            _ => [("plan".to_owned(), version.to_owned())].into(),
        },
        ..Stack::default()
    }))
}

/// What a stack begins with.
fn first() -> Order {
    existing("first", &["auth", "ledger", "gateway"], &["web", "app"], false)
}

/// What it becomes: other modules, labels and secrets, one client less.
fn second() -> Order {
    existing("second", &["auth", "ledger", "payments"], &["web"], true)
}

fn deleted() -> Order {
    order(Message::DeletedStack(DeletedStack { cluster_name: STACK.into() }))
}

fn disabled() -> Order {
    order(Message::DisabledStack(DisabledStack { cluster_name: STACK.into() }))
}

fn enabled() -> Order {
    order(Message::EnabledStack(EnabledStack { cluster_name: STACK.into() }))
}

/// Orders that are carried out one after the other; the last is the one that faults strike.
type Story = (&'static str, fn() -> Vec<Order>);

const STORIES: [Story; 5] = [
    ("made", || vec![first()]),
    ("changed", || vec![first(), second()]),
    ("deleted", || vec![first(), deleted()]),
    ("disabled", || vec![first(), disabled()]),
    ("enabled", || vec![first(), disabled(), enabled()]),
];

/// The cluster's content: specs and labels by kind and name.
type Content = BTreeMap<(String, String), Value>;

fn content(world: &World) -> Content {
    let told = |object: &Value| {
        let mut labels = object["metadata"]["labels"].clone();
        if let Some(labels) = labels.as_object_mut() {
            labels.retain(|key, _| !key.ends_with("-fence"));
        }
        json!({"spec": object["spec"], "labels": labels})
    };
    world.objects().iter().map(|(key, object)| (key.clone(), told(object))).collect()
}

/// Starts the agent and carries out all orders but the last.
async fn begin(world: &Rc<World>, orders: &[Order]) -> Result<(), String> {
    world.start();
    world.ready().await?;
    for order in orders {
        world.membership.order(order);
        world.converged(SOON).await?;
    }
    net::sleep(Duration::from_secs(2)).await;
    Ok(())
}

/// A story without faults: the requests and writes before its last order and after it, and the
/// cluster's content in the end.
#[derive(Debug, Clone)]
struct Told {
    before: (usize, usize),
    after: (usize, usize),
    end: Content,
}

fn told(options: Options, story: Story) -> Result<Told, String> {
    play(options, async move |world| {
        let mut orders = story.1();
        let last = orders.pop().ok_or("an empty story")?;
        begin(&world, &orders).await?;
        let before = world.server.counts();
        world.membership.order(&last);
        world.converged(SOON).await?;
        net::sleep(Duration::from_secs(2)).await;
        Ok(Told { before, after: world.server.counts(), end: content(&world) })
    })
}

/// Decides the fate of the requests for which this gives one, and counts them.
fn script(world: &World, mut fate: impl FnMut(&Call) -> Option<Fate> + 'static) -> Rc<RefCell<usize>> {
    let struck = Rc::new(RefCell::new(0));
    let count = Rc::clone(&struck);
    world.server.set_script(Box::new(move |call| {
        let fate = fate(call);
        *count.borrow_mut() += usize::from(fate.is_some());
        fate
    }));
    struck
}

/// Everything is right, the content is this, and it stays so.
async fn ends_as(world: &World, end: &Content, within: Duration) -> Result<(), String> {
    world.converged(within).await?;
    same(world, end)?;
    net::sleep(Duration::from_secs(40)).await;
    match world.wrong() {
        Some(wrong) => Err(format!("right, and later not any more: {wrong}")),
        None => same(world, end),
    }
}

fn same(world: &World, end: &Content) -> Result<(), String> {
    let now = content(world);
    if now == *end {
        return Ok(());
    }
    let differs = |(key, value): (&(String, String), &Value)| {
        (now.get(key) != Some(value))
            .then(|| format!("{}/{} is {:?}, not {value}", key.0, key.1, now.get(key)))
    };
    let first = end.iter().find_map(differs);
    Err(first.unwrap_or_else(|| format!("there is more than {:?}", end.keys().collect::<Vec<_>>())))
}

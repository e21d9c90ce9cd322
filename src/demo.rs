//! `stackherd demo`: the real agent between an embedded membership and an embedded cluster.
//!
//! All three talk over real sockets on loopback. The fleet's orders come from a seed, and at
//! the end the cluster is compared with the last orders by `check`, and what membership was told
//! with the cluster by `mirror`; neither shares code with what the agent decides by.

pub(crate) mod check;
pub(crate) mod fleet;
pub(crate) mod mirror;
mod outcome;
mod progress;
mod world;

use std::{collections::BTreeMap, process::ExitCode, time::Duration};

use crate::{
    config::{DemoConfig, DemoFormat},
    membership::wire::server::{Order, Stack},
    output, time,
};

pub use outcome::DemoOutcome;
use outcome::Discrepancies;
use progress::DemoProgress;
use world::{DemoWorld, WorldError};

/// Host of the demo's base URL.
pub(crate) const BASE_HOST: &str = "demo.example";
/// How long the fleet may take to settle without any order coming to an end.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long cluster and membership may stay as they are before what is wrong with them counts.
const STANDSTILL: Duration = Duration::from_secs(10);
/// Without requests for this long, the agent has nothing left to do.
const QUIET: Duration = Duration::from_millis(500);

/// Runs the demo and prints what came of it. Exit code 1 unless every stack converged, membership
/// knows of it, and the same orders once more cost nothing.
pub fn run(config: &DemoConfig) -> ExitCode {
    match converge(config) {
        Ok(outcome) => {
            let told = match config.format {
                DemoFormat::Json => output::result(format_args!("{}\n", outcome.json())),
                DemoFormat::Text => output::result(&outcome),
            };
            if outcome.is_right() { told } else { ExitCode::FAILURE }
        }
        Err(error) => {
            output::complain(format_args!("demo: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn converge(config: &DemoConfig) -> Result<DemoOutcome, WorldError> {
    let orders = fleet::orders(config.seed, config.stacks.get());
    let expected = check::expected(&orders);
    let mut world = DemoWorld::start(config.engine, config.seed)?;
    let began = time::now();

    let bar = DemoProgress::start();
    world.send(&orders);
    settle(&world, orders.len(), &bar);
    let elapsed = time::now().duration_since(began);
    let mut outcome = DemoOutcome::new(config, &world.counters(), world.requests(), elapsed);

    bar.next_phase();
    outcome.judge(catch_up(&mut world, &expected));
    outcome.reports = world.mirror().heard();
    quiet(&world);
    let before = world.asked();
    let again: Vec<Order> = expected.into_values().flatten().map(fleet::existing_again).collect();
    world.send(&again);
    if !settle(&world, orders.len() + again.len(), &bar) {
        return Err(WorldError::Unsettled);
    }
    quiet(&world);
    outcome.requests_for_unchanged = world.asked() - before;
    bar.end();
    world.end()?;
    Ok(outcome)
}

/// Waits until so many orders have come to their ends; `false` where that takes too long.
fn settle(world: &DemoWorld, orders: usize, bar: &DemoProgress) -> bool {
    let (counters, orders) = (world.counters(), orders as u64);
    let mut ended = (0, time::now());
    loop {
        std::thread::sleep(Duration::from_millis(20));
        let settled = counters.accepted.get() - counters.pending();
        bar.set(settled, orders);
        if counters.accepted.get() == orders && counters.pending() == 0 {
            return true;
        }
        if settled != ended.0 {
            ended = (settled, time::now());
        }
        if time::now().duration_since(ended.1) > PATIENCE {
            return false;
        }
    }
}

/// Waits until nothing is wrong any more, or nothing gets better: the operator takes its time, and
/// so may reports.
fn catch_up(world: &mut DemoWorld, expected: &BTreeMap<String, Option<Stack>>) -> Discrepancies {
    let mut last = (Discrepancies::default(), time::now());
    loop {
        let objects = world.objects();
        let faults = (check::stale(expected, &objects), world.mirror().stale(&objects));
        if faults.0.is_empty() && faults.1.is_empty() {
            return faults;
        }
        if faults != last.0 {
            last = (faults, time::now());
        } else if time::now().duration_since(last.1) > STANDSTILL {
            return faults;
        }
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// Waits until the agent has stopped asking, or until it is clear that it never does.
fn quiet(world: &DemoWorld) {
    let began = time::now();
    let mut last = (world.asked(), began);
    while time::now().duration_since(last.1) < QUIET && time::now().duration_since(began) < STANDSTILL {
        std::thread::sleep(Duration::from_millis(20));
        let asked = world.asked();
        if asked != last.0 {
            last = (asked, time::now());
        }
    }
}

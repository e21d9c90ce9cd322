//! `stackherd demo`: the real agent between an embedded membership and an embedded cluster.
//!
//! All three talk over real sockets on loopback. The fleet's orders come from a seed, and at
//! the end the cluster is compared with the last orders by `check`, which shares no code
//! with what the agent decides by.

mod check;
mod fleet;
mod outcome;
mod world;

use std::{process::ExitCode, time::Duration};

use indicatif::{ProgressBar, ProgressStyle};

use crate::{
    config::{DemoConfig, Format},
    time,
};

pub use outcome::Outcome;

/// Host of the demo's base URL.
const BASE_HOST: &str = "demo.example";
/// How long the fleet may take to settle without any order coming to an end.
const PATIENCE: Duration = Duration::from_secs(60);

/// Runs the demo and prints what came of it. Exit code 1 unless every stack converged.
pub fn run(config: &DemoConfig) -> ExitCode {
    match converge(config) {
        Ok(outcome) => {
            match config.format {
                Format::Json => println!("{}", outcome.json()),
                Format::Text => print!("{outcome}"),
            }
            if outcome.converged == outcome.stacks { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            eprintln!("demo: {error}");
            ExitCode::FAILURE
        }
    }
}

fn converge(config: &DemoConfig) -> Result<Outcome, world::WorldError> {
    let orders = fleet::orders(config.seed, config.stacks.get());
    let world = world::World::start(config.engine, config.seed)?;
    let counters = world.counters();
    let began = time::now();

    let bar = progress(orders.len() as u64);
    bar.set_message("orders");
    world.send(&orders);

    let mut ended = (0, time::now());
    loop {
        std::thread::sleep(Duration::from_millis(20));
        let settled = counters.accepted.get() - counters.pending();
        bar.set_position(settled);
        if counters.accepted.get() == orders.len() as u64 && counters.pending() == 0 {
            break;
        }
        if settled != ended.0 {
            ended = (settled, time::now());
        }
        if time::now().duration_since(ended.1) > PATIENCE {
            break;
        }
    }
    let elapsed = time::now().duration_since(began);
    bar.finish_and_clear();

    let expected = check::expected(&orders);
    let stale = check::stale(&expected, &world.objects());
    let requests = world.requests();
    world.end()?;
    Ok(Outcome::new(config, &counters, requests, stale, elapsed))
}

/// A bar on a terminal; nothing elsewhere.
fn progress(orders: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("{spinner} {bar:40} {pos}/{len} {msg} settled, {elapsed}");
    ProgressBar::new(orders).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

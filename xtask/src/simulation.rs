//! The simulation over seeds; `docs/testing.md` says what it is.

use std::{
    process::Command,
    time::{SystemTime, UNIX_EPOCH},
};

use crate::step::{self, cargo};

/// `cargo xtask sim SEED`
pub(crate) fn seed(seed: Option<&str>) -> Result<(), String> {
    let seed = number(seed, "a seed: cargo xtask sim 42")?;
    step::run(&format!("seed {seed}"), test().env("STACKHERD_SIM_SEED", seed.to_string()))
}

/// `cargo xtask sim-soak MINUTES`: each time from another seed on, or from STACKHERD_SIM_FIRST.
pub(crate) fn soak(minutes: Option<&str>) -> Result<(), String> {
    let minutes = number(minutes, "how many minutes: cargo xtask sim-soak 10")?;
    let mut soak = test();
    if std::env::var_os("STACKHERD_SIM_FIRST").is_none() {
        soak.env("STACKHERD_SIM_FIRST", somewhere().to_string());
    }
    step::run("soak", soak.env("STACKHERD_SIM_SECONDS", (minutes * 60).to_string()))
}

/// As many seeds as fit into two minutes, always the same ones.
pub(crate) fn short() -> Result<(), String> {
    step::run("simulation", test().env("STACKHERD_SIM_SECONDS", "120"))
}

/// The tests' own build: one with more optimisation runs a tenth more seeds, and takes minutes to make.
fn test() -> Command {
    let mut test = cargo();
    test.args(["test", "--lib", "simulation::swarm::seeds_pass", "--", "--nocapture"]);
    test
}

fn number(text: Option<&str>, wanted: &str) -> Result<u64, String> {
    text.and_then(|text| text.parse().ok()).ok_or_else(|| format!("name {wanted}"))
}

/// A seed to begin with that no soak is likely to have begun with.
#[expect(clippy::disallowed_methods, reason = "any number will do")]
fn somewhere() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |since| since.as_secs() * 1000)
}

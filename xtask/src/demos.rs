//! The demo over many seeds and shard counts.

use std::process::Command;

use crate::{cache, step};

const SEEDS: std::ops::RangeInclusive<u32> = 1..=20;
const SHARDS: [u32; 4] = [1, 2, 4, 8];

/// `cargo xtask demos`.
pub(crate) fn command() -> Result<(), String> {
    let mut build = step::cargo();
    step::run("build", build.args(["build", "--release", "--bin", "stackherd"]))?;
    let binary = cache::repository().join("target/release/stackherd");
    let mut failed = Vec::new();
    for shards in SHARDS {
        let shards = shards.to_string();
        let before = failed.len();
        for seed in SEEDS {
            let seed = seed.to_string();
            let mut demo = Command::new(&binary);
            demo.args(["demo", "--stacks", "500", "--shards", &shards, "--seed", &seed, "--format", "json"]);
            if let Err(fault) = step::output(&mut demo) {
                failed.push(format!("shards {shards}, seed {seed}: {fault}"));
            }
        }
        let runs = SEEDS.count();
        eprintln!("shards {shards}: {} of {runs} demos converged", runs - (failed.len() - before));
    }
    if failed.is_empty() { Ok(()) } else { Err(failed.join("\n")) }
}

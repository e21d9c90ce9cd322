//! What many shards cost.

use crate::process::ProcessScene;

/// Resident, in bytes, once orders are applied.
fn resident(shards: &str) -> u64 {
    let mut scene = ProcessScene::start(|agent| agent.args(["--shards", shards]));
    scene.goes_on();
    let peak = scene.agent.peak_memory();
    scene.ends_well();
    peak
}

#[test]
fn a_shard_costs_a_megabyte_at_most() {
    let (few, many) = (resident("2"), resident("66"));
    let each = (many.saturating_sub(few)) / 64;
    println!("{few} bytes with 2 shards, {many} with 66: {each} for each");
    assert!(each < 1 << 20, "{each}");
}

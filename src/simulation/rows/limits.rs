//! Limits that hold for the whole process hold for the whole process.

use super::*;
use crate::{
    agent,
    config::{CliCommand, ProcessEnvironment},
};

const STACKS: usize = 12;

/// The world of an agent that is started with these flags; the API server's guards know of the
/// process' limits alone.
fn options(flags: &[&str]) -> Options {
    let args = ["stackherd", "replay", "-"].iter().chain(flags);
    let Ok(CliCommand::Replay(config)) = CliCommand::parse(args, &ProcessEnvironment) else {
        panic!("{flags:?}")
    };
    let engine = config.engine;
    Options {
        shards: engine.shards.get(),
        stacks_in_flight: engine.max_in_flight_stacks.get(),
        limits: agent::limits(&config.cluster),
        ..Options::quiet(1)
    }
}

fn fleet(flags: &[&str]) {
    play(options(flags), async move |world| {
        begin(&world, &[]).await?;
        for n in 0..STACKS {
            let name = format!("org-s{n}");
            world.membership.order(&existing_of(&name, "v1", &["auth", "ledger"], &["web"], true));
        }
        world.converged(SOON).await
    })
    .unwrap_or_else(|wrong| panic!("{flags:?}: {wrong}"));
}

#[test]
fn of_one_request_in_flight_eight_shards_never_make_two() {
    fleet(&["--shards=8", "--kube-max-in-flight=1"]);
}

#[test]
fn what_does_not_divide_evenly_is_kept_to_as_well() {
    fleet(&["--shards=3", "--kube-max-in-flight=4", "--kube-qps=30", "--kube-burst=7"]);
}

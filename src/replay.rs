//! `stackherd replay FILE|-`: orders from JSON Lines, applied to the cluster.

pub(crate) mod lines;

use std::{
    io::Write as _,
    process::ExitCode,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use futures::{FutureExt, StreamExt};
use tracing::{error, info};

use crate::{
    agent::{self, Agent, Counters, Feed, Front, RunError, Setup, Source},
    cluster::ClusterConfig,
    config::{Input, ReplayConfig},
    membership::wire,
    net,
    stack::{desired::BaseUrl, report::Report},
    time,
};

/// Replays a file; the exit code is that of the process: 1 where a line is no order, or an
/// order could not be applied as it stands.
pub fn run(config: &ReplayConfig) -> ExitCode {
    for note in &config.notes {
        info!("{note}");
    }
    let began = time::now();
    let faults = Arc::new(Faults::default());
    let agent = match start(config, Arc::clone(&faults)) {
        Ok(agent) => agent,
        Err(failure) => {
            error!("{failure}");
            return ExitCode::FAILURE;
        }
    };
    let counters = agent.counters();
    let whole = agent.herd();
    let bad_lines = faults.lines.load(Relaxed);
    eprintln!("{}", summary(&counters, bad_lines, time::now().duration_since(began)));
    let spoiled = bad_lines + counters.failed.get() + counters.faulty.get() + counters.pending();
    if whole && spoiled == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn start(config: &ReplayConfig, faults: Arc<Faults>) -> Result<Agent, RunError> {
    let setup = Setup {
        engine: config.engine,
        cluster: ClusterConfig::load(config.cluster.kube_config.as_deref())?,
        limits: agent::limits(&config.cluster),
        max_list_items: config.cluster.max_list_items,
        base_url: BaseUrl::from(&config.base_url),
        grace_period: config.grace_period,
        resync_period: None,
        report_qps: 0.0,
        source: source(config.input.clone(), faults),
    };
    Ok(Agent::start(setup)?)
}

fn summary(counters: &Counters, bad_lines: u64, elapsed: Duration) -> String {
    let mut parts = vec![
        format!("{} orders", counters.accepted.get()),
        format!("{} applied", counters.applied.get()),
        format!("{} superseded", counters.superseded.get()),
    ];
    let mut add = |n: u64, what: &str| {
        if n > 0 {
            parts.push(format!("{n} {what}"));
        }
    };
    add(counters.failed.get(), "refused");
    add(counters.faulty.get(), "applied in part");
    add(counters.pending(), "not finished");
    add(bad_lines, if bad_lines == 1 { "line that is no order" } else { "lines that are no order" });
    let (requests, writes) = (counters.requests.get(), counters.writes.get());
    format!("{}; {requests} API requests, {writes} of them writes; {elapsed:.1?}", parts.join(", "))
}

/// How long the last reports may take to be printed.
const REPORTED: Duration = Duration::from_secs(5);

/// What went wrong with lines, readable after the run.
#[derive(Debug, Default)]
struct Faults {
    lines: AtomicU64,
}

/// Orders out of `input`. Lines that are no order are told on stderr and counted in `faults`.
fn source(input: Input, faults: Arc<Faults>) -> Source {
    Arc::new(move |front| Feed {
        run: feed(input.clone(), front.clone(), Arc::clone(&faults)).boxed_local(),
        report: Rc::new(move |shard, report| {
            print(&report);
            front.sent(shard);
        }),
    })
}

async fn feed(input: Input, front: Front, faults: Arc<Faults>) {
    // What stood before is not told: the file's orders are what this is about.
    front.opened(false);
    let mut lines = lines::read(input);
    while let Some(line) = lines.next().await {
        if front.stop.requested() {
            break;
        }
        match line {
            Ok(line) => match lines::order(&line.text) {
                Ok((order, trace)) => front.submit(order, trace).await,
                Err(error) => {
                    faults.lines.fetch_add(1, Relaxed);
                    eprintln!("line {}: {error}", line.number);
                }
            },
            Err(error) => {
                faults.lines.fetch_add(1, Relaxed);
                eprintln!("{error}");
            }
        }
    }
    front.settled().await;
    // Bounded: what never comes to an end must not keep a file from coming to its own.
    let _ = net::timeout(REPORTED, front.reported()).await;
}

fn print(report: &Report) {
    match serde_json::to_string(&wire::message(report)) {
        Ok(line) => {
            let mut out = std::io::stdout().lock();
            // A reader that went away (`| head`) is no reason to stop herding.
            let _ = writeln!(out, "{line}").and_then(|()| out.flush());
        }
        Err(error) => eprintln!("a report could not be written as JSON: {error}"),
    }
}

//! `stackherd replay FILE|-`: orders from JSON Lines, applied to the cluster.

pub mod lines;
mod printer;

use std::{
    pin::pin,
    process::ExitCode,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use futures::{
    FutureExt, StreamExt,
    channel::mpsc::UnboundedReceiver,
    future::{Either, select},
};
use tracing::{error, info};

use crate::{
    agent::{self, Agent, Counters, Feed, Front, RunError, Setup, Source},
    cluster::ClusterConfig,
    config::{ReplayConfig, ReplayInput},
    membership::wire,
    net, output,
    stack::{desired::StackBaseUrl, report::Report},
    time,
};
use printer::{Printer, Progress};

/// Replays a file; the exit code is that of the process: 1 where a line is no order, or an
/// order could not be applied as it stands, or a report not be printed.
pub fn run(config: &ReplayConfig) -> ExitCode {
    for note in &config.notes {
        info!("{note}");
    }
    let began = time::now();
    let (faults, progress) = (Arc::<Faults>::default(), Arc::<Progress>::default());
    let agent = match start(
        config,
        source(config.input.clone(), config.max_message_bytes, Arc::clone(&faults), Arc::clone(&progress)),
    ) {
        Ok(agent) => agent,
        Err(failure) => {
            error!("{failure}");
            return ExitCode::FAILURE;
        }
    };
    let counters = agent.counters();
    let whole = agent.herd();
    progress.finish(REPORTED);
    let bad_lines = faults.lines.load(Relaxed);
    output::complain(summary(&counters, bad_lines, time::now().duration_since(began)));
    let spoiled = bad_lines + counters.failed.get() + counters.faulty.get() + counters.pending();
    if whole && spoiled == 0 && !progress.failed() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn start(config: &ReplayConfig, source: Source) -> Result<Agent, RunError> {
    let setup = Setup {
        engine: config.engine,
        cluster: ClusterConfig::load(config.cluster.kube_config.as_deref())?,
        limits: agent::limits(&config.cluster),
        max_list_items: config.cluster.max_list_items,
        base_url: StackBaseUrl::from(&config.base_url),
        grace_period: config.grace_period,
        resync_period: None,
        report_qps: 0.0,
        says_all: true,
        source,
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

/// How long nothing may happen to the last reports, before they are given up.
const REPORTED: Duration = Duration::from_secs(5);
/// How often it is looked whether they are printed.
const LOOK: Duration = Duration::from_millis(5);

/// What went wrong with lines, readable after the run.
#[derive(Debug, Default)]
struct Faults {
    lines: AtomicU64,
}

/// Orders out of `input`. Lines that are no order are told on stderr and counted in `faults`; how
/// far the reports are is in `progress`.
fn source(input: ReplayInput, longest: usize, faults: Arc<Faults>, progress: Arc<Progress>) -> Source {
    Arc::new(move |front| {
        let (printer, printed) = Printer::start(Arc::clone(&progress), |line| output::print(line));
        let (faults, progress) = (Arc::clone(&faults), Arc::clone(&progress));
        Feed {
            run: feed(input.clone(), longest, front, faults, progress, printed).boxed_local(),
            report: Rc::new(move |shard, report| print(&printer, shard, &report)),
        }
    })
}

async fn feed(
    input: ReplayInput,
    longest: usize,
    front: Front,
    faults: Arc<Faults>,
    progress: Arc<Progress>,
    mut printed: UnboundedReceiver<usize>,
) {
    // What stood before is not told: the file's orders are what this is about.
    front.opened(false);
    let giving_room = async {
        while let Some(shard) = printed.next().await {
            front.sent(shard);
        }
        // Without a thread that prints no room is given, and the orders go on all the same.
        std::future::pending::<()>().await;
    };
    let feeding = async {
        // Who types orders may take for ever over the next line.
        select(pin!(submit_all(input, longest, &front, &faults)), pin!(front.stop.wait())).await;
        front.settled().await;
        reported(&front, &progress).await;
    };
    select(pin!(feeding), pin!(giving_room)).await;
}

async fn submit_all(input: ReplayInput, longest: usize, front: &Front, faults: &Faults) {
    let mut lines = lines::read(input, longest);
    while let Some(line) = lines.next().await {
        if front.stop.requested() {
            break;
        }
        match line {
            Ok(line) => match lines::order(&line.text, &|name| front.is_module(name)) {
                Ok((order, trace)) => front.submit(order, trace).await,
                Err(error) => {
                    faults.lines.fetch_add(1, Relaxed);
                    output::complain(format_args!("line {}: {error}", line.number));
                }
            },
            Err(error) => {
                faults.lines.fetch_add(1, Relaxed);
                output::complain(error);
            }
        }
    }
}

/// Waits for the last reports, as long as somebody may still read them: what never comes to an end
/// must not keep a file from coming to its own, and a stop not be kept waiting by a reader.
async fn reported(front: &Front, progress: &Progress) {
    let printed = async {
        let mut reported = pin!(front.reported());
        while let Either::Right(_) = select(reported.as_mut(), pin!(net::sleep(REPORTED))).await {
            if progress.waiting() == 0 {
                return;
            }
        }
        while progress.waiting() > 0 {
            net::sleep(LOOK).await;
        }
    };
    select(pin!(printed), pin!(front.stop.wait())).await;
}

fn print(printer: &Printer, shard: usize, report: &Report) {
    match serde_json::to_string(&wire::message(report)) {
        Ok(line) => printer.take(shard, line + "\n"),
        Err(error) => output::complain(format_args!("a report could not be written as JSON: {error}")),
    }
}
